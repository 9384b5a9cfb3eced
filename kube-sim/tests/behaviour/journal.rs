//! Tests of journals that contain bodies, and of the replay of these journals.

use std::time::Duration;

use http::Method;
use kube_sim::fault::{Action, Rule};
use kube_sim::{Entry, Sim};
use serde_json::json;

use crate::common::{CONFIG_MAPS, Watch, call, config_map, get, post};

fn new_sim() -> Sim {
    Sim::builder()
        .seed(3)
        .start_time("2026-01-01T00:00:00Z".parse().unwrap())
        .namespace("x")
        .record_bodies(1 << 20)
        .build()
}

/// Records a run with faults, a watch, a delayed request and a direct request. Returns the entries of the journal.
async fn record_run() -> Vec<Entry> {
    let sim = new_sim();
    sim.faults().add(Rule::new(Action::status(503)).verb("create").nth(1));
    sim.faults().add(Rule::new(Action::ResetAfterHandling).verb("create").nth(3));
    sim.faults().add(Rule::new(Action::Delay(Duration::from_secs(7))).verb("update"));
    sim.faults().add(Rule::new(Action::Rewind(1)).verb("delete"));
    let mut watch = Watch::open(&sim, &format!("{CONFIG_MAPS}?watch=1&allowWatchBookmarks=true")).await;
    post(&sim, CONFIG_MAPS, config_map("refused")).await.fails(503, "ServiceUnavailable");
    let mut generated = config_map("");
    generated["metadata"] = json!({"generateName": "a-"});
    let created = post(&sim, CONFIG_MAPS, generated).await.ok();
    let name = created["metadata"]["name"].as_str().unwrap().to_owned();
    tokio::time::sleep(Duration::from_secs(100)).await;
    let mut changed = config_map(&name);
    changed["data"] = json!({"k": "delayed"});
    let path = format!("{CONFIG_MAPS}/{name}");
    let create = async { sim.create(&config_map("direct")).unwrap() };
    let (updated, _) = tokio::join!(call(&sim, Method::PUT, &path, changed), create);
    updated.ok();
    for _ in 0..3 {
        watch.next_type_and_name().await;
    }
    get(&sim, CONFIG_MAPS).await.ok();
    call(&sim, Method::DELETE, &format!("{CONFIG_MAPS}/direct"), json!(null)).await;
    sim.journal().entries()
}

#[tokio::test(start_paused = true)]
async fn a_recorded_run_is_replayed() {
    let entries = record_run().await;
    let verbs: Vec<_> =
        entries.iter().map(|e| (e.verb, e.direct, e.handling.as_ref().map(|h| h.order))).collect();
    assert_eq!(
        verbs,
        [
            ("watch", false, Some(1)),
            ("create", false, None),
            ("create", false, Some(2)),
            ("update", false, Some(4)),
            ("create", true, Some(3)),
            ("list", false, Some(5)),
            ("delete", false, Some(6)),
        ]
    );
    // The client has stopped reading this watch. The entry contains the events that the client has read.
    let watched = String::from_utf8(entries[0].response_body.clone().unwrap().content.to_vec()).unwrap();
    assert!(watched.contains("MODIFIED") && watched.contains("delayed"), "{watched}");
    let text = serde_json::to_string(&entries).unwrap();
    let read: Vec<Entry> = serde_json::from_str(&text).unwrap();
    assert_eq!(new_sim().replay(&read).await.unwrap(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_replay_reports_the_first_difference() {
    let entries = record_run().await;
    let other_seed =
        Sim::builder().start_time("2026-01-01T00:00:00Z".parse().unwrap()).namespace("x").build();
    let difference = other_seed.replay(&entries).await.unwrap_err();
    assert_eq!((difference.number, &*difference.place), (2, "/metadata/name"));
    assert!(difference.to_string().starts_with(&format!("request 2 (POST {CONFIG_MAPS}) differs at")));

    let mut changed = entries.clone();
    let body = changed[0].response_body.as_mut().unwrap();
    body.content = String::from_utf8(body.content.to_vec()).unwrap().replace("delayed", "other").into();
    let difference = new_sim().replay(&changed).await.unwrap_err();
    assert_eq!((difference.number, &*difference.recorded), (0, "\"other\""));
    assert!(
        difference.place.starts_with("event ") && difference.place.ends_with("/object/data/k"),
        "{difference}"
    );
}
