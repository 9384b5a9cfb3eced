//! The decisions of a watcher as a pure function: `(State, Input) -> (State, Output)`.
//!
//! It performs no IO, reads no clock and receives only the resource versions of objects. It is total: every pair of a
//! state and an input has a result.

mod output;
mod recovery;

pub(super) use output::{DriverAction, Failure, Output, Request};

use super::Event;
use kube_client::Error as ClientError;
use kube_client::core::{Bookmark, ObjectOrigin, ResourceVersion, Status, UndecodableObject};
use recovery::{MAX_CONNECTION_FAILURES, Recovery, recovery_from_error, recovery_from_status};
use std::time::Duration;

/// The state of a watcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// The watcher has to fetch a snapshot.
    Start { previous: Previous },
    /// A page of a list is requested or arriving.
    Listing { page: PageRequest, previous: Previous },
    /// A streaming list (KEP-3157) is requested or its initial events are arriving.
    Streaming { previous: Previous },
    /// A watch from `version` is requested or open. `proven` is whether the snapshot was [`Attempt::Fresh`], or a watch
    /// has worked since ([`Ending::Worked`]). `connection_failures` is the number of consecutive watches that ended
    /// with a failed connection.
    Watching { version: String, proven: bool, connection_failures: u8 },
}

impl State {
    /// The resource version of the last received change. During a relist, this is the version from before the relist.
    pub(super) fn version(&self) -> Option<&str> {
        match self {
            Self::Watching { version, .. } => Some(version),
            Self::Start { previous } | Self::Listing { previous, .. } | Self::Streaming { previous } => {
                previous.version.as_deref()
            }
        }
    }
}

/// The data that the watcher keeps during a relist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Previous {
    pub(super) attempt: Attempt,
    /// The resource version of the last received change; `None` before the first complete snapshot.
    pub(super) version: Option<String>,
    /// Whether the server cannot list at `version`, because it has expired or is ahead of the server.
    pub(super) unavailable: bool,
}

impl Previous {
    /// The value for a new watcher, which has received nothing.
    pub(super) const NONE: Self = Self { attempt: Attempt::Fresh, version: None, unavailable: false };

    /// Replaces the attempt.
    fn with_attempt(self, attempt: Attempt) -> Self {
        Self { attempt, ..self }
    }

    /// The resource version of a list with `resourceVersionMatch=NotOlderThan`, as in client-go's reflector: "0" for
    /// the first list, the last received version for a relist. `None`, for a consistent read from storage, if the
    /// server cannot list at the last received version.
    fn not_older_than(&self) -> Option<String> {
        match &self.version {
            _ if self.unavailable => None,
            Some(version) => Some(version.clone()),
            None => Some("0".to_owned()),
        }
    }
}

/// Whether a snapshot follows a failure. If so, the watcher replaces a broken streaming list by a paged list. If the
/// version of the next watch then expires (410) before the watch has worked ([`Ending::Worked`]), the watcher emits an
/// error and waits before it relists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// The snapshot does not follow a failure.
    Fresh,
    /// The snapshot follows a failure.
    Repeated,
}

/// A page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PageRequest {
    /// The continue token; `None` for the first page.
    pub(super) token: Option<String>,
    /// Requests the whole list in one response, after a continue token expired.
    pub(super) unpaged: bool,
    /// The oldest acceptable resource version; `None` for a consistent read from storage.
    pub(super) not_older_than: Option<String>,
}

/// The kinds of lists that the server supports and the configuration allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// Whether the configuration allows streaming lists.
    pub(super) streaming_lists: bool,
    /// Whether a list may come from the server's cache.
    pub(super) cached_lists: bool,
    /// The time since the server last rejected a streaming list or did not complete it; `None` if neither has happened.
    pub(super) refused: Option<Duration>,
}

/// How long the watcher uses paged lists after a rejected or stalled streaming list. Then it requests a streaming
/// list again, because the server may have been upgraded or a proxy changed.
const STREAMING_RETRY_AFTER: Duration = Duration::from_secs(30 * 60);

impl Capabilities {
    /// Whether the next snapshot is requested as a streaming list.
    fn uses_streaming_list(self) -> bool {
        self.streaming_lists && self.refused.is_none_or(|ago| ago >= STREAMING_RETRY_AFTER)
    }
}

