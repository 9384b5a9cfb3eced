//! Tests of a server whose storage is restored to an earlier state while a reflector watches it, and of the probes that
//! detect the restored storage.

use crate::common::{delete_map, format_item, format_map, maps, put_map};
use futures::StreamExt;
use kube_runtime::watcher::{Config, Error, detected_restore_count};
use kube_runtime::{reflector, watcher};
use kube_sim::Sim;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_watcher_detects_a_restored_storage_and_relists() {
    for config in [Config::default(), Config::default().any_semantic()] {
        let sim = Sim::new();
        put_map(&sim, "a", "1");
        let (reader, writer) = reflector::store();
        let mut items = reflector(writer, watcher(maps(&sim), config)).boxed();
        while format_item(items.next().await.unwrap()) != "]" {}
        let backup = sim.snapshot();
        for n in 0..20 {
            put_map(&sim, "b", &n.to_string());
        }
        delete_map(&sim, "a");
        while format_item(items.next().await.unwrap()) != "-a=1" {}
        sim.restore(&backup);
        put_map(&sim, "c", "1");
        let before = detected_restore_count();
        let noticed = async {
            loop {
                if let Err(error) = items.next().await.unwrap() {
                    return error;
                }
            }
        };
        let error = tokio::time::timeout(Duration::from_secs(10 * 60), noticed).await.unwrap();
        assert!(matches!(error, Error::StorageRestored { .. }), "{error:?}");
        assert!(detected_restore_count() > before);
        while format_item(items.next().await.unwrap()) != "]" {}
        let mut state: Vec<_> = reader.state().iter().map(|map| format_map(map)).collect();
        state.sort();
        assert_eq!(state, ["a=1", "c=1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_collection_without_bookmarks_is_probed_at_intervals_of_up_to_ten_minutes() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let mut items = watcher(maps(&sim), Config::default().disable_bookmarks()).boxed();
    while format_item(items.next().await.unwrap()) != "]" {}
    let lists = sim.journal().count_of("list", "configmaps");
    tokio::time::timeout(Duration::from_secs(2 * 3600), items.next()).await.unwrap_err();
    let probes = sim.journal().count_of("list", "configmaps") - lists;
    assert!((11..=14).contains(&probes), "{probes}");
}

#[tokio::test(start_paused = true)]
async fn a_collection_with_bookmarks_is_not_probed() {
    let sim = Sim::new();
    let mut items = watcher(maps(&sim), Config::default()).boxed();
    while format_item(items.next().await.unwrap()) != "]" {}
    tokio::time::timeout(Duration::from_secs(2 * 3600), items.next()).await.unwrap_err();
    assert_eq!(sim.journal().count_of("list", "configmaps"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_resets_the_interval_of_the_silence_probe() {
    let sim = Sim::new();
    let mut items = watcher(maps(&sim), Config::default().disable_bookmarks()).boxed();
    while format_item(items.next().await.unwrap()) != "]" {}
    let probes = |sim: &Sim| sim.journal().count_of("list", "configmaps");
    let silence = async |items: &mut futures::stream::BoxStream<'_, _>, seconds| {
        let next = futures::StreamExt::next(items);
        let _: Option<kube_runtime::watcher::Result<kube_runtime::watcher::Event<_>>> =
            tokio::time::timeout(Duration::from_secs(seconds), next).await.unwrap_or_default();
    };
    silence(&mut items, 1141).await;
    let before = probes(&sim);
    put_map(&sim, "a", "1");
    assert_eq!(format_item(items.next().await.unwrap()), "+a=1");
    silence(&mut items, 190).await;
    assert_eq!(probes(&sim), before + 1);
}
