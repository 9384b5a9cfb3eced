//! The decisions of a watcher as a pure function: `(State, Input) -> (State, Output)`.
//!
//! It performs no IO and knows no clock, and sees of objects only their versions. Whatever comes, there is an answer: the
//! function is total.

use super::Event;
use kube_client::core::{Bookmark, ObjectOrigin, ResourceVersion, Status, UndecodableObject};
use kube_client::{Error as ClientError, TransportKind};
use std::time::Duration;

/// Where a watcher stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing is known: the present state has to be fetched.
    Start { past: Past },
    /// A page of a list is asked for or arriving.
    Listing { page: Page, past: Past },
    /// The present state is asked for, or arriving, as events of a watch.
    Streaming { past: Past },
    /// Changes after `version` are asked for or arriving. `proven`: since the last list, this watch has shown that it works.
    /// `cuts`: how many watches in a row the connection has failed, without a healthy one between them.
    Watching { version: String, proven: bool, cuts: u8 },
}

impl State {
    /// The version up to which every change has been seen: during a relist, that of the state before it.
    pub(super) fn version(&self) -> Option<&str> {
        match self {
            Self::Watching { version, .. } => Some(version),
            Self::Start { past } | Self::Listing { past, .. } | Self::Streaming { past } => {
                past.version.as_deref()
            }
        }
    }
}

/// What there was before the present state is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Past {
    pub(super) progress: Progress,
    /// The version up to which every change has been seen; `None` until a state has been complete.
    pub(super) version: Option<String>,
    /// Whether a server cannot list from that version on: it has expired, or is ahead of the server.
    pub(super) unavailable: bool,
}

impl Past {
    /// Nothing has been seen.
    pub(super) const NONE: Self = Self { progress: Progress::Fresh, version: None, unavailable: false };

    fn with(self, progress: Progress) -> Self {
        Self { progress, ..self }
    }

    /// The version that a list from the server's cache must not be older than, as in client-go's reflectors: any for the first
    /// list, the last one for a relist, and `None`, which is the storage's own, where that one is unavailable.
    fn not_older_than(&self) -> Option<String> {
        match &self.version {
            _ if self.unavailable => None,
            Some(version) => Some(version.clone()),
            None => Some("0".to_owned()),
        }
    }
}

/// Whether the present state was fetched in vain just before, so that one more failure has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Fresh,
    Repeated,
}

/// Which page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// Where it begins; `None` for the first.
    pub(super) token: Option<String>,
    /// The whole list in one answer, since paging has failed.
    pub(super) whole: bool,
    /// The version that the answer must not be older than; `None` for what the storage holds.
    pub(super) not_older_than: Option<String>,
}

/// What can be relied upon in this watcher's server and configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Abilities {
    /// Whether the present state is asked for as a stream.
    pub(super) streaming_lists: bool,
    /// Whether a list may come from the server's cache.
    pub(super) cached_lists: bool,
    /// How long ago the server last refused a streaming list or did not complete one; `None` if it never has.
    pub(super) refused: Option<Duration>,
}

/// For how long no streaming list is asked for after a refusal or a stall. A server that was upgraded, or a proxy that was
/// changed, is noticed after that.
const REFUSAL: Duration = Duration::from_secs(30 * 60);

impl Abilities {
    /// Whether the next present state is asked for as a stream.
    fn streams(self) -> bool {
        self.streaming_lists && self.refused.is_none_or(|ago| ago >= REFUSAL)
    }
}

/// What has happened.
pub(super) enum Input {
    /// The driver is ready to send a request.
    Ready,
    /// An item of a list.
    Item,
    /// A page is complete.
    PageDone { continue_token: Option<String>, version: Option<String> },
    /// An object is new or has changed; its version.
    Changed(Option<String>),
    /// An object is gone; the version at which it went.
    Gone(Option<String>),
    /// Nothing has happened up to a version.
    Bookmark(Bookmark),
    /// A filter dropped an event; the version of its object.
    Dropped(String),
    /// The server ends a watch with an error.
    Error(Phase, Box<Status>),
    /// An object of a list or a watch does not decode.
    Undecodable(Box<UndecodableObject>),
    /// The request could not be opened, or its body broke.
    Failed(Phase, ClientError),
    /// The server has ended a watch.
    Ended(Ending),
    /// Nothing has come for longer than a healthy server needs to send its present state.
    Stalled,
    /// Neither an event nor a bookmark has come for several bookmark intervals.
    Quiet,
    /// The current version of the server, if it could be read.
    Current(Option<String>),
}

