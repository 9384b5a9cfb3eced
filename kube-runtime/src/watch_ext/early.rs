//! Filters that a watcher applies before it decodes an object.

use super::predicate::Predicate;
use crate::watcher::{EarlyFilter, Watcher};
use foldhash::{HashMap, HashSet, quality::RandomState};
use kube_client::Resource;
use kube_client::api::{FilterDepth, PartialObjectMeta, Verdict};
use kube_client::core::{ObjectMeta, ObjectOrigin, Selector, SelectorExt, UndecodableObject};
use std::{collections::BTreeMap, hash::BuildHasher};

impl<K: Resource + 'static> Watcher<K> {
    /// Passes on only changes of what `predicate` looks at, and does not decode the others at all.
    ///
    /// Only the metadata is read beforehand, for a small part of the price of a decoded object. Every object of the present state,
    /// every new one and every deletion is passed on; so is a change of an object of which the predicate has no number. The
    /// resource version of what is dropped counts as seen.
    ///
    /// A store behind this holds objects as they were at the last change that was passed on.
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
            numbers: HashMap::default(),
            identity: RandomState::default(),
        }))
    }

    /// Passes on only objects whose labels `selector` selects, and does not decode the others at all.
    ///
    /// It is for what a server cannot select, for instance where several parts of a program share one watch; otherwise
    /// [`Config::labels_from`](crate::watcher::Config::labels_from) has the server do it. As there, an object that is no longer
    /// selected comes out as a deletion, whatever else the watcher filters by.
    pub fn only_labelled(self, selector: Selector) -> Self {
        self.filter_before_decode(Box::new(Labelled {
            selector,
            passed: HashSet::default(),
            identity: RandomState::default(),
        }))
    }
}

/// Drops changes that leave a predicate's number as it is.
struct Changes<P> {
    predicate: P,
    /// By object; the number that was last seen, where there was one.
    numbers: HashMap<u64, Option<u64>>,
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
        self.numbers.clear();
    }

    /// What follows is news, even if the number is the same.
    fn forget(&mut self, object: &UndecodableObject) {
        self.numbers.remove(&self.identity.hash_one((&object.namespace, &object.name, &object.uid)));
    }

    fn verdict(&mut self, origin: ObjectOrigin, object: &PartialObjectMeta<K>) -> Verdict {
        let meta = &object.metadata;
        let key = self.identity.hash_one((&meta.namespace, &meta.name, &meta.uid));
        if origin == ObjectOrigin::Deleted {
            self.numbers.remove(&key);
            return Verdict::Keep;
        }
        let number = self.predicate.hash_property(object);
        match self.numbers.insert(key, number) {
            Some(before) if origin == ObjectOrigin::Modified && number.is_some() && before == number => {
                Verdict::Drop
            }
            _ => Verdict::Keep,
        }
    }
}

/// Drops objects that are not selected.
struct Labelled {
    selector: Selector,
    /// Objects that were passed on and are not gone.
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

    /// A store behind this may have an earlier state of it, which is still selected.
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
