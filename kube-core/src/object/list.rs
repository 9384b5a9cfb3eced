//! `ObjectList`: one page of a collection.

use crate::{ListMeta, TypeMeta, null::null_as_default};
use serde::{Deserialize, Serialize};

/// One page of a collection, with the continue token of the next page.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_core::ObjectList;
///
/// let text = r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"a"}}]}"#;
/// let pods: ObjectList<Pod> = serde_json::from_str(text)?;
/// assert_eq!(pods.iter().count(), 1);
/// assert_eq!(pods.metadata.resource_version.as_deref(), Some("7"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub struct ObjectList<T> {
    /// `apiVersion` and `kind` of the list, such as `v1 PodList`.
    #[serde(flatten)]
    pub types: TypeMeta,
    /// The collection's resource version, the token for the next page, and the number of remaining objects.
    #[serde(default)]
    pub metadata: ListMeta,
    /// The objects of this page.
    #[serde(default = "Vec::new", deserialize_with = "null_as_default")]
    pub items: Vec<T>,
}

impl<T> ObjectList<T> {
    /// Iterates over the objects.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.items.iter()
    }

    /// Iterates over the objects mutably.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.items.iter_mut()
    }
}

impl<T> IntoIterator for ObjectList<T> {
    type IntoIter = std::vec::IntoIter<T>;
    type Item = T;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a ObjectList<T> {
    type IntoIter = std::slice::Iter<'a, T>;
    type Item = &'a T;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut ObjectList<T> {
    type IntoIter = std::slice::IterMut<'a, T>;
    type Item = &'a mut T;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_items_decode_as_an_empty_list() {
        let list: ObjectList<u8> =
            serde_json::from_str(r#"{"kind":"L","apiVersion":"v1","items":null}"#).unwrap();
        assert!(list.items.is_empty());
        assert_eq!(list.types.kind, "L");
    }
}
