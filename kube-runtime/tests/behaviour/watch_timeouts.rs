//! Tests of the requested `timeoutSeconds` of watches.

use crate::common::{format_item, maps};
use futures::StreamExt;
use kube_runtime::watcher::Config;
use kube_runtime::{Informer, watcher};
use kube_sim::Sim;
use std::{collections::BTreeSet, time::Duration};

#[tokio::test(start_paused = true)]
async fn watch_timeouts_have_jitter_and_are_below_five_minutes() {
    let sim = Sim::new();
    let mut timeouts = BTreeSet::new();
    for _ in 0..20 {
        let mut items = watcher(maps(&sim), Config::default()).boxed();
        while format_item(items.next().await.unwrap()) != "]" {}
    }
    for entry in sim.journal().entries() {
        let timeout = entry.query.split('&').find_map(|pair| pair.strip_prefix("timeoutSeconds=")).unwrap();
        let timeout: u64 = timeout.parse().unwrap();
        assert!((145..=290).contains(&timeout), "{timeout}");
        timeouts.insert(timeout);
    }
    assert!(timeouts.len() > 5, "{timeouts:?}");
}

#[tokio::test(start_paused = true)]
async fn an_informer_stream_uses_the_default_watch_timeout() {
    let sim = Sim::new();
    let mut informer = Informer::new(maps(&sim));
    // A poll watches for ten seconds. The stream that follows uses the default timeout.
    informer.poll().await.unwrap();
    let polled = sim.journal().count_of("watch", "configmaps");
    tokio::time::timeout(Duration::from_secs(3600), informer.next()).await.unwrap_err();
    let watches = sim.journal().count_of("watch", "configmaps") - polled;
    assert!((12..=26).contains(&watches), "{watches}");
}

#[tokio::test(start_paused = true)]
async fn an_informer_stream_uses_the_configured_timeout() {
    let sim = Sim::new();
    let config = Config::default().timeout(Duration::from_secs(100));
    let mut informer = Informer::with_config(maps(&sim), config);
    tokio::time::timeout(Duration::from_secs(3600), informer.next()).await.unwrap_err();
    let watches = sim.journal().count_of("watch", "configmaps");
    assert!((35..=37).contains(&watches), "{watches}");
}
