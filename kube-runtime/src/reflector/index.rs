//! `Index`: finds the objects of a store by a property.

mod entries;

use super::delta::Delta;
use super::object_map::{Keyed, ObjectMap};
use super::observers::{ObservingIndex, lock};
use super::store::Store;
use crate::log_limit::LogLimit;
use entries::{Entries, ObjectOrKey};
use kube_client::Resource;
use kube_client::api::{FilterDepth, ObjectMeta, PartialObjectMeta, PartialObjectMetaExt};
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

/// The function that returns the values under which an object is found.
enum IndexFunction<K> {
    Object(Box<ValuesFn<K>>),
    Metadata(Box<ValuesFn<PartialObjectMeta<K>>>),
}

/// A function that returns the values of an object. Its argument is the object or the metadata of the object.
type ValuesFn<T> = dyn Fn(&T) -> Vec<String> + Send + Sync;

/// Finds the objects of a store by a property, like client-go's `Indexer`; see [`Store::index_by`]. Cheap to clone.
///
/// The writer updates the index directly after each change of the store. Until then, a look-up uses the previous values of
/// a changed object, and may return the previous state of the object. The index of a typed store refers to the objects.
/// The index of a [compact](super::Storage::compact) store contains only the names of the objects, and a look-up decodes
/// only the objects that the index finds.
pub struct Index<K> {
    store: Store<K>,
    inner: Arc<Inner<K>>,
}

/// The data that an index shares with the writer.
struct Inner<K> {
    values_of: IndexFunction<K>,
    /// Whether the store is typed. If so, the entries contain the objects, otherwise only the keys of the
    /// objects.
    is_typed: bool,
    entries: RwLock<Entries<K>>,
    /// Limits the number of log messages about panics of the user's function.
    panic_log: Mutex<LogLimit>,
}

impl<K: Resource> Inner<K> {
    /// The values under which `object` is found.
    fn values_of(&self, object: &K) -> Vec<String> {
        match &self.values_of {
            IndexFunction::Object(function) => self.call_user_function(|| function(object)),
            IndexFunction::Metadata(function) => {
                let metadata = object.meta().clone().into_response_partial();
                self.call_user_function(|| function(&metadata))
            }
        }
    }

    /// The values under which a stored object is found. `metadata` reads the metadata of the object, and `object` reads
    /// the whole object.
    fn compute_values(
        &self,
        metadata: impl FnOnce() -> Option<ObjectMeta>,
        object: impl FnOnce() -> Option<Arc<K>>,
    ) -> Vec<String> {
        match &self.values_of {
            IndexFunction::Object(_) => object().map(|object| self.values_of(&object)).unwrap_or_default(),
            IndexFunction::Metadata(function) => {
                let metadata = metadata().map(ObjectMeta::into_response_partial);
                metadata.map(|metadata| self.call_user_function(|| function(&metadata))).unwrap_or_default()
            }
        }
    }
}

impl<K> Inner<K> {
    /// Calls the user's function and returns its values. Returns no values if the function panics.
    fn call_user_function(&self, values_of: impl FnOnce() -> Vec<String>) -> Vec<String> {
        catch_unwind(AssertUnwindSafe(values_of)).unwrap_or_else(|_| {
            if let Some(suppressed) = lock(&self.panic_log).permit_message() {
                tracing::error!(
                    suppressed,
                    "the function of an index panicked: the index does not contain the object"
                );
            }
            Vec::new()
        })
    }

    fn entries(&self) -> RwLockReadGuard<'_, Entries<K>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Resource> Inner<K> {
    /// Replaces the values of the object with this key. `object` returns the state of the object, or `None` if the
    /// object was deleted.
    fn replace_values(
        &self,
        key: (&str, &str),
        object: impl FnOnce() -> Option<Arc<K>>,
        values: Vec<String>,
    ) {
        let object = if self.is_typed { object().map(ObjectOrKey::Object) } else { None };
        let object = object.unwrap_or_else(|| ObjectOrKey::from_key(key));
        self.entries.write().unwrap_or_else(PoisonError::into_inner).replace_object(object, values);
    }
}