/// What there was of a watch before the server ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nothing: it ended at once, and without an event.
    Brief,
    /// The present state and nothing after it, which does not show that changes would come.
    AfterState,
    /// Changes, or enough time for them.
    Worked,
}

/// How far a request had come when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Opening,
    Open,
    /// A watch had been open for long enough to count as healthy.
    Healthy,
}

/// How many watches in a row may lose their connection before the watcher relists: a failure that repeats may be caused by the
/// resource version.
const MAX_CUTS: u8 = 3;

/// What the failure of a watch means for the version that it started from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The server cannot serve anyone at present: a list would fail too, or add to its load.
    Keep,
    /// The connection failed, which happens to healthy watches too.
    Cut,
    /// The server says that the version is of no use.
    Gone,
    /// Anything else: the watch may fail in the same way each time it starts from this version.
    Relist,
}

/// What to tell the user, and what to do next.
#[derive(Debug)]
pub(super) struct Output {
    /// About the object that the input was about.
    pub(super) event: Option<Result<Event<()>, Failure>>,
    pub(super) then: Then,
    /// Whether a watch has shown that the server is healthy, so that the waits after failures start over.
    pub(super) healthy: bool,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Then {
    /// Read on.
    Read,
    /// Send this request.
    Send(Request),
    /// Drop the response, if there is one, and ask for the next request at once.
    Next,
    /// Drop the response, if there is one, and ask for the next request after a wait.
    Wait,
    /// Read on, and read the current version of the server meanwhile.
    Probe,
    /// As `Next`, and remember the time: no streaming list is asked for until a while has passed.
    GiveUpStreaming,
}

/// A request to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    List(Page),
    StreamingList,
    Watch { version: String },
}

/// What went wrong, before it is given the name of the resource.
#[derive(Debug)]
pub(super) enum Failure {
    List(ClientError),
    WatchStart(ClientError),
    WatchStatus(Box<Status>),
    Watch(ClientError),
    TooShort,
    NoResourceVersion,
    Restored { seen: String, current: String },
    Object(Box<UndecodableObject>),
}

/// The next state, and what follows from the input.
pub(super) fn step(abilities: Abilities, state: State, input: Input) -> (State, Output) {
    let watching = matches!(state, State::Watching { .. });
    let (lived, works) = (watching && lived(&input), watching && works(&input));
    let (state, output) = decide(abilities, state, input);
    let healthy = lived || works && matches!(state, State::Watching { .. });
    (state, Output { healthy, ..output })
}

/// Whether the watch was open for so long that what ends it cannot come often.
///
/// A failure that leads to a relist does not count: it may come after each list, and lists burden the server.
fn lived(input: &Input) -> bool {
    match input {
        Input::Failed(Phase::Healthy, error) => verdict_of_error(error) != Verdict::Relist,
        Input::Error(Phase::Healthy, status) => verdict_of_status(status) != Verdict::Relist,
        _ => false,
    }
}

/// Whether an input of an open watch shows that it works, unless it leads to a relist: that may repeat.
fn works(input: &Input) -> bool {
    matches!(
        input,
        Input::Changed(_)
            | Input::Gone(_)
            | Input::Bookmark(_)
            | Input::Dropped(_)
            | Input::Ended(Ending::Worked)
    )
}

fn decide(abilities: Abilities, state: State, input: Input) -> (State, Output) {
    match (state, input) {
        (state, Input::Ready) => ready(abilities, state),
        (state, Input::Undecodable(object)) => undecodable(state, object),
        (state, Input::Quiet) => (state, quiet(Then::Probe)),
        (state, Input::Current(current)) => probed(state, current),
        (State::Listing { page, past }, input) => listing(page, past, input),
        (State::Streaming { past }, input) => streaming(past, input),
        (State::Watching { version, proven, cuts }, input) => watching(version, proven, cuts, input),
        // Nothing has been sent, so that nothing can arrive.
        (state @ State::Start { .. }, _) => (state, quiet(Then::Next)),
    }
}

