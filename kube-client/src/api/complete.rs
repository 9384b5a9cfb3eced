//! `Complete`: tells the items of lists their type, which servers leave out there.

use super::{Resource, TypeMeta};
use std::sync::Arc;

/// What is to be told to objects of type `K`, and how.
pub(super) struct Complete<K> {
    types: Option<Arc<TypeMeta>>,
    tell: fn(&mut K, &TypeMeta),
}

impl<K> Clone for Complete<K> {
    fn clone(&self) -> Self {
        Self { types: self.types.clone(), tell: self.tell }
    }
}

impl<K> Complete<K> {
    /// Objects stay as they are.
    pub(super) fn nothing() -> Self {
        Self { types: None, tell: |_, _| {} }
    }

    /// Tells an object its type. In place: objects are large.
    pub(super) fn object(&self, object: &mut K) {
        if let Some(types) = &self.types {
            (self.tell)(object, types);
        }
    }
}

impl<K: Resource> Complete<K> {
    /// The type of the objects that `dyntype` stands for.
    pub(super) fn new(dyntype: &K::DynamicType) -> Self {
        let types = TypeMeta { api_version: K::api_version(dyntype).into(), kind: K::kind(dyntype).into() };
        Self { types: Some(types.into()), tell: K::complete_types }
    }
}
