//! Tests of the order and the due times of the keys in a work queue.

use super::*;

fn request(due: Due, priority: Priority) -> Request<()> {
    Request { due, priority, cause: () }
}

/// A work queue whose times are seconds after `start`.
struct TestQueue {
    inner: WorkQueue<&'static str, ()>,
    start: Instant,
}

impl TestQueue {
    fn new() -> Self {
        let backoff = FailureBackoff::new(Duration::from_secs(1), Duration::from_secs(5));
        Self { inner: WorkQueue::new(Box::new(backoff)), start: Instant::now() }
    }

    /// The time `seconds` after the start.
    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    fn add(&mut self, key: &'static str) {
        self.inner.add(key, request(Due::Now, Priority::DEFAULT));
    }

    fn add_with_priority(&mut self, key: &'static str, priority: i32) {
        self.inner.add(key, request(Due::Now, Priority::new(priority)));
    }

    fn add_at(&mut self, key: &'static str, seconds: u64) {
        self.add_at_with_priority(key, seconds, 0);
    }

    fn add_at_with_priority(&mut self, key: &'static str, seconds: u64, priority: i32) {
        let due = Due::At(self.at(seconds));
        self.inner.add(key, request(due, Priority::new(priority)));
    }

    fn take_key(&mut self, seconds: u64) -> Option<&'static str> {
        let now = self.at(seconds);
        self.inner.take_key(now).map(|(key, ..)| key)
    }
}

#[test]
fn the_queue_returns_each_key_once_in_order_of_arrival() {
    let mut queue = TestQueue::new();
    for key in ["b", "a", "b", "a", "c"] {
        queue.add(key);
    }
    assert_eq!(
        [queue.take_key(0), queue.take_key(0), queue.take_key(0), queue.take_key(0)],
        [Some("b"), Some("a"), Some("c"), None]
    );
}

#[test]
fn a_key_that_is_added_during_its_processing_is_processed_once_more() {
    let mut queue = TestQueue::new();
    queue.add("a");
    assert_eq!(queue.take_key(0), Some("a"));
    queue.add("a");
    queue.add("a");
    assert_eq!(queue.take_key(0), None);
    queue.inner.finish(&"a", None);
    assert_eq!((queue.take_key(0), queue.take_key(0)), (Some("a"), None));
    queue.inner.finish(&"a", None);
    assert_eq!(queue.take_key(0), None);
    assert!(queue.inner.entries.is_empty());
}

#[test]
fn a_delayed_key_keeps_the_earlier_time() {
    let mut queue = TestQueue::new();
    queue.add_at("a", 5);
    queue.add_at("a", 9);
    assert_eq!(queue.take_key(4), None);
    queue.add_at("a", 3);
    assert_eq!(queue.inner.next_due(), Some(queue.at(3)));
    assert_eq!((queue.take_key(3), queue.take_key(9)), (Some("a"), None));
    queue.add_at("b", 5);
    queue.add("b");
    assert_eq!((queue.take_key(0), queue.inner.next_due()), (Some("b"), None));
}

#[test]
fn delayed_keys_become_ready_in_order_of_time() {
    let mut queue = TestQueue::new();
    queue.add_at("late", 2);
    queue.add_at("early", 1);
    queue.add_at("late too", 2);
    assert_eq!(
        [queue.take_key(2), queue.take_key(2), queue.take_key(2)],
        [Some("early"), Some("late"), Some("late too")]
    );
}

#[test]
fn the_queue_returns_keys_by_priority_and_then_by_arrival() {
    let mut queue = TestQueue::new();
    for (key, priority) in [("low", -100), ("a", 0), ("high", 5), ("b", 0), ("low too", -100)] {
        queue.add_with_priority(key, priority);
    }
    let taken: Vec<_> = std::iter::from_fn(|| queue.take_key(0)).collect();
    assert_eq!(taken, ["high", "a", "b", "low", "low too"]);
}

#[test]
fn a_key_keeps_the_highest_priority_of_its_requests() {
    let mut queue = TestQueue::new();
    queue.add_with_priority("a", -100);
    queue.add_with_priority("b", 0);
    queue.add_with_priority("a", 5);
    queue.add_with_priority("a", -100);
    assert_eq!([queue.take_key(0), queue.take_key(0), queue.take_key(0)], [Some("a"), Some("b"), None]);
    // The key `a` is added again while it is in process.
    queue.add_with_priority("a", -100);
    queue.add_with_priority("a", 5);
    queue.add_with_priority("c", 0);
    queue.inner.finish(&"a", None);
    assert_eq!([queue.take_key(0), queue.take_key(0), queue.take_key(0)], [Some("a"), Some("c"), None]);
    assert!(queue.inner.waiting.ready.is_empty());
}

#[test]
fn a_delayed_key_keeps_the_earlier_time_and_the_higher_priority() {
    let mut queue = TestQueue::new();
    queue.add_at_with_priority("a", 5, 0);
    queue.add_at_with_priority("a", 9, 5);
    queue.add_at_with_priority("b", 3, 0);
    assert_eq!([queue.take_key(2), queue.take_key(5), queue.take_key(5)], [None, Some("a"), Some("b")]);
    assert!(queue.inner.waiting.delayed.is_empty());
}

