//! Tests of the job controller.

use serde_json::{Value, json};

use super::{advance, condition, merge_patch, pods, sim};
use kube_sim::Sim;

const JOB_PATH: &str = "/apis/batch/v1/namespaces/default/jobs/work";

fn create(sim: &Sim, spec: &Value, annotations: &Value, restart_policy: &str) -> Value {
    let mut job =
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work"}, "spec": spec});
    job["spec"]["template"] = json!({
        "metadata": {"annotations": annotations},
        "spec": {"containers": [{"name": "main", "image": "work:1"}], "restartPolicy": restart_policy},
    });
    sim.create(&job).unwrap();
    get(sim)
}

fn get(sim: &Sim) -> Value {
    sim.get("batch/v1", "Job", "default", "work").unwrap()
}

fn is_condition_true(job: &Value, kind: &str) -> bool {
    job["status"]["conditions"].is_array() && condition(job, kind)["status"] == "True"
}

#[tokio::test(start_paused = true)]
async fn a_job_completes_after_its_pods() {
    let sim = sim();
    let job = create(
        &sim,
        &json!({"completions": 5, "parallelism": 2}),
        &json!({"kube-sim/exit-after": "10s"}),
        "Never",
    );
    assert_eq!((&job["status"]["active"], &job["status"]["ready"]), (&json!(2), &json!(2)));
    for (active, succeeded) in [(2, 2), (1, 4)] {
        advance(10).await;
        let job = get(&sim);
        assert_eq!(
            (&job["status"]["active"], &job["status"]["succeeded"]),
            (&json!(active), &json!(succeeded))
        );
        assert!(!is_condition_true(&job, "Complete"));
    }
    advance(10).await;
    let job = get(&sim);
    assert_eq!(job["status"]["succeeded"], 5);
    assert_eq!(condition(&job, "Complete")["reason"], "CompletionsReached");
    assert!(is_condition_true(&job, "SuccessCriteriaMet"));
    assert_eq!(job["status"]["completionTime"], "2026-01-01T00:00:30Z");
    assert!(pods(&sim).iter().all(|pod| pod["metadata"]["finalizers"].is_null()), "all pods are counted");
}

#[tokio::test(start_paused = true)]
async fn failing_pods_are_replaced_until_the_backoff_limit() {
    let sim = sim();
    create(&sim, &json!({"backoffLimit": 2}), &json!({"kube-sim/exit-code": "1"}), "Never");
    assert_eq!(get(&sim)["status"]["failed"], 1);
    advance(9).await;
    assert_eq!(pods(&sim).len(), 1);
    advance(1).await;
    assert_eq!(get(&sim)["status"]["failed"], 2);
    advance(19).await;
    assert_eq!(pods(&sim).len(), 2);
    advance(1).await;
    let job = get(&sim);
    assert_eq!(job["status"]["failed"], 3);
    assert_eq!(condition(&job, "Failed")["reason"], "BackoffLimitExceeded");
    assert_eq!(condition(&job, "Failed")["message"], "Job has reached the specified backoff limit");
    assert!(is_condition_true(&job, "FailureTarget") && job["status"]["active"].is_null());
}

