//! Tests of failed requests and broken watches: whether the watcher waits, and which request follows.

use super::*;

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
fn the_watcher_relists_if_a_watch_from_the_same_version_may_fail_again() {
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
fn the_watcher_relists_after_the_fourth_consecutive_connection_failure() {
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
        || (change_event("5"), "+ read"),
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
fn a_broken_watch_resumes_without_a_wait_only_if_it_was_healthy() {
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
    let healthy = |state: &State, input| step(PAGED_LISTS, state.clone(), input).1.healthy;
    let watching = State::Watching { version: "5".into(), proven: true, connection_failures: 0 };
    assert!(
        healthy(&watching, change_event("6"))
            && healthy(&watching, deletion_event("6"))
            && healthy(&watching, bookmark("6", false))
    );
    assert!(
        healthy(&watching, Input::Ended(Ending::Worked))
            && !healthy(&watching, Input::Ended(Ending::AfterInitialEvents))
    );
    assert!(healthy(&watching, connection_error(Phase::Healthy, TransportKind::Broken)));
    let fails = Input::Error(Phase::Healthy, status(500, reason::INTERNAL_ERROR).boxed());
    assert!(!healthy(&watching, fails), "a list follows, and each may lead to it");
    assert!(!healthy(&watching, bookmark("4", false)), "each list may lead to it");
    assert!(!healthy(&watching, error_event(500, reason::INTERNAL_ERROR)));
    let listing = State::Listing { page: PageRequest::default(), previous: PreviousData::NONE };
    assert!(!healthy(&listing, Input::Item) && !healthy(&listing, end_of_page(None, Some("5"))));
    let streaming = State::Streaming { previous: PreviousData::NONE };
    assert!(!healthy(&streaming, change_event("6")) && !healthy(&streaming, bookmark("6", true)));
}

#[test]
fn the_watcher_falls_back_to_paged_lists_after_two_broken_streaming_lists() {
    for broken in [|| status_error(Phase::Open, 0, ""), || error_event(500, reason::INTERNAL_ERROR)] {
        check_outputs(
            STREAMING_LISTS,
            vec![
                (Input::Ready, "[ stream"),
                (change_event("9"), "= read"),
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
fn the_watcher_backs_off_if_no_watch_can_resume_after_its_initial_events() {
    check_outputs(
        STREAMING_LISTS,
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
fn the_watcher_reports_each_older_bookmark_and_backs_off() {
    check_outputs_of_watch(vec![
        (bookmark("4", false), "! wait"),
        (Input::Ready, "[ list first"),
        (end_of_page(None, Some("5")), "] next"),
        (Input::Ready, "watch 5"),
        (bookmark("4", false), "! wait"),
    ]);
}

#[test]
fn the_watcher_treats_an_empty_version_as_missing() {
    check_outputs_of_watch(vec![
        (bookmark("", false), "read"),
        (change_event(""), "+ read"),
        (Input::Ended(Ending::Worked), "next"),
        (Input::Ready, "watch 5"),
    ]);
    check_outputs(STREAMING_LISTS, vec![(Input::Ready, "[ stream"), (bookmark("", true), "! wait")]);
}

#[test]
fn an_expired_continue_token_leads_to_an_unpaged_list() {
    check_outputs(
        PAGED_LISTS,
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
        PAGED_LISTS,
        vec![
            (Input::Ready, "[ list first"),
            (end_of_page(None, Some("")), "! wait"),
            (Input::Ready, "[ list first"),
        ],
    );
    check_outputs(PAGED_LISTS, vec![(Input::Ready, "[ list first"), (end_of_page(None, None), "! wait")]);
}

#[test]
fn a_failed_list_restarts_at_the_first_page() {
    check_outputs(
        PAGED_LISTS,
        vec![
            (Input::Ready, "[ list first"),
            (Input::Item, "= read"),
            (status_error(Phase::Open, 0, ""), "! wait"),
            (Input::Ready, "[ list first"),
        ],
    );
}