/// A watch from a version that is ahead of the server brings nothing, and no error either, until the server gets there: what
/// changes up to then is never sent.
fn probed(state: State, current: Option<String>) -> (State, Output) {
    match (state, current) {
        (State::Watching { version, .. }, Some(current)) if is_older(&current, &version) => {
            restored(version, current)
        }
        (state, _) => (state, quiet(Then::Read)),
    }
}

/// The storage was restored to `current`, an earlier version than `seen`: what was seen since then has not happened.
fn restored(seen: String, current: String) -> (State, Output) {
    let past = Past { progress: Progress::Repeated, version: Some(seen.clone()), unavailable: true };
    (State::Start { past }, failed(Failure::Restored { seen, current }))
}

/// Which request comes next.
fn ready(abilities: Abilities, state: State) -> (State, Output) {
    match state {
        State::Start { past } | State::Streaming { past } if abilities.streams() => {
            (State::Streaming { past }, said(Event::Init, Then::Send(Request::StreamingList)))
        }
        State::Start { past } | State::Streaming { past } => begin_list(abilities, false, past),
        State::Listing { page, past } if page.token.is_none() => begin_list(abilities, page.whole, past),
        State::Listing { page, past } => {
            let request = Request::List(page.clone());
            (State::Listing { page, past }, quiet(Then::Send(request)))
        }
        State::Watching { version, proven, cuts } => {
            let request = Request::Watch { version: version.clone() };
            (State::Watching { version, proven, cuts }, quiet(Then::Send(request)))
        }
    }
}

/// The first page of a list begins the present state anew.
fn begin_list(abilities: Abilities, whole: bool, past: Past) -> (State, Output) {
    let not_older_than = if abilities.cached_lists && !whole { past.not_older_than() } else { None };
    let page = Page { token: None, whole, not_older_than };
    let request = Request::List(page.clone());
    (State::Listing { page, past }, said(Event::Init, Then::Send(request)))
}

fn listing(page: Page, past: Past, input: Input) -> (State, Output) {
    match input {
        Input::Item => (State::Listing { page, past }, said(Event::InitApply(()), Then::Read)),
        Input::PageDone { continue_token: Some(token), .. } if !token.is_empty() => {
            let page = Page { token: Some(token), whole: page.whole, not_older_than: None };
            (State::Listing { page, past }, quiet(Then::Next))
        }
        Input::PageDone { version, .. } => match version.filter(|version| !version.is_empty()) {
            Some(version) => {
                let proven = past.progress == Progress::Fresh;
                (State::Watching { version, proven, cuts: 0 }, said(Event::InitDone, Then::Next))
            }
            None => (State::Start { past: past.with(Progress::Fresh) }, failed(Failure::NoResourceVersion)),
        },
        // The version that the list was not to be older than.
        Input::Failed(_, error) if page.not_older_than.is_some() && is_unavailable(&error) => {
            let past = Past { unavailable: true, ..past };
            (State::Listing { page: Page::default(), past }, quiet(Then::Next))
        }
        // A token that has expired in the middle of a list: without pages there is none that could.
        Input::Failed(_, error) if error.is_gone() && !page.whole => {
            (State::Listing { page: Page { whole: true, ..Page::default() }, past }, quiet(Then::Next))
        }
        Input::Failed(_, error) => (State::Start { past }, failed(Failure::List(error))),
        // No list brings these.
        Input::Changed(_)
        | Input::Gone(_)
        | Input::Bookmark(_)
        | Input::Dropped(_)
        | Input::Error(..)
        | Input::Ended(_)
        | Input::Stalled
        | Input::Quiet
        | Input::Current(_)
        | Input::Ready
        | Input::Undecodable(_) => (State::Start { past }, quiet(Then::Wait)),
    }
}

