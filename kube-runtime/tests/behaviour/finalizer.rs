//! Tests of `finalizer`: concurrent changes of an object, and errors of each step.

use crate::common::{Log, client, delete_map, error_chain, maps, put_map};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::api::{DeleteParams, Patch, PatchParams};
use kube_client::{Api, ResourceExt};
use kube_runtime::Controller;
use kube_runtime::controller::{Action, backoff_on_error};
use kube_runtime::finalizer::{Error, Event, finalizer};
use kube_runtime::watcher::Config;
use kube_sim::Sim;
use kube_sim::fault::{Action as Fault, Rule};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// The finalizer under test.
const FINALIZER: &str = "example.com/ours";

/// The error of the test's reconcilers.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the bucket is not reachable")]
struct UnreachableError;

/// A reconciler's error that contains an error of `finalizer`, which in turn contains a reconciler's error.
#[derive(Debug, thiserror::Error)]
enum RecursiveError {
    #[error("the finalizer failed")]
    Finalizer(#[source] Box<Error<RecursiveError>>),
}

/// The object `a` on the server.
async fn get_a(sim: &Sim) -> Arc<ConfigMap> {
    Arc::new(maps(sim).get("a").await.unwrap())
}

/// Replaces the finalizers of the object `a`.
async fn set_finalizers(sim: &Sim, finalizers: Value) {
    let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
    maps(sim).patch("a", &PatchParams::default(), &patch).await.unwrap();
}

/// Deletes the object `a`; an object with finalizers is only marked for deletion.
async fn delete_a(sim: &Sim) {
    maps(sim).delete("a", &DeleteParams::default()).await.unwrap();
}

/// Formats the step of an event and the finalizers of its object.
fn format_step(event: &Event<ConfigMap>) -> String {
    let (step, map) = match event {
        Event::Apply(map) => ("apply", map),
        Event::Cleanup(map) => ("clean up", map),
    };
    format!("{step} {}", map.finalizers().join(" "))
}

/// Reconciles `object` with the finalizer. Returns the text of the step, which is empty if no step ran, and the error.
async fn run_finalizer(sim: &Sim, object: Arc<ConfigMap>) -> (String, Option<Error<UnreachableError>>) {
    let log = Log::default();
    let maps = maps(sim);
    let result = finalizer(&maps, FINALIZER, object, async |event| {
        log.add_line(format_step(&event));
        Ok::<_, UnreachableError>(Action::await_change())
    });
    let error = result.await.err();
    (log.take_lines().join(", "), error)
}

/// Like [`run_finalizer`], for a call that must succeed. Returns the text of the step.
async fn run_finalizer_successfully(sim: &Sim, object: Arc<ConfigMap>) -> String {
    let (steps, error) = run_finalizer(sim, object).await;
    assert!(error.is_none(), "{error:?}");
    steps
}

/// The finalizers of the object `a`.
async fn finalizers_of_a(sim: &Sim) -> Vec<String> {
    get_a(sim).await.finalizers().to_vec()
}

#[tokio::test(start_paused = true)]
async fn the_finalizer_is_added_before_the_apply_step_and_removed_after_the_cleanup() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    assert_eq!(run_finalizer_successfully(&sim, get_a(&sim).await).await, format!("apply {FINALIZER}"));
    let patches = sim.journal().count_of("patch", "configmaps");
    assert_eq!(run_finalizer_successfully(&sim, get_a(&sim).await).await, format!("apply {FINALIZER}"));
    assert_eq!(
        sim.journal().count_of("patch", "configmaps"),
        patches,
        "an object with the finalizer is not written"
    );
    delete_a(&sim).await;
    assert_eq!(run_finalizer_successfully(&sim, get_a(&sim).await).await, format!("clean up {FINALIZER}"));
    assert!(maps(&sim).get_opt("a").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_of_an_outdated_object_keeps_all_other_finalizers() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let outdated = get_a(&sim).await;
    set_finalizers(&sim, json!(["example.com/first"])).await;
    assert_eq!(
        run_finalizer_successfully(&sim, outdated.clone()).await,
        format!("apply example.com/first {FINALIZER}")
    );
    set_finalizers(&sim, json!(["example.com/second", FINALIZER, "example.com/third"])).await;
    // The finalizer is not added twice.
    assert_eq!(
        run_finalizer_successfully(&sim, outdated).await,
        format!("apply example.com/second {FINALIZER} example.com/third")
    );
    let outdated = get_a(&sim).await;
    delete_a(&sim).await;
    // The index of the finalizer in the outdated object is now the index of another finalizer.
    set_finalizers(&sim, json!([FINALIZER, "example.com/third"])).await;
    let mut marked = ConfigMap::clone(&*outdated);
    marked.metadata.deletion_timestamp = get_a(&sim).await.metadata.deletion_timestamp.clone();
    run_finalizer_successfully(&sim, Arc::new(marked)).await;
    assert_eq!(finalizers_of_a(&sim).await, ["example.com/third"]);
}

#[tokio::test(start_paused = true)]
async fn changes_of_other_fields_are_no_conflict() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let outdated = get_a(&sim).await;
    put_map(&sim, "a", "2");
    run_finalizer_successfully(&sim, outdated).await;
    assert_eq!(sim.journal().count_of("patch", "configmaps"), 1);
    assert_eq!(get_a(&sim).await.data.as_ref().unwrap()["v"], "2");
}

