//! Tests of a `Recorder`: the fields and the series of events, the limits on rate and memory, and failed requests.

use crate::common::client;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1;
use kube_client::Api;
use kube_client::api::ListParams;
use kube_runtime::events::{Config, Event, EventType, Recorder};
use kube_sim::Sim;
use kube_sim::fault::{Action, Rule};
use std::time::Duration;
use tokio::time::sleep;

const MINUTE: Duration = Duration::from_secs(60);

/// A recorder with the default limits.
fn recorder(sim: &Sim) -> Recorder {
    Recorder::new(client(sim), "example.com/tests".into())
}

/// A normal event with this reason.
fn event(reason: &str) -> Event {
    let note = Some(format!("a note about {reason}"));
    Event { type_: EventType::Normal, reason: reason.into(), note, action: "Testing".into(), secondary: None }
}

/// A reference to the config map `name`.
fn map_reference(name: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("ConfigMap".into()),
        name: Some(name.into()),
        namespace: Some("default".into()),
        uid: Some(format!("uid-of-{name}")),
        ..ObjectReference::default()
    }
}

/// The events on the server, formatted by [`format_event`] and sorted.
async fn stored_events(sim: &Sim) -> Vec<String> {
    let mut all: Vec<_> = list_events(sim).await.iter().map(format_event).collect();
    all.sort();
    all
}

/// All events on the server.
async fn list_events(sim: &Sim) -> Vec<v1::Event> {
    Api::all(client(sim)).list(&ListParams::default()).await.unwrap().items
}

/// Formats an event as the object's name, the reason and the count, such as `a Saved 2`.
fn format_event(event: &v1::Event) -> String {
    let object = event.regarding.as_ref().and_then(|object| object.name.as_deref()).unwrap_or_default();
    let count = event.series.as_ref().map_or(1, |series| series.count);
    format!("{object} {} {count}", event.reason.as_deref().unwrap_or_default())
}

/// The numbers of create and patch requests for events.
fn create_and_patch_counts(sim: &Sim) -> (usize, usize) {
    let journal = sim.journal();
    (journal.count_of("create", "events"), journal.count_of("patch", "events"))
}

