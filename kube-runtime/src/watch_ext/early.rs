//! Filters that a watcher applies before it decodes an object.

use super::predicate::Predicate;
use crate::watcher::{EarlyFilter, Watcher};
use foldhash::{HashMap, HashSet, quality::RandomState};
use kube_client::Resource;
use kube_client::api::{FilterDepth, PartialObjectMeta, Verdict};
use kube_client::core::{ObjectMeta, ObjectOrigin, Selector, SelectorExt, UndecodableObject};
use std::{collections::BTreeMap, hash::BuildHasher};

impl<K: Resource + 'static> Watcher<K> {
    /// Emits only changes of the property that `predicate` hashes. Other changes are dropped without decoding the
    /// object.
    ///
    /// The filter decodes only the metadata, which is much cheaper than the whole object. It keeps all objects of a
    /// snapshot, all new objects and deletions, and all changes of objects for which the predicate returns `None`. The
    /// watch resumes after the resource versions of dropped changes.
    ///
    /// A store behind this filter holds each object in the state of its last kept change.
    ///
    /// ```
    /// use futures::{StreamExt, TryStreamExt};
    /// use k8s_openapi::api::core::v1::Pod;
    /// use kube_client::{Api, Client};
    /// use kube_runtime::{WatchStreamExt, predicates, watcher};
    ///
    /// # fn changes(client: Client) -> impl futures::Stream<Item = watcher::Result<Pod>> {
    /// // Pods whenever their spec changes, without the changes of their status.
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
        self.filter_before_decode(Box::new(Changes {
            predicate,
            hashes: HashMap::default(),
            identity: RandomState::default(),
        }))
    }

    /// Emits only objects that `selector` selects by label. Other objects are dropped without decoding them.
    ///
    /// Use it if the server cannot filter, for instance if several consumers share a watch. Otherwise
    /// [`Config::labels_from`](crate::watcher::Config::labels_from) lets the server filter. In both cases an object
    /// that is no longer selected is emitted as deleted, whatever the other filters of the watcher decide.
    pub fn only_labelled(self, selector: Selector) -> Self {
        self.filter_before_decode(Box::new(Labelled {
            selector,
            passed: HashSet::default(),
            identity: RandomState::default(),
        }))
    }
}

/// Drops changes that leave the predicate's hash unchanged.
struct Changes<P> {
    predicate: P,
    /// The last hash of each object, by hash of its identity.
    hashes: HashMap<u64, Option<u64>>,
    identity: RandomState,
}

impl<K: Resource + 'static, P: Predicate<PartialObjectMeta<K>> + Send> EarlyFilter<K> for Changes<P> {
    fn depth(&self) -> FilterDepth {
        FilterDepth::Metadata
    }

    fn selects(&self) -> bool {
        false
    }

    fn reset(&mut self) {
        self.hashes.clear();
    }

    /// The consumer did not receive this change: keep the next one even if its hash is equal.
    fn forget(&mut self, object: &UndecodableObject) {
        self.hashes.remove(&self.identity.hash_one((&object.namespace, &object.name, &object.uid)));
    }

    fn verdict(&mut self, origin: ObjectOrigin, object: &PartialObjectMeta<K>) -> Verdict {
        let meta = &object.metadata;
        let key = self.identity.hash_one((&meta.namespace, &meta.name, &meta.uid));
        if origin == ObjectOrigin::Deleted {
            self.hashes.remove(&key);
            return Verdict::Keep;
        }
        let hash = self.predicate.hash_property(object);
        match self.hashes.insert(key, hash) {
            Some(before) if origin == ObjectOrigin::Modified && hash.is_some() && before == hash => {
                Verdict::Drop
            }
            _ => Verdict::Keep,
        }
    }
}

/// Drops objects that the selector does not select.
struct Labelled {
    selector: Selector,
    /// Emitted objects that have not been deleted or deselected.
    passed: HashSet<u64>,
    identity: RandomState,
}

impl<K> EarlyFilter<K> for Labelled {
    fn depth(&self) -> FilterDepth {
        FilterDepth::Labels
    }

    fn selects(&self) -> bool {
        true
    }

    fn reset(&mut self) {
        self.passed.clear();
    }

    /// Keeps the object: a store behind the filter may have an earlier state, which must be deleted later.
    fn forget(&mut self, _: &UndecodableObject) {}

    fn verdict(&mut self, origin: ObjectOrigin, object: &PartialObjectMeta<K>) -> Verdict {
        let ObjectMeta { namespace, name, labels, .. } = &object.metadata;
        let key = self.identity.hash_one((namespace, name));
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