#[tokio::test(start_paused = true)]
async fn every_occurrence_of_the_finalizer_is_removed() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    set_finalizers(&sim, json!([FINALIZER, "example.com/other", FINALIZER])).await;
    delete_a(&sim).await;
    run_finalizer_successfully(&sim, get_a(&sim).await).await;
    assert_eq!(finalizers_of_a(&sim).await, ["example.com/other"]);
    // Without the finalizer there is nothing to do.
    assert_eq!(run_finalizer_successfully(&sim, get_a(&sim).await).await, "");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_being_deleted_gets_no_finalizer() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    set_finalizers(&sim, json!(["example.com/other"])).await;
    let outdated = get_a(&sim).await;
    delete_a(&sim).await;
    assert_eq!(run_finalizer_successfully(&sim, outdated).await, "");
    assert_eq!(finalizers_of_a(&sim).await, ["example.com/other"]);
}

#[tokio::test(start_paused = true)]
async fn neither_a_deleted_object_nor_a_new_object_of_the_same_name_gets_the_finalizer() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let first = get_a(&sim).await;
    delete_map(&sim, "a");
    assert_eq!(run_finalizer_successfully(&sim, first.clone()).await, "");
    put_map(&sim, "a", "2");
    assert_eq!(run_finalizer_successfully(&sim, first).await, "");
    assert!(finalizers_of_a(&sim).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_object_that_vanishes_during_the_cleanup_is_no_error() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    set_finalizers(&sim, json!([FINALIZER])).await;
    delete_a(&sim).await;
    let maps = maps(&sim);
    let result = finalizer(&maps, FINALIZER, get_a(&sim).await, async |_| {
        set_finalizers(&sim, json!(null)).await;
        Ok::<_, UnreachableError>(Action::requeue(Duration::from_secs(7)))
    });
    assert_eq!(result.await.unwrap(), Action::requeue(Duration::from_secs(7)));
}

#[tokio::test(start_paused = true)]
async fn a_failed_step_keeps_the_finalizer_and_its_error_names_the_step_and_the_object() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    run_finalizer_successfully(&sim, get_a(&sim).await).await;
    let fail = async |_: Event<ConfigMap>| Err::<Action, _>(UnreachableError);
    let error = finalizer(&maps(&sim), FINALIZER, get_a(&sim).await, fail).await.unwrap_err();
    let path = "/api/v1/namespaces/default/configmaps/a";
    assert_eq!(error_chain(&error), format!("cannot apply {path}: the bucket is not reachable"));
    delete_a(&sim).await;
    let error = finalizer(&maps(&sim), FINALIZER, get_a(&sim).await, fail).await.unwrap_err();
    assert_eq!(error_chain(&error), format!("cannot clean up {path}: the bucket is not reachable"));
    assert_eq!(error.reconcile_error().unwrap().downcast(), Some(&UnreachableError));
    assert!(!error.is_retryable());
    assert_eq!(finalizers_of_a(&sim).await, [FINALIZER]);
}

