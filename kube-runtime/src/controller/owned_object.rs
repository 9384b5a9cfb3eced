//! `OwnedObject`: the stored form of an owned object.

use super::key::{Key, SharedKeys};
use crate::reflector::is_owner_of_kind;
use crate::watcher::Storable;
use kube_client::Resource;
use kube_client::core::ObjectMeta;
use std::sync::Arc;

/// An owned object, reduced to its identity and the keys of its owners. Its labels and annotations would take most of
/// the memory, and no source reads them.
#[derive(Debug)]
pub(super) struct OwnedObject {
    namespace: String,
    name: String,
    uid: Option<String>,
    version: Option<String>,
    /// The keys of the owners, sorted.
    pub(super) owners: Arc<[Key]>,
}

impl OwnedObject {
    /// The object with this metadata. Only owners of kind `K` are kept.
    pub(super) fn new<K: Resource>(
        meta: ObjectMeta,
        dyntype: &K::DynamicType,
        keys: &mut SharedKeys,
    ) -> Self {
        let owners = owner_keys::<K>(&meta, dyntype);
        Self {
            namespace: meta.namespace.unwrap_or_default(),
            name: meta.name.unwrap_or_default(),
            uid: meta.uid,
            version: meta.resource_version,
            owners: keys.share(owners),
        }
    }
}

/// The keys of the owners of kind `K`. Each key has the namespace of the owned object. The controller's store finds a
/// cluster-scoped owner, too: for a cluster-scoped object, this store ignores the namespace of the key.
pub(super) fn owner_keys<K: Resource>(meta: &ObjectMeta, dyntype: &K::DynamicType) -> Vec<Key> {
    let owners = meta.owner_references.iter().flatten();
    let owners = owners.filter(|owner| is_owner_of_kind::<K>(owner, dyntype));
    owners.map(|owner| Key::new(meta.namespace.as_deref(), &owner.name)).collect()
}

impl Storable for OwnedObject {
    fn key(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }

    fn uid(&self) -> Option<&str> {
        self.uid.as_deref()
    }

    fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }
}