/// A report of the driver to [`step`]: a response, a failure or an expired timer.
pub(super) enum Input {
    /// The driver is ready to send a request.
    Ready,
    /// An item of a list.
    Item,
    /// The end of a page.
    PageDone { continue_token: Option<String>, version: Option<String> },
    /// An object was added or modified. The value is its resource version.
    Changed(Option<String>),
    /// An object was deleted. The value is the resource version of the deletion.
    Deleted(Option<String>),
    /// The server has sent all changes up to the bookmark's resource version.
    Bookmark(Bookmark),
    /// A filter dropped an event. The value is the resource version of the event's object.
    Dropped(String),
    /// The watch ended with an ERROR event.
    Error(Phase, Box<Status>),
    /// An object of a list or a watch could not be decoded.
    Undecodable(Box<UndecodableObject>),
    /// The request failed, or reading the response body failed.
    Failed(Phase, ClientError),
    /// The server ended the watch.
    Ended(Ending),
    /// A streaming list made no progress for the stall limit.
    Stalled,
    /// No event and no bookmark arrived for the interval of the silence probe.
    Silent,
    /// The result of the silence probe: the server's current resource version, if the read succeeded.
    Current(Option<String>),
}

/// How the server ended a watch, by the events that it had sent before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The server ended the watch immediately, without an event.
    Brief,
    /// The server had sent only initial events, which do not prove that it sends changes.
    AfterInitialEvents,
    /// The server had sent at least one change or bookmark, or the watch was open for a second.
    Worked,
}

/// The phase in which a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The response headers have not arrived.
    Opening,
    /// The response body is open.
    Open,
    /// A watch that was open long enough to count as healthy.
    Healthy,
}

/// Returns the next state and the output for an input.
pub(super) fn step(capabilities: Capabilities, state: State, input: Input) -> (State, Output) {
    let watching = matches!(state, State::Watching { .. });
    let (healthy_until_failure, shows_health) =
        (watching && healthy_until_failure(&input), watching && shows_health(&input));
    let (state, output) = transition(capabilities, state, input);
    let healthy = healthy_until_failure || shows_health && matches!(state, State::Watching { .. });
    (state, Output { healthy, ..output })
}

/// Whether a failure ended a watch that had been open long enough to count as healthy.
///
/// A failure that leads to a relist does not count: it may recur after each list, and lists burden the server.
fn healthy_until_failure(input: &Input) -> bool {
    match input {
        Input::Failed(Phase::Healthy, error) => recovery_from_error(error) != Recovery::Relist,
        Input::Error(Phase::Healthy, status) => recovery_from_status(status) != Recovery::Relist,
        _ => false,
    }
}

/// Whether an input proves that an open watch works. The caller ignores the proof if the input leads to a relist,
/// because the same input may recur after each list.
fn shows_health(input: &Input) -> bool {
    matches!(
        input,
        Input::Changed(_)
            | Input::Deleted(_)
            | Input::Bookmark(_)
            | Input::Dropped(_)
            | Input::Ended(Ending::Worked)
    )
}

/// The next state and the output for an input, without [`Output::healthy`].
fn transition(capabilities: Capabilities, state: State, input: Input) -> (State, Output) {
    match (state, input) {
        (state, Input::Ready) => next_request(capabilities, state),
        (state, Input::Undecodable(object)) => after_undecodable(state, object),
        (state, Input::Silent) => (state, no_event(DriverAction::Probe)),
        (state, Input::Current(current)) => after_probe(state, current),
        (State::Listing { page, previous }, input) => during_list(page, previous, input),
        (State::Streaming { previous }, input) => during_streaming_list(previous, input),
        (State::Watching { version, proven, connection_failures }, input) => {
            during_watch(version, proven, connection_failures, input)
        }
        // No request is in flight, so no other input is possible.
        (state @ State::Start { .. }, _) => (state, no_event(DriverAction::Next)),
    }
}

/// Handles the result of the silence probe: relists if the watch's version is ahead of the server. Such a watch
/// receives neither events nor an error until the server reaches that version, and never receives the changes up to
/// that version.
fn after_probe(state: State, current: Option<String>) -> (State, Output) {
    match (state, current) {
        (State::Watching { version, .. }, Some(current)) if is_older(&current, &version) => {
            relist_after_restore(version, current)
        }
        (state, _) => (state, no_event(DriverAction::Read)),
    }
}

