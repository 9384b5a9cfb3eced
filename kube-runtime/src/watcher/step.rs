//! The decisions of a watcher as a pure function: `(Capabilities, State, Input) -> (State, Output)`.
//!
//! The function performs no IO, reads no clock and receives at most the resource version of a decoded object. The
//! function is total: it returns a result for every state and every input.

mod input;
mod output;
mod recovery;
mod state;
mod watch;

pub(super) use input::{Ending, Input, Phase};
pub(super) use output::{DriverAction, Failure, Output, Request};
pub(super) use state::{Attempt, PageRequest, PreviousData, State};

use super::Event;
use kube_client::Error as ClientError;
use kube_client::core::{ObjectOrigin, ResourceVersion, Status, UndecodableObject};
use recovery::{Recovery, recovery_from_error, recovery_from_status};
use std::time::Duration;
use watch::transition_during_watch;

/// The kinds of lists that the configuration allows, and the times on which the next request depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// Whether the configuration allows streaming lists.
    pub(super) streaming_lists: bool,
    /// Whether a list may come from the server's cache.
    pub(super) cached_lists: bool,
    /// The time since the server last rejected a streaming list, or a streaming list last stalled; `None` if neither has
    /// happened.
    pub(super) refused: Option<Duration>,
    /// The time since the last complete snapshot; `None` before the first one.
    pub(super) synced: Option<Duration>,
}

/// A relist waits for the backoff if less time than this has passed since the last complete snapshot. Without this wait,
/// the watcher would list in a loop if a server sends one event and a 410 after each list.
const MIN_RELIST_INTERVAL: Duration = Duration::from_secs(1);

/// The time for which the watcher uses paged lists after a rejected or stalled streaming list. After this time, the next
/// snapshot uses a streaming list again, because the server may have been upgraded, or a proxy may have
/// changed.
const STREAMING_RETRY_AFTER: Duration = Duration::from_secs(30 * 60);

impl Capabilities {
    /// Whether the next snapshot is requested as a streaming list.
    fn uses_streaming_list(self) -> bool {
        self.streaming_lists && self.refused.is_none_or(|ago| ago >= STREAMING_RETRY_AFTER)
    }
}

/// Returns the next state and the output for an input.
pub(super) fn step(capabilities: Capabilities, state: State, input: Input) -> (State, Output) {
    let watching = matches!(state, State::Watching { .. });
    let was_healthy = watching && was_healthy_until_failure(&input);
    let shows_health = watching && shows_health(&input);
    let (state, output) = transition(capabilities, state, input);
    let healthy = was_healthy || shows_health && matches!(state, State::Watching { .. });
    let relists_too_early = matches!(state, State::Start { .. })
        && capabilities.synced.is_some_and(|ago| ago < MIN_RELIST_INTERVAL);
    let then = match output.then {
        DriverAction::Next if relists_too_early => DriverAction::Wait,
        then => then,
    };
    (state, Output { then, healthy, ..output })
}

/// Whether a failure ended a watch that had been open long enough to count as healthy.
///
/// Returns `false` for a failure that leads to [`Recovery::Relist`]: the failure may recur after each list. If the watch
/// counted as healthy, the watcher would reset the backoff after each list.
fn was_healthy_until_failure(input: &Input) -> bool {
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

/// The next state and the output for an input. [`Output::healthy`] is always `false`: `step` sets it later.
fn transition(capabilities: Capabilities, state: State, input: Input) -> (State, Output) {
    match (state, input) {
        (state, Input::Ready) => next_request(capabilities, state),
        (state, Input::Undecodable(object)) => transition_after_undecodable_object(state, object),
        (state, Input::Silent) => (state, emit_nothing(DriverAction::Probe)),
        (state, Input::Current(current)) => transition_after_probe(state, current),
        (State::Listing { page, previous }, input) => transition_during_list(page, previous, input),
        (State::Streaming { previous }, input) => transition_during_streaming_list(previous, input),
        (State::Watching { version, proven, connection_failures }, input) => {
            transition_during_watch(version, proven, connection_failures, input)
        }
        // In `Start`, no request is in flight, so the driver reports only `Ready`.
        (state @ State::Start { .. }, _) => (state, emit_nothing(DriverAction::Next)),
    }
}

/// Handles the result of the silence probe: relists if the watch's version is ahead of the server. Such a watch
/// receives neither events nor an error until the server reaches that version, and never receives the changes up to
/// that version.
fn transition_after_probe(state: State, current: Option<String>) -> (State, Output) {
    match (state, current) {
        (State::Watching { version, .. }, Some(current)) if is_older(&current, &version) => {
            relist_after_restore(version, current)
        }
        (state, _) => (state, emit_nothing(DriverAction::Read)),
    }
}

/// Relists because the storage was restored to `current`, which is older than `seen`: some received changes no longer
/// exist.
fn relist_after_restore(seen: String, current: String) -> (State, Output) {
    let previous =
        PreviousData { attempt: Attempt::Repeated, version: Some(seen.clone()), unavailable: true };
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
            (State::Listing { page, previous }, emit_nothing(DriverAction::Send(request)))
        }
        State::Watching { version, proven, connection_failures } => {
            let request = Request::Watch { version: version.clone() };
            (
                State::Watching { version, proven, connection_failures },
                emit_nothing(DriverAction::Send(request)),
            )
        }
    }
}