impl<K: Resource + Send + Sync> ObservingIndex<K> for Inner<K> {
    fn apply_deltas(&self, deltas: &[Delta<K>]) {
        for delta in deltas {
            let values = self.compute_values(|| delta.current_metadata(), || delta.current());
            self.replace_values(delta.key(), || delta.current(), values);
        }
    }
}

impl<K: Resource + Send + Sync + 'static> Store<K> {
    /// Adds an index: `values_of` returns the values under which an object is found. The index is complete when the
    /// method returns, and exists until its last clone is dropped. [`indexes`] has functions for common properties.
    ///
    /// `values_of` must depend only on the object, and must not access the store: that may deadlock. If `values_of`
    /// panics, the panic is logged, and the index does not contain the object.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::ConfigMap;
    /// use kube_client::ResourceExt;
    /// use kube_runtime::reflector::{self, indexes};
    /// use kube_runtime::watcher::Event;
    ///
    /// let (reader, mut writer) = reflector::store::<ConfigMap>();
    /// let by_app = reader.index_by(indexes::label("app"));
    /// let mut map = ConfigMap::default();
    /// map.metadata.name = Some("settings".into());
    /// map.labels_mut().insert("app".into(), "web".into());
    /// writer.apply_watcher_event(Event::Apply(map.clone()));
    /// assert_eq!(*by_app.get("web")[0], map);
    /// writer.apply_watcher_event(Event::Delete(map));
    /// assert!(by_app.get("web").is_empty() && by_app.values().is_empty());
    /// ```
    pub fn index_by(&self, values_of: impl Fn(&K) -> Vec<String> + Send + Sync + 'static) -> Index<K> {
        self.add_index(IndexFunction::Object(Box::new(values_of)))
    }

    /// Like [`index_by`](Self::index_by), with a function of the metadata. In a compact store, an update of the index
    /// decodes only the metadata of each changed object.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::ConfigMap;
    /// use kube_client::ResourceExt;
    /// use kube_runtime::reflector::{self, Storage, indexes};
    /// use kube_runtime::watcher::Event;
    ///
    /// let (reader, mut writer) = reflector::store_with::<ConfigMap>(Storage::compact());
    /// let by_app = reader.index_by_metadata(indexes::label("app"));
    /// let mut map = ConfigMap::default();
    /// map.metadata.name = Some("settings".into());
    /// map.labels_mut().insert("app".into(), "web".into());
    /// writer.apply_watcher_event(Event::Apply(map.clone()));
    /// assert_eq!(*by_app.get("web")[0], map);
    /// ```
    pub fn index_by_metadata(
        &self,
        values_of: impl Fn(&PartialObjectMeta<K>) -> Vec<String> + Send + Sync + 'static,
    ) -> Index<K> {
        self.add_index(IndexFunction::Metadata(Box::new(values_of)))
    }

    fn add_index(&self, values_of: IndexFunction<K>) -> Index<K> {
        let inner = Arc::new(Inner {
            values_of,
            is_typed: self.shared.codec().is_none(),
            entries: RwLock::default(),
            panic_log: Mutex::new(LogLimit::new(1, Duration::from_secs(60))),
        });
        let mut observers = lock(&self.shared.observers);
        let stored: Vec<_> = self.shared.read().iter().cloned().collect();
        let codec = self.shared.codec().map(|codec| &**codec);
        for stored in stored {
            let values = inner
                .compute_values(|| stored.metadata(codec, FilterDepth::Metadata), || stored.unpack(codec));
            inner.replace_values(stored.key(), || stored.unpack(codec), values);
        }
        observers.add_index(&inner);
        Index { store: self.clone(), inner }
    }
}

impl<K: Resource> Index<K> {
    /// The objects with this value, in no particular order.
    pub fn get(&self, value: &str) -> Vec<Arc<K>> {
        let entries = self.inner.entries();
        let Some(found) = entries.get(value) else { return Vec::new() };
        let (mut objects, mut keys) = (Vec::with_capacity(found.len()), Vec::new());
        for found in found.iter() {
            match found {
                ObjectOrKey::Object(object) => objects.push(object.clone()),
                ObjectOrKey::Key(key) => keys.push(key.clone()),
            }
        }
        drop(entries);
        // The store may have changed after the look-up: ignore an object that was deleted or no longer has the value.
        let stored = keys.iter().filter_map(|key| self.store.get_by_key((&key.0, &key.1)));
        objects
            .extend(stored.filter(|object| self.inner.values_of(object).iter().any(|known| known == value)));
        objects
    }
}

