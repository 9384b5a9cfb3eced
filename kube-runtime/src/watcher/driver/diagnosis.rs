//! `Diagnosis`: one warning and one metric for each event in the life of a watcher that an operator should know. It must not
//! decide anything; `step` does.

use super::super::step::{DriverAction, Failure, Output, Request, State};
use crate::metrics::WatchMetrics;
use kube_client::core::Status;
use std::time::Duration;

/// The part of a state that a [`Diagnosis`] compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Start,
    Listing,
    Streaming,
    Watching,
}

impl Stage {
    pub(super) fn of(state: &State) -> Self {
        match state {
            State::Start { .. } => Self::Start,
            State::Listing { .. } => Self::Listing,
            State::Streaming { .. } => Self::Streaming,
            State::Watching { .. } => Self::Watching,
        }
    }
}

/// Reports the events of one watcher.
pub(super) struct Diagnosis {
    metrics: WatchMetrics,
    /// Whether the silence of the watch was reported.
    silent: bool,
    /// Whether the server does not serve the collection.
    missing: bool,
    /// Whether the log has a warning about the missing collection.
    missing_logged: bool,
}

impl Diagnosis {
    /// `resource` is the path of the collection.
    pub(super) fn new(resource: &str) -> Self {
        Self { metrics: WatchMetrics::new(resource), silent: false, missing: false, missing_logged: false }
    }

    /// An object, an event or a bookmark arrived, except for the bookmark that ends a streaming list.
    pub(super) fn count_item(&mut self) {
        self.metrics.count_item();
    }

    /// The server sent anything: the watch is not silent.
    pub(super) fn end_silence(&mut self) {
        self.silent = false;
    }

    /// Reports a transition. `probe_after` is the time without data after which a watch counts as silent.
    pub(super) fn record(
        &mut self,
        resource: &str,
        (from, to): (Stage, Stage),
        output: &Output,
        probe_after: Duration,
    ) {
        match &output.then {
            DriverAction::Read if from == to => return,
            DriverAction::Probe if !self.silent => {
                self.silent = true;
                self.metrics.count_silence();
                tracing::warn!(resource, silent_for = ?probe_after, "the watch is silent: neither a change nor a bookmark");
            }
            DriverAction::Read | DriverAction::Probe => {}
            DriverAction::Send(_) if from != Stage::Watching => {}
            // The next page of the list follows, or `list_begins`.
            DriverAction::Next if (from, to) == (Stage::Listing, Stage::Listing) => {}
            _ => self.metrics.response_ends(),
        }
        if to == Stage::Watching && from == Stage::Streaming {
            self.metrics.watch_begins();
        }
        match (from, to) {
            (Stage::Watching, Stage::Start) => self.record_relist(resource, output),
            (Stage::Streaming, Stage::Listing) if output.then != DriverAction::Read => {
                self.record_fallback(resource, "broken");
            }
            (Stage::Listing | Stage::Streaming, Stage::Watching) if self.missing => {
                self.missing = false;
                self.metrics.set_missing(false);
                if std::mem::take(&mut self.missing_logged) {
                    tracing::info!(resource, "the server serves the collection again");
                }
            }
            _ => {}
        }
        if output.then == DriverAction::GiveUpStreaming {
            self.record_fallback(resource, "unsupported");
        }
        if let Some(Err(Failure::List(error) | Failure::WatchStart(error))) = &output.event
            && error.is_not_found()
        {
            // The warning follows the second failure: a program that ends at the first error needs no warning.
            if self.missing && !self.missing_logged {
                self.missing_logged = true;
                tracing::warn!(resource, "the server does not serve the collection: waiting until it does");
            }
            self.missing = true;
            self.metrics.set_missing(true);
        }
        if let DriverAction::Send(request) = &output.then {
            match request {
                Request::Watch { .. } => self.metrics.watch_begins(),
                Request::StreamingList => self.metrics.list_begins(),
                Request::List(page) if page.token.is_none() => self.metrics.list_begins(),
                Request::List(_) => {}
            }
        }
    }

    fn record_relist(&mut self, resource: &str, output: &Output) {
        let reason = match &output.event {
            // The watcher emits no error for a version that expired after the watch had worked.
            None => "expired",
            Some(Err(Failure::WatchStatus(status))) if is_expiry(status) => "expired",
            Some(Err(Failure::WatchStart(error) | Failure::Watch(error)))
                if error.status().is_some_and(is_expiry) =>
            {
                "expired"
            }
            Some(Err(Failure::Restored { .. })) => "restored",
            Some(Err(Failure::TooShort)) => {
                self.metrics.count_short_watch();
                "short"
            }
            Some(_) => "failed",
        };
        self.metrics.count_relist(reason);
        tracing::warn!(resource, reason, "the watch cannot continue: relisting");
    }

    fn record_fallback(&self, resource: &str, reason: &'static str) {
        self.metrics.count_fallback(reason);
        tracing::warn!(resource, reason, "no streaming list: falling back to paged lists");
    }
}

impl Drop for Diagnosis {
    fn drop(&mut self) {
        // Nothing waits for the collection any more.
        if self.missing {
            self.metrics.set_missing(false);
        }
    }
}

/// Whether a status means that the version of the watch cannot be watched any more.
fn is_expiry(status: &Status) -> bool {
    status.is_gone() || status.is_resource_version_too_large()
}
