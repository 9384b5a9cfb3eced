//! Tests of the HTTPS listener with the installed kubectl. If kubectl is not installed, the tests print a message and
//! pass.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use kube_sim::workload::WorkloadSimulator;
use kube_sim::{Server, Sim};

/// Runs the installed kubectl with the kubeconfig of a server and with an empty home directory.
struct Kubectl {
    config: tempfile::NamedTempFile,
    home: tempfile::TempDir,
}

impl Kubectl {
    /// Prepares kubectl for `server`. If kubectl is not installed, prints a message and returns `None`.
    fn for_server(server: &Server) -> Option<Self> {
        if Command::new("kubectl").arg("version").arg("--client").output().is_err() {
            println!("skipped: kubectl is not installed");
            return None;
        }
        let mut config = tempfile::NamedTempFile::new().unwrap();
        config.write_all(server.kubeconfig().as_bytes()).unwrap();
        Some(Self { config, home: tempfile::tempdir().unwrap() })
    }

    fn run_blocking(&self, args: &str, input: &str) -> Output {
        let mut child = Command::new("kubectl")
            .args(args.split_whitespace())
            .arg("--request-timeout=20s")
            .env("KUBECONFIG", self.config.path())
            .env("HOME", self.home.path())
            .env("KUBE_EDITOR", "sed -i s/blue/green/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Runs kubectl, asserts that kubectl succeeds, and returns the standard output. A blocking thread waits for kubectl,
    /// because the server runs on the threads of the runtime.
    async fn run(self: &std::sync::Arc<Self>, args: &str, input: &str) -> String {
        let (this, owned, input) = (self.clone(), args.to_owned(), input.to_owned());
        let output = tokio::task::spawn_blocking(move || this.run_blocking(&owned, &input)).await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {args}: {text}{error}");
        text
    }
}

/// Starts an HTTPS listener, and prepares kubectl for this listener. If kubectl is not installed, the second value is
/// `None`.
async fn start_server(sim: &Sim) -> (Server, Option<std::sync::Arc<Kubectl>>) {
    let server = sim.serve_https("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let kubectl = Kubectl::for_server(&server).map(std::sync::Arc::new);
    (server, kubectl)
}

const CONFIG_MAP_YAML: &str = "
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data:
  colour: blue
";

const DEFINITION_YAML: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: foos.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: foos, singular: foo, kind: Foo}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {info: {type: string}}}
    additionalPrinterColumns:
    - {name: Info, type: string, jsonPath: .spec.info}
";

const CUSTOM_RESOURCE_YAML: &str = "
apiVersion: example.com/v1
kind: Foo
metadata: {name: baz, namespace: kube-system}
spec: {info: blue}
";

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_applied_edited_and_deleted() {
    let sim = Sim::builder().nodes(2).build();
    let (_server, Some(kubectl)) = start_server(&sim).await else { return };
    assert!(kubectl.run("get nodes,ns -A", "").await.contains("node/node-1   Ready"));
    assert_eq!(kubectl.run("apply -f -", CONFIG_MAP_YAML).await, "configmap/settings created\n");
    assert_eq!(kubectl.run("apply -f -", CONFIG_MAP_YAML).await, "configmap/settings unchanged\n");
    assert_eq!(
        kubectl.run("apply -f -", &CONFIG_MAP_YAML.replace("blue", "red")).await,
        "configmap/settings configured\n"
    );
    kubectl.run("apply --server-side --force-conflicts -f -", CONFIG_MAP_YAML).await;
    assert!(kubectl.run("edit cm settings", "").await.contains("configmap/settings edited"));
    assert_eq!(kubectl.run("get cm settings -o jsonpath={.data.colour}", "").await, "green");
    assert!(kubectl.run("describe cm settings", "").await.contains("colour:"));
    kubectl.run("delete cm settings --wait", "").await;
    kubectl.run("create namespace made", "").await;
    kubectl.run("create secret generic s -n made --from-literal=a=b", "").await;
    kubectl.run("delete namespace made --wait", "").await;
    assert_eq!(kubectl.run("auth can-i create pods", "").await, "yes\n");
    assert!(sim.get("v1", "Namespace", "", "made").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_resources_are_created_and_deleted() {
    let sim = Sim::new();
    let (_server, Some(kubectl)) = start_server(&sim).await else { return };
    kubectl.run("apply -f -", DEFINITION_YAML).await;
    kubectl.run("wait --for=condition=established crd/foos.example.com --timeout=10s", "").await;
    kubectl.run("apply -f -", CUSTOM_RESOURCE_YAML).await;
    let table = kubectl.run("get foos -A", "").await;
    assert!(table.contains("NAMESPACE     NAME   INFO") && table.contains("baz    blue"), "{table}");
    kubectl.run("edit foos baz -n kube-system", "").await;
    assert_eq!(sim.get("example.com/v1", "Foo", "kube-system", "baz").unwrap()["spec"]["info"], "green");
    assert!(kubectl.run("explain foo.spec", "").await.contains("info"));
    kubectl.run("delete -f -", CUSTOM_RESOURCE_YAML).await;
    kubectl.run("delete crd foos.example.com", "").await;
    assert!(kubectl.run("get crd", "").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workload_simulator_rolls_out_a_deployment() {
    let sim = Sim::new();
    let _workload = WorkloadSimulator::builder()
        .nodes(2)
        .deployments(0)
        .calm()
        .pace(Duration::from_millis(20))
        .start(&sim);
    let (_server, Some(kubectl)) = start_server(&sim).await else { return };
    kubectl.run("create deployment web --image=web:1 --replicas=3", "").await;
    let done = kubectl.run("rollout status deployment/web --timeout=30s", "").await;
    assert!(done.contains("successfully rolled out"), "{done}");
    kubectl.run("set image deployment/web web=web:2", "").await;
    kubectl.run("rollout status deployment/web --timeout=30s", "").await;
    kubectl.run("scale deployment/web --replicas=1", "").await;
    kubectl.run("rollout status deployment/web --timeout=30s", "").await;
    assert!(kubectl.run("get deployment web", "").await.contains("1/1"));
    assert!(kubectl.run("describe deployment web", "").await.contains("ScalingReplicaSet"));
    kubectl.run("drain node-0 --force --ignore-daemonsets --timeout=20s", "").await;
    kubectl.run("delete deployment web --cascade=foreground --wait --timeout=20s", "").await;
}
