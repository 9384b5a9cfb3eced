//! Tests with missing and invalid kubeconfigs. Each test expects a single error that contains the path of the file and
//! the cause.

use crate::support::{Cluster, Home, RunningExample, assert_contains};
use std::path::Path;

/// Runs `pod_reflector` until it fails, and returns its error message.
async fn pod_reflector_failure(home: &Home, kubeconfig: &Path) -> String {
    RunningExample::new(home.example_command("pod_reflector", kubeconfig)).wait_for_failure().await
}

#[tokio::test]
async fn an_error_names_a_missing_kubeconfig() {
    let home = Home::new();
    let error = pod_reflector_failure(&home, Path::new("missing.yaml")).await;
    assert_contains(&error, &["missing.yaml", "KUBECONFIG", "exist"]);
}

#[tokio::test]
async fn an_error_names_the_default_path_if_no_kubeconfig_exists() {
    let home = Home::new();
    let mut command = home.example_command("pod_reflector", Path::new(""));
    command.env_remove("KUBECONFIG");
    let error = RunningExample::new(command).wait_for_failure().await;
    let default = home.path(".kube/config").display().to_string();
    assert_contains(&error, &["KUBECONFIG is not set", &default, "set KUBECONFIG"]);
}

#[tokio::test]
async fn an_error_names_an_unreadable_kubeconfig() {
    let home = Home::new();
    // A directory cannot be read as a file, not even by root.
    let folder = home.path("folder");
    std::fs::create_dir(&folder).unwrap();
    let error = pod_reflector_failure(&home, &folder).await;
    assert_contains(&error, &["cannot read the kubeconfig", &folder.display().to_string(), "directory"]);
}

#[tokio::test]
async fn the_error_for_a_malformed_kubeconfig_contains_its_path_and_the_problem() {
    let home = Home::new();
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n";
    for (name, text, expected) in [
        ("braces.yaml", "clusters:\n- name: [\n", "line"),
        ("shape.yaml", "clusters: 7\n", "clusters"),
        ("pod.yaml", pod, "kind `Pod`"),
        ("empty.yaml", "", "current-context"),
        ("binary.yaml", "\u{0}\u{1}\u{2}", "not a valid kubeconfig"),
    ] {
        let path = home.write_file(name, text);
        let error = pod_reflector_failure(&home, &path).await;
        assert_contains(&error, &[&path.display().to_string(), expected]);
    }
}

#[tokio::test]
async fn an_error_names_a_missing_context_or_cluster_or_user() {
    let cluster = Cluster::new().await;
    let good = cluster.server.kubeconfig();
    for (from, to, expected) in [
        ("current-context: kube-sim", "current-context: prod", "no context `prod`; it has: kube-sim"),
        ("cluster: kube-sim\n", "cluster: prod\n", "no cluster `prod`"),
        ("user: kube-sim-admin", "user: nobody", "no user `nobody`"),
    ] {
        assert!(good.contains(from), "{from} is not in\n{good}");
        let path = cluster.home.write_file("changed.yaml", &good.replace(from, to));
        let error = pod_reflector_failure(&cluster.home, &path).await;
        assert_contains(&error, &[&path.display().to_string(), expected]);
    }
}

#[tokio::test]
async fn the_error_for_an_unusable_certificate_names_its_kubeconfig_entry() {
    let cluster = Cluster::new().await;
    let good = cluster.server.kubeconfig();
    let file = cluster.home.path("nowhere.pem").display().to_string();
    let missing =
        good.replace("certificate-authority-data:", &format!("certificate-authority: {file}\n    unknown:"));
    let path = cluster.home.write_file("ca.yaml", &missing);
    let error = pod_reflector_failure(&cluster.home, &path).await;
    assert_contains(
        &error,
        &["certificate-authority", "cluster `kube-sim`", &path.display().to_string(), &file],
    );

    let damaged = good.replace("client-certificate-data: ", "client-certificate-data: '%' #");
    let path = cluster.home.write_file("client.yaml", &damaged);
    let error = pod_reflector_failure(&cluster.home, &path).await;
    assert_contains(
        &error,
        &["client-certificate-data", "user `kube-sim-admin`", &path.display().to_string(), "base64"],
    );
}
