//! `Backlog`: a queue of events. Beyond a limit, the queue coalesces the events of each namespace and name.

use foldhash::HashMap;
use kube_client::Resource;
use kube_client::core::WatchEvent;
use std::{collections::VecDeque, sync::Arc};

/// If this number of events is queued, the backlog coalesces new events with queued events of the same name.
const COALESCING_LIMIT: usize = 1024;

/// Events in order of arrival.
///
/// Below the limit, every event is kept. Beyond the limit, events with the same namespace and the same name are
/// coalesced: they add at most three entries, however often objects with this name are created and deleted. The current
/// state of an object is never lost, and a deletion is always emitted between two additions with the same name. A
/// deletion may be emitted for an object whose addition was not emitted.
pub(super) struct Backlog<K> {
    events: VecDeque<WatchEvent<Arc<K>>>,
    /// The number of popped events, which is the sequence number of the first queued event.
    popped: u64,
    /// For each namespace and name, the sequence numbers of its last queued events.
    queued: HashMap<(String, String), SequenceNumbers>,
    limit: usize,
}

/// The sequence numbers of the last queued events of a name.
#[derive(Clone, Copy)]
struct SequenceNumbers {
    /// The sequence number of the last queued event of the name.
    last: u64,
    /// The sequence number of the second-to-last event of the name, if that event is a deletion. [`coalesce`]
    /// may drop the last event while this deletion is queued. Older deletions are not recorded: after an
    /// older deletion, an addition may be queued, and `coalesce` must then keep the next deletion.
    deletion: Option<u64>,
}

impl<K> Default for Backlog<K> {
    fn default() -> Self {
        Self { events: VecDeque::new(), popped: 0, queued: HashMap::default(), limit: COALESCING_LIMIT }
    }
}

impl<K: Resource> Backlog<K> {
    /// Adds an event. If the queue has reached the limit, coalesces the event with the last queued event of the
    /// same namespace and name, unless both events must be emitted.
    pub(super) fn push(&mut self, event: WatchEvent<Arc<K>>) {
        let Some(key) = event.object().map(|object| key(&**object)) else {
            self.events.push_back(event);
            return;
        };
        if self.events.len() >= self.limit
            && let Some(queued) = self.queued.get(&key).copied()
        {
            let deleted_before = queued.deletion.is_some_and(|number| number >= self.popped);
            if let Some(queued_event) = self.queued_event(queued.last) {
                match coalesce(queued_event, event, deleted_before) {
                    Ok(()) => return,
                    Err(event) => return self.append(key, event),
                }
            }
        }
        self.append(key, event);
    }

