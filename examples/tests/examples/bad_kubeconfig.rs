//! Kubeconfigs that cannot be used. Each is one error that names the file, and what in it is wrong.

use crate::support::{Cluster, Home, Running, assert_says};
use std::path::Path;

async fn failure(home: &Home, kubeconfig: &Path) -> String {
    Running::new(home.example("pod_reflector", kubeconfig)).failure().await
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let home = Home::new();
    let error = failure(&home, Path::new("missing.yaml")).await;
    assert_says(&error, &["missing.yaml", "KUBECONFIG", "exist"]);
}

#[tokio::test]
async fn without_any_configuration_it_says_where_it_looked() {
    let home = Home::new();
    let mut command = home.example("pod_reflector", Path::new(""));
    command.env_remove("KUBECONFIG");
    let error = Running::new(command).failure().await;
    let default = home.path(".kube/config").display().to_string();
    assert_says(&error, &["KUBECONFIG is not set", &default, "set KUBECONFIG"]);
}

#[tokio::test]
async fn an_unreadable_file_is_named() {
    let home = Home::new();
    // A folder cannot be read by anyone, not even by root.
    let folder = home.path("folder");
    std::fs::create_dir(&folder).unwrap();
    let error = failure(&home, &folder).await;
    assert_says(&error, &["cannot read the kubeconfig", &folder.display().to_string(), "directory"]);
}

#[tokio::test]
async fn malformed_files_are_named_with_what_is_wrong_in_them() {
    let home = Home::new();
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n";
    for (name, text, says) in [
        ("braces.yaml", "clusters:\n- name: [\n", "line"),
        ("shape.yaml", "clusters: 7\n", "clusters"),
        ("pod.yaml", pod, "kind `Pod`"),
        ("empty.yaml", "", "current-context"),
        ("binary.yaml", "\u{0}\u{1}\u{2}", "not a valid kubeconfig"),
    ] {
        let path = home.write(name, text);
        let error = failure(&home, &path).await;
        assert_says(&error, &[&path.display().to_string(), says]);
    }
}

#[tokio::test]
async fn names_that_do_not_exist_are_told_with_those_that_do() {
    let cluster = Cluster::new().await;
    let good = cluster.server.kubeconfig();
    for (from, to, says) in [
        ("current-context: kube-sim", "current-context: prod", "no context `prod`; it has: kube-sim"),
        ("cluster: kube-sim\n", "cluster: prod\n", "no cluster `prod`"),
        ("user: kube-sim-admin", "user: nobody", "no user `nobody`"),
    ] {
        assert!(good.contains(from), "{from} is not in\n{good}");
        let path = cluster.home.write("changed.yaml", &good.replace(from, to));
        let error = failure(&cluster.home, &path).await;
        assert_says(&error, &[&path.display().to_string(), says]);
    }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read_is_named_with_its_entry() {
    let cluster = Cluster::new().await;
    let good = cluster.server.kubeconfig();
    let file = cluster.home.path("nowhere.pem").display().to_string();
    let missing =
        good.replace("certificate-authority-data:", &format!("certificate-authority: {file}\n    unknown:"));
    let path = cluster.home.write("ca.yaml", &missing);
    let error = failure(&cluster.home, &path).await;
    assert_says(&error, &["certificate-authority", "cluster `kube-sim`", &path.display().to_string(), &file]);

    let damaged = good.replace("client-certificate-data: ", "client-certificate-data: '%' #");
    let path = cluster.home.write("client.yaml", &damaged);
    let error = failure(&cluster.home, &path).await;
    assert_says(
        &error,
        &["client-certificate-data", "user `kube-sim-admin`", &path.display().to_string(), "base64"],
    );
}
