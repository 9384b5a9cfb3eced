//! The decisions of a watcher, as tables of inputs and what follows from each.

use super::*;
use kube_client::core::{BookmarkMeta, TypeMeta, reason};

const STREAMING: Abilities = Abilities { streaming_lists: true, cached_lists: false, refused: None };
const LISTS: Abilities = Abilities { streaming_lists: false, cached_lists: false, refused: None };
const CACHED: Abilities = Abilities { cached_lists: true, ..LISTS };
const START: State = State::Start { past: Past::NONE };

fn changed(version: &str) -> Input {
    Input::Changed(Some(version.into()))
}

fn gone(version: &str) -> Input {
    Input::Gone(Some(version.into()))
}

fn bookmark(version: &str, end: bool) -> Input {
    let annotations = end.then(|| ("k8s.io/initial-events-end".into(), "true".into())).into_iter().collect();
    let metadata = BookmarkMeta { resource_version: version.into(), annotations };
    Input::Bookmark(Bookmark { types: TypeMeta::default(), metadata })
}

fn status(code: u16, why: &str) -> Status {
    Status::failure("because", why).with_code(code)
}

fn refused(phase: Phase, code: u16, why: &str) -> Input {
    Input::Failed(phase, ClientError::Api(status(code, why).boxed()))
}

fn transport(phase: Phase, kind: TransportKind) -> Input {
    Input::Failed(phase, ClientError::Transport { kind, what: "a connection".into(), source: None })
}

fn timeout() -> ClientError {
    let after = std::time::Duration::from_secs(15);
    ClientError::Timeout { wait: kube_client::Wait::Body, after, what: "a watch".into() }
}

fn not_json() -> ClientError {
    ClientError::Decode { what: "a watch".into(), source: "<html>".into() }
}

fn in_stream(code: u16, why: &str) -> Input {
    Input::Error(Phase::Open, status(code, why).boxed())
}

fn page(token: Option<&str>, version: Option<&str>) -> Input {
    Input::PageDone { continue_token: token.map(Into::into), version: version.map(Into::into) }
}

/// What an output says, in short: `+` for an apply, `!` for an error, and what is next.
fn short(output: &Output) -> String {
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
        Then::Send(Request::List(Page { token: None, whole: true, .. })) => "list all".into(),
        Then::Send(Request::List(Page { not_older_than: Some(version), .. })) => {
            format!("list since {version}")
        }
        Then::Send(Request::List(page)) => format!("list {}", page.token.as_deref().unwrap_or("first")),
        Then::Send(Request::StreamingList) => "stream".into(),
        Then::Send(Request::Watch { version }) => format!("watch {version}"),
        Then::GiveUpStreaming => "give up".into(),
        then => format!("{then:?}").to_lowercase(),
    };
    event + &then
}

/// Runs inputs through `step`, as the driver would, and compares what each leads to.
#[track_caller]
fn check(mut abilities: Abilities, script: Vec<(Input, &str)>) -> State {
    let mut state = START;
    for (n, (input, expected)) in script.into_iter().enumerate() {
        let (next, output) = step(abilities, state, input);
        assert_eq!(short(&output), expected, "step {n}, now {next:?}");
        if output.then == Then::GiveUpStreaming {
            abilities.refused = Some(Duration::ZERO);
        }
        state = next;
    }
    state
}

/// Up to a watch from version 5 that has proved that it works.
fn watching() -> Vec<(Input, &'static str)> {
    vec![(Input::Ready, "[ list first"), (page(None, Some("5")), "] next"), (Input::Ready, "watch 5")]
}

