//! Tests of the order and the due times of the keys in a work queue.

use super::*;

/// A work queue whose times are seconds after `start`.
struct TestQueue {
    inner: WorkQueue<&'static str>,
    start: Instant,
}

impl TestQueue {
    fn new() -> Self {
        let backoff = FailureBackoff { base: Duration::from_secs(1), max: Duration::from_secs(5) };
        Self { inner: WorkQueue::new(backoff), start: Instant::now() }
    }

    /// The time `seconds` after the start.
    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    fn add(&mut self, key: &'static str) {
        self.inner.add(key, Due::Now);
    }

    fn add_at(&mut self, key: &'static str, seconds: u64) {
        let due = Due::At(self.at(seconds));
        self.inner.add(key, due);
    }

    fn take_key(&mut self, seconds: u64) -> Option<&'static str> {
        let now = self.at(seconds);
        self.inner.take_key(now)
    }
}

#[test]
fn returns_each_key_once_and_in_order() {
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
fn a_key_added_while_in_process_is_processed_once_more_afterwards() {
    let mut queue = TestQueue::new();
    queue.add("a");
    assert_eq!(queue.take_key(0), Some("a"));
    queue.add("a");
    queue.add("a");
    assert_eq!(queue.take_key(0), None);
    queue.inner.done(&"a", None);
    assert_eq!((queue.take_key(0), queue.take_key(0)), (Some("a"), None));
    queue.inner.done(&"a", None);
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
fn an_earlier_change_overrides_a_requeue() {
    let mut queue = TestQueue::new();
    queue.add("a");
    queue.take_key(0);
    let due = Some(Due::At(queue.at(60)));
    queue.inner.done(&"a", due);
    assert_eq!(queue.take_key(59), None);
    queue.add("a");
    assert_eq!(queue.take_key(1), Some("a"));
    queue.add("a");
    queue.inner.done(&"a", due);
    assert_eq!(queue.take_key(1), Some("a"));
}

#[test]
fn consecutive_failures_wait_longer_up_to_a_limit_and_a_success_resets_them() {
    let mut queue = TestQueue::new();
    queue.add("a");
    let mut now = 0;
    for expected in [1, 2, 4, 5, 5] {
        assert_eq!(queue.take_key(now), Some("a"));
        let at = queue.at(now);
        assert_eq!(queue.inner.failed(&"a", at), Duration::from_secs(expected));
        now += expected;
        assert_eq!(queue.take_key(now - 1), None);
    }
    assert_eq!(queue.take_key(now), Some("a"));
    queue.inner.done(&"a", None);
    queue.add("a");
    assert_eq!(queue.take_key(now), Some("a"));
    let at = queue.at(now);
    assert_eq!(queue.inner.failed(&"a", at), Duration::from_secs(1));
}

#[test]
fn a_change_during_a_failure_is_due_immediately_and_keeps_the_failure_count() {
    let mut queue = TestQueue::new();
    queue.add("a");
    queue.take_key(0);
    queue.add("a");
    let now = queue.at(0);
    queue.inner.failed(&"a", now);
    assert_eq!(queue.take_key(0), Some("a"));
    assert_eq!(queue.inner.failed(&"a", now), Duration::from_secs(2));
    assert_eq!((queue.take_key(1), queue.take_key(2)), (None, Some("a")));
}

#[test]
fn a_wait_of_any_length_does_not_overflow() {
    let backoff = FailureBackoff { base: Duration::MAX, max: Duration::MAX };
    let mut queue = WorkQueue::new(backoff);
    let now = Instant::now();
    queue.add("a", Due::after(now, Duration::MAX));
    assert_eq!(queue.take_key(now), None);
    queue.add("a", Due::Now);
    assert_eq!(queue.take_key(now), Some("a"));
    assert_eq!(queue.failed(&"a", now), Duration::MAX);
    assert_eq!(queue.take_key(now + Duration::from_secs(365 * 24 * 3600)), None);
}

#[test]
fn many_failures_do_not_overflow() {
    let backoff = FailureBackoff { base: Duration::from_millis(5), max: Duration::from_secs(1000) };
    assert_eq!(backoff.after(1), Duration::from_millis(5));
    assert_eq!(backoff.after(u32::MAX), Duration::from_secs(1000));
}