fn streaming(past: Past, input: Input) -> (State, Output) {
    match input {
        // The objects come in any order: their versions say nothing about what is complete.
        Input::Changed(_) => (State::Streaming { past }, said(Event::InitApply(()), Then::Read)),
        // It was sent before, and went away before the state was complete.
        Input::Gone(_) => (State::Streaming { past }, said(Event::Delete(()), Then::Read)),
        Input::Bookmark(bookmark) if bookmark.ends_initial_events() => {
            let version = bookmark.metadata.resource_version;
            if version.is_empty() {
                return (State::Start { past }, failed(Failure::NoResourceVersion));
            }
            let proven = past.progress == Progress::Fresh;
            (State::Watching { version, proven, cuts: 0 }, said(Event::InitDone, Then::Read))
        }
        Input::Bookmark(_) | Input::Dropped(_) => (State::Streaming { past }, quiet(Then::Read)),
        Input::Error(_, status) if refuses_streaming(&status) => {
            (State::Start { past: past.with(Progress::Fresh) }, quiet(Then::GiveUpStreaming))
        }
        Input::Error(_, status) => (interrupted(past), failed(Failure::WatchStatus(status))),
        Input::Failed(Phase::Opening, error) if error.status().is_some_and(refuses_streaming) => {
            (State::Start { past: past.with(Progress::Fresh) }, quiet(Then::GiveUpStreaming))
        }
        Input::Failed(Phase::Opening, error) => (State::Start { past }, failed(Failure::WatchStart(error))),
        Input::Failed(Phase::Open | Phase::Healthy, error) => {
            (interrupted(past), failed(Failure::Watch(error)))
        }
        // A server that shuts down, or a proxy that limits the time of a request: the next present state may arrive as a stream.
        Input::Ended(_) => (State::Listing { page: Page::default(), past }, quiet(Then::Next)),
        // The state was never completed: a server that does not know the parameter, or a proxy that drops bookmarks.
        Input::Stalled => (State::Start { past: past.with(Progress::Fresh) }, quiet(Then::GiveUpStreaming)),
        Input::Item
        | Input::PageDone { .. }
        | Input::Quiet
        | Input::Current(_)
        | Input::Ready
        | Input::Undecodable(_) => (State::Start { past: past.with(Progress::Fresh) }, quiet(Then::Wait)),
    }
}

/// What comes after a stream that broke: another, and where that has broken too, a list, whose pages are each less to get
/// through.
fn interrupted(past: Past) -> State {
    match past.progress {
        Progress::Fresh => State::Start { past: past.with(Progress::Repeated) },
        Progress::Repeated => State::Listing { page: Page::default(), past },
    }
}

fn watching(version: String, proven: bool, cuts: u8, input: Input) -> (State, Output) {
    match input {
        Input::Changed(seen) => (advanced(version, seen), said(Event::Apply(()), Then::Read)),
        Input::Gone(seen) => (advanced(version, seen), said(Event::Delete(()), Then::Read)),
        // A storage that was put back to an older state: what we hold has not happened.
        Input::Bookmark(bookmark) if is_older(&bookmark.metadata.resource_version, &version) => {
            restored(version, bookmark.metadata.resource_version)
        }
        Input::Bookmark(bookmark) => {
            (advanced(version, Some(bookmark.metadata.resource_version)), quiet(Then::Read))
        }
        // The versions of a collection's objects need not be in order: only the server's own bookmarks are compared.
        Input::Dropped(seen) => (advanced(version, Some(seen)), quiet(Then::Read)),
        Input::Error(_, status) => {
            let verdict = verdict_of_status(&status);
            let state = State::Watching { version, proven, cuts };
            after_failure(state, verdict, Failure::WatchStatus(status))
        }
        Input::Failed(phase, error) => {
            let verdict = verdict_of_error(&error);
            let failure =
                if phase == Phase::Opening { Failure::WatchStart(error) } else { Failure::Watch(error) };
            // Load balancers do this to silent watches. As in client-go, the next one is opened without a wait; it has to be
            // open for as long before that happens again.
            if phase == Phase::Healthy && verdict == Verdict::Cut {
                let output = Output { then: Then::Next, ..failed(failure) };
                return (State::Watching { version, proven, cuts: 0 }, output);
            }
            after_failure(State::Watching { version, proven, cuts }, verdict, failure)
        }
        Input::Ended(Ending::Brief) => {
            let state = State::Watching { version, proven, cuts };
            after_failure(state, Verdict::Relist, Failure::TooShort)
        }
        Input::Ended(Ending::AfterState) => (State::Watching { version, proven, cuts }, quiet(Then::Next)),
        Input::Ended(Ending::Worked) => {
            (State::Watching { version, proven: true, cuts: 0 }, quiet(Then::Next))
        }
        Input::Stalled
        | Input::Item
        | Input::PageDone { .. }
        | Input::Quiet
        | Input::Current(_)
        | Input::Ready
        | Input::Undecodable(_) => (State::Watching { version, proven, cuts }, quiet(Then::Read)),
    }
}

