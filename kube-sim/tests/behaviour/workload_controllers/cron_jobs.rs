//! Tests of the cron job controller.

use serde_json::{Value, json};

use super::{advance, merge_patch, sim};
use kube_sim::Sim;

const CRON_JOB_PATH: &str = "/apis/batch/v1/namespaces/default/cronjobs/tick";

fn create(sim: &Sim, spec: &Value, annotations: &Value) {
    let mut cron_job = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick"}, "spec": spec,
    });
    cron_job["spec"]["jobTemplate"] = json!({"spec": {"template": {
        "metadata": {"annotations": annotations},
        "spec": {"containers": [{"name": "main", "image": "work:1"}], "restartPolicy": "Never"},
    }}});
    sim.create(&cron_job).unwrap();
}

fn job_names(sim: &Sim) -> Vec<String> {
    let jobs = sim.list("batch/v1", "Job", "default").unwrap();
    jobs.iter().map(|job| job["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn jobs_are_created_at_the_times_of_the_schedule() {
    let sim = sim();
    create(&sim, &json!({"schedule": "*/5 * * * *"}), &json!({}));
    advance(299).await;
    assert_eq!(job_names(&sim), Vec::<String>::new());
    advance(1).await;
    // The name ends with the scheduled time, 2026-01-01T00:05:00Z, in minutes since 1970.
    let minutes = 1_767_225_900 / 60;
    assert_eq!(job_names(&sim), [format!("tick-{minutes}")]);
    let status = sim.get("batch/v1", "CronJob", "default", "tick").unwrap()["status"].clone();
    assert_eq!(status["lastScheduleTime"], "2026-01-01T00:05:00Z");
    assert_eq!(status["lastSuccessfulTime"], "2026-01-01T00:05:00Z");
    let job = &sim.list("batch/v1", "Job", "default").unwrap()[0];
    let stamp = &job["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"];
    assert_eq!(stamp, "2026-01-01T00:05:00Z");
    for _ in 0..5 {
        advance(300).await;
        assert!(!job_names(&sim).is_empty());
    }
    assert_eq!(job_names(&sim).len(), 3, "the history has the last three successful jobs");
}

#[tokio::test(start_paused = true)]
async fn the_concurrency_policy_allows_forbids_or_replaces_concurrent_jobs() {
    for (policy, expected) in [("Allow", 3), ("Forbid", 1), ("Replace", 1)] {
        let sim = sim();
        let spec = json!({"schedule": "* * * * *", "concurrencyPolicy": policy});
        create(&sim, &spec, &json!({"kube-sim/exit-after": "never"}));
        let mut first = Vec::new();
        for _ in 0..3 {
            advance(60).await;
            let names = job_names(&sim);
            if first.is_empty() {
                first = names;
            }
        }
        let names = job_names(&sim);
        assert_eq!(names.len(), expected, "{policy}");
        assert_eq!(names == first, policy == "Forbid", "{policy}");
        let active = sim.get("batch/v1", "CronJob", "default", "tick").unwrap()["status"]["active"].clone();
        assert_eq!(active.as_array().unwrap().len(), expected, "{policy}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cron_job_does_not_run_while_suspended_and_runs_once_after_a_clock_jump() {
    let sim = sim();
    create(&sim, &json!({"schedule": "0 * * * *", "suspend": true}), &json!({}));
    advance(3700).await;
    assert_eq!(job_names(&sim).len(), 0);
    merge_patch(&sim, CRON_JOB_PATH, &json!({"spec": {"suspend": false, "startingDeadlineSeconds": 60}}));
    assert_eq!(job_names(&sim).len(), 0, "the time at 01:00 is too long ago");
    // Advances the clock to 06:00:20.
    sim.advance_clock(std::time::Duration::from_secs(5 * 3600 - 80));
    assert_eq!(job_names(&sim).len(), 1);
}
