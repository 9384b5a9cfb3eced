//! `Backlog`: events that wait to be taken, merged per object where they are many.

use foldhash::HashMap;
use kube_client::Resource;
use kube_client::core::WatchEvent;
use std::{collections::VecDeque, sync::Arc};

/// How many events may wait before those of one object are merged.
const LIMIT: usize = 1024;

/// Events in the order in which they came.
///
/// Up to a limit every event is kept. Beyond it, events of one name are merged: the name adds at most three entries to what
/// waits, however often objects of that name are created and deleted. The last state of a name is never lost, and between
/// two additions of a name its deletion is always emitted. A deletion may be emitted whose addition was merged away.
pub(super) struct Backlog<K> {
    events: VecDeque<WatchEvent<Arc<K>>>,
    /// Events taken so far: the number of the first in the queue.
    taken: u64,
    /// What waits of a name.
    waiting: HashMap<(String, String), Waiting>,
    limit: usize,
}

/// The numbers of a name's events.
#[derive(Clone, Copy)]
struct Waiting {
    last: u64,
    /// The deletion directly before the last. An older one says nothing about what the consumer believes present: an addition
    /// may have come after it.
    deletion: Option<u64>,
}

impl<K> Default for Backlog<K> {
    fn default() -> Self {
        Self { events: VecDeque::new(), taken: 0, waiting: HashMap::default(), limit: LIMIT }
    }
}