impl<K> Index<K> {
    /// The number of objects with this value.
    pub fn count(&self, value: &str) -> usize {
        self.inner.entries().get(value).map_or(0, ObjectMap::len)
    }

    /// The values that at least one object has, in no particular order.
    pub fn values(&self) -> Vec<String> {
        self.inner.entries().values().map(ToString::to_string).collect()
    }
}

impl<K> Clone for Index<K> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), inner: self.inner.clone() }
    }
}

impl<K> fmt::Debug for Index<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("values", &self.inner.entries().values().len()).finish_non_exhaustive()
    }
}

/// Functions for [`Store::index_by`] and [`Store::index_by_metadata`].
pub mod indexes {
    use kube_client::Resource;

    /// Indexes objects by their namespace. The index does not contain cluster-scoped objects.
    pub fn namespace<K: Resource>() -> impl Fn(&K) -> Vec<String> + Send + Sync + 'static {
        |object| object.meta().namespace.iter().filter(|namespace| !namespace.is_empty()).cloned().collect()
    }

    /// Indexes objects by the value of the label `name`. The index does not contain objects without this label.
    pub fn label<K: Resource>(name: &str) -> impl Fn(&K) -> Vec<String> + Send + Sync + 'static {
        let name = name.to_owned();
        move |object| object.meta().labels.iter().filter_map(|labels| labels.get(&name)).cloned().collect()
    }

    /// Indexes objects by the uids of their owners. The index does not contain objects without owners.
    pub fn owner_uid<K: Resource>() -> impl Fn(&K) -> Vec<String> + Send + Sync + 'static {
        |object| object.meta().owner_references.iter().flatten().map(|owner| owner.uid.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reflector::{Storage, store_with};
    use crate::watcher::Event;
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    /// The config map with this name, version, label and owner.
    fn config_map(name: &str, version: u32, app: &str, owner: &str) -> ConfigMap {
        let owners = json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": owner}]);
        let meta = json!({"name": name, "namespace": "ns", "uid": name, "resourceVersion": version.to_string(),
            "labels": {"app": app}, "ownerReferences": owners});
        serde_json::from_value(json!({"metadata": meta})).unwrap()
    }

    /// The sorted names of the objects that the index finds under `value`.
    fn found_names(index: &Index<ConfigMap>, value: &str) -> Vec<String> {
        let objects = index.get(value).into_iter();
        let mut names: Vec<_> = objects.filter_map(|object| object.metadata.name.clone()).collect();
        names.sort();
        assert_eq!(names.len(), index.count(value));
        names
    }

    #[test]
    fn a_store_is_not_ready_before_its_indexes_are_complete() {
        let (reader, mut writer) = store_with(Storage::typed());
        let (seen, is_ready) = std::sync::mpsc::channel();
        let store: Store<ConfigMap> = reader.clone();
        let index = reader.index_by(move |_| {
            // Sending fails only after the receiver is dropped, at the end of the test.
            let _ = seen.send(store.is_ready());
            vec!["all".to_owned()]
        });
        for event in [Event::Init, Event::InitApply(config_map("a", 1, "web", "p")), Event::InitDone] {
            writer.apply_watcher_event(event);
        }
        assert_eq!(is_ready.try_iter().collect::<Vec<_>>(), [false]);
        assert!(reader.is_ready() && index.count("all") == 1);
    }

    #[test]
    fn an_index_follows_changes_deletions_and_relists() {
        for storage in [Storage::typed, Storage::compact] {
            let (reader, mut writer) = store_with(storage());
            writer.apply_watcher_event(Event::Apply(config_map("a", 1, "web", "1")));
            let by_app = reader.index_by(indexes::label("app"));
            let by_owner = reader.index_by(indexes::owner_uid());
            let by_namespace = reader.index_by(indexes::namespace());
            let by_metadata = reader.index_by_metadata(indexes::label("app"));
            writer.apply_watcher_event(Event::Apply(config_map("b", 2, "web", "2")));
            assert_eq!(found_names(&by_app, "web"), ["a", "b"]);
            assert_eq!(
                (found_names(&by_owner, "2"), found_names(&by_namespace, "ns").len()),
                (vec!["b".to_owned()], 2)
            );
            writer.apply_watcher_event(Event::Apply(config_map("a", 3, "db", "1")));
            assert_eq!(
                (found_names(&by_app, "web"), found_names(&by_app, "db")),
                (vec!["b".into()], vec!["a".into()])
            );
            assert_eq!(
                (found_names(&by_metadata, "web"), found_names(&by_metadata, "db")),
                (vec!["b".into()], vec!["a".into()])
            );
            writer.apply_watcher_event(Event::Init);
            writer.apply_watcher_event(Event::InitApply(config_map("a", 4, "web", "3")));
            assert_eq!(found_names(&by_app, "db"), ["a"], "the store has not changed");
            writer.apply_watcher_event(Event::InitDone);
            assert_eq!(
                (by_app.values(), found_names(&by_app, "web")),
                (vec!["web".to_owned()], vec!["a".into()])
            );
            writer.apply_watcher_event(Event::Delete(config_map("a", 5, "web", "3")));
            assert!(by_app.values().is_empty() && by_owner.values().is_empty());
            assert!(by_metadata.values().is_empty());
            assert_eq!(by_app.inner.entries().len(), 0);
        }
    }

    #[test]
    fn an_index_refers_to_the_objects_of_a_typed_store() {
        let (reader, mut writer) = store_with(Storage::typed());
        let by_app = reader.index_by(indexes::label("app"));
        let is_shared = || Arc::ptr_eq(&by_app.get("web")[0], &reader.state()[0]);
        writer.apply_watcher_event(Event::Apply(config_map("a", 1, "web", "1")));
        assert!(is_shared());
        // Two collections of a merged store may overlap: then both watches send the same version of the object.
        let change = writer.apply_watcher_event(Event::Apply(config_map("a", 1, "web", "1")));
        assert!(
            is_shared() && matches!(change.event, Event::Apply(map) if Arc::ptr_eq(&map, &reader.state()[0]))
        );
        writer.apply_watcher_event(Event::Init);
        writer.apply_watcher_event(Event::InitApply(config_map("a", 1, "web", "1")));
        writer.apply_watcher_event(Event::InitDone);
        assert!(is_shared());
    }

    #[test]
    fn an_object_with_many_duplicate_values_is_found_until_its_deletion() {
        for storage in [Storage::typed, Storage::compact] {
            let (reader, mut writer) = store_with(storage());
            let index = reader.index_by(|map: &ConfigMap| {
                let count = map.metadata.resource_version.as_deref().unwrap().parse().unwrap();
                (0..count).map(|number: u32| (number / 2).to_string()).collect()
            });
            for (count, values) in [(20_000, 10_000), (3, 2), (5_000, 2_500)] {
                writer.apply_watcher_event(Event::Apply(config_map("a", count, "", "")));
                assert_eq!((index.values().len(), found_names(&index, "1")), (values, vec!["a".to_owned()]));
            }
            writer.apply_watcher_event(Event::Delete(config_map("a", 5_001, "", "")));
            assert!(index.values().is_empty());
        }
    }

    #[test]
    fn a_panic_of_the_index_function_affects_only_one_object() {
        let (reader, mut writer) = store_with(Storage::typed());
        let index = reader.index_by(|map: &ConfigMap| {
            assert_ne!(map.metadata.name.as_deref(), Some("a"));
            vec!["x".to_owned()]
        });
        writer.apply_watcher_event(Event::Apply(config_map("a", 1, "", "")));
        writer.apply_watcher_event(Event::Apply(config_map("b", 2, "", "")));
        assert_eq!(found_names(&index, "x"), ["b"]);
        assert_eq!(reader.len(), 2);
    }
}
