//! `Key`: namespace and name of an object whose kind is known.

use crate::reflector::ObjectRef;
use kube_client::Resource;
use kube_client::core::ObjectMeta;
use std::{fmt, sync::Arc};

/// The key of an object in the work queue: its namespace and its name. Cheap to clone.
///
/// A key has neither a uid nor a resource version. So all changes of an object have the same key, and the work queue
/// coalesces these changes. A later object with the same namespace and name also has this key.
///
/// ```
/// use kube_runtime::controller::Key;
///
/// let key = Key::new(Some("prod"), "web");
/// assert_eq!((key.namespace(), key.name()), (Some("prod"), "web"));
/// assert_eq!(key.to_string(), "prod/web");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The namespace, `/` and the name; only the name for a cluster-scoped object.
    text: Arc<str>,
    /// The length of the namespace in bytes; 0 for a cluster-scoped object.
    namespace_len: usize,
}

impl Key {
    /// The key of an object in this namespace. `None` and an empty namespace mean a cluster-scoped object.
    pub fn new(namespace: Option<&str>, name: &str) -> Self {
        match namespace.unwrap_or_default() {
            "" => Self { text: name.into(), namespace_len: 0 },
            namespace => {
                Self { text: [namespace, "/", name].concat().into(), namespace_len: namespace.len() }
            }
        }
    }

    /// The key of the object with this metadata.
    pub(super) fn of(meta: &ObjectMeta) -> Self {
        Self::new(meta.namespace.as_deref(), meta.name.as_deref().unwrap_or_default())
    }

    /// The namespace; `None` for a cluster-scoped object.
    pub fn namespace(&self) -> Option<&str> {
        self.text.get(..self.namespace_len).filter(|namespace| !namespace.is_empty())
    }

    /// The name of the object.
    pub fn name(&self) -> &str {
        let begin = if self.namespace_len == 0 { 0 } else { self.namespace_len + 1 };
        self.text.get(begin..).unwrap_or_default()
    }

    /// A reference to the object of kind `K` with this key.
    pub fn to_object_ref<K: Resource>(&self, dyntype: K::DynamicType) -> ObjectRef<K> {
        let object = ObjectRef::new_with(self.name(), dyntype);
        match self.namespace() {
            Some(namespace) => object.within(namespace),
            None => object,
        }
    }
}

impl<K: Resource> From<&ObjectRef<K>> for Key {
    fn from(object: &ObjectRef<K>) -> Self {
        Self::new(object.namespace.as_deref(), &object.name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.text)
    }
}

/// Shares equal lists of keys: consecutive objects often have the same owners or targets.
#[derive(Default)]
pub(super) struct SharedKeys {
    last: Arc<[Key]>,
}

impl SharedKeys {
    /// Sorts and deduplicates the keys. Returns the list of the previous call if it contains the same keys.
    pub(super) fn share(&mut self, mut keys: Vec<Key>) -> Arc<[Key]> {
        keys.sort_unstable();
        keys.dedup();
        if *self.last != *keys {
            self.last = keys.into();
        }
        self.last.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    #[test]
    fn an_empty_namespace_means_a_cluster_scoped_object() {
        for key in [Key::new(None, "a"), Key::new(Some(""), "a")] {
            assert_eq!((key.namespace(), key.name(), key.to_string()), (None, "a", "a".to_owned()));
            assert_eq!(key.to_object_ref::<ConfigMap>(()), ObjectRef::new("a"));
        }
    }

    #[test]
    fn keys_with_equal_texts_and_different_namespaces_differ() {
        let [namespaced, cluster] = [Key::new(Some("a"), "b"), Key::new(None, "a/b")];
        assert_eq!((namespaced.namespace(), namespaced.name()), (Some("a"), "b"));
        assert_eq!((cluster.namespace(), cluster.name()), (None, "a/b"));
        assert_ne!(namespaced, cluster);
        assert_eq!(Key::from(&ObjectRef::<ConfigMap>::new("b").within("a")), namespaced);
    }
}
