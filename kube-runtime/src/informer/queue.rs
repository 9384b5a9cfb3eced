//! `Backlog`: events that wait to be taken, merged per object where they are many.

use ahash::AHashMap;
use kube_client::Resource;
use kube_client::core::WatchEvent;
use std::{collections::VecDeque, sync::Arc};

/// How many events may wait before those of one object are merged.
const LIMIT: usize = 1024;

/// Events in the order in which they came.
///
/// Up to a limit every event is kept. Beyond it, an object that has changes waiting keeps the latest only, so that there are
/// never more than two entries an object: that it is gone, and that one of the same name is there again. The last state of
/// an object and a deletion are never lost.
pub(super) struct Backlog<K> {
    events: VecDeque<WatchEvent<Arc<K>>>,
    /// Events taken so far: the number of the first in the queue.
    taken: u64,
    /// The number of the last event of an object.
    last: AHashMap<(String, String), u64>,
    limit: usize,
}

impl<K> Default for Backlog<K> {
    fn default() -> Self {
        Self { events: VecDeque::new(), taken: 0, last: AHashMap::new(), limit: LIMIT }
    }
}

impl<K: Resource> Backlog<K> {
    pub(super) fn push(&mut self, event: WatchEvent<Arc<K>>) {
        let Some(key) = event.object().map(|object| key(&**object)) else {
            self.events.push_back(event);
            return;
        };
        if self.events.len() >= self.limit
            && let Some(waiting) = self.last.get(&key).copied().and_then(|number| self.slot(number))
        {
            match merge(waiting, event) {
                Ok(()) => return,
                Err(event) => return self.append(key, event),
            }
        }
        self.append(key, event);
    }

    pub(super) fn pop(&mut self) -> Option<WatchEvent<Arc<K>>> {
        let event = self.events.pop_front()?;
        if let Some(key) = event.object().map(|object| key(&**object))
            && self.last.get(&key) == Some(&self.taken)
        {
            self.last.remove(&key);
        }
        self.taken += 1;
        Some(event)
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    fn append(&mut self, key: (String, String), event: WatchEvent<Arc<K>>) {
        self.last.insert(key, self.taken + self.events.len() as u64);
        self.events.push_back(event);
    }

    fn slot(&mut self, number: u64) -> Option<&mut WatchEvent<Arc<K>>> {
        let at = usize::try_from(number.checked_sub(self.taken)?).ok()?;
        self.events.get_mut(at)
    }
}

/// Puts `event` into the place of one that waits, or gives it back where both have to be told.
fn merge<K>(waiting: &mut WatchEvent<K>, event: WatchEvent<K>) -> Result<(), WatchEvent<K>> {
    *waiting = match (&*waiting, event) {
        // Still new to whoever takes it.
        (WatchEvent::Added(_), WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
            WatchEvent::Added(object)
        }
        (WatchEvent::Modified(_), event) => event,
        (_, event) => return Err(event),
    };
    Ok(())
}

fn key<K: Resource>(object: &K) -> (String, String) {
    let meta = object.meta();
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    fn object(text: &str) -> Arc<ConfigMap> {
        let (name, version) = text.split_at(1);
        let mut object = ConfigMap::default();
        object.metadata.name = Some(name.into());
        object.metadata.resource_version = Some(version.into());
        Arc::new(object)
    }

    /// `+a1` is an addition, `~a2` a change, `-a3` a deletion.
    fn event(text: &str) -> WatchEvent<Arc<ConfigMap>> {
        let (sign, rest) = text.split_at(1);
        match sign {
            "+" => WatchEvent::Added(object(rest)),
            "~" => WatchEvent::Modified(object(rest)),
            _ => WatchEvent::Deleted(object(rest)),
        }
    }

    fn text(event: &WatchEvent<Arc<ConfigMap>>) -> String {
        let sign = match event {
            WatchEvent::Added(_) => "+",
            WatchEvent::Modified(_) => "~",
            _ => "-",
        };
        let meta = &event.object().unwrap().metadata;
        format!("{sign}{}{}", meta.name.as_deref().unwrap(), meta.resource_version.as_deref().unwrap())
    }

    #[track_caller]
    fn check(limit: usize, pushed: &str, expected: &str) {
        let mut backlog = Backlog { limit, ..Backlog::default() };
        for item in pushed.split(' ') {
            if item == "pop" { drop(backlog.pop()) } else { backlog.push(event(item)) }
        }
        let left: Vec<_> = std::iter::from_fn(|| backlog.pop()).map(|event| text(&event)).collect();
        assert_eq!(left.join(" "), expected);
        assert!(backlog.last.is_empty(), "keys of events that were taken stay behind");
    }

    #[test]
    fn keeps_every_event_in_order_below_the_limit() {
        check(9, "+a1 ~a2 +b3 ~a4 -a5 +a6", "+a1 ~a2 +b3 ~a4 -a5 +a6");
    }

    #[test]
    fn merges_changes_of_one_object_beyond_the_limit() {
        check(1, "+a1 ~a2 ~a3", "+a3");
        check(0, "~a1 +b2 ~a3 ~b4", "~a3 +b4");
    }

    #[test]
    fn never_loses_a_deletion() {
        check(0, "+a1 ~a2 -a3", "+a2 -a3");
        check(0, "~a1 -a2 +a3 ~a4", "-a2 +a4");
        check(0, "-a1 +a2 -a3 +a4", "-a1 +a2 -a3 +a4");
    }

    #[test]
    fn taking_events_keeps_the_rest_in_place() {
        check(1, "+a1 +b2 pop ~b3 ~a4 ~a5", "+b3 ~a5");
    }
}
