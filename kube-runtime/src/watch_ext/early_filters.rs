//! Filters that a watcher applies before it decodes an object.

use super::predicate::{Predicate, hash_or_log_panic};
use crate::watcher::{EarlyFilter, Watcher};
use foldhash::{HashMap, HashSet, quality::RandomState};
use kube_client::Resource;
use kube_client::api::{FilterDepth, PartialObjectMeta, Verdict};
use kube_client::core::{ObjectMeta, ObjectOrigin, Selector, SelectorExt, UndecodableObject};
use std::{collections::BTreeMap, hash::BuildHasher};

impl<K: Resource + 'static> Watcher<K> {
    /// Emits only changes to the property that `predicate` hashes. Other changes are dropped without decoding the
    /// object.
    ///
    /// The filter decodes only the metadata, which is much cheaper than the whole object. It keeps all objects of a
    /// snapshot, all new objects and deletions, and all changes to objects for which the predicate returns `None`. A
    /// watch that resumes does not receive the dropped changes again.
    ///
    /// A store behind this filter contains each object in the state of its last kept change.
    ///
    /// ```
    /// use futures::{StreamExt, TryStreamExt};
    /// use k8s_openapi::api::core::v1::Pod;
    /// use kube_client::{Api, Client};
    /// use kube_runtime::{WatchStreamExt, predicates, watcher};
    ///
    /// # fn changes(client: Client) -> impl futures::Stream<Item = watcher::Result<Pod>> {
    /// // Emits a pod when its spec changes, and not when only its status changes.
    /// watcher(Api::<Pod>::all(client), watcher::Config::default())
    ///     .only_changes_of(predicates::generation)
    ///     .applied_objects()
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let sim = kube_sim::Sim::new();
    /// # let waited = tokio::time::timeout(std::time::Duration::from_millis(50), changes(Client::new(sim.service(), "default")).boxed().try_next()).await;
    /// # assert!(waited.is_err());
    /// # }
    /// ```
    pub fn only_changes_of(self, predicate: impl Predicate<PartialObjectMeta<K>> + Send + 'static) -> Self {
        self.filter_before_decode(Box::new(ChangeFilter {
            predicate,
            hashes: HashMap::default(),
            hasher: RandomState::default(),
        }))
    }

    /// Emits only objects whose labels match `selector`. Other objects are dropped without decoding them.
    ///
    /// Use this if the server cannot filter, for instance if several consumers share a watch. Otherwise use
    /// [`Config::labels_from`](crate::watcher::Config::labels_from), so that the server filters. In both cases, when the
    /// labels of an emitted object no longer match, the watcher emits a deletion of the object. The watcher's other
    /// filters do not drop this deletion.
    pub fn only_labelled(self, selector: Selector) -> Self {
        self.filter_before_decode(Box::new(LabelFilter {
            selector,
            passed: HashSet::default(),
            hasher: RandomState::default(),
        }))
    }
}

/// Drops a change if the predicate's hash of the object stays the same.
struct ChangeFilter<P> {
    predicate: P,
    /// The predicate's last hash for each object, by a hash of the object's namespace, name and uid.
    hashes: HashMap<u64, Option<u64>>,
    hasher: RandomState,
}

impl<K: Resource + 'static, P: Predicate<PartialObjectMeta<K>> + Send> EarlyFilter<K> for ChangeFilter<P> {
    fn depth(&self) -> FilterDepth {
        FilterDepth::Metadata
    }

    fn selects_objects(&self) -> bool {
        false
    }

    fn reset(&mut self) {
        self.hashes.clear();
    }

    /// Removes the hash of an object that could not be decoded. The consumer does not receive this state of
    /// the object. Therefore the filter must keep the next change of the object, even if the hash stays the
    /// same.
    fn forget(&mut self, object: &UndecodableObject) {
        self.hashes.remove(&self.hasher.hash_one((&object.namespace, &object.name, &object.uid)));
    }

    fn verdict(&mut self, origin: ObjectOrigin, object: &PartialObjectMeta<K>) -> Verdict {
        let meta = &object.metadata;
        let key = self.hasher.hash_one((&meta.namespace, &meta.name, &meta.uid));
        if origin == ObjectOrigin::Deleted {
            self.hashes.remove(&key);
            return Verdict::Keep;
        }
        let hash = hash_or_log_panic(&self.predicate, object);
        match self.hashes.insert(key, hash) {
            Some(before) if origin == ObjectOrigin::Modified && hash.is_some() && before == hash => {
                Verdict::Drop
            }
            _ => Verdict::Keep,
        }
    }
}

/// Drops objects whose labels the selector does not match, and emits a deletion when an object no longer matches.
struct LabelFilter {
    selector: Selector,
    /// Hashes of namespace and name: one for each object whose last emitted event was not a deletion.
    passed: HashSet<u64>,
    hasher: RandomState,
}

impl<K> EarlyFilter<K> for LabelFilter {
    fn depth(&self) -> FilterDepth {
        FilterDepth::Labels
    }

    fn selects_objects(&self) -> bool {
        true
    }

    fn reset(&mut self) {
        self.passed.clear();
    }

    /// Does nothing, so that `passed` keeps the key of the object. A store behind the filter may contain an
    /// earlier state of the object. The filter keeps a later deletion of the object only if `passed` contains
    /// the key.
    fn forget(&mut self, _: &UndecodableObject) {}

    fn verdict(&mut self, origin: ObjectOrigin, object: &PartialObjectMeta<K>) -> Verdict {
        let ObjectMeta { namespace, name, labels, .. } = &object.metadata;
        let key = self.hasher.hash_one((namespace, name));
        if origin == ObjectOrigin::Deleted {
            return if self.passed.remove(&key) { Verdict::Keep } else { Verdict::Drop };
        }
        let none = BTreeMap::new();
        if self.selector.matches(labels.as_ref().unwrap_or(&none)) {
            self.passed.insert(key);
            Verdict::Keep
        } else if self.passed.remove(&key) {
            Verdict::Deselect
        } else {
            Verdict::Drop
        }
    }
}