impl<K: Resource> Backlog<K> {
    pub(super) fn push(&mut self, event: WatchEvent<Arc<K>>) {
        let Some(key) = event.object().map(|object| key(&**object)) else {
            self.events.push_back(event);
            return;
        };
        if self.events.len() >= self.limit
            && let Some(waiting) = self.waiting.get(&key).copied()
        {
            let gone_before = waiting.deletion.is_some_and(|number| number >= self.taken);
            if let Some(slot) = self.slot(waiting.last) {
                match merge(slot, event, gone_before) {
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
            && self.waiting.get(&key).is_some_and(|waiting| waiting.last == self.taken)
        {
            self.waiting.remove(&key);
        }
        self.taken += 1;
        Some(event)
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    fn append(&mut self, key: (String, String), event: WatchEvent<Arc<K>>) {
        let number = self.taken + self.events.len() as u64;
        let before = self.waiting.get(&key).copied();
        let deletion = before.and_then(|before| match self.slot(before.last) {
            Some(WatchEvent::Deleted(_)) => Some(before.last),
            _ => None,
        });
        self.waiting.insert(key, Waiting { last: number, deletion });
        self.events.push_back(event);
    }

    fn slot(&mut self, number: u64) -> Option<&mut WatchEvent<Arc<K>>> {
        let at = usize::try_from(number.checked_sub(self.taken)?).ok()?;
        self.events.get_mut(at)
    }
}

/// Puts `event` into the place of one that waits, or gives it back where both have to be told. `gone_before`: the event of this
/// name directly before the one that waits is a deletion, and waits too.
fn merge<K>(
    waiting: &mut WatchEvent<K>,
    event: WatchEvent<K>,
    gone_before: bool,
) -> Result<(), WatchEvent<K>> {
    *waiting = match (&*waiting, event) {
        // Still new to whoever takes it.
        (WatchEvent::Added(_), WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
            WatchEvent::Added(object)
        }
        (WatchEvent::Modified(_), event) => event,
        // Nobody has heard of what came after the deletion that waits.
        (WatchEvent::Added(_) | WatchEvent::Deleted(_), event) if gone_before => event,
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
        assert!(backlog.waiting.is_empty(), "keys of events that were taken stay behind");
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
        check(0, "-a1 +a2 -a3", "-a1 -a3");
    }

    #[test]
    fn a_name_that_comes_and_goes_takes_three_places_at_most() {
        check(0, "-a1 +a2 -a3 +a4 -a5 +a6 ~a7", "-a1 +a7");
        check(0, "+a1 -a2 +a3 -a4 +a5", "+a1 -a2 +a5");
        check(0, "+a1 -a2 +a3 -a4 +a5 -a6", "+a1 -a2 -a6");
        check(0, "-a1 +a2 pop -a3 +a4", "+a2 -a3 +a4");
        check(0, "-a1 pop +a2 -a3 +a4 -a5", "+a2 -a3 -a5");
    }

    #[test]
    fn taking_events_keeps_the_rest_in_place() {
        check(1, "+a1 +b2 pop ~b3 ~a4 ~a5", "+b3 ~a5");
    }

    #[test]
    fn keeps_a_deletion_that_waits_between_two_additions() {
        check(3, "-a1 +a2 -a3 +a4", "-a1 +a2 -a3 +a4");
        check(3, "-a1 +a2 ~a3 -a4 +a5 -a6 +a7", "-a1 +a2 -a4 +a7");
    }

    /// A server with one object, and a consumer that applies what it pops.
    struct Model {
        backlog: Backlog<ConfigMap>,
        server: Option<Arc<ConfigMap>>,
        consumer: Option<Arc<ConfigMap>>,
        version: usize,
    }

    impl Model {
        fn new(limit: usize, present: bool) -> Self {
            let object = present.then(|| incarnation(0, 0));
            let backlog = Backlog { limit, ..Backlog::default() };
            Self { backlog, server: object.clone(), consumer: object, version: 0 }
        }

        /// Performs one action. The error describes an event that contradicts what the consumer knows.
        fn act(&mut self, action: char) -> Result<(), String> {
            self.version += 1;
            match (action, self.server.clone()) {
                ('p', _) => return self.pop(),
                ('t', Some(object)) => {
                    self.server = None;
                    self.backlog.push(WatchEvent::Deleted(object));
                }
                ('t', None) => {
                    let object = incarnation(self.version, self.version);
                    self.server = Some(Arc::clone(&object));
                    self.backlog.push(WatchEvent::Added(object));
                }
                ('m', Some(object)) => {
                    let uid = object.metadata.uid.as_deref().unwrap().parse().unwrap();
                    let object = incarnation(uid, self.version);
                    self.server = Some(Arc::clone(&object));
                    self.backlog.push(WatchEvent::Modified(object));
                }
                // A relist finds another object under the name: the informer tells both.
                ('r', Some(_)) => {
                    self.act('t')?;
                    self.act('t')?;
                }
                ('o', _) => self.backlog.push(WatchEvent::Modified(object("o1"))),
                _ => {}
            }
            Ok(())
        }

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
                // The addition was merged away before the consumer saw it, so that only the deletion is emitted.
                (WatchEvent::Deleted(_), None) => None,
                (event, known) => return Err(format!("{} after {:?}", text(&event), known.is_some())),
            };
            Ok(())
        }

        fn run(&mut self, actions: &[char]) -> Result<(), String> {
            actions.iter().try_for_each(|action| self.act(*action))?;
            while self.backlog.len() > 0 {
                self.pop()?;
            }
            if self.consumer != self.server {
                return Err("the consumer ends in another state than the server".into());
            }
            if self.backlog.waiting.is_empty() { Ok(()) } else { Err("a key stays behind".into()) }
        }
    }

    fn incarnation(uid: usize, version: usize) -> Arc<ConfigMap> {
        let mut object = ConfigMap::default();
        object.metadata.name = Some("a".into());
        object.metadata.uid = Some(uid.to_string());
        object.metadata.resource_version = Some(version.to_string());
        Arc::new(object)
    }

    #[test]
    fn a_consumer_ends_in_the_servers_state_after_every_short_sequence() {
        const ACTIONS: [char; 5] = ['t', 'm', 'r', 'p', 'o'];
        let mut wrong = Vec::new();
        for length in 1..=6_u32 {
            for number in 0..ACTIONS.len().pow(length) {
                let actions: Vec<_> =
                    (0..length).map(|at| ACTIONS[number / ACTIONS.len().pow(at) % ACTIONS.len()]).collect();
                for (limit, present) in (0..=5).flat_map(|limit| [(limit, false), (limit, true)]) {
                    if let Err(problem) = Model::new(limit, present).run(&actions) {
                        wrong.push(format!("limit {limit}, present {present}, {actions:?}: {problem}"));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{} sequences, the first: {}", wrong.len(), wrong[0]);
    }

    #[test]
    fn model_a_consumer_ends_in_the_servers_state_after_random_sequences() {
        crate::random::model(|random| {
            let actions: Vec<_> =
                (0..random.usize(1..30)).map(|_| ['t', 'm', 'r', 'p', 'o'][random.usize(0..5)]).collect();
            let (limit, present) = (random.usize(0..8), random.bool());
            let result = Model::new(limit, present).run(&actions);
            result.map_err(|problem| format!("limit {limit}, present {present}, {actions:?}: {problem}"))
        });
    }
}
