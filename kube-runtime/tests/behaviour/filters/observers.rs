//! The observers of a store: an index, a prompt subscriber and a late subscriber. The prompt subscriber reads the changes
//! as they arrive. The late subscriber subscribes after the first change and reads only at the end, so that its backlog
//! coalesces.

use super::{Consumer, Thing};
use futures::{FutureExt, StreamExt};
use kube_client::ResourceExt;
use kube_runtime::reflector::{Index, Store, StoreEvent, Subscription};
use std::collections::BTreeMap;

/// A subscription, and a consumer to which the changes are applied.
struct Subscriber(Subscription<Thing>, Consumer);

impl Subscriber {
    fn new(reader: &Store<Thing>, objects_may_reappear: bool) -> Self {
        Self(reader.subscribe(), Consumer { objects_may_reappear, ..Consumer::default() })
    }

    /// Applies the available changes.
    fn apply_available_changes(&mut self) -> Result<(), String> {
        while let Some(Some(item)) = self.0.next().now_or_never() {
            if let Ok(StoreEvent::Delta(delta)) = item
                && let Some(event) = delta.into_watch_event()
            {
                self.1.apply_event(&event)?;
            }
        }
        Ok(())
    }
}

/// The observers of a store.
pub(super) struct Observers {
    uids: Index<Thing>,
    prompt: Subscriber,
    late: Option<Subscriber>,
    objects_may_reappear: bool,
}

impl Observers {
    pub(super) fn new(reader: &Store<Thing>, objects_may_reappear: bool) -> Self {
        Self {
            uids: reader.index_by(|object: &Thing| object.metadata.uid.iter().cloned().collect()),
            prompt: Subscriber::new(reader, objects_may_reappear),
            late: None,
            objects_may_reappear,
        }
    }

    /// Reads the available changes with the prompt subscriber. The first call adds the late subscriber.
    pub(super) fn read_promptly(&mut self, reader: &Store<Thing>) -> Result<(), String> {
        let objects_may_reappear = self.objects_may_reappear;
        self.late.get_or_insert_with(|| Subscriber::new(reader, objects_may_reappear));
        self.prompt.apply_available_changes()
    }

    /// Checks that the index and the subscribers have the names and uids of the objects in the store. The subscribers
    /// first read the available changes.
    pub(super) fn compare_with(self, stored: &BTreeMap<String, String>) -> Result<(), String> {
        let Self { uids, prompt, late, .. } = self;
        let indexed: BTreeMap<_, _> = uids
            .values()
            .iter()
            .flat_map(|uid| uids.get(uid).into_iter().map(move |object| (object.name_any(), uid.clone())))
            .collect();
        if indexed != *stored {
            return Err(format!("the store holds {stored:?}, and the index {indexed:?}"));
        }
        for mut subscriber in [Some(prompt), late].into_iter().flatten() {
            subscriber.apply_available_changes()?;
            if subscriber.1.objects != *stored {
                return Err(format!(
                    "the store holds {stored:?}, and a subscriber {:?}",
                    subscriber.1.objects
                ));
            }
        }
        Ok(())
    }
}
