//! Table-driven tests of the transitions. A table lists inputs, and the expected output for each input. This
//! file tests how a watcher starts, falls back to paged lists, and relists.

mod failures;
mod versions;

use super::*;
use kube_client::TransportKind;
use kube_client::core::{Bookmark, BookmarkMeta, TypeMeta, reason};

/// The server and the configuration allow streaming lists.
const STREAMING_LISTS: Capabilities =
    Capabilities { streaming_lists: true, cached_lists: false, refused: None, synced: None };
/// The configuration allows only paged lists from storage.
const PAGED_LISTS: Capabilities =
    Capabilities { streaming_lists: false, cached_lists: false, refused: None, synced: None };
/// The configuration allows only paged lists, which may come from the watch cache.
const CACHED_LISTS: Capabilities = Capabilities { cached_lists: true, ..PAGED_LISTS };
/// The state of a new watcher.
const START: State = State::Start { previous: PreviousData::NONE };

/// The event of an added or modified object.
fn change_event(version: &str) -> Input {
    Input::Changed(Some(version.into()))
}

/// The event of a deleted object.
fn deletion_event(version: &str) -> Input {
    Input::Deleted(Some(version.into()))
}

/// A bookmark. If `end` is true, the bookmark ends the initial events.
fn bookmark(version: &str, end: bool) -> Input {
    let annotations = end.then(|| ("k8s.io/initial-events-end".into(), "true".into())).into_iter().collect();
    let metadata = BookmarkMeta { resource_version: version.into(), annotations };
    Input::Bookmark(Bookmark { types: TypeMeta::default(), metadata })
}

fn status(code: u16, why: &str) -> Status {
    Status::failure("because", why).with_code(code)
}

/// A request that failed with this status.
fn status_error(phase: Phase, code: u16, why: &str) -> Input {
    Input::Failed(phase, ClientError::Api(status(code, why).boxed()))
}

/// A request that failed with a connection error.
fn connection_error(phase: Phase, kind: TransportKind) -> Input {
    Input::Failed(phase, ClientError::Transport { kind, what: "a connection".into(), source: None })
}

fn timeout_error() -> ClientError {
    let after = std::time::Duration::from_secs(15);
    ClientError::Timeout { wait: kube_client::Wait::Body, after, what: "a watch".into() }
}

/// The error for a response body that is not JSON.
fn invalid_json_error() -> ClientError {
    ClientError::Decode { what: "a watch".into(), source: "<html>".into() }
}

/// An ERROR event with this status.
fn error_event(code: u16, why: &str) -> Input {
    Input::Error(Phase::Open, status(code, why).boxed())
}

/// The end of a page of a list.
fn end_of_page(token: Option<&str>, version: Option<&str>) -> Input {
    Input::PageDone { continue_token: token.map(Into::into), version: version.map(Into::into) }
}

/// Formats the event and the action of an output. Events: `+` apply, `-` delete, `=` init apply, `[` init, `]` init
/// done, `!` error.
fn format_output(output: &Output) -> String {
    let event = match &output.event {
        None => String::new(),
        Some(Ok(Event::Init)) => "[ ".into(),
        Some(Ok(Event::InitDone)) => "] ".into(),
        Some(Ok(Event::Apply(()))) => "+ ".into(),
        Some(Ok(Event::InitApply(()))) => "= ".into(),
        Some(Ok(Event::Delete(()))) => "- ".into(),
        Some(Err(_)) => "! ".into(),
    };
    let then = match &output.then {
        DriverAction::Send(Request::List(PageRequest { token: None, unpaged: true, .. })) => {
            "list all".into()
        }
        DriverAction::Send(Request::List(PageRequest { not_older_than: Some(version), .. })) => {
            format!("list since {version}")
        }
        DriverAction::Send(Request::List(page)) => {
            format!("list {}", page.token.as_deref().unwrap_or("first"))
        }
        DriverAction::Send(Request::StreamingList) => "stream".into(),
        DriverAction::Send(Request::Watch { version }) => format!("watch {version}"),
        DriverAction::GiveUpStreaming => "give up".into(),
        then => format!("{then:?}").to_lowercase(),
    };
    event + &then
}

/// Passes the inputs to `step` as the driver does, and compares each output. Returns the last state.
#[track_caller]
fn check_outputs(mut capabilities: Capabilities, script: Vec<(Input, &str)>) -> State {
    let mut state = START;
    for (n, (input, expected)) in script.into_iter().enumerate() {
        let (next, output) = step(capabilities, state, input);
        assert_eq!(format_output(&output), expected, "step {n}, now {next:?}");
        if output.then == DriverAction::GiveUpStreaming {
            capabilities.refused = Some(Duration::ZERO);
        }
        state = next;
    }
    state
}

/// Inputs that lead to a watch request from version 5, and the expected outputs.
fn start_of_watch() -> Vec<(Input, &'static str)> {
    vec![(Input::Ready, "[ list first"), (end_of_page(None, Some("5")), "] next"), (Input::Ready, "watch 5")]
}

