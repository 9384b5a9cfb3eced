//! Runs a job, waits until it has completed or failed, and deletes it with its pods.
//!
//! ```sh
//! cargo run -p examples --example job_api -- my-job
//! ```

use anyhow::{Context, bail};
use k8s_openapi::api::batch::v1::Job;
use kube_client::{
    Api, Client,
    api::{DeleteParams, PostParams},
};
use kube_runtime::wait::{Condition, await_condition_within, conditions};
use serde_json::json;
use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

/// The maximum time that the program waits for the end of the job.
const TIME_LIMIT: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    examples::run(run_job())
}

/// Returns a [`Condition`] that is met when the job has failed permanently: the job controller has set
/// `Failed` to `True` in `status.conditions`, and does not retry.
fn has_failed() -> impl Condition<Job> {
    |job: Option<&Job>| {
        let conditions = job.and_then(|job| job.status.as_ref()?.conditions.as_ref());
        conditions
            .into_iter()
            .flatten()
            .any(|condition| condition.type_ == "Failed" && condition.status == "True")
    }
}

async fn run_job() -> anyhow::Result<()> {
    let name = std::env::args().nth(1).context("usage: job_api NAME")?;
    let jobs: Api<Job> = Api::default_namespaced(Client::try_default().await?);
    let container = json!({"name": "main", "image": "busybox:1.37", "command": ["sh", "-c", "echo done"]});
    let pod = json!({"spec": {"restartPolicy": "Never", "containers": [container]}});
    let spec = json!({"backoffLimit": 1, "template": pod});
    let job: Job = serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec}))?;
    jobs.create(&PostParams::default(), &job).await?;
    // Ignore a closed stdout: the program still has to delete the job.
    let _ = writeln!(io::stdout(), "created {name}");

    let ended = conditions::is_job_completed().or(has_failed());
    let ended = await_condition_within(jobs.clone(), &name, ended, TIME_LIMIT).await;
    // Delete the job even if the wait has failed, for example after the time limit. The deletion is asynchronous: the
    // garbage collector deletes the pods after the job.
    let deleted = jobs.delete(&name, &DeleteParams::background()).await;
    let ended = ended?;
    deleted?;
    if has_failed().matches_object(ended.as_ref()) {
        bail!("{name} has failed");
    }
    writeln!(io::stdout(), "{name} has completed, and is deleted")?;
    Ok(())
}