/// Relists because the storage was restored to `current`, which is older than `seen`: some received changes no longer
/// exist.
fn relist_after_restore(seen: String, current: String) -> (State, Output) {
    let previous = Previous { attempt: Attempt::Repeated, version: Some(seen.clone()), unavailable: true };
    (State::Start { previous }, emit_error(Failure::Restored { seen, current }))
}

/// Selects the next request.
fn next_request(capabilities: Capabilities, state: State) -> (State, Output) {
    match state {
        State::Start { previous } | State::Streaming { previous } if capabilities.uses_streaming_list() => {
            (State::Streaming { previous }, emit(Event::Init, DriverAction::Send(Request::StreamingList)))
        }
        State::Start { previous } | State::Streaming { previous } => {
            begin_list(capabilities, false, previous)
        }
        State::Listing { page, previous } if page.token.is_none() => {
            begin_list(capabilities, page.unpaged, previous)
        }
        State::Listing { page, previous } => {
            let request = Request::List(page.clone());
            (State::Listing { page, previous }, no_event(DriverAction::Send(request)))
        }
        State::Watching { version, proven, connection_failures } => {
            let request = Request::Watch { version: version.clone() };
            (State::Watching { version, proven, connection_failures }, no_event(DriverAction::Send(request)))
        }
    }
}

/// Restarts the snapshot with the first page of a list.
fn begin_list(capabilities: Capabilities, unpaged: bool, previous: Previous) -> (State, Output) {
    let not_older_than = if capabilities.cached_lists && !unpaged { previous.not_older_than() } else { None };
    let page = PageRequest { token: None, unpaged, not_older_than };
    let request = Request::List(page.clone());
    (State::Listing { page, previous }, emit(Event::Init, DriverAction::Send(request)))
}

/// Handles an input during a list.
fn during_list(page: PageRequest, previous: Previous, input: Input) -> (State, Output) {
    match input {
        Input::Item => (State::Listing { page, previous }, emit(Event::InitApply(()), DriverAction::Read)),
        Input::PageDone { continue_token: Some(token), .. } if !token.is_empty() => {
            let page = PageRequest { token: Some(token), unpaged: page.unpaged, not_older_than: None };
            (State::Listing { page, previous }, no_event(DriverAction::Next))
        }
        Input::PageDone { version, .. } => match version.filter(|version| !version.is_empty()) {
            Some(version) => {
                let proven = previous.attempt == Attempt::Fresh;
                (
                    State::Watching { version, proven, connection_failures: 0 },
                    emit(Event::InitDone, DriverAction::Next),
                )
            }
            None => (
                State::Start { previous: previous.with_attempt(Attempt::Fresh) },
                emit_error(Failure::NoResourceVersion),
            ),
        },
        // The server cannot list at `not_older_than`: list from storage instead.
        Input::Failed(_, error) if page.not_older_than.is_some() && is_version_unavailable(&error) => {
            let previous = Previous { unavailable: true, ..previous };
            (State::Listing { page: PageRequest::default(), previous }, no_event(DriverAction::Next))
        }
        // The continue token expired during the list. An unpaged list has no token that can expire.
        Input::Failed(_, error) if error.is_gone() && !page.unpaged => (
            State::Listing { page: PageRequest { unpaged: true, ..PageRequest::default() }, previous },
            no_event(DriverAction::Next),
        ),
        Input::Failed(_, error) => (State::Start { previous }, emit_error(Failure::List(error))),
        // These inputs are not possible during a list.
        Input::Changed(_)
        | Input::Deleted(_)
        | Input::Bookmark(_)
        | Input::Dropped(_)
        | Input::Error(..)
        | Input::Ended(_)
        | Input::Stalled
        | Input::Silent
        | Input::Current(_)
        | Input::Ready
        | Input::Undecodable(_) => (State::Start { previous }, no_event(DriverAction::Wait)),
    }
}

