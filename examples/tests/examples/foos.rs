//! What `crd_reflector` prints, and that its two YAML files are what it needs.

use crate::support::{Cluster, Running, assert_says};
use kube_sim::Sim;
use serde_json::Value;

pub(crate) const BAZ: (&str, &str, &str, &str) = ("clux.dev/v1", "Foo", "kube-system", "baz");

/// One of the YAML files beside the examples.
fn file(name: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    yaml_serde::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn baz() -> Value {
    let mut object = file("crd-baz.yaml");
    object["metadata"]["namespace"] = "kube-system".into();
    object
}

#[tokio::test]
async fn crd_reflector_installs_its_definition_and_prints_what_is_there() {
    let cluster = Cluster::new().await;
    let mut example = cluster.start("crd_reflector");
    example.logs("installed foos.clux.dev").await;
    example.says("0 foos").await;
    cluster.create(&baz());
    example.says("1 foos").await;
    let line = example.says("kube-system/baz").await;
    assert_eq!(line, "  kube-system/baz: baz, a thing that is there for others to look at");
    cluster.change(BAZ, |object| object["spec"] = serde_json::json!({"name": "renamed"}));
    assert_eq!(example.says("renamed").await, "  kube-system/baz: renamed, nothing known");
    cluster.delete(BAZ);
    example.says("0 foos").await;
    example.stop().await;
}

#[tokio::test]
async fn crd_reflector_uses_a_definition_that_is_there() {
    let cluster = Cluster::new().await;
    cluster.create(&file("foo.yaml"));
    cluster.create(&baz());
    for args in [&[][..], &["--no-install"]] {
        let mut command = cluster.home.example("crd_reflector", &cluster.kubeconfig);
        command.args(args);
        let mut example = Running::new(command);
        example.says("kube-system/baz: baz").await;
        example.stop().await;
    }
    let made = cluster.sim.journal().count_of("create", "customresourcedefinitions");
    assert_eq!(made, 1, "--no-install installs");
}

/// Else the program and `kubectl apply -f foo.yaml` would undo each other's work.
#[tokio::test]
async fn foo_yaml_is_the_definition_that_is_derived() {
    let cluster = Cluster::new().await;
    let mut example = cluster.start("crd_reflector");
    example.logs("watching foos").await;
    let definition = |sim: &Sim| {
        let crd = ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "foos.clux.dev");
        sim.get(crd.0, crd.1, crd.2, crd.3).unwrap()["spec"].take()
    };
    let derived = definition(&cluster.sim);
    example.stop().await;
    let sim = Sim::new();
    sim.create(&file("foo.yaml")).unwrap();
    assert_eq!(definition(&sim), derived);
}

#[tokio::test]
async fn crd_reflector_says_how_to_install_a_definition_that_is_missing() {
    let cluster = Cluster::new().await;
    let mut command = cluster.home.example("crd_reflector", &cluster.kubeconfig);
    command.arg("--no-install");
    let error = Running::new(command).failure().await;
    assert_says(
        &error,
        &[
            "foos.clux.dev is not installed",
            "kubectl apply -f examples/foo.yaml",
            "/apis/clux.dev/v1/foos",
            "404",
        ],
    );
}

#[tokio::test]
async fn crd_reflector_says_what_to_do_when_it_may_not_install() {
    use kube_sim::fault::{Action, Rule};
    let cluster = Cluster::new().await;
    cluster.sim.faults().add(Rule::new(Action::status(403)).resource("customresourcedefinitions"));
    let error = cluster.start("crd_reflector").failure().await;
    assert_says(&error, &["cannot install foos.clux.dev", "kubectl apply -f examples/foo.yaml", "403"]);
}

#[tokio::test]
async fn crd_reflector_refuses_arguments_that_it_does_not_know() {
    let cluster = Cluster::new().await;
    for args in [&["--instal"][..], &["--no-install", "again"]] {
        let mut command = cluster.home.example("crd_reflector", &cluster.kubeconfig);
        command.args(args);
        let error = Running::new(command).failure().await;
        assert_says(&error, &["--no-install"]);
    }
}
