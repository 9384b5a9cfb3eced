//! The work queue of this project's controllers, for the row `priority-queue`. The queue is not public: this program
//! includes its source file.

use std::time::Duration;

use kube_runtime::controller::Key;
use tokio::time::Instant;

use self::queue::{Due, FailureBackoff, Priority, Request, WorkQueue};
use crate::shared::PriorityQueue;

#[expect(dead_code, unreachable_pub, unused_imports, reason = "the row uses a part of the queue")]
#[path = "../../../../kube-runtime/src/queue/mod.rs"]
mod queue;

/// A queue, and the keys that the row adds to the queue.
struct KeyQueue {
    keys: Vec<Key>,
    queue: WorkQueue<Key, ()>,
}

/// A queue for the keys with these namespaces and names.
#[expect(clippy::unnecessary_wraps, reason = "kube's contender returns None")]
pub(crate) fn priority_queue(names: &[(String, String)]) -> Option<Box<dyn PriorityQueue>> {
    let keys = names.iter().map(|(namespace, name)| Key::new(Some(namespace), name)).collect();
    let backoff = FailureBackoff::new(Duration::from_millis(5), Duration::from_secs(1000));
    Some(Box::new(KeyQueue { keys, queue: WorkQueue::new(Box::new(backoff)) }))
}

impl PriorityQueue for KeyQueue {
    fn add(&mut self, number: usize, priority: i32) {
        let request = Request { due: Due::Now, priority: Priority::new(priority), cause: () };
        self.queue.add(self.keys[number].clone(), request);
    }

    fn process_next(&mut self) -> Option<bool> {
        let (key, request, _) = self.queue.take_key(Instant::now())?;
        self.queue.finish(&key, None);
        Some(request.priority > Priority::DEFAULT)
    }
}