/// The one rule of what follows when a watch fails.
fn after_failure(state: State, verdict: Verdict, failure: Failure) -> (State, Output) {
    let State::Watching { version, proven, cuts } = state else { return (state, failed(failure)) };
    let past = |version| Past { progress: Progress::Repeated, version: Some(version), unavailable: false };
    match verdict {
        Verdict::Gone => relist(proven, past(version), failure),
        Verdict::Keep => (State::Watching { version, proven, cuts }, failed(failure)),
        Verdict::Cut if cuts < MAX_CUTS => {
            (State::Watching { version, proven, cuts: cuts + 1 }, failed(failure))
        }
        Verdict::Cut | Verdict::Relist => (State::Start { past: past(version) }, failed(failure)),
    }
}

fn verdict_of_error(error: &ClientError) -> Verdict {
    match error {
        ClientError::Api(status) => verdict_of_status(status),
        ClientError::Transport { kind: TransportKind::Connect, .. } => Verdict::Keep,
        ClientError::Transport { .. } | ClientError::Timeout { .. } => Verdict::Cut,
        _ => Verdict::Relist,
    }
}

fn verdict_of_status(status: &Status) -> Verdict {
    if status.is_gone() || status.is_resource_version_too_large() {
        Verdict::Gone
    } else if status.is_too_many_requests() {
        Verdict::Keep
    } else {
        Verdict::Relist
    }
}

/// The version is too old, or not one of this server's. That happens to every watch that was away for a while, and a list
/// mends it; where the list before has not, the server is in trouble, and its user is told.
fn relist(proven: bool, past: Past, failure: Failure) -> (State, Output) {
    (State::Start { past }, if proven { quiet(Then::Next) } else { failed(failure) })
}

fn undecodable(state: State, object: Box<UndecodableObject>) -> (State, Output) {
    // It has been seen, so that a watch that resumes need not see it again.
    let state = match (state, &object.resource_version) {
        (State::Watching { .. }, Some(version))
            if object.origin != ObjectOrigin::List && !version.is_empty() =>
        {
            State::Watching { version: version.clone(), proven: true, cuts: 0 }
        }
        (state, _) => state,
    };
    (state, Output { event: Some(Err(Failure::Object(object))), then: Then::Read, healthy: false })
}

fn advanced(version: String, seen: Option<String>) -> State {
    let seen = seen.filter(|seen| !seen.is_empty());
    State::Watching { version: seen.unwrap_or(version), proven: true, cuts: 0 }
}

/// Whether a server says that it cannot send its present state as a stream, rather than that the caller may not watch or
/// that it cannot answer at present.
fn refuses_streaming(status: &Status) -> bool {
    matches!(status.code, 400 | 405 | 406 | 410 | 415 | 422 | 501)
}

/// Whether a list from the cache cannot be had at the version that was asked for.
fn is_unavailable(error: &ClientError) -> bool {
    error.is_gone() || error.status().is_some_and(Status::is_resource_version_too_large)
}

fn is_older(version: &str, than: &str) -> bool {
    let parse = |text: &str| text.parse::<ResourceVersion>();
    matches!((parse(version), parse(than)), (Ok(version), Ok(than)) if version < than)
}

fn said(event: Event<()>, then: Then) -> Output {
    Output { event: Some(Ok(event)), then, healthy: false }
}

fn quiet(then: Then) -> Output {
    Output { event: None, then, healthy: false }
}

fn failed(failure: Failure) -> Output {
    Output { event: Some(Err(failure)), then: Then::Wait, healthy: false }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
