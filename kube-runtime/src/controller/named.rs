//! `Named`: whom each watched object names, so that those are told, too, whom it names no longer.

use crate::reflector::ObjectRef;
use crate::watcher::Event;
use foldhash::HashMap;
use kube_client::Resource;
use kube_client::core::{ObjectMeta, ObjectOrigin, UndecodableObject};
use std::{fmt, sync::Arc};

/// A namespace and a name. Objects of the cluster are in the empty namespace, which no namespace is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name {
    namespace: Box<str>,
    name: Box<str>,
}

impl Name {
    pub(super) fn new(namespace: Option<&str>, name: Option<&str>) -> Self {
        Self { namespace: namespace.unwrap_or_default().into(), name: name.unwrap_or_default().into() }
    }

    pub(super) fn of(meta: &ObjectMeta) -> Self {
        Self::new(meta.namespace.as_deref(), meta.name.as_deref())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

/// The objects of kind `K` that every watched object names. Of both, nothing but their names is kept, and nothing of watched
/// objects that name nobody.
pub(super) struct Named<K: Resource> {
    dyntype: K::DynamicType,
    by_object: HashMap<Name, Entry>,
    /// Whom the object before named: where all name the same ones, those are kept once.
    last: Arc<[Name]>,
}

/// Whom an object names, in order and each once.
struct Entry {
    names: Arc<[Name]>,
    /// Not yet, while a relist has not brought the object again.
    seen: bool,
}

impl<K: Resource> Named<K>
where
    K::DynamicType: Clone,
{
    pub(super) fn new(dyntype: K::DynamicType) -> Self {
        Self { dyntype, by_object: HashMap::default(), last: Arc::default() }
    }

    /// The objects to reconcile after an event. The event carries an object and the objects that the mapper returned for it;
    /// `None` means that the mapper failed.
    pub(super) fn touched_by(
        &mut self,
        event: Event<(Name, Option<Vec<ObjectRef<K>>>)>,
    ) -> Vec<ObjectRef<K>> {
        match event {
            Event::Init => {
                self.by_object.values_mut().for_each(|entry| entry.seen = false);
                Vec::new()
            }
            Event::InitApply((object, Some(named))) | Event::Apply((object, Some(named))) => {
                self.applied(object, named)
            }
            Event::InitApply((object, None)) | Event::Apply((object, None)) => {
                self.keep(&object);
                Vec::new()
            }
            Event::Delete((object, named)) => {
                let before = self.forget(&object);
                self.told(&sorted(named.unwrap_or_default()), &before)
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
                self.told(&vanished, &[])
            }
        }
    }

    /// Who is concerned by an object that does not decode. What is known of it stays, and goes only when it is deleted.
    pub(super) fn touched_by_undecodable(&mut self, object: &UndecodableObject) -> Vec<ObjectRef<K>> {
        let name = Name::new(object.namespace.as_deref(), object.name.as_deref());
        if object.origin == ObjectOrigin::Deleted {
            let before = self.forget(&name);
            return self.told(&before, &[]);
        }
        self.keep(&name);
        Vec::new()
    }

    /// An object that a relist contains still exists, even if nobody knows which objects it names now.
    fn keep(&mut self, object: &Name) {
        if let Some(entry) = self.by_object.get_mut(object) {
            entry.seen = true;
        }
    }

    fn applied(&mut self, object: Name, named: Vec<ObjectRef<K>>) -> Vec<ObjectRef<K>> {
        let now = sorted(named);
        if now.is_empty() {
            let before = self.forget(&object);
            return self.told(&before, &[]);
        }
        let before = self.by_object.get(&object).map(|entry| entry.names.clone()).unwrap_or_default();
        let same = [&before, &self.last].into_iter().find(|known| ***known == *now).cloned();
        self.last = same.unwrap_or_else(|| now.into());
        self.by_object.insert(object, Entry { names: self.last.clone(), seen: true });
        self.told(&self.last, &before)
    }

    fn forget(&mut self, object: &Name) -> Arc<[Name]> {
        self.by_object.remove(object).map(|entry| entry.names).unwrap_or_default()
    }

    /// Those of now, and those of before that are not among them.
    fn told(&self, now: &[Name], before: &[Name]) -> Vec<ObjectRef<K>> {
        let before = if now == before { &[] } else { before };
        let gone = before.iter().filter(|name| now.binary_search(name).is_err());
        now.iter().chain(gone).map(|name| self.reference(name)).collect()
    }

    fn reference(&self, Name { namespace, name }: &Name) -> ObjectRef<K> {
        let reference = ObjectRef::new_with(name, self.dyntype.clone());
        if namespace.is_empty() { reference } else { reference.within(namespace) }
    }
}

fn sorted<K: Resource>(objects: Vec<ObjectRef<K>>) -> Vec<Name> {
    let name = |object: ObjectRef<K>| Name::new(object.namespace.as_deref(), Some(&object.name));
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

    type Naming = (Name, Option<Vec<ObjectRef<ConfigMap>>>);

    fn object(name: &str) -> Name {
        Name::new(Some("ns"), Some(name))
    }

    /// What comes, and who is told.
    type Step<'a> = (Result<Event<Naming>, UndecodableObject>, &'a [&'a str]);

    /// An object, and whom it names.
    fn naming(name: &str, names: &[&str]) -> Naming {
        (object(name), Some(names.iter().map(|name| ObjectRef::new(name).within("ns")).collect()))
    }

    /// An object for which the mapper failed.
    fn unmapped(name: &str) -> Naming {
        (object(name), None)
    }

    fn undecodable(name: &str, origin: ObjectOrigin) -> UndecodableObject {
        let source = serde_json::from_str::<()>("[]").unwrap_err();
        let mut object = UndecodableObject::new("Secret", origin, source);
        object.namespace = Some("ns".into());
        object.name = Some(name.into());
        object
    }

    #[track_caller]
    fn check(steps: Vec<Step<'_>>) -> Named<ConfigMap> {
        let mut named = Named::new(());
        for (n, (event, expected)) in steps.into_iter().enumerate() {
            let touched = match event {
                Ok(event) => named.touched_by(event),
                Err(object) => named.touched_by_undecodable(&object),
            };
            let mut touched: Vec<_> = touched.iter().map(ToString::to_string).collect();
            touched.sort();
            let expected: Vec<_> = expected.iter().map(|name| format!("ConfigMap ns/{name}")).collect();
            assert_eq!(touched, expected, "event {n}");
        }
        named
    }

    #[test]
    fn tells_those_of_before_and_now_and_keeps_nothing_of_who_names_nobody() {
        let named = check(vec![
            (Ok(Apply(naming("a", &["x"]))), &["x"]),
            (Ok(Apply(naming("a", &["y", "y"]))), &["x", "y"]),
            (Ok(Apply(naming("a", &[]))), &["y"]),
            (Ok(Apply(naming("a", &[]))), &[]),
            (Ok(Apply(naming("a", &["z"]))), &["z"]),
            (Ok(Delete(naming("a", &[]))), &["z"]),
            (Ok(Delete(naming("b", &["w"]))), &["w"]),
            (Ok(InitApply(naming("c", &[]))), &[]),
        ]);
        assert!(named.by_object.is_empty());
    }

    #[test]
    fn tells_whom_those_named_that_vanished_during_a_relist() {
        check(vec![
            (Ok(Init), &[]),
            (Ok(InitApply(naming("a", &["x", "z"]))), &["x", "z"]),
            (Ok(InitApply(naming("b", &["y"]))), &["y"]),
            (Ok(InitApply(naming("c", &["z"]))), &["z"]),
            (Ok(InitDone), &[]),
            (Ok(Init), &[]),
            (Ok(InitApply(naming("b", &["y"]))), &["y"]),
            // One that has not ended says nothing about what is missing.
            (Ok(Init), &[]),
            (Ok(InitApply(naming("b", &["y"]))), &["y"]),
            (Ok(InitDone), &["x", "z"]),
            (Ok(Apply(naming("d", &["x"]))), &["x"]),
            (Ok(Init), &[]),
            (Ok(InitDone), &["x", "y"]),
        ]);
    }

    #[test]
    fn what_does_not_decode_is_as_it_was_until_it_is_deleted() {
        check(vec![
            (Ok(Apply(naming("a", &["x"]))), &["x"]),
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
    fn keeps_the_previous_names_of_an_object_that_the_mapper_fails_for() {
        check(vec![
            (Ok(Apply(naming("a", &["x"]))), &["x"]),
            (Ok(Apply(unmapped("a"))), &[]),
            (Ok(Init), &[]),
            (Ok(InitApply(unmapped("a"))), &[]),
            (Ok(InitApply(unmapped("b"))), &[]),
            (Ok(InitDone), &[]),
            (Ok(Apply(naming("a", &["y"]))), &["x", "y"]),
            (Ok(Delete(unmapped("a"))), &["y"]),
            (Ok(Delete(unmapped("a"))), &[]),
        ]);
    }

    #[test]
    fn objects_of_the_cluster_are_named_without_a_namespace() {
        let mut named = Named::<ConfigMap>::new(());
        let touched = named.touched_by(Apply((object("a"), Some(vec![ObjectRef::new("x").within("")]))));
        assert_eq!(touched, [ObjectRef::new("x")]);
    }

    #[test]
    fn names_that_are_the_same_for_many_are_kept_once() {
        let named = check(vec![
            (Ok(InitApply(naming("a", &["x", "y"]))), &["x", "y"]),
            (Ok(InitApply(naming("b", &["y", "x"]))), &["x", "y"]),
            (Ok(Apply(naming("c", &["z"]))), &["z"]),
            (Ok(Apply(naming("b", &["x", "y"]))), &["x", "y"]),
        ]);
        let [a, b] = ["a", "b"].map(|name| &named.by_object[&object(name)].names);
        assert!(Arc::ptr_eq(a, b));
    }
}