#[test]
fn a_requeued_key_keeps_its_priority() {
    let mut queue = TestQueue::new();
    queue.add_with_priority("a", -100);
    assert_eq!(queue.take_key(0), Some("a"));
    let at = queue.at(0);
    queue.inner.finish_with_failure(&"a", at, ());
    queue.add_at("b", 2);
    assert_eq!([queue.take_key(2), queue.take_key(2)], [Some("b"), Some("a")]);
}

#[test]
fn a_key_keeps_the_cause_of_its_first_request_with_the_highest_priority() {
    let backoff = FailureBackoff::new(Duration::from_secs(1), Duration::from_secs(5));
    let mut queue = WorkQueue::new(Box::new(backoff));
    let now = Instant::now();
    let mut add = |priority, cause| {
        queue.add("a", Request { due: Due::Now, priority: Priority::new(priority), cause });
    };
    add(0, "first");
    add(0, "second");
    add(-100, "less urgent");
    assert_eq!(queue.take_key(now).map(|(_, request, _)| request.cause), Some("first"));
    let mut add = |priority, cause| {
        queue.add("a", Request { due: Due::Now, priority: Priority::new(priority), cause });
    };
    add(0, "during");
    add(5, "urgent");
    queue.finish(&"a", Some((Due::Now, "requeue")));
    assert_eq!(queue.take_key(now).map(|(_, request, _)| request.cause), Some("urgent"));
    queue.finish(&"a", Some((Due::Now, "requeue")));
    assert_eq!(queue.take_key(now).map(|(_, request, _)| request.cause), Some("requeue"));
}

#[test]
fn a_requeued_key_is_due_at_once_if_it_is_added_again() {
    let mut queue = TestQueue::new();
    queue.add("a");
    queue.take_key(0);
    let due = Some((Due::At(queue.at(60)), ()));
    queue.inner.finish(&"a", due);
    assert_eq!(queue.take_key(59), None);
    queue.add("a");
    assert_eq!(queue.take_key(1), Some("a"));
    queue.add("a");
    queue.inner.finish(&"a", due);
    assert_eq!(queue.take_key(1), Some("a"));
}

#[test]
fn consecutive_failures_increase_the_wait_up_to_a_limit_and_a_success_resets_the_wait() {
    let mut queue = TestQueue::new();
    queue.add("a");
    let mut now = 0;
    for expected in [1, 2, 4, 5, 5] {
        assert_eq!(queue.take_key(now), Some("a"));
        let at = queue.at(now);
        assert_eq!(queue.inner.finish_with_failure(&"a", at, ()), Some(Duration::from_secs(expected)));
        now += expected;
        assert_eq!(queue.take_key(now - 1), None);
    }
    assert_eq!(queue.take_key(now), Some("a"));
    queue.inner.finish(&"a", None);
    queue.add("a");
    assert_eq!(queue.take_key(now), Some("a"));
    let at = queue.at(now);
    assert_eq!(queue.inner.finish_with_failure(&"a", at, ()), Some(Duration::from_secs(1)));
}

#[test]
fn the_first_conflict_has_no_wait_and_further_conflicts_have_a_backoff() {
    let mut queue = TestQueue::new();
    queue.add("a");
    for (failures, wait) in [(0, 0), (1, 1), (2, 2)] {
        let now = queue.at(9);
        let taken = queue.inner.take_key(queue.start + Duration::from_secs(99)).unwrap();
        assert_eq!((taken.0, taken.2), ("a", failures));
        assert_eq!(queue.inner.finish_with_conflict(&"a", now, ()), Some(Duration::from_secs(wait)));
        assert_eq!(queue.inner.has_ready(), wait == 0);
    }
}

#[test]
fn a_failed_key_that_was_added_during_its_processing_is_due_at_once_and_keeps_its_failure_count() {
    let mut queue = TestQueue::new();
    queue.add("a");
    queue.take_key(0);
    queue.add("a");
    let now = queue.at(0);
    queue.inner.finish_with_failure(&"a", now, ());
    assert_eq!(queue.take_key(0), Some("a"));
    assert_eq!(queue.inner.finish_with_failure(&"a", now, ()), Some(Duration::from_secs(2)));
    assert_eq!((queue.take_key(1), queue.take_key(2)), (None, Some("a")));
}

#[test]
fn a_wait_of_any_length_does_not_overflow() {
    let backoff = FailureBackoff::new(Duration::MAX, Duration::MAX);
    let mut queue = WorkQueue::new(Box::new(backoff));
    let now = Instant::now();
    queue.add("a", request(Due::after(now, Duration::MAX), Priority::DEFAULT));
    assert_eq!(queue.take_key(now), None);
    queue.add("a", request(Due::Now, Priority::DEFAULT));
    assert_eq!(queue.take_key(now).map(|(key, ..)| key), Some("a"));
    assert_eq!(queue.finish_with_failure(&"a", now, ()), Some(Duration::MAX));
    assert_eq!(queue.take_key(now + Duration::from_secs(365 * 24 * 3600)), None);
}

