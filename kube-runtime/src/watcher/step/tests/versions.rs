//! Tests of resource versions: the version from which a list or a watch starts, and older versions, which can
//! mean that the storage was restored.

use super::*;

#[test]
fn a_relist_from_the_watch_cache_is_not_older_than_the_last_received_version() {
    check_outputs(
        CACHED_LISTS,
        vec![
            (Input::Ready, "[ list since 0"),
            (end_of_page(Some("t"), None), "next"),
            (Input::Ready, "list t"),
            (end_of_page(None, Some("5")), "] next"),
            (Input::Ready, "watch 5"),
            (change_event("7"), "+ read"),
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
fn the_watcher_requests_a_list_from_storage_if_the_watch_cache_lacks_the_version() {
    let too_large = || {
        let status = Status::failure("Too large resource version: 9, current: 3", reason::TIMEOUT);
        Input::Failed(Phase::Opening, ClientError::Api(status.with_code(504).boxed()))
    };
    for unavailable in [too_large(), status_error(Phase::Opening, 410, reason::EXPIRED)] {
        check_outputs(
            CACHED_LISTS,
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
    // An older bookmark shows that the watch's version is ahead of the server.
    check_outputs(
        CACHED_LISTS,
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
fn a_relist_keeps_the_last_received_version() {
    for capabilities in [PAGED_LISTS, STREAMING_LISTS] {
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
fn a_probe_that_reads_an_older_version_leads_to_a_list_from_storage() {
    let current = |version: Option<&str>| Input::Current(version.map(Into::into));
    for same in [None, Some("5"), Some("6"), Some("odd"), Some("")] {
        check_outputs_of_watch(vec![
            (Input::Silent, "probe"),
            (current(same), "read"),
            (change_event("6"), "+ read"),
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
        CACHED_LISTS,
        begin.into_iter().chain(restored()).chain([(Input::Ready, "[ list first")]).collect(),
    );
}

#[test]
fn a_dropped_event_with_a_lower_version_does_not_cause_a_relist() {
    check_outputs_of_watch(vec![
        (change_event("57"), "+ read"),
        (Input::Dropped("40".into()), "read"),
        (Input::Ended(Ending::Worked), "next"),
        (Input::Ready, "watch 40"),
    ]);
}

#[test]
fn a_relist_directly_after_a_snapshot_waits() {
    let next_after = |milliseconds: Option<u64>| {
        let capabilities =
            Capabilities { synced: milliseconds.map(Duration::from_millis), ..STREAMING_LISTS };
        let state = State::Watching { version: "5".into(), proven: true, connection_failures: 0 };
        step(capabilities, state, error_event(410, reason::EXPIRED)).1.then
    };
    assert_eq!(next_after(None), DriverAction::Next);
    assert_eq!(next_after(Some(999)), DriverAction::Wait);
    assert_eq!(next_after(Some(1000)), DriverAction::Next);
}
