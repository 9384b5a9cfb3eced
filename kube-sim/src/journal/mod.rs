//! The journal of received requests, for tests that count them, and for replays.

mod format;
mod recorder;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::encoding;
use crate::fault::AppliedFault;

pub(crate) use recorder::Recorder;

/// The maximum number of requests in the journal; the oldest requests are dropped.
pub const JOURNAL_LIMIT: usize = 10_000;

/// The maximum total size of the recorded bodies in bytes; the oldest requests are dropped.
const BODIES_LIMIT: usize = 256 << 20;

/// The text of a verb. In a field of the type `&'static str`, serde would borrow the text from the input. This alias
/// prevents that.
type Verb = &'static str;

/// One request that a [`SimService`](crate::SimService) or a [`Server`](crate::Server) received.
///
/// Calls of the methods of [`Sim`](crate::Sim) that read or change objects are recorded as [`direct`](Self::direct)
/// requests, but only if bodies are recorded ([`SimBuilder::record_bodies`](crate::SimBuilder::record_bodies)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Entry {
    /// The position of the request among all requests of the simulation, from 0.
    pub number: u64,
    /// The time at which the request arrived, on the clock of the simulation.
    pub time: Timestamp,
    /// The HTTP method.
    #[serde(with = "format::method")]
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The raw query, without the question mark.
    pub query: String,
    /// The RBAC verb (`get`, `list`, `watch`, `deletecollection`, ...); empty for a path without a resource.
    #[serde(deserialize_with = "format::deserialize_verb")]
    pub verb: Verb,
    /// The API group; empty for the core group and for a path without a resource.
    pub group: String,
    /// The plural name of the resource; empty for a path without a resource.
    pub resource: String,
    /// The status of the response; `None` while the request is in flight, and if the server never produces a
    /// response. If a fault breaks the connection before the response is sent, this is the status of the
    /// unsent response. If the fault also prevents the handling, this is 200.
    #[serde(with = "format::status")]
    pub status: Option<StatusCode>,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// The `Accept` header.
    pub accept: String,
    /// The `Content-Type` header.
    pub content_type: String,
    /// Whether a test sent the request through a method of [`Sim`](crate::Sim).
    pub direct: bool,
    /// The number of the API server that received the request: 0 for the first server, otherwise the number of a
    /// [`Replica`](crate::Replica).
    #[serde(default)]
    pub replica: usize,
    /// The faults that were applied to the request.
    pub faults: Vec<AppliedFault>,
    /// The handling of the request; `None` before the request is handled. It stays `None` if a fault, a failed
    /// authentication or an unreadable body prevents the handling.
    pub handling: Option<Handling>,
    /// The body of the request, if bodies are recorded.
    pub request_body: Option<RecordedBody>,
    /// The body of the response before faults change it, if bodies are recorded. The body of a watch grows while the
    /// watch is open.
    pub response_body: Option<RecordedBody>,
}

/// The handling of a request by the API server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Handling {
    /// A number that gives the order in which requests were handled: a request with a smaller number was handled earlier.
    /// The numbers begin with 1, and some can be missing. The order differs from the order of arrival if a fault delays a
    /// request.
    pub order: u64,
    /// The time at which the request was handled, on the clock of the simulation.
    pub time: Timestamp,
    /// The resource version of the store before the request was handled.
    pub version_before: u64,
    /// The resource version of the store when the response began; `None` before the response begins.
    pub version_after: Option<u64>,
}

/// A body in the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RecordedBody {
    /// The first bytes of the body, up to the limit of
    /// [`SimBuilder::record_bodies`](crate::SimBuilder::record_bodies). In JSON, a text or `{"base64": ".."}`.
    #[serde(with = "encoding::bytes")]
    pub content: Bytes,
    /// Whether the body has more bytes than `content`.
    pub truncated: bool,
}

/// The entries in the order of the requests.
#[derive(Debug, Default)]
struct EntryQueue {
    entries: VecDeque<Entry>,
    /// The number of entries that were dropped or cleared.
    removed: u64,
    /// The total number of attempts to handle requests. A request that waits for a resource version may have
    /// several attempts.
    handled: u64,
    /// The total size of the recorded bodies in bytes.
    body_bytes: usize,
}

impl EntryQueue {
    fn get_mut(&mut self, number: u64) -> Option<&mut Entry> {
        let at = usize::try_from(number.checked_sub(self.removed)?).ok()?;
        self.entries.get_mut(at)
    }

    /// Removes the oldest entries until the queue is within its limits. Keeps the newest entry, even if its bodies exceed
    /// [`BODIES_LIMIT`].
    fn trim(&mut self) {
        while self.entries.len() > JOURNAL_LIMIT || (self.body_bytes > BODIES_LIMIT && self.entries.len() > 1)
        {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.removed += 1;
            let size = |body: Option<RecordedBody>| body.map_or(0, |body| body.content.len());
            self.body_bytes -= size(oldest.request_body) + size(oldest.response_body);
        }
    }
}

/// A handle to the journal. Clones are handles to the same journal.
///
/// # Examples
/// The entries can be saved as JSON, and passed to [`Sim::replay`](crate::Sim::replay):
/// ```
/// use kube_sim::{Entry, Sim};
/// use serde_json::json;
///
/// let sim = Sim::builder().record_bodies(64 * 1024).build();
/// sim.create(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}))?;
/// let text = serde_json::to_string(&sim.journal().entries())?;
/// let entries: Vec<Entry> = serde_json::from_str(&text)?;
/// assert_eq!(entries[0].path, "/api/v1/namespaces/default/configmaps");
/// assert!(entries[0].handling.as_ref().unwrap().version_before < sim.resource_version());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Journal {
    queue: Arc<Mutex<EntryQueue>>,
    /// The maximum size of a recorded body in bytes; `None` if no bodies are recorded.
    body_limit: Option<usize>,
}

impl Journal {
    pub(crate) fn new(body_limit: Option<usize>) -> Self {
        Self { queue: Arc::default(), body_limit }
    }

    fn queue(&self) -> MutexGuard<'_, EntryQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The requests in the journal, oldest first. The journal keeps the last [`JOURNAL_LIMIT`] requests, or fewer if the
    /// recorded bodies exceed 256 MiB.
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
        queue.body_bytes = 0;
        queue.entries.clear();
    }

    /// Removes all requests from the journal, and sets the counters of requests to zero.
    pub(crate) fn reset(&self) {
        *self.queue() = EntryQueue::default();
    }

    /// Whether bodies and direct requests are recorded.
    pub(crate) fn records_bodies(&self) -> bool {
        self.body_limit.is_some()
    }

    /// Adds an entry and sets its number. The returned recorder completes the entry.
    pub(crate) fn add_entry(&self, mut entry: Entry) -> Recorder {
        let mut queue = self.queue();
        let number = queue.removed + queue.entries.len() as u64;
        entry.number = number;
        queue.entries.push_back(entry);
        queue.trim();
        Recorder::new(self.clone(), number)
    }
}

#[cfg(test)]
mod tests;
