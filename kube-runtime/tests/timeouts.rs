//! For how long watchers ask the server to keep a watch open.

mod common;

use common::{maps, short};
use futures::StreamExt;
use kube_runtime::watcher;
use kube_runtime::watcher::Config;
use kube_sim::Sim;
use std::collections::BTreeSet;

#[tokio::test(start_paused = true)]
async fn watches_that_begin_together_ask_for_different_timeouts_below_five_minutes() {
    let sim = Sim::new();
    let mut timeouts = BTreeSet::new();
    for _ in 0..20 {
        let mut items = watcher(maps(&sim), Config::default()).boxed();
        while short(items.next().await.unwrap()) != "]" {}
    }
    for entry in sim.journal().entries() {
        let timeout = entry.query.split('&').find_map(|pair| pair.strip_prefix("timeoutSeconds=")).unwrap();
        let timeout: u64 = timeout.parse().unwrap();
        assert!((145..=290).contains(&timeout), "{timeout}");
        timeouts.insert(timeout);
    }
    assert!(timeouts.len() > 5, "{timeouts:?}");
}