/// Handles an input during a streaming list.
fn during_streaming_list(previous: Previous, input: Input) -> (State, Output) {
    match input {
        // Initial events are not ordered by version, so their versions must not advance the resume version.
        Input::Changed(_) => (State::Streaming { previous }, emit(Event::InitApply(()), DriverAction::Read)),
        // An object of the initial events was deleted before the snapshot was complete.
        Input::Deleted(_) => (State::Streaming { previous }, emit(Event::Delete(()), DriverAction::Read)),
        Input::Bookmark(bookmark) if bookmark.ends_initial_events() => {
            let version = bookmark.metadata.resource_version;
            if version.is_empty() {
                return (State::Start { previous }, emit_error(Failure::NoResourceVersion));
            }
            let proven = previous.attempt == Attempt::Fresh;
            (
                State::Watching { version, proven, connection_failures: 0 },
                emit(Event::InitDone, DriverAction::Read),
            )
        }
        Input::Bookmark(_) | Input::Dropped(_) => {
            (State::Streaming { previous }, no_event(DriverAction::Read))
        }
        Input::Error(_, status) if rejects_streaming_lists(&status) => (
            State::Start { previous: previous.with_attempt(Attempt::Fresh) },
            no_event(DriverAction::GiveUpStreaming),
        ),
        Input::Error(_, status) => {
            (after_broken_streaming_list(previous), emit_error(Failure::WatchStatus(status)))
        }
        Input::Failed(Phase::Opening, error) if error.status().is_some_and(rejects_streaming_lists) => (
            State::Start { previous: previous.with_attempt(Attempt::Fresh) },
            no_event(DriverAction::GiveUpStreaming),
        ),
        Input::Failed(Phase::Opening, error) => {
            (State::Start { previous }, emit_error(Failure::WatchStart(error)))
        }
        Input::Failed(Phase::Open | Phase::Healthy, error) => {
            (after_broken_streaming_list(previous), emit_error(Failure::Watch(error)))
        }
        // The server shut down, or a proxy limited the request's duration. The next snapshot may use a streaming list
        // again.
        Input::Ended(_) => {
            (State::Listing { page: PageRequest::default(), previous }, no_event(DriverAction::Next))
        }
        // The `initial-events-end` bookmark did not arrive: the server ignores `sendInitialEvents`, or a proxy drops
        // bookmarks.
        Input::Stalled => (
            State::Start { previous: previous.with_attempt(Attempt::Fresh) },
            no_event(DriverAction::GiveUpStreaming),
        ),
        Input::Item
        | Input::PageDone { .. }
        | Input::Silent
        | Input::Current(_)
        | Input::Ready
        | Input::Undecodable(_) => {
            (State::Start { previous: previous.with_attempt(Attempt::Fresh) }, no_event(DriverAction::Wait))
        }
    }
}

/// The state after a broken streaming list. After the first broken one, the watcher requests another streaming list.
/// After the second, it requests a paged list, whose responses are smaller.
fn after_broken_streaming_list(previous: Previous) -> State {
    match previous.attempt {
        Attempt::Fresh => State::Start { previous: previous.with_attempt(Attempt::Repeated) },
        Attempt::Repeated => State::Listing { page: PageRequest::default(), previous },
    }
}

/// Handles an input during a watch.
fn during_watch(version: String, proven: bool, connection_failures: u8, input: Input) -> (State, Output) {
    match input {
        Input::Changed(seen) => (watching_from(version, seen), emit(Event::Apply(()), DriverAction::Read)),
        Input::Deleted(seen) => (watching_from(version, seen), emit(Event::Delete(()), DriverAction::Read)),
        // A bookmark older than the watch's version shows that the storage was restored to an earlier state.
        Input::Bookmark(bookmark) if is_older(&bookmark.metadata.resource_version, &version) => {
            relist_after_restore(version, bookmark.metadata.resource_version)
        }
        Input::Bookmark(bookmark) => {
            (watching_from(version, Some(bookmark.metadata.resource_version)), no_event(DriverAction::Read))
        }
        // Do not compare `seen` with `version`: objects may arrive in any order of versions, unlike bookmarks.
        Input::Dropped(seen) => (watching_from(version, Some(seen)), no_event(DriverAction::Read)),
        Input::Error(_, status) => {
            let recovery = recovery_from_status(&status);
            after_failure(
                State::Watching { version, proven, connection_failures },
                recovery,
                Failure::WatchStatus(status),
            )
        }
        Input::Failed(phase, error) => {
            let recovery = recovery_from_error(&error);
            let failure =
                if phase == Phase::Opening { Failure::WatchStart(error) } else { Failure::Watch(error) };
            // Load balancers close silent connections. As in client-go, a healthy watch resumes without a wait. If
            // the resumed watch breaks before it counts as healthy, the watcher waits.
            if phase == Phase::Healthy && recovery == Recovery::ResumeLimited {
                let output = Output { then: DriverAction::Next, ..emit_error(failure) };
                return (State::Watching { version, proven, connection_failures: 0 }, output);
            }
            after_failure(State::Watching { version, proven, connection_failures }, recovery, failure)
        }
        Input::Ended(Ending::Brief) => after_failure(
            State::Watching { version, proven, connection_failures },
            Recovery::Relist,
            Failure::TooShort,
        ),
        Input::Ended(Ending::AfterInitialEvents) => {
            (State::Watching { version, proven, connection_failures }, no_event(DriverAction::Next))
        }
        Input::Ended(Ending::Worked) => {
            (State::Watching { version, proven: true, connection_failures: 0 }, no_event(DriverAction::Next))
        }
        Input::Stalled
        | Input::Item
        | Input::PageDone { .. }
        | Input::Silent
        | Input::Current(_)
        | Input::Ready
        | Input::Undecodable(_) => {
            (State::Watching { version, proven, connection_failures }, no_event(DriverAction::Read))
        }
    }
}

