//! Events published with `kube_runtime::events`.

use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference};
use k8s_openapi::api::events::v1;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube_client::api::{DeleteParams, ListParams, PostParams};
use kube_client::{Api, Resource};
use kube_runtime::events::{Event, EventType, Recorder, Reporter};

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq};
use crate::support::{config_map, named_metadata};

suite!("events":
    a_published_event_has_all_fields,
    a_repeated_event_increments_the_count_of_its_series,
    a_deleted_event_is_created_again_with_its_series,
    fields_beyond_the_limits_are_truncated,
    an_event_of_a_cluster_scoped_object_is_in_the_default_namespace,
);

/// A recorder that reports as `e2e.example.com/tests`.
fn recorder(env: &Env) -> Recorder {
    let reporter = Reporter { controller: "e2e.example.com/tests".into(), instance: Some("tests-0".into()) };
    Recorder::new(env.client(), reporter)
}

/// An event with this reason; its other fields are always the same.
fn event(reason: &str) -> Event {
    Event {
        type_: EventType::Warning,
        reason: reason.into(),
        note: Some("a note".into()),
        action: "Testing".into(),
        secondary: None,
    }
}

/// Creates a config map, and returns a reference to it.
async fn create_referenced_map(env: &Env, name: &str) -> Outcome<ObjectReference> {
    let maps: Api<ConfigMap> = env.api();
    let map = maps.create(&PostParams::default(), &config_map(name, "1")).await?;
    Ok(map.object_ref(&()))
}

/// Lists the events with this reason.
async fn list_events(events: &Api<v1::Event>, reason: &str) -> Outcome<Vec<v1::Event>> {
    let lp = ListParams::default().fields(&format!("reason={reason}"));
    Ok(events.list(&lp).await?.items)
}

async fn a_published_event_has_all_fields(env: Env) -> Outcome {
    let (object, other) = (create_referenced_map(&env, "a").await?, create_referenced_map(&env, "b").await?);
    let event = Event { secondary: Some(other.clone()), ..event("Saved") };
    recorder(&env).publish(&event, &object).await?;
    let stored = list_events(&env.api(), "Saved").await?;
    check_eq!(stored.len(), 1);
    let stored = &stored[0];
    check!(stored.metadata.name.as_deref().is_some_and(|name| name.starts_with("a.")));
    check_eq!((stored.type_.as_deref(), stored.action.as_deref()), (Some("Warning"), Some("Testing")));
    check_eq!(stored.note.as_deref(), Some("a note"));
    check_eq!(stored.reporting_controller.as_deref(), Some("e2e.example.com/tests"));
    check_eq!(stored.reporting_instance.as_deref(), Some("tests-0"));
    check_eq!((stored.regarding.as_ref(), stored.related.as_ref()), (Some(&object), Some(&other)));
    check!(stored.event_time.is_some() && stored.series.is_none());
    Ok(())
}

async fn a_repeated_event_increments_the_count_of_its_series(env: Env) -> Outcome {
    let (recorder, object) = (recorder(&env), create_referenced_map(&env, "a").await?);
    let events: Api<v1::Event> = env.api();
    let count = async || {
        let all = list_events(&events, "Saved").await?;
        Outcome::Ok(
            all.iter()
                .map(|event| event.series.as_ref().map_or(1, |series| series.count))
                .collect::<Vec<_>>(),
        )
    };
    for expected in [1, 2, 2, 2] {
        recorder.publish(&event("Saved"), &object).await?;
        check_eq!(count().await?, [expected]);
    }
    recorder.flush().await?;
    check_eq!(count().await?, [4]);
    check_eq!(recorder.dropped(), 0);
    Ok(())
}

async fn a_deleted_event_is_created_again_with_its_series(env: Env) -> Outcome {
    let (recorder, object) = (recorder(&env), create_referenced_map(&env, "a").await?);
    let events: Api<v1::Event> = env.api();
    recorder.publish(&event("Saved"), &object).await?;
    let first = list_events(&events, "Saved").await?;
    let name = first.first().and_then(|event| event.metadata.name.as_deref()).unwrap_or_default();
    events.delete(name, &DeleteParams::default()).await?;
    recorder.publish(&event("Saved"), &object).await?;
    let series = list_events(&events, "Saved").await?.remove(0).series;
    check_eq!(series.map(|series| series.count), Some(2));
    Ok(())
}

async fn fields_beyond_the_limits_are_truncated(env: Env) -> Outcome {
    let object = create_referenced_map(&env, &"a".repeat(253)).await?;
    let mut long = event(&"r".repeat(300));
    long.action = "é".repeat(100);
    long.note = Some("é".repeat(5000));
    let reporter = Reporter { controller: "e2e.example.com/tests".into(), instance: Some("i".repeat(300)) };
    Recorder::new(env.client(), reporter).publish(&long, &object).await?;
    let stored = list_events(&env.api(), &"r".repeat(128)).await?;
    check_eq!(stored.len(), 1);
    check_eq!(stored[0].note.as_ref().map(String::len), Some(1024));
    check_eq!(stored[0].metadata.name.as_ref().map(String::len), Some(253));
    Ok(())
}

async fn an_event_of_a_cluster_scoped_object_is_in_the_default_namespace(env: Env) -> Outcome {
    let roles: Api<ClusterRole> = Api::all(env.client());
    // This name is not valid as the name of an event.
    let name = format!("e2e:{}", env.unique_name("role"));
    env.delete_at_end(&roles, &name);
    let role = ClusterRole { metadata: named_metadata(&name), ..ClusterRole::default() };
    let role = roles.create(&PostParams::default(), &role).await?;
    let reason = env.unique_name("Saved");
    recorder(&env).publish(&event(&reason), &role.object_ref(&())).await?;
    let events: Api<v1::Event> = Api::namespaced(env.client(), "default");
    let stored = list_events(&events, &reason).await?;
    check_eq!(stored.len(), 1);
    check_eq!(stored[0].regarding.as_ref().and_then(|object| object.name.as_ref()), Some(&name));
    env.delete_at_end(&events, stored[0].metadata.name.as_deref().unwrap_or_default());
    Ok(())
}
