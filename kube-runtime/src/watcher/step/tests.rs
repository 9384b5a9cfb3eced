//! Table tests of the transitions: inputs and the expected output of each.

use super::*;
use kube_client::TransportKind;
use kube_client::core::{Bookmark, BookmarkMeta, TypeMeta, reason};

/// The server and the configuration allow streaming lists.
const STREAMING: Capabilities =
    Capabilities { streaming_lists: true, cached_lists: false, refused: None, synced: None };
/// The configuration allows only paged lists from storage.
const LISTS: Capabilities =
    Capabilities { streaming_lists: false, cached_lists: false, refused: None, synced: None };
/// The configuration allows only paged lists, which may come from the watch cache.
const CACHED: Capabilities = Capabilities { cached_lists: true, ..LISTS };
/// The state of a new watcher.
const START: State = State::Start { previous: Previous::NONE };

/// The event of an added or modified object.
fn changed(version: &str) -> Input {
    Input::Changed(Some(version.into()))
}

/// The event of a deleted object.
fn deleted(version: &str) -> Input {
    Input::Deleted(Some(version.into()))
}

/// A bookmark; `end` is whether it ends the initial events.
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

/// As [`check_outputs`], for inputs that follow the inputs of [`start_of_watch`].
#[track_caller]
fn check_outputs_of_watch(rest: Vec<(Input, &'static str)>) -> State {
    check_outputs(LISTS, start_of_watch().into_iter().chain(rest).collect())
}

#[test]
fn lists_page_by_page_then_watches() {
    check_outputs(
        LISTS,
        vec![
            (Input::Ready, "[ list first"),
            (Input::Item, "= read"),
            (end_of_page(Some("t"), Some("5")), "next"),
            (Input::Ready, "list t"),
            (Input::Item, "= read"),
            (end_of_page(Some(""), Some("5")), "] next"),
            (Input::Ready, "watch 5"),
            (changed("6"), "+ read"),
            (deleted("7"), "- read"),
            (Input::Ended(Ending::Worked), "next"),
            (Input::Ready, "watch 7"),
        ],
    );
}

#[test]
fn uses_a_streaming_list_if_the_server_supports_it() {
    check_outputs(
        STREAMING,
        vec![
            (Input::Ready, "[ stream"),
            (changed("9"), "= read"),
            (bookmark("3", false), "read"),
            (deleted("10"), "- read"),
            (bookmark("10", true), "] read"),
            (changed("11"), "+ read"),
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
        STREAMING,
        vec![
            (Input::Ready, "[ stream"),
            (changed("3"), "= read"),
            (bookmark("4", false), "read"),
            (annotated("k8s.io/initial-events-end", "false"), "read"),
            (annotated("example.com/initial-events-end", "true"), "read"),
            (changed("2"), "= read"),
            (bookmark("5", true), "] read"),
        ],
    );
}

#[test]
fn falls_back_to_paged_lists_after_a_rejected_or_stalled_streaming_list() {
    let fallbacks = [
        status_error(Phase::Opening, 422, reason::INVALID),
        status_error(Phase::Opening, 400, reason::BAD_REQUEST),
        error_event(422, reason::INVALID),
        Input::Stalled,
    ];
    for input in fallbacks {
        check_outputs(
            STREAMING,
            vec![(Input::Ready, "[ stream"), (input, "give up"), (Input::Ready, "[ list first")],
        );
    }
}

#[test]
fn an_incomplete_streaming_list_falls_back_to_a_paged_list_once() {
    for ending in [Ending::Brief, Ending::AfterInitialEvents, Ending::Worked] {
        check_outputs(
            STREAMING,
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
fn requests_a_streaming_list_again_thirty_minutes_after_its_rejection() {
    for (ago, expected) in [(0, "[ list first"), (29 * 60, "[ list first"), (30 * 60, "[ stream")] {
        let capabilities = Capabilities { refused: Some(Duration::from_secs(ago)), ..STREAMING };
        check_outputs(capabilities, vec![(Input::Ready, expected)]);
    }
}

#[test]
fn retries_the_streaming_list_after_a_temporary_failure() {
    let failures = [
        status_error(Phase::Opening, 429, reason::TOO_MANY_REQUESTS),
        status_error(Phase::Opening, 403, reason::FORBIDDEN),
        status_error(Phase::Opening, 404, reason::NOT_FOUND),
        status_error(Phase::Open, 500, reason::INTERNAL_ERROR),
        error_event(500, reason::INTERNAL_ERROR),
    ];
    for input in failures {
        check_outputs(
            STREAMING,
            vec![(Input::Ready, "[ stream"), (input, "! wait"), (Input::Ready, "[ stream")],
        );
    }
}

#[test]
fn relists_after_an_expired_version_in_the_response_or_in_the_stream() {
    for expired in [
        status_error(Phase::Opening, 410, reason::EXPIRED),
        error_event(410, reason::EXPIRED),
        error_event(410, ""),
    ] {
        check_outputs_of_watch(vec![(expired, "next"), (Input::Ready, "[ list first")]);
    }
}

#[test]
fn reports_a_version_that_expires_again_after_a_relist() {
    check_outputs_of_watch(vec![
        (status_error(Phase::Opening, 410, reason::EXPIRED), "next"),
        (Input::Ready, "[ list first"),
        (end_of_page(None, Some("5")), "] next"),
        (Input::Ready, "watch 5"),
        (status_error(Phase::Opening, 410, reason::EXPIRED), "! wait"),
        (Input::Ready, "[ list first"),
        (end_of_page(None, Some("8")), "] next"),
        (Input::Ready, "watch 8"),
        (changed("9"), "+ read"),
        (error_event(410, reason::EXPIRED), "next"),
    ]);
}

#[test]
fn relists_if_the_version_is_ahead_of_the_server_or_the_storage_was_restored() {
    let too_large =
        Status::failure("Too large resource version: 9, current: 3", reason::TIMEOUT).with_code(504);
    let input = Input::Failed(Phase::Opening, ClientError::Api(too_large.boxed()));
    check_outputs_of_watch(vec![(input, "next"), (Input::Ready, "[ list first")]);
    check_outputs_of_watch(vec![(bookmark("4", false), "! wait"), (Input::Ready, "[ list first")]);
    check_outputs_of_watch(vec![(bookmark("odd", false), "read")]);
}

#[test]
fn a_watch_resumes_from_its_version_after_throttling_or_a_failed_connection() {
    let failures = [
        || status_error(Phase::Opening, 429, reason::TOO_MANY_REQUESTS),
        || error_event(429, reason::TOO_MANY_REQUESTS),
        || connection_error(Phase::Opening, TransportKind::Connect),
    ];
    for failure in failures {
        let mut script = vec![(bookmark("6", false), "read")];
        for _ in 0..9 {
            script.extend([(failure(), "! wait"), (Input::Ready, "watch 6")]);
        }
        check_outputs_of_watch(script);
    }
}

#[test]
fn relists_after_a_failure_that_may_repeat_from_the_same_version() {
    let failures = [
        status_error(Phase::Opening, 400, reason::BAD_REQUEST),
        status_error(Phase::Opening, 422, reason::INVALID),
        status_error(Phase::Opening, 500, reason::INTERNAL_ERROR),
        status_error(Phase::Opening, 403, reason::FORBIDDEN),
        error_event(500, reason::INTERNAL_ERROR),
        error_event(500, "StorageReadError"),
        Input::Failed(Phase::Open, invalid_json_error()),
        Input::Ended(Ending::Brief),
    ];
    for input in failures {
        check_outputs_of_watch(vec![(input, "! wait"), (Input::Ready, "[ list first")]);
    }
}

#[test]
fn relists_after_the_fourth_consecutive_connection_failure() {
    let failures = [
        || connection_error(Phase::Open, TransportKind::Broken),
        || connection_error(Phase::Opening, TransportKind::Resolve),
        || connection_error(Phase::Opening, TransportKind::Tls),
        || Input::Failed(Phase::Open, timeout_error()),
    ];
    for failure in failures {
        let mut script = Vec::new();
        for _ in 0..3 {
            script.extend([(failure(), "! wait"), (Input::Ready, "watch 5")]);
        }
        script.extend([(failure(), "! wait"), (Input::Ready, "[ list first")]);
        check_outputs_of_watch(script);
    }
}

#[test]
fn a_healthy_watch_resets_the_count_of_failed_connections() {
    let cut = || connection_error(Phase::Open, TransportKind::Broken);
    let health = [
        || (changed("5"), "+ read"),
        || (bookmark("5", false), "read"),
        || (Input::Ended(Ending::Worked), "next"),
        || (connection_error(Phase::Healthy, TransportKind::Broken), "! next"),
    ];
    for healthy in health {
        let mut script = Vec::new();
        for _ in 0..4 {
            script.extend([(cut(), "! wait"), (Input::Ready, "watch 5"), (cut(), "! wait")]);
            script.extend([(Input::Ready, "watch 5"), healthy(), (Input::Ready, "watch 5")]);
        }
        check_outputs_of_watch(script);
    }
}

#[test]
fn resumes_immediately_after_a_healthy_watch_breaks_and_after_the_backoff_otherwise() {
    let cut = |phase| connection_error(phase, TransportKind::Broken);
    let healthy = Input::Failed(Phase::Healthy, invalid_json_error());
    check_outputs_of_watch(vec![
        (cut(Phase::Healthy), "! next"),
        (Input::Ready, "watch 5"),
        (cut(Phase::Healthy), "! next"),
        (Input::Ready, "watch 5"),
        (cut(Phase::Open), "! wait"),
        (Input::Ready, "watch 5"),
        (cut(Phase::Opening), "! wait"),
        (Input::Ready, "watch 5"),
        // The failure may recur after each list, so the watcher waits.
        (healthy, "! wait"),
        (Input::Ready, "[ list first"),
    ]);
}

#[test]
fn a_healthy_watch_resets_the_backoff_and_a_list_does_not() {
    let after = |state: &State, input| step(LISTS, state.clone(), input).1.healthy;
    let watching = State::Watching { version: "5".into(), proven: true, connection_failures: 0 };
    assert!(
        after(&watching, changed("6"))
            && after(&watching, deleted("6"))
            && after(&watching, bookmark("6", false))
    );
    assert!(
        after(&watching, Input::Ended(Ending::Worked))
            && !after(&watching, Input::Ended(Ending::AfterInitialEvents))
    );
    assert!(after(&watching, connection_error(Phase::Healthy, TransportKind::Broken)));
    let fails = Input::Error(Phase::Healthy, status(500, reason::INTERNAL_ERROR).boxed());
    assert!(!after(&watching, fails), "a list follows, and each may lead to it");
    assert!(!after(&watching, bookmark("4", false)), "each list may lead to it");
    assert!(!after(&watching, error_event(500, reason::INTERNAL_ERROR)));
    let listing = State::Listing { page: PageRequest::default(), previous: Previous::NONE };
    assert!(!after(&listing, Input::Item) && !after(&listing, end_of_page(None, Some("5"))));
    let streaming = State::Streaming { previous: Previous::NONE };
    assert!(!after(&streaming, changed("6")) && !after(&streaming, bookmark("6", true)));
}

#[test]
fn falls_back_to_paged_lists_after_two_broken_streaming_lists() {
    for broken in [|| status_error(Phase::Open, 0, ""), || error_event(500, reason::INTERNAL_ERROR)] {
        check_outputs(
            STREAMING,
            vec![
                (Input::Ready, "[ stream"),
                (changed("9"), "= read"),
                (broken(), "! wait"),
                (Input::Ready, "[ stream"),
                (broken(), "! wait"),
                (Input::Ready, "[ list first"),
                (end_of_page(None, Some("5")), "] next"),
                (Input::Ready, "watch 5"),
            ],
        );
    }
}

#[test]
fn backs_off_if_every_watch_ends_after_the_initial_events_and_cannot_resume() {
    check_outputs(
        STREAMING,
        vec![
            (Input::Ready, "[ stream"),
            (bookmark("5", true), "] read"),
            (Input::Ended(Ending::AfterInitialEvents), "next"),
            (Input::Ready, "watch 5"),
            (status_error(Phase::Opening, 410, reason::EXPIRED), "next"),
            (Input::Ready, "[ stream"),
            (bookmark("6", true), "] read"),
            (Input::Ended(Ending::AfterInitialEvents), "next"),
            (Input::Ready, "watch 6"),
            (status_error(Phase::Opening, 410, reason::EXPIRED), "! wait"),
        ],
    );
}

#[test]
fn reports_repeated_older_bookmarks_and_backs_off() {
    check_outputs_of_watch(vec![
        (bookmark("4", false), "! wait"),
        (Input::Ready, "[ list first"),
        (end_of_page(None, Some("5")), "] next"),
        (Input::Ready, "watch 5"),
        (bookmark("4", false), "! wait"),
    ]);
}

#[test]
fn treats_an_empty_version_as_missing() {
    check_outputs_of_watch(vec![
        (bookmark("", false), "read"),
        (changed(""), "+ read"),
        (Input::Ended(Ending::Worked), "next"),
        (Input::Ready, "watch 5"),
    ]);
    check_outputs(STREAMING, vec![(Input::Ready, "[ stream"), (bookmark("", true), "! wait")]);
}

#[test]
fn an_expired_continue_token_leads_to_an_unpaged_list() {
    check_outputs(
        LISTS,
        vec![
            (Input::Ready, "[ list first"),
            (end_of_page(Some("t"), Some("5")), "next"),
            (Input::Ready, "list t"),
            (status_error(Phase::Opening, 410, reason::EXPIRED), "next"),
            (Input::Ready, "[ list all"),
            (status_error(Phase::Opening, 410, reason::EXPIRED), "! wait"),
            (Input::Ready, "[ list first"),
        ],
    );
}

#[test]
fn a_list_without_a_version_is_an_error() {
    check_outputs(
        LISTS,
        vec![
            (Input::Ready, "[ list first"),
            (end_of_page(None, Some("")), "! wait"),
            (Input::Ready, "[ list first"),
        ],
    );
    check_outputs(LISTS, vec![(Input::Ready, "[ list first"), (end_of_page(None, None), "! wait")]);
}

#[test]
fn a_failed_list_restarts_at_the_first_page() {
    check_outputs(
        LISTS,
        vec![
            (Input::Ready, "[ list first"),
            (Input::Item, "= read"),
            (status_error(Phase::Open, 0, ""), "! wait"),
            (Input::Ready, "[ list first"),
        ],
    );
}

#[test]
fn a_relist_from_the_watch_cache_is_not_older_than_the_last_received_version() {
    check_outputs(
        CACHED,
        vec![
            (Input::Ready, "[ list since 0"),
            (end_of_page(Some("t"), None), "next"),
            (Input::Ready, "list t"),
            (end_of_page(None, Some("5")), "] next"),
            (Input::Ready, "watch 5"),
            (changed("7"), "+ read"),
            (error_event(410, reason::EXPIRED), "next"),
            (Input::Ready, "[ list since 7"),
            (status_error(Phase::Opening, 500, reason::INTERNAL_ERROR), "! wait"),
            (Input::Ready, "[ list since 7"),
            (end_of_page(None, Some("9")), "] next"),
            (Input::Ready, "watch 9"),
        ],
    );
}

#[test]
fn lists_from_storage_if_the_watch_cache_lacks_the_version() {
    let too_large = || {
        let status = Status::failure("Too large resource version: 9, current: 3", reason::TIMEOUT);
        Input::Failed(Phase::Opening, ClientError::Api(status.with_code(504).boxed()))
    };
    for unavailable in [too_large(), status_error(Phase::Opening, 410, reason::EXPIRED)] {
        check_outputs(
            CACHED,
            vec![
                (Input::Ready, "[ list since 0"),
                (end_of_page(None, Some("5")), "] next"),
                (Input::Ready, "watch 5"),
                (error_event(500, reason::INTERNAL_ERROR), "! wait"),
                (Input::Ready, "[ list since 5"),
                (unavailable, "next"),
                (Input::Ready, "[ list first"),
                (end_of_page(None, Some("3")), "] next"),
                (Input::Ready, "watch 3"),
                (error_event(410, reason::EXPIRED), "! wait"),
                (Input::Ready, "[ list since 3"),
            ],
        );
    }
    // An older bookmark shows that the version is ahead of the server.
    check_outputs(
        CACHED,
        vec![
            (Input::Ready, "[ list since 0"),
            (end_of_page(None, Some("5")), "] next"),
            (Input::Ready, "watch 5"),
            (bookmark("4", false), "! wait"),
            (Input::Ready, "[ list first"),
        ],
    );
}

#[test]
fn keeps_the_last_received_version_during_a_relist() {
    for capabilities in [LISTS, STREAMING] {
        let mut state = State::Watching { version: "5".into(), proven: true, connection_failures: 0 };
        for input in
            [error_event(410, reason::EXPIRED), Input::Ready, Input::Ended(Ending::Brief), Input::Ready]
        {
            state = step(capabilities, state, input).0;
            assert_eq!(state.version(), Some("5"), "{state:?}");
        }
    }
}

#[test]
fn an_older_current_version_leads_to_a_list_from_storage() {
    let current = |version: Option<&str>| Input::Current(version.map(Into::into));
    for same in [None, Some("5"), Some("6"), Some("odd"), Some("")] {
        check_outputs_of_watch(vec![
            (Input::Silent, "probe"),
            (current(same), "read"),
            (changed("6"), "+ read"),
        ]);
    }
    let restored = || vec![(Input::Silent, "probe"), (current(Some("4")), "! wait")];
    check_outputs_of_watch(restored().into_iter().chain([(Input::Ready, "[ list first")]).collect());
    let begin = vec![
        (Input::Ready, "[ list since 0"),
        (end_of_page(None, Some("5")), "] next"),
        (Input::Ready, "watch 5"),
    ];
    check_outputs(
        CACHED,
        begin.into_iter().chain(restored()).chain([(Input::Ready, "[ list first")]).collect(),
    );
}

#[test]
fn the_version_of_a_dropped_event_may_be_lower_and_does_not_mean_a_restored_storage() {
    check_outputs_of_watch(vec![
        (changed("57"), "+ read"),
        (Input::Dropped("40".into()), "read"),
        (Input::Ended(Ending::Worked), "next"),
        (Input::Ready, "watch 40"),
    ]);
}

#[test]
fn a_relist_directly_after_a_snapshot_waits() {
    let next_after = |milliseconds: Option<u64>| {
        let capabilities = Capabilities { synced: milliseconds.map(Duration::from_millis), ..STREAMING };
        let state = State::Watching { version: "5".into(), proven: true, connection_failures: 0 };
        step(capabilities, state, error_event(410, reason::EXPIRED)).1.then
    };
    assert_eq!(next_after(None), DriverAction::Next);
    assert_eq!(next_after(Some(999)), DriverAction::Wait);
    assert_eq!(next_after(Some(1000)), DriverAction::Next);
}
