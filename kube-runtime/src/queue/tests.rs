//! Tests of the order and the due times of the keys in a work queue.

use super::*;

struct Bench {
    queue: WorkQueue<&'static str>,
    start: Instant,
}

impl Bench {
    fn new() -> Self {
        let backoff = FailureBackoff { base: Duration::from_secs(1), max: Duration::from_secs(5) };
        Self { queue: WorkQueue::new(backoff), start: Instant::now() }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    fn add(&mut self, key: &'static str) {
        self.queue.add(key, Due::Now);
    }

    fn add_at(&mut self, key: &'static str, seconds: u64) {
        let due = Due::At(self.at(seconds));
        self.queue.add(key, due);
    }

    fn take(&mut self, seconds: u64) -> Option<&'static str> {
        let now = self.at(seconds);
        self.queue.take(now)
    }
}

#[test]
fn returns_each_key_once_and_in_order() {
    let mut bench = Bench::new();
    for key in ["b", "a", "b", "a", "c"] {
        bench.add(key);
    }
    assert_eq!(
        [bench.take(0), bench.take(0), bench.take(0), bench.take(0)],
        [Some("b"), Some("a"), Some("c"), None]
    );
}

#[test]
fn a_key_added_while_in_process_is_processed_once_more_afterwards() {
    let mut bench = Bench::new();
    bench.add("a");
    assert_eq!(bench.take(0), Some("a"));
    bench.add("a");
    bench.add("a");
    assert_eq!(bench.take(0), None);
    bench.queue.done(&"a", None);
    assert_eq!((bench.take(0), bench.take(0)), (Some("a"), None));
    bench.queue.done(&"a", None);
    assert_eq!(bench.take(0), None);
    assert!(bench.queue.entries.is_empty());
}

#[test]
fn a_delayed_key_keeps_the_earlier_time() {
    let mut bench = Bench::new();
    bench.add_at("a", 5);
    bench.add_at("a", 9);
    assert_eq!(bench.take(4), None);
    bench.add_at("a", 3);
    assert_eq!(bench.queue.next_due(), Some(bench.at(3)));
    assert_eq!((bench.take(3), bench.take(9)), (Some("a"), None));
    bench.add_at("b", 5);
    bench.add("b");
    assert_eq!((bench.take(0), bench.queue.next_due()), (Some("b"), None));
}

#[test]
fn delayed_keys_become_ready_in_order_of_time() {
    let mut bench = Bench::new();
    bench.add_at("late", 2);
    bench.add_at("early", 1);
    bench.add_at("late too", 2);
    assert_eq!(
        [bench.take(2), bench.take(2), bench.take(2)],
        [Some("early"), Some("late"), Some("late too")]
    );
}

#[test]
fn an_earlier_change_overrides_a_requeue() {
    let mut bench = Bench::new();
    bench.add("a");
    bench.take(0);
    let due = Some(Due::At(bench.at(60)));
    bench.queue.done(&"a", due);
    assert_eq!(bench.take(59), None);
    bench.add("a");
    assert_eq!(bench.take(1), Some("a"));
    bench.add("a");
    bench.queue.done(&"a", due);
    assert_eq!(bench.take(1), Some("a"));
}

#[test]
fn consecutive_failures_wait_longer_up_to_a_limit_and_a_success_resets_them() {
    let mut bench = Bench::new();
    bench.add("a");
    let mut now = 0;
    for expected in [1, 2, 4, 5, 5] {
        assert_eq!(bench.take(now), Some("a"));
        let at = bench.at(now);
        assert_eq!(bench.queue.failed(&"a", at), Duration::from_secs(expected));
        now += expected;
        assert_eq!(bench.take(now - 1), None);
    }
    assert_eq!(bench.take(now), Some("a"));
    bench.queue.done(&"a", None);
    bench.add("a");
    assert_eq!(bench.take(now), Some("a"));
    let at = bench.at(now);
    assert_eq!(bench.queue.failed(&"a", at), Duration::from_secs(1));
}

#[test]
fn a_change_during_a_failure_is_due_immediately_and_keeps_the_failure_count() {
    let mut bench = Bench::new();
    bench.add("a");
    bench.take(0);
    bench.add("a");
    let now = bench.at(0);
    bench.queue.failed(&"a", now);
    assert_eq!(bench.take(0), Some("a"));
    assert_eq!(bench.queue.failed(&"a", now), Duration::from_secs(2));
    assert_eq!((bench.take(1), bench.take(2)), (None, Some("a")));
}

#[test]
fn a_wait_of_any_length_does_not_overflow() {
    let backoff = FailureBackoff { base: Duration::MAX, max: Duration::MAX };
    let mut queue = WorkQueue::new(backoff);
    let now = Instant::now();
    queue.add("a", Due::after(now, Duration::MAX));
    assert_eq!(queue.take(now), None);
    queue.add("a", Due::Now);
    assert_eq!(queue.take(now), Some("a"));
    assert_eq!(queue.failed(&"a", now), Duration::MAX);
    assert_eq!(queue.take(now + Duration::from_secs(365 * 24 * 3600)), None);
}

#[test]
fn many_failures_do_not_overflow() {
    let backoff = FailureBackoff { base: Duration::from_millis(5), max: Duration::from_secs(1000) };
    assert_eq!(backoff.after(1), Duration::from_millis(5));
    assert_eq!(backoff.after(u32::MAX), Duration::from_secs(1000));
}
