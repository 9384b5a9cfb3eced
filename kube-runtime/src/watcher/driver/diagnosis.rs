//! `Diagnosis`: logs the warnings of a watcher, for instance about a silent watch, and updates the watcher's metrics.
//! `Diagnosis` must not decide anything; `step` makes all decisions.

use super::super::step::{DriverAction, Failure, Input, Output, Request, State};
use super::collection_size::CollectionSize;
use super::noise::{Finding, NoiseDetector};
use crate::log_limit::LogLimit;
use crate::metrics::{ObjectsAndBytes, WatchMetrics};
use crate::watcher::{Config, Event};
use kube_client::core::{Status, WatchEvent};
use std::time::Duration;

/// The period in which each [`LogLimit`] of [`Diagnosis`] permits one warning, except for `opaque_log`.
const WARNING_PERIOD: Duration = Duration::from_secs(60);

/// The variant of a [`State`], without its data. [`Diagnosis::record_transition`] compares the variants before and after a
/// step.
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

/// Logs the warnings of one watcher, and updates its metrics.
pub(super) struct Diagnosis {
    metrics: WatchMetrics,
    /// Whether the silence of the watch was reported.
    silent: bool,
    /// Whether the server does not serve the collection.
    missing: bool,
    /// Whether a warning was logged since the collection became missing.
    missing_logged: bool,
    noise: NoiseDetector,
    opaque_log: LogLimit,
    size: CollectionSize,
    relist_log: LogLimit,
    fallback_log: LogLimit,
    noise_log: LogLimit,
    size_log: LogLimit,
    undecodable_log: LogLimit,
}

impl Diagnosis {
    /// `resource` is the path of the collection.
    pub(super) fn new(resource: &str, config: &Config) -> Self {
        let limit = LogLimit::new(1, WARNING_PERIOD);
        Self {
            metrics: WatchMetrics::new(resource),
            silent: false,
            missing: false,
            missing_logged: false,
            noise: NoiseDetector::default(),
            // Each watcher warns only once about a resource version that is not a number.
            opaque_log: LogLimit::new(1, Duration::MAX),
            size: CollectionSize::new(config.budget),
            relist_log: limit.clone(),
            fallback_log: limit.clone(),
            noise_log: limit.clone(),
            size_log: limit.clone(),
            undecodable_log: limit,
        }
    }

    /// Adds an object of a list to the size of the collection. The text of the object has `bytes` bytes.
    pub(super) fn count_listed_object(&mut self, bytes: usize) {
        self.size.count_listed_object(bytes);
    }

    /// Updates the size of the collection after an event. `bytes` is the value of `EventStream::last_event_bytes`.
    pub(super) fn count_event<K>(&mut self, resource: &str, event: &WatchEvent<K>, bytes: usize) {
        self.size.count_event(event, bytes);
        self.record_size(resource);
    }

    /// Reports an object that does not decode. During a watch, checks for repeated events and for too many bookmarks.
    pub(super) fn inspect_input(&mut self, resource: &str, state: &State, input: &Input) {
        if let Input::Undecodable(object) = input {
            self.metrics.count_undecodable_object();
            if let Some(suppressed) = self.undecodable_log.permit_message() {
                tracing::warn!(resource, error = %object.source, suppressed, "cannot {object}");
            }
        }
        let State::Watching { .. } = state else { return };
        let finding = match input {
            Input::Changed(Some(version)) | Input::Deleted(Some(version)) | Input::Dropped(version) => {
                let (is_repeated, finding) = self.noise.record_change(version);
                if is_repeated {
                    self.metrics.count_repeated_event();
                }
                finding
            }
            Input::Bookmark(_) => {
                self.metrics.count_bookmark();
                self.noise.record_bookmark()
            }
            _ => None,
        };
        let Some(finding) = finding else { return };
        let Some(suppressed) = self.noise_log.permit_message() else { return };
        match finding {
            Finding::Repeated { events } => tracing::warn!(
                resource,
                events,
                suppressed,
                "the server repeats events: they are not newer than earlier ones"
            ),
            Finding::OnlyBookmarks { bookmarks, within } => tracing::warn!(
                resource,
                bookmarks,
                ?within,
                suppressed,
                "the server sends many bookmarks, and no change"
            ),
        }
    }

    /// Resets the [`NoiseDetector`] after a snapshot, so that it considers only the events after this snapshot.
    /// `version` is the resource version of the snapshot. Warns if `version` is not a number.
    fn restart_noise_checks(&mut self, resource: &str, version: &str) {
        if self.noise.restart_observation(version) {
            return;
        }
        self.metrics.count_opaque_version();
        if self.opaque_log.permit_message().is_some() {
            tracing::warn!(
                resource,
                version,
                "the resource version is not a number: a restored storage cannot be detected"
            );
        }
    }