    pub(super) fn pop(&mut self) -> Option<WatchEvent<Arc<K>>> {
        let event = self.events.pop_front()?;
        if let Some(key) = event.object().map(|object| key(&**object))
            && self.queued.get(&key).is_some_and(|queued| queued.last == self.popped)
        {
            self.queued.remove(&key);
        }
        self.popped += 1;
        Some(event)
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Adds an event at the end of the queue.
    fn append(&mut self, key: (String, String), event: WatchEvent<Arc<K>>) {
        let number = self.popped + self.events.len() as u64;
        let before = self.queued.get(&key).copied();
        let deletion = before.and_then(|before| match self.queued_event(before.last) {
            Some(WatchEvent::Deleted(_)) => Some(before.last),
            _ => None,
        });
        self.queued.insert(key, SequenceNumbers { last: number, deletion });
        self.events.push_back(event);
    }

    /// The queued event with this sequence number; `None` if the event was popped.
    fn queued_event(&mut self, number: u64) -> Option<&mut WatchEvent<Arc<K>>> {
        let at = usize::try_from(number.checked_sub(self.popped)?).ok()?;
        self.events.get_mut(at)
    }
}

/// Coalesces `event` into `queued`, the last event of the same name. Returns `event` as the error if both events must be
/// emitted. `deleted_before` is true if the second-to-last queued event of this name is a deletion.
fn coalesce<K>(
    queued: &mut WatchEvent<K>,
    event: WatchEvent<K>,
    deleted_before: bool,
) -> Result<(), WatchEvent<K>> {
    *queued = match (&*queued, event) {
        // The consumer has not received the addition: emit an addition with the new state.
        (WatchEvent::Added(_), WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
            WatchEvent::Added(object)
        }
        (WatchEvent::Modified(_), event) => event,
        // The consumer has not received the events after the queued deletion: emit only the last of these events.
        (WatchEvent::Added(_) | WatchEvent::Deleted(_), event) if deleted_before => event,
        (_, event) => return Err(event),
    };
    Ok(())
}

/// The namespace and the name of an object.
fn key<K: Resource>(object: &K) -> (String, String) {
    let meta = object.meta();
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    /// Parses an object: `a1` is the object `a` with version 1.
    fn parse_object(text: &str) -> Arc<ConfigMap> {
        let (name, version) = text.split_at(1);
        let mut object = ConfigMap::default();
        object.metadata.name = Some(name.into());
        object.metadata.resource_version = Some(version.into());
        Arc::new(object)
    }

    /// Parses an event: `+a1` adds the object `a` with version 1, `~a1` modifies it, and `-a1` deletes it.
    fn parse_event(text: &str) -> WatchEvent<Arc<ConfigMap>> {
        let (sign, rest) = text.split_at(1);
        match sign {
            "+" => WatchEvent::Added(parse_object(rest)),
            "~" => WatchEvent::Modified(parse_object(rest)),
            _ => WatchEvent::Deleted(parse_object(rest)),
        }
    }

    /// Formats an event in the notation of [`parse_event`].
    fn format_event(event: &WatchEvent<Arc<ConfigMap>>) -> String {
        let sign = match event {
            WatchEvent::Added(_) => "+",
            WatchEvent::Modified(_) => "~",
            _ => "-",
        };
        let meta = &event.object().unwrap().metadata;
        format!("{sign}{}{}", meta.name.as_deref().unwrap(), meta.resource_version.as_deref().unwrap())
    }

    /// Pushes the events of `pushed` (`pop` pops an event), and compares the remaining events with `expected`.
    #[track_caller]
    fn check_remaining_events(limit: usize, pushed: &str, expected: &str) {
        let mut backlog = Backlog { limit, ..Backlog::default() };
        for item in pushed.split(' ') {
            if item == "pop" { drop(backlog.pop()) } else { backlog.push(parse_event(item)) }
        }
        let left: Vec<_> = std::iter::from_fn(|| backlog.pop()).map(|event| format_event(&event)).collect();
        assert_eq!(left.join(" "), expected);
        assert!(backlog.queued.is_empty(), "keys of popped events remain");
    }

    #[test]
    fn a_queue_below_its_limit_keeps_every_event_in_order() {
        check_remaining_events(9, "+a1 ~a2 +b3 ~a4 -a5 +a6", "+a1 ~a2 +b3 ~a4 -a5 +a6");
    }

    #[test]
    fn a_queue_at_its_limit_coalesces_the_changes_of_an_object() {
        check_remaining_events(1, "+a1 ~a2 ~a3", "+a3");
        check_remaining_events(0, "~a1 +b2 ~a3 ~b4", "~a3 +b4");
    }

    #[test]
    fn coalescing_keeps_a_deletion_before_and_after_an_addition() {
        check_remaining_events(0, "+a1 ~a2 -a3", "+a2 -a3");
        check_remaining_events(0, "~a1 -a2 +a3 ~a4", "-a2 +a4");
        check_remaining_events(0, "-a1 +a2 -a3", "-a1 -a3");
    }

    #[test]
    fn a_name_has_at_most_three_queued_events() {
        check_remaining_events(0, "-a1 +a2 -a3 +a4 -a5 +a6 ~a7", "-a1 +a7");
        check_remaining_events(0, "+a1 -a2 +a3 -a4 +a5", "+a1 -a2 +a5");
        check_remaining_events(0, "+a1 -a2 +a3 -a4 +a5 -a6", "+a1 -a2 -a6");
        check_remaining_events(0, "-a1 +a2 pop -a3 +a4", "+a2 -a3 +a4");
        check_remaining_events(0, "-a1 pop +a2 -a3 +a4 -a5", "+a2 -a3 -a5");
    }

    #[test]
    fn popping_keeps_the_order_of_the_remaining_events() {
        check_remaining_events(1, "+a1 +b2 pop ~b3 ~a4 ~a5", "+b3 ~a5");
    }

    #[test]
    fn a_queue_at_its_limit_keeps_a_deletion_between_two_additions() {
        check_remaining_events(3, "-a1 +a2 -a3 +a4", "-a1 +a2 -a3 +a4");
        check_remaining_events(3, "-a1 +a2 ~a3 -a4 +a5 -a6 +a7", "-a1 +a2 -a4 +a7");
    }

    /// Simulates a server with at most one object. A consumer pops the events and applies them.
    struct ServerAndConsumer {
        backlog: Backlog<ConfigMap>,
        /// The object on the server.
        server: Option<Arc<ConfigMap>>,
        /// The object as the consumer knows it.
        consumer: Option<Arc<ConfigMap>>,
        version: usize,
    }

    impl ServerAndConsumer {
        fn new(limit: usize, present: bool) -> Self {
            let object = present.then(|| object_a(0, 0));
            let backlog = Backlog { limit, ..Backlog::default() };
            Self { backlog, server: object.clone(), consumer: object, version: 0 }
        }

        /// Performs an action: `t` creates or deletes the object, `m` modifies it, `r` replaces it, `p` pops an event,
        /// `o` queues an event of another object. The error describes an event that contradicts the consumer's state.
        fn perform(&mut self, action: char) -> Result<(), String> {
            self.version += 1;
            match (action, self.server.clone()) {
                ('p', _) => return self.pop(),
                ('t', Some(object)) => {
                    self.server = None;
                    self.backlog.push(WatchEvent::Deleted(object));
                }
                ('t', None) => {
                    let object = object_a(self.version, self.version);
                    self.server = Some(Arc::clone(&object));
                    self.backlog.push(WatchEvent::Added(object));
                }
                ('m', Some(object)) => {
                    let uid = object.metadata.uid.as_deref().unwrap().parse().unwrap();
                    let object = object_a(uid, self.version);
                    self.server = Some(Arc::clone(&object));
                    self.backlog.push(WatchEvent::Modified(object));
                }
                // A relist finds another object with this name: the informer emits a deletion and an addition.
                ('r', Some(_)) => {
                    self.perform('t')?;
                    self.perform('t')?;
                }
                ('o', _) => self.backlog.push(WatchEvent::Modified(parse_object("o1"))),
                _ => {}
            }
            Ok(())
        }

        /// Passes the next event to the consumer. The error describes an event that contradicts the consumer's state.
        fn pop(&mut self) -> Result<(), String> {
            let Some(event) = self.backlog.pop() else { return Ok(()) };
            if event.object().unwrap().metadata.name.as_deref() == Some("o") {
                return Ok(());
            }
            let same = |a: &ConfigMap, b: &ConfigMap| a.metadata.uid == b.metadata.uid;
            self.consumer = match (event, &self.consumer) {
                (WatchEvent::Added(object), None) => Some(object),
                (WatchEvent::Modified(object), Some(known)) if same(&object, known) => Some(object),
                (WatchEvent::Deleted(object), Some(known)) if same(&object, known) => None,
                // The addition was coalesced before the consumer received it, so only the deletion is emitted.
                (WatchEvent::Deleted(_), None) => None,
                (event, known) => {
                    return Err(format!("{} after {:?}", format_event(&event), known.is_some()));
                }
            };
            Ok(())
        }

        /// Performs the actions, pops the remaining events, and compares the consumer with the server.
        fn perform_all(&mut self, actions: &[char]) -> Result<(), String> {
            actions.iter().try_for_each(|action| self.perform(*action))?;
            while self.backlog.len() > 0 {
                self.pop()?;
            }
            if self.consumer != self.server {
                return Err("the consumer ends in another state than the server".into());
            }
            if self.backlog.queued.is_empty() { Ok(()) } else { Err("a key remains".into()) }
        }
    }

    /// The object `a` with a uid and a version. Another uid means another object.
    fn object_a(uid: usize, version: usize) -> Arc<ConfigMap> {
        let mut object = ConfigMap::default();
        object.metadata.name = Some("a".into());
        object.metadata.uid = Some(uid.to_string());
        object.metadata.resource_version = Some(version.to_string());
        Arc::new(object)
    }

    #[test]
    fn a_consumer_and_the_server_have_the_same_state_after_each_short_sequence_of_actions() {
        /// The actions of [`ServerAndConsumer::perform`].
        const ACTIONS: [char; 5] = ['t', 'm', 'r', 'p', 'o'];
        let mut wrong = Vec::new();
        for length in 1..=6_u32 {
            for number in 0..ACTIONS.len().pow(length) {
                let actions: Vec<_> =
                    (0..length).map(|at| ACTIONS[number / ACTIONS.len().pow(at) % ACTIONS.len()]).collect();
                for (limit, present) in (0..=5).flat_map(|limit| [(limit, false), (limit, true)]) {
                    if let Err(problem) = ServerAndConsumer::new(limit, present).perform_all(&actions) {
                        wrong.push(format!("limit {limit}, present {present}, {actions:?}: {problem}"));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{} sequences, the first: {}", wrong.len(), wrong[0]);
    }

    #[test]
    fn model_consumer_and_server_have_the_same_state_after_random_actions() {
        crate::random::check_model(|random| {
            let actions: Vec<_> =
                (0..random.usize(1..30)).map(|_| ['t', 'm', 'r', 'p', 'o'][random.usize(0..5)]).collect();
            let (limit, present) = (random.usize(0..8), random.bool());
            let result = ServerAndConsumer::new(limit, present).perform_all(&actions);
            result.map_err(|problem| format!("limit {limit}, present {present}, {actions:?}: {problem}"))
        });
    }
}