#[track_caller]
fn check_watching(rest: Vec<(Input, &'static str)>) -> State {
    check(LISTS, watching().into_iter().chain(rest).collect())
}

#[test]
fn lists_page_by_page_then_watches() {
    check(
        LISTS,
        vec![
            (Input::Ready, "[ list first"),
            (Input::Item, "= read"),
            (page(Some("t"), Some("5")), "next"),
            (Input::Ready, "list t"),
            (Input::Item, "= read"),
            (page(Some(""), Some("5")), "] next"),
            (Input::Ready, "watch 5"),
            (changed("6"), "+ read"),
            (gone("7"), "- read"),
            (Input::Ended(Ending::Worked), "next"),
            (Input::Ready, "watch 7"),
        ],
    );
}

#[test]
fn streams_the_present_state_where_the_server_offers_it() {
    check(
        STREAMING,
        vec![
            (Input::Ready, "[ stream"),
            (changed("9"), "= read"),
            (bookmark("3", false), "read"),
            (gone("10"), "- read"),
            (bookmark("10", true), "] read"),
            (changed("11"), "+ read"),
            (Input::Ended(Ending::Worked), "next"),
            (Input::Ready, "watch 11"),
        ],
    );
}

#[test]
fn falls_back_to_lists_where_streaming_is_refused_or_stalls() {
    let fallbacks = [
        refused(Phase::Opening, 422, reason::INVALID),
        refused(Phase::Opening, 400, reason::BAD_REQUEST),
        in_stream(422, reason::INVALID),
        Input::Stalled,
    ];
    for input in fallbacks {
        check(
            STREAMING,
            vec![(Input::Ready, "[ stream"), (input, "give up"), (Input::Ready, "[ list first")],
        );
    }
}

#[test]
fn a_stream_that_ends_before_its_state_is_complete_is_replaced_by_a_list_this_time_only() {
    for ending in [Ending::Brief, Ending::AfterState, Ending::Worked] {
        check(
            STREAMING,
            vec![
                (Input::Ready, "[ stream"),
                (Input::Ended(ending), "next"),
                (Input::Ready, "[ list first"),
                (page(None, Some("5")), "] next"),
                (Input::Ready, "watch 5"),
                (in_stream(410, reason::EXPIRED), "next"),
                (Input::Ready, "[ stream"),
            ],
        );
    }
}

#[test]
fn a_refused_stream_is_asked_for_again_after_half_an_hour() {
    for (ago, expected) in [(0, "[ list first"), (29 * 60, "[ list first"), (30 * 60, "[ stream")] {
        let abilities = Abilities { refused: Some(Duration::from_secs(ago)), ..STREAMING };
        check(abilities, vec![(Input::Ready, expected)]);
    }
}

#[test]
fn keeps_streaming_after_passing_trouble() {
    let trouble = [
        refused(Phase::Opening, 429, reason::TOO_MANY_REQUESTS),
        refused(Phase::Opening, 403, reason::FORBIDDEN),
        refused(Phase::Opening, 404, reason::NOT_FOUND),
        refused(Phase::Open, 500, reason::INTERNAL_ERROR),
        in_stream(500, reason::INTERNAL_ERROR),
    ];
    for input in trouble {
        check(STREAMING, vec![(Input::Ready, "[ stream"), (input, "! wait"), (Input::Ready, "[ stream")]);
    }
}

#[test]
fn relists_after_gone_as_status_and_inside_the_stream() {
    for gone in
        [refused(Phase::Opening, 410, reason::EXPIRED), in_stream(410, reason::EXPIRED), in_stream(410, "")]
    {
        check_watching(vec![(gone, "next"), (Input::Ready, "[ list first")]);
    }
}

#[test]
fn says_so_when_a_list_did_not_mend_gone() {
    check_watching(vec![
        (refused(Phase::Opening, 410, reason::EXPIRED), "next"),
        (Input::Ready, "[ list first"),
        (page(None, Some("5")), "] next"),
        (Input::Ready, "watch 5"),
        (refused(Phase::Opening, 410, reason::EXPIRED), "! wait"),
        (Input::Ready, "[ list first"),
        (page(None, Some("8")), "] next"),
        (Input::Ready, "watch 8"),
        (changed("9"), "+ read"),
        (in_stream(410, reason::EXPIRED), "next"),
    ]);
}

#[test]
fn a_version_ahead_of_the_server_or_a_storage_put_back_leads_to_a_list() {
    let too_large =
        Status::failure("Too large resource version: 9, current: 3", reason::TIMEOUT).with_code(504);
    let input = Input::Failed(Phase::Opening, ClientError::Api(too_large.boxed()));
    check_watching(vec![(input, "next"), (Input::Ready, "[ list first")]);
    check_watching(vec![(bookmark("4", false), "! wait"), (Input::Ready, "[ list first")]);
    check_watching(vec![(bookmark("odd", false), "read")]);
}

#[test]
fn a_watch_that_is_refused_for_load_or_finds_no_server_keeps_its_version() {
    let failures = [
        || refused(Phase::Opening, 429, reason::TOO_MANY_REQUESTS),
        || in_stream(429, reason::TOO_MANY_REQUESTS),
        || transport(Phase::Opening, TransportKind::Connect),
    ];
    for failure in failures {
        let mut script = vec![(bookmark("6", false), "read")];
        for _ in 0..9 {
            script.extend([(failure(), "! wait"), (Input::Ready, "watch 6")]);
        }
        check_watching(script);
    }
}

#[test]
fn a_watch_relists_after_any_failure_that_may_repeat_from_its_version() {
    let failures = [
        refused(Phase::Opening, 400, reason::BAD_REQUEST),
        refused(Phase::Opening, 422, reason::INVALID),
        refused(Phase::Opening, 500, reason::INTERNAL_ERROR),
        refused(Phase::Opening, 403, reason::FORBIDDEN),
        in_stream(500, reason::INTERNAL_ERROR),
        in_stream(500, "StorageReadError"),
        Input::Failed(Phase::Open, not_json()),
        Input::Ended(Ending::Brief),
    ];
    for input in failures {
        check_watching(vec![(input, "! wait"), (Input::Ready, "[ list first")]);
    }
}

#[test]
fn a_watch_relists_after_the_connection_has_failed_it_more_than_three_times_in_a_row() {
    let failures = [
        || transport(Phase::Open, TransportKind::Broken),
        || transport(Phase::Opening, TransportKind::Resolve),
        || transport(Phase::Opening, TransportKind::Tls),
        || Input::Failed(Phase::Open, timeout()),
    ];
    for failure in failures {
        let mut script = Vec::new();
        for _ in 0..3 {
            script.extend([(failure(), "! wait"), (Input::Ready, "watch 5")]);
        }
        script.extend([(failure(), "! wait"), (Input::Ready, "[ list first")]);
        check_watching(script);
    }
}

#[test]
fn a_healthy_watch_resets_the_count_of_failed_connections() {
    let cut = || transport(Phase::Open, TransportKind::Broken);
    let health = [
        || (changed("5"), "+ read"),
        || (bookmark("5", false), "read"),
        || (Input::Ended(Ending::Worked), "next"),
        || (transport(Phase::Healthy, TransportKind::Broken), "! next"),
    ];
    for healthy in health {
        let mut script = Vec::new();
        for _ in 0..4 {
            script.extend([(cut(), "! wait"), (Input::Ready, "watch 5"), (cut(), "! wait")]);
            script.extend([(Input::Ready, "watch 5"), healthy(), (Input::Ready, "watch 5")]);
        }
        check_watching(script);
    }
}

#[test]
fn a_watch_that_is_cut_after_a_long_time_resumes_without_a_wait_and_one_that_is_cut_soon_waits() {
    let cut = |phase| transport(phase, TransportKind::Broken);
    let healthy = Input::Failed(Phase::Healthy, not_json());
    check_watching(vec![
        (cut(Phase::Healthy), "! next"),
        (Input::Ready, "watch 5"),
        (cut(Phase::Healthy), "! next"),
        (Input::Ready, "watch 5"),
        (cut(Phase::Open), "! wait"),
        (Input::Ready, "watch 5"),
        (cut(Phase::Opening), "! wait"),
        (Input::Ready, "watch 5"),
        // It may fail in the same way after each list.
        (healthy, "! wait"),
        (Input::Ready, "[ list first"),
    ]);
}

#[test]
fn the_waits_start_over_after_health_and_not_after_a_list() {
    let after = |state: &State, input| step(LISTS, state.clone(), input).1.healthy;
    let watching = State::Watching { version: "5".into(), proven: true, cuts: 0 };
    assert!(
        after(&watching, changed("6"))
            && after(&watching, gone("6"))
            && after(&watching, bookmark("6", false))
    );
    assert!(
        after(&watching, Input::Ended(Ending::Worked)) && !after(&watching, Input::Ended(Ending::AfterState))
    );
    assert!(after(&watching, transport(Phase::Healthy, TransportKind::Broken)));
    let fails = Input::Error(Phase::Healthy, status(500, reason::INTERNAL_ERROR).boxed());
    assert!(!after(&watching, fails), "a list follows, and each may lead to it");
    assert!(!after(&watching, bookmark("4", false)), "each list may lead to it");
    assert!(!after(&watching, in_stream(500, reason::INTERNAL_ERROR)));
    let listing = State::Listing { page: Page::default(), past: Past::NONE };
    assert!(!after(&listing, Input::Item) && !after(&listing, page(None, Some("5"))));
    let streaming = State::Streaming { past: Past::NONE };
    assert!(!after(&streaming, changed("6")) && !after(&streaming, bookmark("6", true)));
}

#[test]
fn a_stream_that_keeps_breaking_gives_way_to_pages() {
    for broken in [|| refused(Phase::Open, 0, ""), || in_stream(500, reason::INTERNAL_ERROR)] {
        check(
            STREAMING,
            vec![
                (Input::Ready, "[ stream"),
                (changed("9"), "= read"),
                (broken(), "! wait"),
                (Input::Ready, "[ stream"),
                (broken(), "! wait"),
                (Input::Ready, "[ list first"),
                (page(None, Some("5")), "] next"),
                (Input::Ready, "watch 5"),
            ],
        );
    }
}

#[test]
fn a_server_that_ends_every_watch_after_the_state_and_cannot_resume_is_waited_for() {
    check(
        STREAMING,
        vec![
            (Input::Ready, "[ stream"),
            (bookmark("5", true), "] read"),
            (Input::Ended(Ending::AfterState), "next"),
            (Input::Ready, "watch 5"),
            (refused(Phase::Opening, 410, reason::EXPIRED), "next"),
            (Input::Ready, "[ stream"),
            (bookmark("6", true), "] read"),
            (Input::Ended(Ending::AfterState), "next"),
            (Input::Ready, "watch 6"),
            (refused(Phase::Opening, 410, reason::EXPIRED), "! wait"),
        ],
    );
}

#[test]
fn bookmarks_that_always_lie_back_are_told_and_waited_for() {
    check_watching(vec![
        (bookmark("4", false), "! wait"),
        (Input::Ready, "[ list first"),
        (page(None, Some("5")), "] next"),
        (Input::Ready, "watch 5"),
        (bookmark("4", false), "! wait"),
    ]);
}

#[test]
fn an_empty_version_is_none() {
    check_watching(vec![
        (bookmark("", false), "read"),
        (changed(""), "+ read"),
        (Input::Ended(Ending::Worked), "next"),
        (Input::Ready, "watch 5"),
    ]);
    check(STREAMING, vec![(Input::Ready, "[ stream"), (bookmark("", true), "! wait")]);
}

#[test]
fn an_expired_page_leads_to_one_list_without_pages() {
    check(
        LISTS,
        vec![
            (Input::Ready, "[ list first"),
            (page(Some("t"), Some("5")), "next"),
            (Input::Ready, "list t"),
            (refused(Phase::Opening, 410, reason::EXPIRED), "next"),
            (Input::Ready, "[ list all"),
            (refused(Phase::Opening, 410, reason::EXPIRED), "! wait"),
            (Input::Ready, "[ list first"),
        ],
    );
}

#[test]
fn a_list_without_a_version_is_an_error() {
    check(
        LISTS,
        vec![
            (Input::Ready, "[ list first"),
            (page(None, Some("")), "! wait"),
            (Input::Ready, "[ list first"),
        ],
    );
    check(LISTS, vec![(Input::Ready, "[ list first"), (page(None, None), "! wait")]);
}

#[test]
fn a_failed_list_begins_anew() {
    check(
        LISTS,
        vec![
            (Input::Ready, "[ list first"),
            (Input::Item, "= read"),
            (refused(Phase::Open, 0, ""), "! wait"),
            (Input::Ready, "[ list first"),
        ],
    );
}

#[test]
fn a_relist_from_the_cache_is_never_older_than_what_was_seen() {
    check(
        CACHED,
        vec![
            (Input::Ready, "[ list since 0"),
            (page(Some("t"), None), "next"),
            (Input::Ready, "list t"),
            (page(None, Some("5")), "] next"),
            (Input::Ready, "watch 5"),
            (changed("7"), "+ read"),
            (in_stream(410, reason::EXPIRED), "next"),
            (Input::Ready, "[ list since 7"),
            (refused(Phase::Opening, 500, reason::INTERNAL_ERROR), "! wait"),
            (Input::Ready, "[ list since 7"),
            (page(None, Some("9")), "] next"),
            (Input::Ready, "watch 9"),
        ],
    );
}

#[test]
fn a_list_from_the_cache_at_an_unavailable_version_is_replaced_by_one_from_the_storage() {
    let too_large = || {
        let status = Status::failure("Too large resource version: 9, current: 3", reason::TIMEOUT);
        Input::Failed(Phase::Opening, ClientError::Api(status.with_code(504).boxed()))
    };
    for unavailable in [too_large(), refused(Phase::Opening, 410, reason::EXPIRED)] {
        check(
            CACHED,
            vec![
                (Input::Ready, "[ list since 0"),
                (page(None, Some("5")), "] next"),
                (Input::Ready, "watch 5"),
                (in_stream(500, reason::INTERNAL_ERROR), "! wait"),
                (Input::Ready, "[ list since 5"),
                (unavailable, "next"),
                (Input::Ready, "[ list first"),
                (page(None, Some("3")), "] next"),
                (Input::Ready, "watch 3"),
                (in_stream(410, reason::EXPIRED), "! wait"),
                (Input::Ready, "[ list since 3"),
            ],
        );
    }
    // The server's own bookmark shows that the version is ahead of it.
    check(
        CACHED,
        vec![
            (Input::Ready, "[ list since 0"),
            (page(None, Some("5")), "] next"),
            (Input::Ready, "watch 5"),
            (bookmark("4", false), "! wait"),
            (Input::Ready, "[ list first"),
        ],
    );
}

#[test]
fn the_version_of_the_state_before_stays_known_during_a_relist() {
    for abilities in [LISTS, STREAMING] {
        let mut state = State::Watching { version: "5".into(), proven: true, cuts: 0 };
        for input in
            [in_stream(410, reason::EXPIRED), Input::Ready, Input::Ended(Ending::Brief), Input::Ready]
        {
            state = step(abilities, state, input).0;
            assert_eq!(state.version(), Some("5"), "{state:?}");
        }
    }
}

#[test]
fn a_current_version_that_is_older_than_what_was_seen_leads_to_a_list_from_the_storage() {
    let current = |version: Option<&str>| Input::Current(version.map(Into::into));
    for same in [None, Some("5"), Some("6"), Some("odd"), Some("")] {
        check_watching(vec![(Input::Quiet, "probe"), (current(same), "read"), (changed("6"), "+ read")]);
    }
    let restored = || vec![(Input::Quiet, "probe"), (current(Some("4")), "! wait")];
    check_watching(restored().into_iter().chain([(Input::Ready, "[ list first")]).collect());
    let begin =
        vec![(Input::Ready, "[ list since 0"), (page(None, Some("5")), "] next"), (Input::Ready, "watch 5")];
    check(CACHED, begin.into_iter().chain(restored()).chain([(Input::Ready, "[ list first")]).collect());
}

#[test]
fn a_dropped_event_advances_the_version_whatever_it_is_and_is_no_bookmark() {
    check_watching(vec![
        (changed("57"), "+ read"),
        (Input::Dropped("40".into()), "read"),
        (Input::Ended(Ending::Worked), "next"),
        (Input::Ready, "watch 40"),
    ]);
}
