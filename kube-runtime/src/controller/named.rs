//! `Owners`: who owns which child, so that an owner that loses one is told, too.

use crate::reflector::ObjectRef;
use crate::watcher::Event;
use foldhash::{HashMap, HashSet};
use kube_client::Resource;
use kube_client::core::ObjectMeta;

/// A child's namespace and name.
type Child = (Option<String>, Option<String>);

/// The owners of kind `K` of every child. Children without one are not kept.
pub(super) struct Owners<K: Resource> {
    dyntype: K::DynamicType,
    by_child: HashMap<Child, Vec<ObjectRef<K>>>,
    /// Children that a relist has not brought again yet.
    missing: Option<HashSet<Child>>,
}

impl<K: Resource> Owners<K>
where
    K::DynamicType: Clone,
{
    pub(super) fn new(dyntype: K::DynamicType) -> Self {
        Self { dyntype, by_child: HashMap::default(), missing: None }
    }

    /// The owners that are concerned by an event about a child.
    pub(super) fn touched_by(&mut self, event: &Event<ObjectMeta>) -> Vec<ObjectRef<K>> {
        match event {
            Event::Init => {
                self.missing = Some(self.by_child.keys().cloned().collect());
                Vec::new()
            }
            Event::InitApply(child) | Event::Apply(child) => self.applied(child),
            Event::Delete(child) => {
                let before = self.forget(&place(child));
                join(before, self.owners_of(child))
            }
            Event::InitDone => {
                let missing = self.missing.take().unwrap_or_default();
                missing.iter().flat_map(|child| self.forget(child)).collect()
            }
        }
    }

    fn applied(&mut self, child: &ObjectMeta) -> Vec<ObjectRef<K>> {
        let place = place(child);
        if let Some(missing) = &mut self.missing {
            missing.remove(&place);
        }
        let now = self.owners_of(child);
        let before = if now.is_empty() {
            self.by_child.remove(&place).unwrap_or_default()
        } else {
            self.by_child.insert(place, now.clone()).unwrap_or_default()
        };
        join(now, before)
    }

    fn forget(&mut self, child: &Child) -> Vec<ObjectRef<K>> {
        self.by_child.remove(child).unwrap_or_default()
    }

    fn owners_of(&self, child: &ObjectMeta) -> Vec<ObjectRef<K>> {
        let references = child.owner_references.iter().flatten();
        let owner = |reference| {
            ObjectRef::from_owner_ref(child.namespace.as_deref(), reference, self.dyntype.clone())
        };
        references.filter_map(owner).collect()
    }
}

fn place(child: &ObjectMeta) -> Child {
    (child.namespace.clone(), child.name.clone())
}

/// Both, without the second's that are in the first.
fn join<K: Resource>(mut first: Vec<ObjectRef<K>>, second: Vec<ObjectRef<K>>) -> Vec<ObjectRef<K>> {
    for owner in second {
        let same = |other: &ObjectRef<K>| other.name == owner.name && other.namespace == owner.namespace;
        if !first.iter().any(same) {
            first.push(owner);
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::apps::v1::ReplicaSet;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

    fn child(name: &str, owners: &[&str]) -> ObjectMeta {
        let reference = |owner: &&str| OwnerReference {
            api_version: "apps/v1".into(),
            kind: "ReplicaSet".into(),
            name: (*owner).into(),
            ..OwnerReference::default()
        };
        ObjectMeta {
            name: Some(name.into()),
            namespace: Some("ns".into()),
            owner_references: Some(owners.iter().map(reference).collect()),
            ..ObjectMeta::default()
        }
    }

    #[track_caller]
    fn check(events: Vec<(Event<ObjectMeta>, &[&str])>) {
        let mut owners = Owners::<ReplicaSet>::new(());
        for (n, (event, expected)) in events.into_iter().enumerate() {
            let mut touched: Vec<_> = owners.touched_by(&event).into_iter().map(|owner| owner.name).collect();
            touched.sort();
            assert_eq!(touched, expected, "event {n}");
        }
    }

    #[test]
    fn tells_the_owners_of_before_and_now() {
        check(vec![
            (Event::Apply(child("a", &["x"])), &["x"]),
            (Event::Apply(child("a", &["y"])), &["x", "y"]),
            (Event::Apply(child("a", &[])), &["y"]),
            (Event::Apply(child("a", &[])), &[]),
            (Event::Apply(child("a", &["z"])), &["z"]),
            (Event::Delete(child("a", &[])), &["z"]),
            (Event::Delete(child("b", &["w"])), &["w"]),
        ]);
    }

    #[test]
    fn tells_the_owners_of_what_vanished_during_a_relist() {
        check(vec![
            (Event::Init, &[]),
            (Event::InitApply(child("a", &["x"])), &["x"]),
            (Event::InitApply(child("b", &["y"])), &["y"]),
            (Event::InitDone, &[]),
            (Event::Init, &[]),
            (Event::InitApply(child("b", &["y"])), &["y"]),
            (Event::InitDone, &["x"]),
            (Event::Init, &[]),
            (Event::InitDone, &["y"]),
        ]);
    }
}
