//! `SettledTriggers`: holds triggers back until the store contains their objects.

use super::error::SourceError;
use super::key::Key;
use super::source::TriggerStream;
use super::trigger::Trigger;
use crate::queue::Priority;
use crate::reflector::Store;
use foldhash::HashSet;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// Triggers for the objects of a stream that feeds a store.
///
/// The stream of objects emits the objects of a snapshot before the store contains them, because the store replaces its
/// objects at the end of the snapshot. A reconcile before the end would get the previous state, or no object.
/// So `SettledTriggers` keeps the triggers of a snapshot, one for each key, until the end of the snapshot.
pub(super) struct SettledTriggers<K> {
    triggers: TriggerStream,
    /// Whether `triggers` has ended.
    ended: bool,
    store: Store<K>,
    held: VecDeque<Trigger>,
    /// The keys of `held`.
    keys: HashSet<Key>,
    /// Waits for the end of the snapshot. Another task may feed the store. At the end of the snapshot, this
    /// future then wakes the task that polls the triggers.
    snapshot_end: Option<BoxFuture<'static, ()>>,
}

impl<K> SettledTriggers<K> {
    pub(super) fn new(triggers: TriggerStream, store: Store<K>) -> Self {
        Self {
            triggers,
            ended: false,
            store,
            held: VecDeque::new(),
            keys: HashSet::default(),
            snapshot_end: None,
        }
    }

    /// Keeps a trigger until the snapshot is complete, unless a trigger of the same key is kept already. The objects of
    /// the first snapshot have a low priority.
    fn hold(&mut self, trigger: Trigger) {
        let priority = if self.store.is_ready() { trigger.priority } else { Priority::LOW };
        if self.keys.insert(trigger.key.clone()) {
            self.held.push_back(trigger.priority(priority));
        }
    }
}

impl<K: Send + Sync + 'static> Stream for SettledTriggers<K> {
    type Item = Result<Trigger, SourceError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            // Poll the stream first: it may feed the store.
            let item = if this.ended { Poll::Ready(None) } else { this.triggers.poll_next_unpin(cx) };
            match item {
                Poll::Ready(Some(Ok(trigger))) if !this.store.is_settled() => this.hold(trigger),
                Poll::Ready(Some(item)) => return Poll::Ready(Some(item)),
                Poll::Ready(None) if this.held.is_empty() => return Poll::Ready(None),
                Poll::Pending if this.held.is_empty() => return Poll::Pending,
                Poll::Ready(None) | Poll::Pending => {
                    this.ended |= item.is_ready();
                    if !this.store.is_settled() {
                        let store = &this.store;
                        let end = this
                            .snapshot_end
                            .get_or_insert_with(|| store.clone().wait_until_settled().boxed());
                        ready!(end.poll_unpin(cx));
                    }
                    this.snapshot_end = None;
                    let trigger = this.held.pop_front();
                    if let Some(trigger) = &trigger {
                        this.keys.remove(&trigger.key);
                    }
                    return Poll::Ready(trigger.map(Ok));
                }
            }
        }
    }
}

impl<K> Unpin for SettledTriggers<K> {}