    /// Updates the metrics of the size, and compares the size with the budget.
    fn record_size(&mut self, resource: &str) {
        if let Some((before, after)) = self.size.take_change() {
            self.metrics.record_size_change(before, after);
        }
        let Some((ObjectsAndBytes { objects, bytes }, budget)) = self.size.take_excess() else { return };
        self.metrics.count_exceeded_budget();
        if let Some(suppressed) = self.size_log.permit_message() {
            tracing::warn!(resource, objects, bytes, budget, suppressed, "the objects exceed their budget");
        }
    }

    /// Counts an object, an event or a bookmark, except for the bookmark that ends a streaming list.
    pub(super) fn count_item(&mut self) {
        self.metrics.count_item();
    }

    /// Records that the server has sent data: the watch is not silent.
    pub(super) fn end_silence(&mut self) {
        self.silent = false;
    }

    /// Logs warnings and updates the metrics after a transition. `probe_after` is the time without data after which a watch
    /// counts as silent.
    pub(super) fn record_transition(
        &mut self,
        resource: &str,
        (from, state): (Stage, &State),
        output: &Output,
        probe_after: Duration,
    ) {
        let to = Stage::of(state);
        match &output.event {
            Some(Ok(Event::Init)) => self.size.begin_snapshot(),
            Some(Ok(Event::InitDone)) => {
                self.size.end_snapshot();
                self.record_size(resource);
                self.restart_noise_checks(resource, state.version().unwrap_or_default());
            }
            _ => {}
        }
        match &output.then {
            DriverAction::Read if from == to => return,
            DriverAction::Probe if !self.silent => {
                self.silent = true;
                self.metrics.count_silent_watch();
                tracing::warn!(resource, silent_for = ?probe_after, "the watch is silent: neither a change nor a bookmark");
            }
            DriverAction::Read | DriverAction::Probe => {}
            DriverAction::Send(_) if from != Stage::Watching => {}
            // The list continues with its next page or begins again. `record_list_start` records a list that begins again.
            DriverAction::Next if (from, to) == (Stage::Listing, Stage::Listing) => {}
            _ => self.metrics.record_operation_end(),
        }
        if to == Stage::Watching && from == Stage::Streaming {
            self.metrics.record_watch_start();
        }
        match (from, to) {
            (Stage::Watching, Stage::Start) => self.record_relist(resource, output),
            (Stage::Streaming, Stage::Listing) if output.then != DriverAction::Read => {
                self.record_fallback(resource, "broken");
            }
            (Stage::Listing | Stage::Streaming, Stage::Watching) if self.missing => {
                self.set_missing(false);
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
            self.set_missing(true);
        }
        if let DriverAction::Send(request) = &output.then {
            match request {
                Request::Watch { .. } => self.metrics.record_watch_start(),
                Request::StreamingList => self.metrics.record_list_start(),
                Request::List(page) if page.token.is_none() => self.metrics.record_list_start(),
                Request::List(_) => {}
            }
        }
    }

    fn set_missing(&mut self, is_missing: bool) {
        if self.missing != is_missing {
            self.missing = is_missing;
            self.metrics.record_missing_collection(is_missing);
        }
    }

    fn record_relist(&mut self, resource: &str, output: &Output) {
        let reason = match &output.event {
            // The version of a `proven` watch expired, so the watcher emits no error; see [`State::Watching`].
            None => "expired",
            Some(Err(Failure::WatchStatus(status))) if is_version_unavailable(status) => "expired",
            Some(Err(Failure::WatchStart(error) | Failure::Watch(error)))
                if error.status().is_some_and(is_version_unavailable) =>
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
        let Some(suppressed) = self.relist_log.permit_message() else { return };
        if let Some(Err(Failure::Restored { seen, current })) = &output.event {
            tracing::warn!(
                resource,
                seen,
                current,
                suppressed,
                "the storage was restored to an earlier state: relisting"
            );
        } else {
            tracing::warn!(resource, reason, suppressed, "the watch cannot continue: relisting");
        }
    }

    fn record_fallback(&mut self, resource: &str, reason: &'static str) {
        self.metrics.count_fallback(reason);
        if let Some(suppressed) = self.fallback_log.permit_message() {
            tracing::warn!(resource, reason, suppressed, "no streaming list: falling back to paged lists");
        }
    }
}

impl Drop for Diagnosis {
    fn drop(&mut self) {
        // A dropped watcher no longer waits for the missing collection.
        self.set_missing(false);
        self.metrics.record_size_change(self.size.recorded_size(), ObjectsAndBytes::default());
    }
}

/// Whether a status means that the resource version of the watch has expired or is ahead of the server.
fn is_version_unavailable(status: &Status) -> bool {
    status.is_gone() || status.is_resource_version_too_large()
}