/// Begins a snapshot with the first page of a list.
fn begin_list(capabilities: Capabilities, unpaged: bool, previous: PreviousData) -> (State, Output) {
    let not_older_than =
        if capabilities.cached_lists && !unpaged { previous.oldest_acceptable_version() } else { None };
    let page = PageRequest { token: None, unpaged, not_older_than };
    let request = Request::List(page.clone());
    (State::Listing { page, previous }, emit(Event::Init, DriverAction::Send(request)))
}

/// Handles an input during a list.
fn transition_during_list(page: PageRequest, previous: PreviousData, input: Input) -> (State, Output) {
    match input {
        Input::Item => (State::Listing { page, previous }, emit(Event::InitApply(()), DriverAction::Read)),
        Input::PageDone { continue_token: Some(token), .. } if !token.is_empty() => {
            let page = PageRequest { token: Some(token), unpaged: page.unpaged, not_older_than: None };
            (State::Listing { page, previous }, emit_nothing(DriverAction::Next))
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
            let previous = PreviousData { unavailable: true, ..previous };
            (State::Listing { page: PageRequest::default(), previous }, emit_nothing(DriverAction::Next))
        }
        // The continue token expired during the list. An unpaged list has no token that can expire.
        Input::Failed(_, error) if error.is_gone() && !page.unpaged => (
            State::Listing { page: PageRequest { unpaged: true, ..PageRequest::default() }, previous },
            emit_nothing(DriverAction::Next),
        ),
        Input::Failed(_, error) => (State::Start { previous }, emit_error(Failure::List(error))),
        // `transition` handles `Silent`, `Current`, `Ready` and `Undecodable`. The other inputs of this arm are not
        // possible during a list.
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
        | Input::Undecodable(_) => (State::Start { previous }, emit_nothing(DriverAction::Wait)),
    }
}

/// Handles an input during a streaming list.
fn transition_during_streaming_list(previous: PreviousData, input: Input) -> (State, Output) {
    match input {
        // Initial events are not ordered by version, so a watch must not resume from their versions.
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
            (State::Streaming { previous }, emit_nothing(DriverAction::Read))
        }
        Input::Error(_, status) if rejects_streaming_lists(&status) => (
            State::Start { previous: previous.with_attempt(Attempt::Fresh) },
            emit_nothing(DriverAction::GiveUpStreaming),
        ),
        Input::Error(_, status) => {
            (state_after_broken_streaming_list(previous), emit_error(Failure::WatchStatus(status)))
        }
        Input::Failed(Phase::Opening, error) if error.status().is_some_and(rejects_streaming_lists) => (
            State::Start { previous: previous.with_attempt(Attempt::Fresh) },
            emit_nothing(DriverAction::GiveUpStreaming),
        ),
        Input::Failed(Phase::Opening, error) => {
            (State::Start { previous }, emit_error(Failure::WatchStart(error)))
        }
        Input::Failed(Phase::Open | Phase::Healthy, error) => {
            (state_after_broken_streaming_list(previous), emit_error(Failure::Watch(error)))
        }
        // The server shut down, or a proxy limited the request's duration: use a paged list now. The next snapshot may
        // use a streaming list again.
        Input::Ended(_) => {
            (State::Listing { page: PageRequest::default(), previous }, emit_nothing(DriverAction::Next))
        }
        // The `initial-events-end` bookmark did not arrive: the server ignores `sendInitialEvents`, or a proxy drops
        // bookmarks.
        Input::Stalled => (
            State::Start { previous: previous.with_attempt(Attempt::Fresh) },
            emit_nothing(DriverAction::GiveUpStreaming),
        ),
        Input::Item
        | Input::PageDone { .. }
        | Input::Silent
        | Input::Current(_)
        | Input::Ready
        | Input::Undecodable(_) => (
            State::Start { previous: previous.with_attempt(Attempt::Fresh) },
            emit_nothing(DriverAction::Wait),
        ),
    }
}

/// The state after a broken streaming list. If the attempt was [`Attempt::Fresh`], the watcher requests another streaming
/// list. If the attempt was [`Attempt::Repeated`], the watcher requests a paged list, because a page is smaller.
fn state_after_broken_streaming_list(previous: PreviousData) -> State {
    match previous.attempt {
        Attempt::Fresh => State::Start { previous: previous.with_attempt(Attempt::Repeated) },
        Attempt::Repeated => State::Listing { page: PageRequest::default(), previous },
    }
}

/// Emits the error for an undecodable object, and continues to read the response.
fn transition_after_undecodable_object(state: State, object: Box<UndecodableObject>) -> (State, Output) {
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

/// Whether a status means that the server does not support streaming lists. Other statuses have other causes, for
/// instance a missing permission or a temporary failure.
fn rejects_streaming_lists(status: &Status) -> bool {
    matches!(status.code, 400 | 405 | 406 | 410 | 415 | 422 | 501)
}

/// Whether the error means that the server cannot list at the requested version.
fn is_version_unavailable(error: &ClientError) -> bool {
    error.is_gone() || error.status().is_some_and(Status::is_resource_version_too_large)
}

/// Whether both versions are numbers and `version` is older than `other`.
fn is_older(version: &str, other: &str) -> bool {
    let parse = |text: &str| text.parse::<ResourceVersion>();
    matches!((parse(version), parse(other)), (Ok(version), Ok(other)) if version < other)
}

/// The output that emits an event.
fn emit(event: Event<()>, then: DriverAction) -> Output {
    Output { event: Some(Ok(event)), then, healthy: false }
}

/// The output without an event.
fn emit_nothing(then: DriverAction) -> Output {
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
