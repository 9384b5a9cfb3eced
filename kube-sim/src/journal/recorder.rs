//! `Recorder`: completes one entry of the journal while its request is handled and its response is sent.

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use jiff::Timestamp;

use super::{Entry, Handling, Journal, RecordedBody};
use crate::fault::AppliedFault;

/// A handle to the journal entry of one request. If the entry is no longer in the journal, the recorder only
/// counts the request as handled.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    journal: Journal,
    number: u64,
}

impl Recorder {
    pub(super) fn new(journal: Journal, number: u64) -> Self {
        Self { journal, number }
    }

    fn update_entry(&self, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.journal.queue().get_mut(self.number) {
            change(entry);
        }
    }

    /// Records the faults that are applied to the request.
    pub(crate) fn record_faults(&self, faults: &[AppliedFault]) {
        if !faults.is_empty() {
            self.update_entry(|entry| entry.faults = faults.to_vec());
        }
    }

    /// Records the start of the handling. A second call replaces the values of the first.
    pub(crate) fn record_handling(&self, time: Timestamp, version: u64) {
        let mut queue = self.journal.queue();
        queue.handled += 1;
        let order = queue.handled;
        if let Some(entry) = queue.get_mut(self.number) {
            entry.handling = Some(Handling { order, time, version_before: version, version_after: None });
        }
    }

    /// Records the status of the response, and the version of the store.
    pub(crate) fn record_status(&self, status: StatusCode, version: u64) {
        self.update_entry(|entry| {
            entry.status = Some(status);
            if let Some(handling) = &mut entry.handling {
                handling.version_after = Some(version);
            }
        });
    }

    pub(crate) fn record_request_body(&self, body: &Bytes) {
        self.append_to_body(body, |entry| &mut entry.request_body);
    }

    /// Records the next part of the body of the response.
    pub(crate) fn record_response_part(&self, part: &Bytes) {
        self.append_to_body(part, |entry| &mut entry.response_body);
    }

    fn append_to_body(&self, part: &Bytes, body_of: impl FnOnce(&mut Entry) -> &mut Option<RecordedBody>) {
        let Some(limit) = self.journal.body_limit else { return };
        let mut queue = self.journal.queue();
        let Some(entry) = queue.get_mut(self.number) else { return };
        let body = body_of(entry).get_or_insert_default();
        let room = limit - body.content.len();
        body.truncated |= part.len() > room;
        let added = part.slice(..part.len().min(room));
        let size = added.len();
        body.content = if body.content.is_empty() {
            added
        } else {
            // This copies the content only if it is shared, for example with entries that a user has read.
            let mut content = BytesMut::from(std::mem::take(&mut body.content));
            content.extend_from_slice(&added);
            content.freeze()
        };
        queue.body_bytes += size;
        queue.trim();
    }

    /// Whether bodies are recorded.
    pub(crate) fn records_bodies(&self) -> bool {
        self.journal.records_bodies()
    }
}
