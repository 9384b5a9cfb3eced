//! Tests of the examples `kubectl` and `job_api`.

use crate::support::{Cluster, RunningExample, assert_contains, pod};
use kube_sim::fault::{Action, Rule};

#[tokio::test]
async fn kubectl_refuses_all_namespaces_for_one_object() {
    let cluster = Cluster::new().await;
    cluster.create(&pod("web", "node-0"));
    let run = async |arguments: &[&str]| {
        let mut command = cluster.home.example_command("kubectl", &cluster.kubeconfig);
        command.args(arguments);
        let mut example = RunningExample::new(command);
        (example.wait_for_exit().await.success(), example.stdout(), example.stderr())
    };
    for arguments in [
        &["-A", "get", "pods", "web"][..],
        &["-A", "delete", "pods", "web"],
        &["-A", "edit", "pods", "web"],
        &["-A", "logs", "web"],
        &["-A", "exec", "web", "--", "true"],
        &["-A", "apply", "-f", "objects.yaml"],
    ] {
        let (success, _, stderr) = run(arguments).await;
        assert!(!success, "{arguments:?}");
        assert_contains(&stderr, &["error: -A is only for"]);
    }
    let (success, stdout, stderr) = run(&["-A", "get", "pods"]).await;
    assert!(success, "{stderr}");
    assert_contains(&stdout, &["web"]);
}

#[tokio::test]
async fn job_api_deletes_the_job_if_the_wait_fails() {
    let cluster = Cluster::new().await;
    for verb in ["list", "watch"] {
        cluster.sim.faults().add(Rule::new(Action::status(403)).verb(verb).resource("jobs"));
    }
    let mut command = cluster.home.example_command("job_api", &cluster.kubeconfig);
    command.arg("work");
    let mut example = RunningExample::new(command);
    assert!(!example.wait_for_exit().await.success(), "{}", example.stdout());
    assert_contains(&example.stderr(), &["error: ", "403"]);
    assert!(cluster.sim.get("batch/v1", "Job", "default", "work").unwrap_err().is_not_found());
}
