//! The counts of requests, for the endpoint `/metrics`.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The labels of a counted request. The caller must limit the number of label combinations: the counters never remove
/// a combination.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RequestLabels {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) resource: String,
    /// A subresource. For a request without a resource, the first path segment; empty for an unknown segment.
    pub(crate) subresource: String,
    /// `cluster`, `namespace` or `resource`; empty for a request without a resource.
    pub(crate) scope: &'static str,
    /// The HTTP method (`OTHER` for an unknown method), or `LIST`, `WATCH`, `APPLY`, `CONNECT` or `DELETECOLLECTION`.
    pub(crate) verb: &'static str,
    pub(crate) dry_run: bool,
    /// The HTTP status of the response.
    pub(crate) code: u16,
}

/// The number of requests with each combination of labels.
#[derive(Debug, Default)]
pub(crate) struct RequestCounters {
    totals: Mutex<BTreeMap<RequestLabels, u64>>,
}

impl RequestCounters {
    /// Counts a request.
    pub(crate) fn count_request(&self, labels: RequestLabels) {
        *self.totals().entry(labels).or_default() += 1;
    }

    /// The counts, by labels.
    pub(crate) fn snapshot(&self) -> BTreeMap<RequestLabels, u64> {
        self.totals().clone()
    }

    fn totals(&self) -> MutexGuard<'_, BTreeMap<RequestLabels, u64>> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