#[tokio::test(start_paused = true)]
async fn the_error_converts_to_and_from_anyhow() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let outer: anyhow::Result<Action> = async {
        let fail = async |_| Err::<Action, _>(anyhow::Error::new(UnreachableError).context("while testing"));
        Ok(finalizer(&maps(&sim), FINALIZER, get_a(&sim).await, fail).await?)
    }
    .await;
    let text = format!("{:#}", outer.unwrap_err());
    assert!(text.ends_with("configmaps/a: while testing: the bucket is not reachable"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_retryable_conflict_is_returned_after_five_attempts() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    sim.faults().add(Rule::new(Fault::status(409)).verb("patch"));
    let (steps, error) = run_finalizer(&sim, get_a(&sim).await).await;
    let error = error.unwrap();
    assert_eq!(steps, "");
    assert!(error.is_conflict() && error.is_retryable(), "{error}");
    assert!(error.to_string().contains(FINALIZER) && error.to_string().contains("configmaps/a"), "{error}");
    assert_eq!(sim.journal().count_of("patch", "configmaps"), 5);
}

#[tokio::test(start_paused = true)]
async fn an_invalid_finalizer_name_is_an_error_after_one_attempt() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let apply = async |_| -> Result<Action, UnreachableError> { panic!("applied without a finalizer") };
    let error = finalizer(&maps(&sim), "not a name", get_a(&sim).await, apply).await.unwrap_err();
    assert!(error.request_error().unwrap().is_invalid() && !error.is_retryable(), "{}", error_chain(&error));
    assert!(error.to_string().starts_with("cannot add the finalizer to "), "{error}");
    assert_eq!(sim.journal().count_of("patch", "configmaps"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_forbidden_removal_is_an_error_and_the_finalizer_stays() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    set_finalizers(&sim, json!([FINALIZER])).await;
    delete_a(&sim).await;
    sim.faults().add(Rule::new(Fault::status(403)).verb("patch"));
    let (steps, error) = run_finalizer(&sim, get_a(&sim).await).await;
    assert_eq!(steps, format!("clean up {FINALIZER}"));
    assert!(matches!(error, Some(Error::RemoveFinalizer { source, .. }) if source.is_forbidden()));
    assert_eq!(finalizers_of_a(&sim).await, [FINALIZER]);
}

#[tokio::test(start_paused = true)]
async fn an_object_without_a_name_is_an_error() {
    let sim = Sim::new();
    let (steps, error) = run_finalizer(&sim, Arc::default()).await;
    assert!(matches!(error, Some(Error::UnnamedObject { .. })));
    assert_eq!(steps, "");
}

#[tokio::test(start_paused = true)]
async fn a_controller_cleans_up_before_its_object_is_removed() {
    let sim = Sim::new();
    let log = Arc::new(Log::default());
    let context = (maps(&sim), log.clone());
    let reconcile = async |map: Arc<ConfigMap>, context: Arc<(Api<ConfigMap>, Arc<Log>)>| {
        let log = &context.1;
        let action = finalizer(&context.0, FINALIZER, map, |event| async move {
            log.add_line(format_step(&event));
            Ok(Action::await_change())
        });
        action.await.map_err(|error| RecursiveError::Finalizer(Box::new(error)))
    };
    let config = Config::default().fields("metadata.name=a");
    let run = Controller::new(Api::<ConfigMap>::all(client(&sim)), config)
        .run(reconcile, backoff_on_error, Arc::new(context))
        .for_each(|_| std::future::ready(()));
    let run = tokio::spawn(run);
    put_map(&sim, "a", "1");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(log.take_lines().iter().all(|step| *step == format!("apply {FINALIZER}")));
    delete_a(&sim).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(log.take_lines(), [format!("clean up {FINALIZER}")]);
    assert!(maps(&sim).get_opt("a").await.unwrap().is_none());
    run.abort();
}
