//! Finds the old value that each value of an update replaces, for validation ratcheting (KEP-4008).

use serde_json::Value;

use super::node::{ListType, Schema};

/// A value of an update, the value that it replaces, and their schema.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Correlation<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) old: &'a Value,
    pub(crate) new: &'a Value,
}

impl Correlation<'_> {
    /// The old and new value of the field or map key `name`, if both objects have it and the schema specifies it.
    /// `None` for `apiVersion`, `kind` and `metadata` of a resource.
    pub(crate) fn field(self, name: &str) -> Option<Self> {
        if self.schema.embedded_resource && matches!(name, "apiVersion" | "kind") {
            return None;
        }
        let schema = self.schema.field(name).filter(|schema| !schema.is_reference())?;
        Some(Self { schema, old: self.old.get(name)?, new: self.new.get(name)? })
    }

    /// The new item at `index` of a list of type `map`, and the old item with the same keys. Returns `None` for
    /// other lists, because their items have no keys that identify the old item.
    pub(crate) fn item(self, index: usize) -> Option<Self> {
        let item = self.new.as_array()?.get(index)?;
        if self.schema.list_type != Some(ListType::Map) {
            return None;
        }
        let keys = self.schema.list_keys();
        let same = |old: &&Value| keys.iter().all(|key| old.get(&**key) == item.get(&**key));
        let old = self.old.as_array()?.iter().find(same)?;
        Some(Self { schema: self.schema.items()?, old, new: item })
    }

    /// Whether the update leaves the value unchanged. An object counts as changed if [`Self::field`] returns
    /// `None` for one of its fields. Lists with `x-kubernetes-list-type: map` are compared item by item. All
    /// other lists are compared as JSON values, without the schema.
    pub(crate) fn is_unchanged(self) -> bool {
        match (self.old, self.new) {
            (Value::Array(old), Value::Array(new)) => {
                old.len() == new.len()
                    && if self.schema.list_type == Some(ListType::Map) {
                        (0..new.len()).all(|index| self.item(index).is_some_and(Self::is_unchanged))
                    } else {
                        old == new
                    }
            }
            (Value::Object(old), Value::Object(new)) => {
                old.len() == new.len()
                    && new.keys().all(|name| self.field(name).is_some_and(Self::is_unchanged))
            }
            (old, new) => old == new,
        }
    }
}