#[test]
fn urgent_keys_do_not_starve_other_keys() {
    let mut queue = TestQueue::new();
    for (key, priority) in [("low", -100), ("low too", -100), ("middle", -5)] {
        queue.add_with_priority(key, priority);
    }
    let mut others = Vec::new();
    for _ in 0..1000 {
        queue.add("urgent");
        let key = queue.take_key(0).unwrap();
        queue.inner.finish(&key, None);
        others.extend((key != "urgent").then_some(key));
    }
    assert_eq!(others, ["low", "low too", "middle"]);
    assert!(queue.inner.waiting.ready.is_empty());
}

#[test]
fn a_forgotten_key_is_not_processed_and_its_failures_do_not_count() {
    let mut queue = TestQueue::new();
    queue.add("ready");
    queue.add_at("delayed", 5);
    queue.inner.forget(&"ready");
    queue.inner.forget(&"delayed");
    queue.inner.forget(&"unknown");
    assert_eq!((queue.take_key(9), queue.inner.next_due(), queue.inner.len()), (None, None, 0));
    for _ in 0..3 {
        queue.add("a");
        assert_eq!(queue.take_key(0), Some("a"));
        let now = queue.at(0);
        assert_eq!(queue.inner.finish_with_failure(&"a", now, ()), Some(Duration::from_secs(1)));
        queue.inner.forget(&"a");
    }
    assert!(
        queue.inner.entries.is_empty()
            && queue.inner.waiting.ready.is_empty()
            && queue.inner.waiting.delayed.is_empty()
    );
}

#[test]
fn keys_keep_their_order_when_another_key_is_forgotten() {
    const KEYS: [&str; 4] = ["a", "b", "c", "d"];
    for forgotten in KEYS {
        let mut queue = TestQueue::new();
        for key in KEYS {
            queue.add(key);
        }
        queue.inner.forget(&forgotten);
        // The key `e` takes the slot of the forgotten key, but is returned last.
        queue.add("e");
        let taken: Vec<_> = std::iter::from_fn(|| queue.take_key(0)).collect();
        let expected: Vec<_> = KEYS.into_iter().filter(|key| *key != forgotten).chain(["e"]).collect();
        assert_eq!(taken, expected);
        assert!(queue.inner.waiting.ready.is_empty());
    }
}

#[test]
fn an_empty_queue_releases_the_memory_of_many_keys() {
    let backoff = FailureBackoff::new(Duration::from_secs(1), Duration::from_secs(5));
    let mut queue = WorkQueue::new(Box::new(backoff));
    for count in [MAX_CAPACITY_WHEN_EMPTY / 2, 4 * MAX_CAPACITY_WHEN_EMPTY] {
        for key in 0..count {
            queue.add(key, request(Due::Now, Priority::DEFAULT));
        }
        while let Some((key, ..)) = queue.take_key(Instant::now()) {
            assert!(queue.entries.capacity() >= count);
            queue.finish(&key, None);
        }
        assert_eq!(queue.len(), 0);
        assert!(queue.entries.capacity() <= MAX_CAPACITY_WHEN_EMPTY);
    }
    queue.add(1, request(Due::Now, Priority::DEFAULT));
    assert_eq!(queue.take_key(Instant::now()).map(|(key, ..)| key), Some(1));
}

#[test]
fn the_queue_ignores_the_result_of_a_key_that_was_forgotten_during_its_processing() {
    let mut queue = TestQueue::new();
    let now = queue.at(0);
    for added_again in [false, true] {
        for fails in [false, true] {
            queue.add("a");
            assert_eq!(queue.take_key(0), Some("a"));
            queue.add("a");
            queue.inner.forget(&"a");
            if added_again {
                queue.add("a");
            }
            assert_eq!(queue.take_key(0), None, "the key is in process");
            if fails {
                assert_eq!(queue.inner.finish_with_failure(&"a", now, ()), None);
            } else {
                assert_eq!(queue.inner.finish(&"a", Some((Due::Now, ()))), None);
            }
            assert_eq!(queue.take_key(0), added_again.then_some("a"));
            queue.inner.finish(&"a", None);
            assert_eq!(queue.inner.len(), 0);
        }
    }
}

#[test]
fn retain_forgets_rejected_keys_except_for_keys_in_process() {
    let mut queue = TestQueue::new();
    queue.add("running");
    assert_eq!(queue.take_key(0), Some("running"));
    queue.add("a");
    queue.add("b");
    queue.add_at("c", 5);
    queue.inner.retain(|key| *key == "b");
    queue.inner.finish(&"running", Some((Due::Now, ())));
    assert_eq!([queue.take_key(9), queue.take_key(9), queue.take_key(9)], [Some("b"), Some("running"), None]);
}
