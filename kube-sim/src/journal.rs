//! The journal of received requests, for tests that count them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, StatusCode};

/// The maximum number of requests in the journal; the oldest requests are dropped.
pub const JOURNAL_LIMIT: usize = 10_000;

/// One request that a [`SimService`](crate::SimService) or a [`Server`](crate::Server) received. The methods of
/// [`Sim`](crate::Sim) that read or change objects are not recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The HTTP method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The raw query, without the question mark.
    pub query: String,
    /// The RBAC verb (`get`, `list`, `watch`, `deletecollection`, ...); empty for a path without a resource.
    pub verb: &'static str,
    /// The plural name of the resource; empty for a path without a resource.
    pub resource: String,
    /// The status of the response; `None` while the request is in flight.
    pub status: Option<StatusCode>,
    /// The `User-Agent` header.
    pub user_agent: String,
}

/// The entries in the order of the requests.
#[derive(Debug, Default)]
struct EntryQueue {
    entries: VecDeque<Entry>,
    /// The number of entries that were dropped or cleared.
    removed: u64,
}

/// A handle to the journal. Clones are handles to the same journal.
#[derive(Clone, Debug, Default)]
pub struct Journal(Arc<Mutex<EntryQueue>>);

impl Journal {
    fn queue(&self) -> std::sync::MutexGuard<'_, EntryQueue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last [`JOURNAL_LIMIT`] requests, oldest first.
    pub fn entries(&self) -> Vec<Entry> {
        self.queue().entries.iter().cloned().collect()
    }

    /// The number of requests in the journal that satisfy `test`.
    pub fn count(&self, mut test: impl FnMut(&Entry) -> bool) -> usize {
        self.queue().entries.iter().filter(|e| test(e)).count()
    }

    /// The number of requests in the journal with this verb and resource, such as `("list", "pods")`.
    pub fn count_of(&self, verb: &str, resource: &str) -> usize {
        self.count(|e| e.verb == verb && e.resource == resource)
    }

    /// The number of requests since the start of the simulation, including those that are no longer in the journal.
    pub fn total(&self) -> u64 {
        let queue = self.queue();
        queue.removed + queue.entries.len() as u64
    }

    /// Removes all requests from the journal.
    pub fn clear(&self) {
        let mut queue = self.queue();
        queue.removed += queue.entries.len() as u64;
        queue.entries.clear();
    }

    /// Records a request and returns its sequence number.
    pub(crate) fn record(&self, entry: Entry) -> u64 {
        let mut queue = self.queue();
        queue.entries.push_back(entry);
        if queue.entries.len() > JOURNAL_LIMIT {
            queue.entries.pop_front();
            queue.removed += 1;
        }
        queue.removed + queue.entries.len() as u64 - 1
    }

    /// Records the status of the response to the request with this sequence number.
    pub(crate) fn record_status(&self, number: u64, status: StatusCode) {
        let mut queue = self.queue();
        let at = number.checked_sub(queue.removed).and_then(|at| usize::try_from(at).ok());
        if let Some(entry) = at.and_then(|at| queue.entries.get_mut(at)) {
            entry.status = Some(status);
        }
    }
}
