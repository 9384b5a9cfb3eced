//! The journal: which requests a simulation has seen, for tests that count them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, StatusCode};

/// Requests that the journal keeps; older ones are dropped.
pub const JOURNAL_LIMIT: usize = 10_000;

/// One request that came in over the service or a listener. [`crate::Sim`]'s own methods are not recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The HTTP method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The query as it came, without the question mark.
    pub query: String,
    /// What the request does in the words of RBAC (`get`, `list`, `watch`, `deletecollection`, ...), or nothing for
    /// a path that names no resource.
    pub verb: &'static str,
    /// The plural name of the resource, or nothing.
    pub resource: String,
    /// The status of the answer; `None` as long as there is none.
    pub status: Option<StatusCode>,
    /// The `User-Agent` header.
    pub user_agent: String,
}

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<Entry>,
    /// Entries that were dropped or cleared.
    gone: u64,
}

/// A handle on the journal; clones see the same requests.
#[derive(Clone, Debug, Default)]
pub struct Journal(Arc<Mutex<Ring>>);

impl Journal {
    fn ring(&self) -> std::sync::MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The requests so far, the oldest first, at most [`JOURNAL_LIMIT`].
    pub fn entries(&self) -> Vec<Entry> {
        self.ring().entries.iter().cloned().collect()
    }

    /// How many of the kept requests satisfy `test`.
    pub fn count(&self, mut test: impl FnMut(&Entry) -> bool) -> usize {
        self.ring().entries.iter().filter(|e| test(e)).count()
    }

    /// How many of the kept requests have this verb and resource, such as `("list", "pods")`.
    pub fn count_of(&self, verb: &str, resource: &str) -> usize {
        self.count(|e| e.verb == verb && e.resource == resource)
    }

    /// How many requests came in since the simulation began, those included that are no longer kept.
    pub fn total(&self) -> u64 {
        let ring = self.ring();
        ring.gone + ring.entries.len() as u64
    }

    /// Forgets the requests so far.
    pub fn clear(&self) {
        let mut ring = self.ring();
        ring.gone += ring.entries.len() as u64;
        ring.entries.clear();
    }

    /// Records a request and answers with its number.
    pub(crate) fn record(&self, entry: Entry) -> u64 {
        let mut ring = self.ring();
        ring.entries.push_back(entry);
        if ring.entries.len() > JOURNAL_LIMIT {
            ring.entries.pop_front();
            ring.gone += 1;
        }
        ring.gone + ring.entries.len() as u64 - 1
    }

    /// Notes the status of the request of that number.
    pub(crate) fn answered(&self, number: u64, status: StatusCode) {
        let mut ring = self.ring();
        let at = number.checked_sub(ring.gone).and_then(|at| usize::try_from(at).ok());
        if let Some(entry) = at.and_then(|at| ring.entries.get_mut(at)) {
            entry.status = Some(status);
        }
    }
}
