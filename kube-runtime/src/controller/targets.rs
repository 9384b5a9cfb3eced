//! `Targets`: the objects to reconcile for each watched object. After a change of a watched object, the controller also
//! reconciles its previous targets.

use crate::reflector::ObjectRef;
use crate::watcher::Event;
use foldhash::HashMap;
use kube_client::Resource;
use kube_client::core::{ObjectMeta, ObjectOrigin, UndecodableObject};
use std::{fmt, sync::Arc};

/// A namespace and a name. The namespace of a cluster-scoped object is empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NamespacedName {
    namespace: Box<str>,
    name: Box<str>,
}

impl NamespacedName {
    pub(super) fn new(namespace: Option<&str>, name: Option<&str>) -> Self {
        Self { namespace: namespace.unwrap_or_default().into(), name: name.unwrap_or_default().into() }
    }

    /// The name of the object with this metadata.
    pub(super) fn of(meta: &ObjectMeta) -> Self {
        Self::new(meta.namespace.as_deref(), meta.name.as_deref())
    }
}

impl fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

/// The objects of kind `K` to reconcile for each watched object (its targets). Stores only names, and no entry for a
/// watched object without targets.
pub(super) struct Targets<K: Resource> {
    dyntype: K::DynamicType,
    by_object: HashMap<NamespacedName, Entry>,
    /// The most recently added targets. Consecutive objects with equal targets share them.
    last: Arc<[NamespacedName]>,
}

/// The targets of an object, sorted and deduplicated.
struct Entry {
    names: Arc<[NamespacedName]>,
    /// `false` from the beginning of a relist until the relist has returned the object.
    seen: bool,
}

impl<K: Resource> Targets<K>
where
    K::DynamicType: Clone,
{
    pub(super) fn new(dyntype: K::DynamicType) -> Self {
        Self { dyntype, by_object: HashMap::default(), last: Arc::default() }
    }

    /// The objects to reconcile after an event. The event contains the name of a watched object, and the objects that
    /// the mapper returned for it; `None` means that the mapper failed.
    pub(super) fn keys_for(
        &mut self,
        event: Event<(NamespacedName, Option<Vec<ObjectRef<K>>>)>,
    ) -> Vec<ObjectRef<K>> {
        match event {
            Event::Init => {
                self.by_object.values_mut().for_each(|entry| entry.seen = false);
                Vec::new()
            }
            Event::InitApply((object, Some(keys))) | Event::Apply((object, Some(keys))) => {
                self.set_targets(object, keys)
            }
            Event::InitApply((object, None)) | Event::Apply((object, None)) => {
                self.keep_targets(&object);
                Vec::new()
            }
            Event::Delete((object, keys)) => {
                let before = self.remove_targets(&object);
                self.keys_with_previous(&sorted_names(keys.unwrap_or_default()), &before)
            }
            Event::InitDone => {
                let mut vanished = Vec::new();
                self.by_object.retain(|_, entry| {
                    if !entry.seen {
                        vanished.extend(entry.names.iter().cloned());
                    }
                    entry.seen
                });
                vanished.sort_unstable();
                vanished.dedup();
                self.keys_with_previous(&vanished, &[])
            }
        }
    }

    /// The objects to reconcile for an undecodable watched object. Its targets are kept until it is deleted.
    pub(super) fn keys_for_undecodable(&mut self, object: &UndecodableObject) -> Vec<ObjectRef<K>> {
        let name = NamespacedName::new(object.namespace.as_deref(), object.name.as_deref());
        if object.origin == ObjectOrigin::Deleted {
            let before = self.remove_targets(&name);
            return self.keys_with_previous(&before, &[]);
        }
        self.keep_targets(&name);
        Vec::new()
    }

    /// Keeps the targets of a watched object for which the mapper failed, or which could not be decoded.
    fn keep_targets(&mut self, object: &NamespacedName) {
        if let Some(entry) = self.by_object.get_mut(object) {
            entry.seen = true;
        }
    }

    /// Stores the targets of an added or modified object. Returns the new and the previous targets.
    fn set_targets(&mut self, object: NamespacedName, keys: Vec<ObjectRef<K>>) -> Vec<ObjectRef<K>> {
        let now = sorted_names(keys);
        if now.is_empty() {
            let before = self.remove_targets(&object);
            return self.keys_with_previous(&before, &[]);
        }
        let before = self.by_object.get(&object).map(|entry| entry.names.clone()).unwrap_or_default();
        let same = [&before, &self.last].into_iter().find(|known| ***known == *now).cloned();
        self.last = same.unwrap_or_else(|| now.into());
        self.by_object.insert(object, Entry { names: self.last.clone(), seen: true });
        self.keys_with_previous(&self.last, &before)
    }

    /// Removes the targets of a watched object, and returns them.
    fn remove_targets(&mut self, object: &NamespacedName) -> Arc<[NamespacedName]> {
        self.by_object.remove(object).map(|entry| entry.names).unwrap_or_default()
    }

    /// The current targets, followed by the previous targets that are not among them.
    fn keys_with_previous(&self, now: &[NamespacedName], before: &[NamespacedName]) -> Vec<ObjectRef<K>> {
        let before = if now == before { &[] } else { before };
        let removed = before.iter().filter(|name| now.binary_search(name).is_err());
        now.iter().chain(removed).map(|name| self.target_ref(name)).collect()
    }

    /// A reference to the target with this name.
    fn target_ref(&self, NamespacedName { namespace, name }: &NamespacedName) -> ObjectRef<K> {
        let reference = ObjectRef::new_with(name, self.dyntype.clone());
        if namespace.is_empty() { reference } else { reference.within(namespace) }
    }
}