/// Applies a [`Recovery`] to a failed watch.
fn after_failure(state: State, recovery: Recovery, failure: Failure) -> (State, Output) {
    let State::Watching { version, proven, connection_failures } = state else {
        return (state, emit_error(failure));
    };
    let previous =
        |version| Previous { attempt: Attempt::Repeated, version: Some(version), unavailable: false };
    match recovery {
        Recovery::Expired => relist_after_expiry(proven, previous(version), failure),
        Recovery::Resume => (State::Watching { version, proven, connection_failures }, emit_error(failure)),
        Recovery::ResumeLimited if connection_failures < MAX_CONNECTION_FAILURES => (
            State::Watching { version, proven, connection_failures: connection_failures + 1 },
            emit_error(failure),
        ),
        Recovery::ResumeLimited | Recovery::Relist => {
            (State::Start { previous: previous(version) }, emit_error(failure))
        }
    }
}

/// Relists because the watch's version has expired or is ahead of the server. Versions often expire during an
/// interruption, and a list repairs this without an error. Emits the failure only if the failed watch was not `proven`
/// (see [`State::Watching`]).
fn relist_after_expiry(proven: bool, previous: Previous, failure: Failure) -> (State, Output) {
    (State::Start { previous }, if proven { no_event(DriverAction::Next) } else { emit_error(failure) })
}

/// Emits the error for an undecodable object, and continues to read the response.
fn after_undecodable(state: State, object: Box<UndecodableObject>) -> (State, Output) {
    // The object was received, so a resumed watch must start after it.
    let state = match (state, &object.resource_version) {
        (State::Watching { .. }, Some(version))
            if object.origin != ObjectOrigin::List && !version.is_empty() =>
        {
            State::Watching { version: version.clone(), proven: true, connection_failures: 0 }
        }
        (state, _) => state,
    };
    (state, Output { event: Some(Err(Failure::Object(object))), then: DriverAction::Read, healthy: false })
}

/// The state of a watch that received an object with the resource version `seen`.
fn watching_from(version: String, seen: Option<String>) -> State {
    let seen = seen.filter(|seen| !seen.is_empty());
    State::Watching { version: seen.unwrap_or(version), proven: true, connection_failures: 0 }
}

/// Whether a status means that the server does not support streaming lists. Other statuses mean a missing permission
/// or a temporary failure.
fn rejects_streaming_lists(status: &Status) -> bool {
    matches!(status.code, 400 | 405 | 406 | 410 | 415 | 422 | 501)
}

/// Whether the server cannot list at the requested version.
fn is_version_unavailable(error: &ClientError) -> bool {
    error.is_gone() || error.status().is_some_and(Status::is_resource_version_too_large)
}

/// Whether both versions are numbers and `version` is older than `than`.
fn is_older(version: &str, than: &str) -> bool {
    let parse = |text: &str| text.parse::<ResourceVersion>();
    matches!((parse(version), parse(than)), (Ok(version), Ok(than)) if version < than)
}

/// The output that emits an event.
fn emit(event: Event<()>, then: DriverAction) -> Output {
    Output { event: Some(Ok(event)), then, healthy: false }
}

/// The output without an event.
fn no_event(then: DriverAction) -> Output {
    Output { event: None, then, healthy: false }
}

/// The output that emits an error and then waits for the backoff.
fn emit_error(failure: Failure) -> Output {
    Output { event: Some(Err(failure)), then: DriverAction::Wait, healthy: false }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
