//! Tests of the output of `crd_reflector`, and of the two YAML files of this example.

use crate::support::{Cluster, RunningExample, assert_contains};
use kube_sim::Sim;
use serde_json::Value;

/// The API version, kind, namespace and name of [`baz`].
pub(crate) const BAZ: (&str, &str, &str, &str) = ("clux.dev/v1", "Foo", "kube-system", "baz");

/// Reads a YAML file in the folder of the examples.
fn read_yaml(name: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    yaml_serde::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The object of `crd-baz.yaml`, in the namespace `kube-system`.
fn baz() -> Value {
    let mut object = read_yaml("crd-baz.yaml");
    object["metadata"]["namespace"] = "kube-system".into();
    object
}

#[tokio::test]
async fn crd_reflector_installs_its_crd_and_prints_objects() {
    let cluster = Cluster::new().await;
    let mut example = cluster.start("crd_reflector");
    example.wait_for_stderr("installed foos.clux.dev").await;
    example.wait_for_stdout("0 foos").await;
    cluster.create(&baz());
    example.wait_for_stdout("1 foos").await;
    let line = example.wait_for_stdout("kube-system/baz").await;
    assert_eq!(line, "  kube-system/baz: baz, an example object");
    cluster.edit_object(BAZ, |object| object["spec"] = serde_json::json!({"name": "renamed"}));
    assert_eq!(example.wait_for_stdout("renamed").await, "  kube-system/baz: renamed, no info");
    cluster.delete(BAZ);
    example.wait_for_stdout("0 foos").await;
    example.stop().await;
}

#[tokio::test]
async fn crd_reflector_uses_an_existing_crd() {
    let cluster = Cluster::new().await;
    cluster.create(&read_yaml("foo.yaml"));
    cluster.create(&baz());
    for args in [&[][..], &["--no-install"]] {
        let mut command = cluster.home.example_command("crd_reflector", &cluster.kubeconfig);
        command.args(args);
        let mut example = RunningExample::new(command);
        example.wait_for_stdout("kube-system/baz: baz").await;
        example.stop().await;
    }
    let creates = cluster.sim.journal().count_of("create", "customresourcedefinitions");
    assert_eq!(creates, 1, "--no-install must not create the CRD");
}

/// The program and `kubectl apply -f foo.yaml` must install the same CRD.
#[tokio::test]
async fn foo_yaml_equals_the_derived_crd() {
    let cluster = Cluster::new().await;
    let mut example = cluster.start("crd_reflector");
    example.wait_for_stderr("watching foos").await;
    let definition = |sim: &Sim| {
        let crd = ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "foos.clux.dev");
        sim.get(crd.0, crd.1, crd.2, crd.3).unwrap()["spec"].take()
    };
    let derived = definition(&cluster.sim);
    example.stop().await;
    let sim = Sim::new();
    sim.create(&read_yaml("foo.yaml")).unwrap();
    assert_eq!(definition(&sim), derived);
}

#[tokio::test]
async fn crd_reflector_advises_how_to_install_a_missing_crd() {
    let cluster = Cluster::new().await;
    let mut command = cluster.home.example_command("crd_reflector", &cluster.kubeconfig);
    command.arg("--no-install");
    let error = RunningExample::new(command).wait_for_failure().await;
    assert_contains(
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
async fn crd_reflector_advises_what_to_do_if_installing_is_forbidden() {
    use kube_sim::fault::{Action, Rule};
    let cluster = Cluster::new().await;
    cluster.sim.faults().add(Rule::new(Action::status(403)).resource("customresourcedefinitions"));
    let error = cluster.start("crd_reflector").wait_for_failure().await;
    assert_contains(&error, &["cannot install foos.clux.dev", "kubectl apply -f examples/foo.yaml", "403"]);
}

#[tokio::test]
async fn crd_reflector_rejects_unknown_arguments() {
    let cluster = Cluster::new().await;
    for args in [&["--instal"][..], &["--no-install", "again"]] {
        let mut command = cluster.home.example_command("crd_reflector", &cluster.kubeconfig);
        command.args(args);
        let error = RunningExample::new(command).wait_for_failure().await;
        assert_contains(&error, &["--no-install"]);
    }
}