/// Like [`check_outputs`], but passes the inputs of [`start_of_watch`] before `rest`.
#[track_caller]
fn check_outputs_of_watch(rest: Vec<(Input, &'static str)>) -> State {
    check_outputs(PAGED_LISTS, start_of_watch().into_iter().chain(rest).collect())
}

#[test]
fn the_watcher_requests_each_page_of_a_list_and_then_a_watch() {
    check_outputs(
        PAGED_LISTS,
        vec![
            (Input::Ready, "[ list first"),
            (Input::Item, "= read"),
            (end_of_page(Some("t"), Some("5")), "next"),
            (Input::Ready, "list t"),
            (Input::Item, "= read"),
            (end_of_page(Some(""), Some("5")), "] next"),
            (Input::Ready, "watch 5"),
            (change_event("6"), "+ read"),
            (deletion_event("7"), "- read"),
            (Input::Ended(Ending::Worked), "next"),
            (Input::Ready, "watch 7"),
        ],
    );
}

#[test]
fn the_watcher_uses_a_streaming_list_if_the_server_supports_it() {
    check_outputs(
        STREAMING_LISTS,
        vec![
            (Input::Ready, "[ stream"),
            (change_event("9"), "= read"),
            (bookmark("3", false), "read"),
            (deletion_event("10"), "- read"),
            (bookmark("10", true), "] read"),
            (change_event("11"), "+ read"),
            (Input::Ended(Ending::Worked), "next"),
            (Input::Ready, "watch 11"),
        ],
    );
}

#[test]
fn a_bookmark_ends_the_initial_events_only_if_its_annotation_is_true() {
    let annotated = |key: &str, value: &str| {
        let annotations = [(key.to_owned(), value.to_owned())].into_iter().collect();
        let metadata = BookmarkMeta { resource_version: "4".into(), annotations };
        Input::Bookmark(Bookmark { types: TypeMeta::default(), metadata })
    };
    check_outputs(
        STREAMING_LISTS,
        vec![
            (Input::Ready, "[ stream"),
            (change_event("3"), "= read"),
            (bookmark("4", false), "read"),
            (annotated("k8s.io/initial-events-end", "false"), "read"),
            (annotated("example.com/initial-events-end", "true"), "read"),
            (change_event("2"), "= read"),
            (bookmark("5", true), "] read"),
        ],
    );
}

#[test]
fn the_watcher_falls_back_to_paged_lists_after_a_rejected_or_stalled_streaming_list() {
    let fallbacks = [
        status_error(Phase::Opening, 422, reason::INVALID),
        status_error(Phase::Opening, 400, reason::BAD_REQUEST),
        error_event(422, reason::INVALID),
        Input::Stalled,
    ];
    for input in fallbacks {
        check_outputs(
            STREAMING_LISTS,
            vec![(Input::Ready, "[ stream"), (input, "give up"), (Input::Ready, "[ list first")],
        );
    }
}

#[test]
fn after_an_incomplete_streaming_list_only_the_next_list_is_paged() {
    for ending in [Ending::Brief, Ending::AfterInitialEvents, Ending::Worked] {
        check_outputs(
            STREAMING_LISTS,
            vec![
                (Input::Ready, "[ stream"),
                (Input::Ended(ending), "next"),
                (Input::Ready, "[ list first"),
                (end_of_page(None, Some("5")), "] next"),
                (Input::Ready, "watch 5"),
                (error_event(410, reason::EXPIRED), "next"),
                (Input::Ready, "[ stream"),
            ],
        );
    }
}

#[test]
fn a_streaming_list_is_requested_again_thirty_minutes_after_its_rejection() {
    for (ago, expected) in [(0, "[ list first"), (29 * 60, "[ list first"), (30 * 60, "[ stream")] {
        let capabilities = Capabilities { refused: Some(Duration::from_secs(ago)), ..STREAMING_LISTS };
        check_outputs(capabilities, vec![(Input::Ready, expected)]);
    }
}

#[test]
fn the_watcher_retries_the_streaming_list_after_a_403_404_429_or_500() {
    let failures = [
        status_error(Phase::Opening, 429, reason::TOO_MANY_REQUESTS),
        status_error(Phase::Opening, 403, reason::FORBIDDEN),
        status_error(Phase::Opening, 404, reason::NOT_FOUND),
        status_error(Phase::Open, 500, reason::INTERNAL_ERROR),
        error_event(500, reason::INTERNAL_ERROR),
    ];
    for input in failures {
        check_outputs(
            STREAMING_LISTS,
            vec![(Input::Ready, "[ stream"), (input, "! wait"), (Input::Ready, "[ stream")],
        );
    }
}

#[test]
fn a_410_status_or_a_410_error_event_causes_a_relist() {
    for expired in [
        status_error(Phase::Opening, 410, reason::EXPIRED),
        error_event(410, reason::EXPIRED),
        error_event(410, ""),
    ] {
        check_outputs_of_watch(vec![(expired, "next"), (Input::Ready, "[ list first")]);
    }
}

#[test]
fn the_watcher_reports_a_version_that_expires_again_after_a_relist() {
    check_outputs_of_watch(vec![
        (status_error(Phase::Opening, 410, reason::EXPIRED), "next"),
        (Input::Ready, "[ list first"),
        (end_of_page(None, Some("5")), "] next"),
        (Input::Ready, "watch 5"),
        (status_error(Phase::Opening, 410, reason::EXPIRED), "! wait"),
        (Input::Ready, "[ list first"),
        (end_of_page(None, Some("8")), "] next"),
        (Input::Ready, "watch 8"),
        (change_event("9"), "+ read"),
        (error_event(410, reason::EXPIRED), "next"),
    ]);
}

#[test]
fn the_watcher_relists_if_its_version_is_ahead_of_the_server() {
    let too_large =
        Status::failure("Too large resource version: 9, current: 3", reason::TIMEOUT).with_code(504);
    let input = Input::Failed(Phase::Opening, ClientError::Api(too_large.boxed()));
    check_outputs_of_watch(vec![(input, "next"), (Input::Ready, "[ list first")]);
    check_outputs_of_watch(vec![(bookmark("4", false), "! wait"), (Input::Ready, "[ list first")]);
    check_outputs_of_watch(vec![(bookmark("odd", false), "read")]);
}
