//! The transitions during a watch, and the recovery after its failures.

use super::recovery::{MAX_CONNECTION_FAILURES, Recovery, recovery_from_error, recovery_from_status};
use super::{
    Attempt, DriverAction, Ending, Failure, Input, Output, Phase, PreviousData, State, emit, emit_error,
    emit_nothing, is_older, relist_after_restore,
};
use crate::watcher::Event;

/// Handles an input during a watch.
pub(super) fn transition_during_watch(
    version: String,
    proven: bool,
    connection_failures: u8,
    input: Input,
) -> (State, Output) {
    match input {
        Input::Changed(seen) => (watching_state(version, seen), emit(Event::Apply(()), DriverAction::Read)),
        Input::Deleted(seen) => (watching_state(version, seen), emit(Event::Delete(()), DriverAction::Read)),
        // A bookmark older than the watch's version shows that the storage was restored to an earlier state.
        Input::Bookmark(bookmark) if is_older(&bookmark.metadata.resource_version, &version) => {
            relist_after_restore(version, bookmark.metadata.resource_version)
        }
        Input::Bookmark(bookmark) => (
            watching_state(version, Some(bookmark.metadata.resource_version)),
            emit_nothing(DriverAction::Read),
        ),
        // Do not compare `seen` with `version`: objects may arrive in any order of versions, unlike bookmarks.
        Input::Dropped(seen) => (watching_state(version, Some(seen)), emit_nothing(DriverAction::Read)),
        Input::Error(_, status) => {
            let recovery = recovery_from_status(&status);
            transition_after_failure(
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
            transition_after_failure(
                State::Watching { version, proven, connection_failures },
                recovery,
                failure,
            )
        }
        Input::Ended(Ending::Brief) => transition_after_failure(
            State::Watching { version, proven, connection_failures },
            Recovery::Relist,
            Failure::TooShort,
        ),
        Input::Ended(Ending::AfterInitialEvents) => {
            (State::Watching { version, proven, connection_failures }, emit_nothing(DriverAction::Next))
        }
        Input::Ended(Ending::Worked) => (
            State::Watching { version, proven: true, connection_failures: 0 },
            emit_nothing(DriverAction::Next),
        ),
        Input::Stalled
        | Input::Item
        | Input::PageDone { .. }
        | Input::Silent
        | Input::Current(_)
        | Input::Ready
        | Input::Undecodable(_) => {
            (State::Watching { version, proven, connection_failures }, emit_nothing(DriverAction::Read))
        }
    }
}

/// Applies a [`Recovery`] to a failed watch.
fn transition_after_failure(state: State, recovery: Recovery, failure: Failure) -> (State, Output) {
    let State::Watching { version, proven, connection_failures } = state else {
        return (state, emit_error(failure));
    };
    let previous =
        |version| PreviousData { attempt: Attempt::Repeated, version: Some(version), unavailable: false };
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

/// Relists because the watch's version has expired or is ahead of the server. Emits no error if the failed watch was
/// `proven` (see [`State::Watching`]): versions often expire during an interruption, and a list suffices to recover.
fn relist_after_expiry(proven: bool, previous: PreviousData, failure: Failure) -> (State, Output) {
    (State::Start { previous }, if proven { emit_nothing(DriverAction::Next) } else { emit_error(failure) })
}

/// The state of a watch after an event or a bookmark with the resource version `seen`. If `seen` is missing or empty,
/// the watch keeps `version`.
fn watching_state(version: String, seen: Option<String>) -> State {
    let seen = seen.filter(|seen| !seen.is_empty());
    State::Watching { version: seen.unwrap_or(version), proven: true, connection_failures: 0 }
}