#[tokio::test(start_paused = true)]
async fn the_fields_of_a_published_event_are_stored() {
    let sim = Sim::new();
    let mut object = map_reference("a");
    object.resource_version = Some("7".into());
    let mut published = event("Saved");
    published.type_ = EventType::Warning;
    published.secondary = Some(map_reference("b"));
    recorder(&sim).publish(&published, &object).await.unwrap();
    let stored = list_events(&sim).await.remove(0);
    assert_eq!(stored.metadata.namespace.as_deref(), Some("default"));
    assert!(stored.metadata.name.unwrap().starts_with("a."));
    assert_eq!((stored.type_.as_deref(), stored.reason.as_deref()), (Some("Warning"), Some("Saved")));
    assert_eq!(
        (stored.action.as_deref(), stored.note.as_deref()),
        (Some("Testing"), Some("a note about Saved"))
    );
    assert_eq!(stored.reporting_controller.as_deref(), Some("example.com/tests"));
    assert_eq!(stored.reporting_instance.as_deref(), Some("example.com/tests"));
    assert_eq!((stored.regarding, stored.related), (Some(object), Some(map_reference("b"))));
    assert!(stored.event_time.is_some() && stored.series.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_event_about_a_cluster_scoped_object_is_in_the_default_namespace() {
    let sim = Sim::new();
    let node = ObjectReference { namespace: None, kind: Some("Node".into()), ..map_reference("system:node") };
    recorder(&sim).publish(&event("Saved"), &node).await.unwrap();
    assert_eq!(list_events(&sim).await[0].metadata.namespace.as_deref(), Some("default"));
}

#[tokio::test(start_paused = true)]
async fn fields_over_the_limits_of_the_server_are_truncated() {
    let sim = Sim::new();
    let mut long = event(&"r".repeat(200));
    long.action = "é".repeat(100);
    long.note = Some("n".repeat(5000));
    recorder(&sim).publish(&long, &map_reference(&"a".repeat(253))).await.unwrap();
    let stored = list_events(&sim).await.remove(0);
    assert_eq!(stored.metadata.name.unwrap().len(), 253);
    let lengths = [stored.reason, stored.action, stored.note].map(|text| text.unwrap().len());
    assert_eq!(lengths, [128, 128, 1024]);
}

#[tokio::test(start_paused = true)]
async fn repetitions_form_one_series_whose_last_count_is_written_after_the_end_of_the_series() {
    let sim = Sim::new();
    let recorder = recorder(&sim);
    for version in 0..10 {
        // Each write of the object changes its resource version.
        let object = ObjectReference { resource_version: Some(version.to_string()), ..map_reference("a") };
        recorder.clone().publish(&event("Saved"), &object).await.unwrap();
    }
    assert_eq!(stored_events(&sim).await, ["a Saved 2"]);
    assert_eq!(create_and_patch_counts(&sim), (1, 1));
    sleep(5 * MINUTE).await;
    assert_eq!(create_and_patch_counts(&sim), (1, 1));
    sleep(2 * MINUTE).await;
    assert_eq!(stored_events(&sim).await, ["a Saved 10"]);
    // An event after the end of the series begins a new series.
    sleep(2 * MINUTE).await;
    recorder.publish(&event("Saved"), &map_reference("a")).await.unwrap();
    assert_eq!(stored_events(&sim).await, ["a Saved 1", "a Saved 10"]);
    assert_eq!((create_and_patch_counts(&sim), recorder.dropped()), ((2, 2), 0));
}

#[tokio::test(start_paused = true)]
async fn a_series_that_continues_is_refreshed_every_half_hour() {
    let sim = Sim::new();
    let recorder = recorder(&sim);
    for _ in 0..50 {
        recorder.publish(&event("Saved"), &map_reference("a")).await.unwrap();
        sleep(MINUTE).await;
    }
    // One patch begins the series, and another patch refreshes the event.
    assert_eq!(create_and_patch_counts(&sim), (1, 2));
    let refreshed = stored_events(&sim).await;
    assert!(("a Saved 30".."a Saved 40").contains(&refreshed[0].as_str()), "{refreshed:?}");
    recorder.flush().await.unwrap();
    assert_eq!(stored_events(&sim).await, ["a Saved 50"]);
    recorder.flush().await.unwrap();
    assert_eq!(create_and_patch_counts(&sim), (1, 3), "a count is written once");
}

#[tokio::test(start_paused = true)]
async fn a_count_that_cannot_be_written_is_dropped_ten_minutes_after_the_series_ended() {
    let sim = Sim::new();
    let recorder = recorder(&sim);
    for _ in 0..5 {
        recorder.publish(&event("Saved"), &map_reference("a")).await.unwrap();
    }
    let fault = sim.faults().add(Rule::new(Action::status(403)).verb("patch").resource("events"));
    sleep(10 * MINUTE).await;
    assert_eq!((sim.faults().hits(fault) > 1, recorder.dropped()), (true, 0));
    sleep(10 * MINUTE).await;
    assert_eq!(recorder.dropped(), 3);
    let hits = sim.faults().hits(fault);
    sleep(60 * MINUTE).await;
    assert_eq!(sim.faults().hits(fault), hits);
    // Without series, the recorder has no task.
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn events_that_differ_in_type_reason_action_or_object_do_not_form_a_series() {
    let sim = Sim::new();
    let recorder = recorder(&sim);
    recorder.publish(&event("Saved"), &map_reference("a")).await.unwrap();
    recorder.publish(&event("Saved"), &map_reference("b")).await.unwrap();
    recorder.publish(&event("Lost"), &map_reference("a")).await.unwrap();
    recorder
        .publish(&Event { type_: EventType::Warning, ..event("Saved") }, &map_reference("a"))
        .await
        .unwrap();
    recorder.publish(&Event { action: "Other".into(), ..event("Saved") }, &map_reference("a")).await.unwrap();
    recorder
        .publish(&Event { secondary: Some(map_reference("b")), ..event("Saved") }, &map_reference("a"))
        .await
        .unwrap();
    let successor = ObjectReference { uid: Some("another".into()), ..map_reference("a") };
    recorder.publish(&event("Saved"), &successor).await.unwrap();
    assert_eq!(create_and_patch_counts(&sim), (7, 0));
    // Events that differ only in their notes form a series.
    recorder.publish(&Event { note: None, ..event("Lost") }, &map_reference("a")).await.unwrap();
    assert_eq!(create_and_patch_counts(&sim), (7, 1));
}

#[tokio::test(start_paused = true)]
async fn the_events_of_one_object_are_limited_to_25_and_then_one_in_five_minutes() {
    let sim = Sim::new();
    let recorder = recorder(&sim);
    let publish = async |n: usize, object: &str| {
        recorder.publish(&event(&format!("R{n}")), &map_reference(object)).await.unwrap();
    };
    for n in 0..40 {
        publish(n, "a").await;
    }
    assert_eq!((create_and_patch_counts(&sim).0, recorder.dropped()), (25, 15));
    publish(0, "b").await;
    assert_eq!(create_and_patch_counts(&sim).0, 26, "another object has its own limit");
    sleep(5 * MINUTE).await;
    publish(40, "a").await;
    publish(41, "a").await;
    assert_eq!((create_and_patch_counts(&sim).0, recorder.dropped()), (27, 16));
    sleep(11 * MINUTE).await;
    for n in 42..45 {
        publish(n, "a").await;
    }
    assert_eq!((create_and_patch_counts(&sim).0, recorder.dropped()), (29, 17));
}

#[tokio::test(start_paused = true)]
async fn repetitions_over_the_rate_limit_are_counted() {
    let sim = Sim::new();
    let recorder =
        Recorder::with_config(client(&sim), "example.com/tests".into(), Config::default().burst(1));
    for _ in 0..4 {
        recorder.publish(&event("Saved"), &map_reference("a")).await.unwrap();
    }
    assert_eq!((create_and_patch_counts(&sim), recorder.dropped()), ((1, 0), 0));
    sleep(8 * MINUTE).await;
    assert_eq!(stored_events(&sim).await, ["a Saved 4"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_expired_on_the_server_is_created_again_with_its_series() {
    let sim = Sim::new();
    let recorder = recorder(&sim);
    recorder.publish(&event("Saved"), &map_reference("a")).await.unwrap();
    let name = list_events(&sim).await[0].metadata.name.clone().unwrap();
    sim.delete("events.k8s.io/v1", "Event", "default", &name).unwrap();
    recorder.publish(&event("Saved"), &map_reference("a")).await.unwrap();
    assert_eq!(stored_events(&sim).await, ["a Saved 2"]);
}

#[tokio::test(start_paused = true)]
async fn concurrent_publishers_create_one_event() {
    let sim = Sim::new();
    let recorder = recorder(&sim);
    sim.faults().add(Rule::new(Action::Delay(MINUTE)).verb("create").resource("events"));
    let publish = || async { recorder.publish(&event("Saved"), &map_reference("a")).await.unwrap() };
    futures::future::join_all((0..8).map(|_| publish())).await;
    assert_eq!(
        (create_and_patch_counts(&sim), stored_events(&sim).await),
        ((1, 1), vec!["a Saved 8".to_owned()])
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_request_is_an_error_and_the_event_is_written_at_its_next_occurrence() {
    let sim = Sim::new();
    let recorder = recorder(&sim);
    let fault = sim.faults().add(Rule::new(Action::status(403)).resource("events"));
    let error = recorder.publish(&event("Saved"), &map_reference("a")).await.unwrap_err();
    assert!(error.is_forbidden());
    recorder.publish(&event("Lost"), &map_reference("a")).await.unwrap_err();
    sim.faults().remove(fault);
    recorder.publish(&event("Saved"), &map_reference("a")).await.unwrap();
    assert_eq!(stored_events(&sim).await, ["a Saved 2"]);
    // The event `Lost` does not occur again before its series ends. The recorder then drops the event without a retry.
    sleep(7 * MINUTE).await;
    assert_eq!((stored_events(&sim).await, recorder.dropped()), (vec!["a Saved 2".to_owned()], 1));
}

#[tokio::test(start_paused = true)]
async fn a_repetition_during_a_flush_is_counted_on_the_server() {
    let sim = Sim::new();
    let recorder = recorder(&sim);
    let fault = sim.faults().add(Rule::new(Action::status(403)).resource("events"));
    recorder.publish(&event("Saved"), &map_reference("a")).await.unwrap_err();
    sim.faults().remove(fault);
    sim.faults().add(Rule::new(Action::Delay(MINUTE)).verb("create").resource("events"));
    let repeat = async {
        sleep(MINUTE / 2).await;
        recorder.publish(&event("Saved"), &map_reference("a")).await.unwrap();
    };
    let (flushed, ()) = futures::join!(recorder.flush(), repeat);
    flushed.unwrap();
    assert_eq!(stored_events(&sim).await, ["a Saved 2"]);
    for _ in 0..2 {
        recorder.publish(&event("Saved"), &map_reference("a")).await.unwrap();
    }
    recorder.flush().await.unwrap();
    assert_eq!(stored_events(&sim).await, ["a Saved 4"]);
}

#[tokio::test(start_paused = true)]
async fn the_next_occurrence_writes_an_event_whose_publication_was_cancelled() {
    let sim = Sim::new();
    let recorder = recorder(&sim);
    let fault = sim.faults().add(Rule::new(Action::Hang).resource("events"));
    let (saved, object) = (event("Saved"), map_reference("a"));
    tokio::time::timeout(Duration::from_secs(1), recorder.publish(&saved, &object)).await.unwrap_err();
    sim.faults().remove(fault);
    recorder.publish(&saved, &object).await.unwrap();
    assert_eq!(stored_events(&sim).await, ["a Saved 2"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_exists_already_after_a_lost_response_is_no_error() {
    let sim = Sim::new();
    let recorder = recorder(&sim);
    sim.faults().add(Rule::new(Action::ResetAfterHandling).verb("create").resource("events").times(1));
    recorder.publish(&event("Saved"), &map_reference("a")).await.unwrap_err();
    recorder.publish(&event("Saved"), &map_reference("a")).await.unwrap();
    // The first attempt created the event without a series.
    assert_eq!(stored_events(&sim).await, ["a Saved 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_recorder_at_capacity_evicts_a_series_and_drops_its_unwritten_count() {
    let sim = Sim::new();
    let config = Config::default().capacity(2);
    let recorder = Recorder::with_config(client(&sim), "example.com/tests".into(), config);
    for _ in 0..5 {
        recorder.publish(&event("Saved"), &map_reference("a")).await.unwrap();
    }
    for object in ["b", "c"] {
        recorder.publish(&event("Saved"), &map_reference(object)).await.unwrap();
    }
    assert_eq!(recorder.dropped(), 3);
    // The evicted series begins again.
    recorder.publish(&event("Saved"), &map_reference("a")).await.unwrap();
    assert_eq!(stored_events(&sim).await, ["a Saved 1", "a Saved 2", "b Saved 1", "c Saved 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_recorder_sends_nothing() {
    let sim = Sim::new();
    let recorder = recorder(&sim);
    for _ in 0..3 {
        recorder.publish(&event("Saved"), &map_reference("a")).await.unwrap();
    }
    drop(recorder);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
    sleep(60 * MINUTE).await;
    assert_eq!(
        (create_and_patch_counts(&sim), stored_events(&sim).await),
        ((1, 1), vec!["a Saved 2".to_owned()])
    );
}

/// A program may share a recorder between runtimes. For example, tests may share a static recorder.
#[test]
fn the_counts_are_written_after_the_end_of_the_runtime_that_published_first() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    let sim = Sim::new();
    let recorder = recorder(&sim);
    runtime().block_on(async { recorder.publish(&event("Saved"), &map_reference("a")).await.unwrap() });
    runtime().block_on(async {
        for _ in 0..3 {
            recorder.publish(&event("Saved"), &map_reference("a")).await.unwrap();
        }
        sleep(8 * MINUTE).await;
        assert_eq!(stored_events(&sim).await, ["a Saved 4"]);
    });
}
