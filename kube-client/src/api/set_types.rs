//! `TypeMetaSetter`: sets `apiVersion` and `kind` in the items of a list, because servers omit both fields in items.

use super::{Resource, TypeMeta};
use std::sync::Arc;

/// The type metadata of objects of type `K`, and the function that sets it.
pub(super) struct TypeMetaSetter<K> {
    types: Option<Arc<TypeMeta>>,
    set: fn(&mut K, &TypeMeta),
}

impl<K> Clone for TypeMetaSetter<K> {
    fn clone(&self) -> Self {
        Self { types: self.types.clone(), set: self.set }
    }
}

impl<K> TypeMetaSetter<K> {
    /// Returns a setter that leaves objects unchanged.
    pub(super) fn noop() -> Self {
        Self { types: None, set: |_, _| {} }
    }

    /// The type metadata that the setter sets; `None` if it leaves objects unchanged.
    pub(super) fn types(&self) -> Option<&TypeMeta> {
        self.types.as_deref()
    }

    /// Sets the object's type metadata if it is missing. Changes the object in place, because moving large objects is
    /// expensive.
    pub(super) fn set_if_missing(&self, object: &mut K) {
        if let Some(types) = &self.types {
            (self.set)(object, types);
        }
    }
}

impl<K: Resource> TypeMetaSetter<K> {
    /// Returns a setter of the API version and kind of `K`. `dyntype` supplies them if `K` is a dynamic type.
    pub(super) fn new(dyntype: &K::DynamicType) -> Self {
        Self { types: Some(TypeMeta::of::<K>(dyntype).into()), set: K::complete_types }
    }
}
