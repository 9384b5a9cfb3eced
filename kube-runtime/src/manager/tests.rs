//! Tests of the status page, and of the warnings of shared informers.

use super::page::{ElectionState, PageContent, render};
use super::parts::log_failures;
use crate::controller::{Inspection, RunningKey};
use crate::informer::{Health, InformerEnd};
use crate::reflector::Overview;
use crate::watcher;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

fn overview() -> Overview {
    Overview { is_ready: true, objects: 3, bytes: Some(4096), version: Some("77".into()), silent_for: None }
}

fn inspection() -> Inspection {
    Inspection { ready: 4, delayed: 5, stuck: None, running: Vec::new(), closed_gates: Vec::new() }
}

#[test]
fn the_page_shows_the_lease_and_all_caches_and_controllers() {
    let running = |key: &str, seconds, is_stuck| RunningKey {
        key: key.into(),
        elapsed: Duration::from_secs(seconds),
        is_stuck,
    };
    let waiting = Inspection {
        stuck: Some("ns/waits".into()),
        running: vec![running("ns/hangs", 700, true), running("ns/works", 2, false)],
        closed_gates: vec!["leadership".into()],
        ..inspection()
    };
    let incomplete =
        Overview { is_ready: false, version: None, silent_for: Some(Duration::from_secs(9)), ..overview() };
    let page = render(&PageContent {
        lease: Some(ElectionState { name: "operator".into(), identity: "pod_1".into(), is_leader: true }),
        caches: vec![("/api/v1/pods".into(), overview()), ("site".into(), incomplete)],
        controllers: vec![("site".into(), Some(waiting)), ("blocked".into(), None)],
    });
    for part in [
        "operator: <b class=ok>leader</b>, as pod_1",
        "<td>/api/v1/pods<td class=n>3<td class=n>4096<td class=n>77<td class=n>–<td class=ok>complete",
        "<td class=n>9 s ago<td class=bad>first list is not complete",
        "4 ready, 5 delayed; 2 running",
        "Waiting for: leadership.",
        "<p class=bad>Stuck in the queue: ns/waits",
        "<tr><td>ns/hangs<td class=n>700 s<td class=bad>stuck",
        "<tr><td>ns/works<td class=n>2 s<td></tr>",
        "<h3>blocked</h3>\n<p class=bad>The controller does not answer",
        "prefers-color-scheme: dark",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(!page.contains("<script"), "{page}");
}

#[test]
fn the_page_escapes_names() {
    let name = "<img src=x onerror=\"a('b')\">&";
    let page = render(&PageContent {
        lease: Some(ElectionState { name: name.into(), identity: name.into(), is_leader: false }),
        caches: vec![(name.into(), Overview { version: Some(name.into()), ..overview() })],
        controllers: vec![(name.into(), Some(Inspection { stuck: Some(name.into()), ..inspection() }))],
    });
    let escaped = "&lt;img src=x onerror=&quot;a(&#39;b&#39;)&quot;&gt;&amp;";
    assert!(!page.contains("<img"), "{page}");
    assert_eq!(page.matches(escaped).count(), 6, "{page}");
}

#[test]
fn the_page_shows_at_most_50_running_objects_of_a_controller() {
    let key = RunningKey { key: "a".into(), elapsed: Duration::ZERO, is_stuck: false };
    let running = Inspection { running: vec![key; 70], ..inspection() };
    let page = render(&PageContent {
        lease: None,
        caches: Vec::new(),
        controllers: vec![("site".into(), Some(running))],
    });
    assert_eq!(page.matches("<tr><td>a<td").count(), 50);
    assert!(page.contains("and 20 more") && page.contains("No leader election."), "{page}");
}

/// Counts the warnings in the log.
#[derive(Clone, Default)]
struct WarningCounter(Arc<AtomicUsize>);

impl Subscriber for WarningCounter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn each_failure_of_an_informer_is_logged_once_until_the_informer_works_again() {
    let warnings = WarningCounter::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let health = watch::Sender::new(Health::default());
    let logging = tokio::spawn(log_failures("pods".to_owned(), health.subscribe()));
    let resource = || "/api/v1/pods".to_owned();
    let short = Arc::new(watcher::Error::WatchTooShort { resource: resource() });
    let unversioned = Arc::new(watcher::Error::NoResourceVersion { resource: resource() });
    let mut counts = Vec::new();
    for failure in [Some(&short), Some(&unversioned), Some(&short), None, Some(&short)] {
        health.send_replace(Health { failure: failure.cloned(), ended: None });
        tokio::time::sleep(Duration::from_secs(1)).await;
        counts.push(warnings.0.load(Ordering::SeqCst));
    }
    assert_eq!(counts, [1, 2, 2, 2, 3]);
    health.send_modify(|health| health.ended = Some(InformerEnd::Panic));
    assert_eq!(logging.await.unwrap(), ("pods".to_owned(), InformerEnd::Panic));
}