#[tokio::test(start_paused = true)]
async fn an_indexed_job_runs_each_index() {
    let sim = sim();
    let spec = json!({"completions": 4, "parallelism": 4, "completionMode": "Indexed"});
    let job = create(&sim, &spec, &json!({}), "Never");
    assert_eq!(job["status"]["completedIndexes"], "0-3");
    assert!(is_condition_true(&job, "Complete"));
    let mut names: Vec<String> =
        pods(&sim).iter().map(|pod| pod["spec"]["hostname"].as_str().unwrap().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["work-0", "work-1", "work-2", "work-3"]);
    let pod = &pods(&sim)[0];
    assert_eq!(pod["spec"]["containers"][0]["env"][0]["name"], "JOB_COMPLETION_INDEX");
    assert_eq!(pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"], "0");
}

#[tokio::test(start_paused = true)]
async fn a_job_fails_after_its_deadline() {
    let sim = sim();
    create(&sim, &json!({"activeDeadlineSeconds": 30}), &json!({"kube-sim/exit-after": "never"}), "Never");
    advance(29).await;
    assert!(!is_condition_true(&get(&sim), "FailureTarget"));
    advance(1).await;
    let job = get(&sim);
    assert!(
        is_condition_true(&job, "FailureTarget") && !is_condition_true(&job, "Failed"),
        "the pod terminates"
    );
    advance(2).await;
    assert_eq!(condition(&get(&sim), "Failed")["reason"], "DeadlineExceeded");
    assert_eq!(pods(&sim), Vec::<Value>::new());
}

#[tokio::test(start_paused = true)]
async fn a_suspended_job_has_no_pods() {
    let sim = sim();
    let job = create(&sim, &json!({"suspend": true}), &json!({"kube-sim/exit-after": "never"}), "Never");
    assert!(is_condition_true(&job, "Suspended") && job["status"]["startTime"].is_null());
    assert_eq!(pods(&sim).len(), 0);
    merge_patch(&sim, JOB_PATH, &json!({"spec": {"suspend": false}}));
    assert_eq!(condition(&get(&sim), "Suspended")["reason"], "JobResumed");
    assert_eq!(get(&sim)["status"]["active"], 1);
    merge_patch(&sim, JOB_PATH, &json!({"spec": {"suspend": true}}));
    advance(2).await;
    assert_eq!(pods(&sim).len(), 0);
    assert_eq!(get(&sim)["status"]["failed"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_finished_job_is_deleted_after_its_time_to_live() {
    let sim = sim();
    create(&sim, &json!({"ttlSecondsAfterFinished": 60}), &json!({}), "Never");
    advance(59).await;
    assert!(is_condition_true(&get(&sim), "Complete"));
    advance(1).await;
    assert!(sim.get("batch/v1", "Job", "default", "work").unwrap_err().is_not_found());
    assert_eq!(pods(&sim).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pod_failure_policy_ignores_failures_or_fails_the_job() {
    let rule = |action: &str| {
        json!({"backoffLimit": 1, "podFailurePolicy": {"rules": [{
            "action": action, "onExitCodes": {"operator": "In", "values": [42]},
        }]}})
    };
    let exits = json!({"kube-sim/exit-code": "42"});
    let failed = sim();
    let job = create(&failed, &rule("FailJob"), &exits, "Never");
    assert_eq!(condition(&job, "Failed")["reason"], "PodFailurePolicy");
    let ignored = sim();
    create(&ignored, &rule("Ignore"), &exits, "Never");
    advance(60).await;
    let job = get(&ignored);
    assert_eq!(job["status"]["failed"], Value::Null);
    assert!(!is_condition_true(&job, "Failed"));
}

#[tokio::test(start_paused = true)]
async fn the_pods_of_a_deleted_job_are_deleted() {
    let sim = sim();
    create(&sim, &json!({}), &json!({"kube-sim/exit-after": "never"}), "Never");
    assert_eq!(pods(&sim).len(), 1);
    sim.request(&http::Method::DELETE, &format!("{JOB_PATH}?propagationPolicy=Background"), "", &Value::Null)
        .unwrap();
    advance(2).await;
    assert_eq!(pods(&sim).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_pod_counts_as_a_failure_of_its_index() {
    const COUNT: &str = "batch.kubernetes.io/job-index-failure-count";
    let sim = sim();
    let spec = json!({
        "completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimit": 10, "backoffLimitPerIndex": 1,
    });
    create(&sim, &spec, &json!({"kube-sim/exit-after": "never"}), "Never");
    let of_first_index = |sim: &Sim| {
        let mut pods = pods(sim);
        pods.retain(|pod| {
            pod["spec"]["hostname"] == "work-0" && pod["metadata"]["deletionTimestamp"].is_null()
        });
        let [pod] = <[Value; 1]>::try_from(pods).unwrap();
        (pod["metadata"]["name"].as_str().unwrap().to_owned(), pod["metadata"]["annotations"][COUNT].clone())
    };
    for count in ["0", "1"] {
        let (name, failures) = of_first_index(&sim);
        assert_eq!(failures, count);
        sim.delete("v1", "Pod", "default", &name).unwrap();
        advance(60).await;
    }
    let job = get(&sim);
    assert_eq!((&job["status"]["failedIndexes"], &job["status"]["failed"]), (&json!("0"), &json!(2)));
    assert!(!is_condition_true(&job, "FailureTarget"), "the other index is running");
}

#[tokio::test(start_paused = true)]
async fn ignored_failures_do_not_count_toward_the_limit_of_an_index() {
    let sim = sim();
    let spec = json!({
        "completions": 1, "completionMode": "Indexed", "backoffLimitPerIndex": 0,
        "podFailurePolicy": {"rules": [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [42]}}]},
    });
    create(&sim, &spec, &json!({"kube-sim/exit-code": "42"}), "Never");
    for (seconds, count) in [(10, 2), (20, 3)] {
        advance(seconds).await;
        assert_eq!(pods(&sim).len(), count);
    }
    let job = get(&sim);
    assert_eq!((&job["status"]["failedIndexes"], &job["status"]["failed"]), (&json!(""), &Value::Null));
    let mut counts: Vec<_> = pods(&sim)
        .iter()
        .map(|pod| {
            let annotation = |name: &str| {
                pod["metadata"]["annotations"][format!("batch.kubernetes.io/job-index-{name}")].clone()
            };
            (annotation("failure-count"), annotation("ignored-failure-count").as_str().map(str::to_owned))
        })
        .collect();
    counts.sort_by_key(|(_, ignored)| ignored.clone());
    let expected = [None, Some("1"), Some("2")].map(|ignored| (json!("0"), ignored.map(str::to_owned)));
    assert_eq!(counts, expected);
}

#[tokio::test(start_paused = true)]
async fn a_failed_pod_that_is_deleted_during_its_back_off_is_replaced() {
    let sim = sim();
    let spec = json!({
        "completions": 1, "completionMode": "Indexed", "backoffLimitPerIndex": 5, "podReplacementPolicy": "Failed",
    });
    create(&sim, &spec, &json!({"kube-sim/exit-code": "1"}), "Never");
    while pods(&sim)[0]["status"]["phase"] != "Failed" {
        advance(1).await;
    }
    let name = pods(&sim)[0]["metadata"]["name"].as_str().unwrap().to_owned();
    sim.delete("v1", "Pod", "default", &name).unwrap();
    assert_eq!(pods(&sim).len(), 1, "the finalizer of the failed pod remains until the pod is replaced");
    advance(12).await;
    let names: Vec<_> = pods(&sim).iter().map(|pod| pod["metadata"]["name"].clone()).collect();
    assert!(!names.is_empty() && !names.contains(&json!(name)), "{names:?}");
}