/// The names of `objects`, sorted and deduplicated.
fn sorted_names<K: Resource>(objects: Vec<ObjectRef<K>>) -> Vec<NamespacedName> {
    let name = |object: ObjectRef<K>| NamespacedName::new(object.namespace.as_deref(), Some(&object.name));
    let mut names: Vec<_> = objects.into_iter().map(name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use Event::{Apply, Delete, Init, InitApply, InitDone};
    use k8s_openapi::api::core::v1::ConfigMap;

    /// The name of a watched object, and its targets if the mapper succeeded.
    type Mapped = (NamespacedName, Option<Vec<ObjectRef<ConfigMap>>>);

    /// The name of a watched object in the namespace `ns`.
    fn watched_name(name: &str) -> NamespacedName {
        NamespacedName::new(Some("ns"), Some(name))
    }

    /// An event, and the expected keys.
    type Step<'a> = (Result<Event<Mapped>, UndecodableObject>, &'a [&'a str]);

    /// An object and its targets.
    fn mapped(name: &str, names: &[&str]) -> Mapped {
        (watched_name(name), Some(names.iter().map(|name| ObjectRef::new(name).within("ns")).collect()))
    }

    /// An object for which the mapper failed.
    fn unmapped(name: &str) -> Mapped {
        (watched_name(name), None)
    }

    /// A watched object that could not be decoded.
    fn undecodable(name: &str, origin: ObjectOrigin) -> UndecodableObject {
        let source = serde_json::from_str::<()>("[]").unwrap_err();
        let mut object = UndecodableObject::new("Secret", origin, source);
        object.namespace = Some("ns".into());
        object.name = Some(name.into());
        object
    }

    /// Passes each event to new `Targets`, and compares the returned keys.
    #[track_caller]
    fn check_keys(steps: Vec<Step<'_>>) -> Targets<ConfigMap> {
        let mut targets = Targets::new(());
        for (n, (event, expected)) in steps.into_iter().enumerate() {
            let keys = match event {
                Ok(event) => targets.keys_for(event),
                Err(object) => targets.keys_for_undecodable(&object),
            };
            let mut keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
            keys.sort();
            let expected: Vec<_> = expected.iter().map(|name| format!("ConfigMap ns/{name}")).collect();
            assert_eq!(keys, expected, "event {n}");
        }
        targets
    }

    #[test]
    fn returns_previous_and_current_targets_and_drops_objects_without_targets() {
        let targets = check_keys(vec![
            (Ok(Apply(mapped("a", &["x"]))), &["x"]),
            (Ok(Apply(mapped("a", &["y", "y"]))), &["x", "y"]),
            (Ok(Apply(mapped("a", &[]))), &["y"]),
            (Ok(Apply(mapped("a", &[]))), &[]),
            (Ok(Apply(mapped("a", &["z"]))), &["z"]),
            (Ok(Delete(mapped("a", &[]))), &["z"]),
            (Ok(Delete(mapped("b", &["w"]))), &["w"]),
            (Ok(InitApply(mapped("c", &[]))), &[]),
        ]);
        assert!(targets.by_object.is_empty());
    }

    #[test]
    fn returns_the_targets_of_objects_deleted_before_a_relist() {
        check_keys(vec![
            (Ok(Init), &[]),
            (Ok(InitApply(mapped("a", &["x", "z"]))), &["x", "z"]),
            (Ok(InitApply(mapped("b", &["y"]))), &["y"]),
            (Ok(InitApply(mapped("c", &["z"]))), &["z"]),
            (Ok(InitDone), &[]),
            (Ok(Init), &[]),
            (Ok(InitApply(mapped("b", &["y"]))), &["y"]),
            // An incomplete relist does not show which objects were deleted.
            (Ok(Init), &[]),
            (Ok(InitApply(mapped("b", &["y"]))), &["y"]),
            (Ok(InitDone), &["x", "z"]),
            (Ok(Apply(mapped("d", &["x"]))), &["x"]),
            (Ok(Init), &[]),
            (Ok(InitDone), &["x", "y"]),
        ]);
    }

    #[test]
    fn keeps_the_targets_of_an_undecodable_object_until_its_deletion() {
        check_keys(vec![
            (Ok(Apply(mapped("a", &["x"]))), &["x"]),
            (Err(undecodable("a", ObjectOrigin::Modified)), &[]),
            (Ok(Init), &[]),
            (Err(undecodable("a", ObjectOrigin::List)), &[]),
            (Err(undecodable("b", ObjectOrigin::List)), &[]),
            (Ok(InitDone), &[]),
            (Err(undecodable("a", ObjectOrigin::Deleted)), &["x"]),
            (Err(undecodable("a", ObjectOrigin::Deleted)), &[]),
        ]);
    }

    #[test]
    fn keeps_the_targets_of_an_object_if_the_mapper_fails() {
        check_keys(vec![
            (Ok(Apply(mapped("a", &["x"]))), &["x"]),
            (Ok(Apply(unmapped("a"))), &[]),
            (Ok(Init), &[]),
            (Ok(InitApply(unmapped("a"))), &[]),
            (Ok(InitApply(unmapped("b"))), &[]),
            (Ok(InitDone), &[]),
            (Ok(Apply(mapped("a", &["y"]))), &["x", "y"]),
            (Ok(Delete(unmapped("a"))), &["y"]),
            (Ok(Delete(unmapped("a"))), &[]),
        ]);
    }

    #[test]
    fn a_cluster_scoped_target_has_no_namespace() {
        let mut targets = Targets::<ConfigMap>::new(());
        let keys = targets.keys_for(Apply((watched_name("a"), Some(vec![ObjectRef::new("x").within("")]))));
        assert_eq!(keys, [ObjectRef::new("x")]);
    }

    #[test]
    fn shares_equal_targets_between_objects() {
        let targets = check_keys(vec![
            (Ok(InitApply(mapped("a", &["x", "y"]))), &["x", "y"]),
            (Ok(InitApply(mapped("b", &["y", "x"]))), &["x", "y"]),
            (Ok(Apply(mapped("c", &["z"]))), &["z"]),
            (Ok(Apply(mapped("b", &["x", "y"]))), &["x", "y"]),
        ]);
        let [a, b] = ["a", "b"].map(|name| &targets.by_object[&watched_name(name)].names);
        assert!(Arc::ptr_eq(a, b));
    }
}
