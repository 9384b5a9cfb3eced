//! `ServerChoice`: selects and starts the server of a run. Also builds the examples that some cases run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use tokio::process::Command;

use super::server::Server;
use xtask_control_plane::{Cluster, FeatureGate, KubernetesVersion, Options, Source};
use xtask_process::progress::Progress;

/// The environment variable with the path of a folder that contains etcd and kube-apiserver.
const ASSETS_VARIABLE: &str = "KUBEBUILDER_ASSETS";

/// The feature gates that some cases need and that are off by default. `PodLogsQuerySplitStreams` allows a request for
/// only the stdout or only the stderr of a container's log (KEP-3288).
const FEATURE_GATES: [&str; 1] = ["PodLogsQuerySplitStreams"];

/// The kind of server that the command line or the environment selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ServerChoice {
    /// kube-sim in this process.
    Simulation,
    /// The cluster of this kubeconfig file, or of `KUBECONFIG` if `None`.
    Kubeconfig(Option<PathBuf>),
    /// etcd and kube-apiserver from this folder.
    Assets(PathBuf),
    /// A control plane built from source.
    Build(KubernetesVersion),
}

impl ServerChoice {
    /// Returns the choice for a command line that has no option for the server. `assets` is the value of
    /// `KUBEBUILDER_ASSETS`. If `assets` is missing or empty, the server is built from source. If not, the server is etcd
    /// and kube-apiserver from `assets`.
    pub(crate) fn from_environment(assets: Option<PathBuf>) -> Self {
        match assets.filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => Self::Assets(folder),
            None => Self::Build(KubernetesVersion::LATEST),
        }
    }

    /// The value of `KUBEBUILDER_ASSETS`.
    pub(crate) fn read_assets_variable() -> Option<PathBuf> {
        std::env::var_os(ASSETS_VARIABLE).map(PathBuf::from)
    }

    /// Starts the server, or connects to the cluster of the kubeconfig.
    ///
    /// # Errors
    /// When the kubeconfig is missing, or the server cannot be started or does not respond.
    pub(crate) async fn start_server(self) -> anyhow::Result<Server> {
        let source = match self {
            Self::Simulation => return Server::start_simulation().await,
            Self::Kubeconfig(path) => {
                if let Some(path) = &path {
                    ensure!(
                        path.is_file(),
                        "there is no file {}; for the cluster of $KUBECONFIG, put --kubeconfig after the filters",
                        path.display()
                    );
                } else if std::env::var_os("KUBECONFIG").is_none_or(|value| value.is_empty()) {
                    bail!("KUBECONFIG is not set: set it, or name a file with --kubeconfig FILE");
                }
                return Server::connect_to_kubeconfig(path).await;
            }
            Self::Assets(folder) => Source::Assets(folder),
            Self::Build(version) => Source::Build(version),
        };
        // With two API servers, cases can kill one and expect clients to continue on the other.
        let gates = FEATURE_GATES.iter().map(|gate| gate.parse::<FeatureGate>().map_err(anyhow::Error::msg));
        let options = Options::default().source(source).api_servers(2).progress(Progress::new());
        let options = options.feature_gates(gates.collect::<anyhow::Result<Vec<_>>>()?);
        let cluster = Cluster::start(options).await?;
        Server::connect_to_cluster(cluster).await
    }
}

/// The fields of cargo's `compiler-artifact` message that this module reads.
#[derive(Deserialize)]
struct Artifact {
    target: Target,
    executable: Option<PathBuf>,
}

/// The cargo target that was built, such as an example.
#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// Builds the examples of the whole workspace. Returns the path of each executable, with the example's name as the key.
/// Uses the same features as `cargo xtask test`, so that cargo reuses what that command has built.
///
/// # Errors
/// When cargo cannot be started, or the examples do not compile.
///
/// # Cancel safety
/// Dropping the future kills cargo.
pub(crate) async fn build_examples() -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let child = Command::from(xtask_process::cargo::cargo())
        .args(["build", "--quiet", "--workspace", "--examples", "--message-format"])
        .arg("json-render-diagnostics")
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot run cargo to build the examples")?;
    let output = child.wait_with_output().await.context("cannot wait for cargo")?;
    ensure!(output.status.success(), "the examples do not build");
    Ok(find_executables(&String::from_utf8_lossy(&output.stdout)))
}

/// Finds the executables of examples in cargo's JSON messages.
fn find_executables(messages: &str) -> BTreeMap<String, PathBuf> {
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Artifact>(line).ok());
    artifacts
        .filter(|artifact| artifact.target.kind.iter().any(|kind| kind == "example"))
        .filter_map(|artifact| Some((artifact.target.name, artifact.executable?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_assets_variable_selects_the_default_server() {
        let build = ServerChoice::Build(KubernetesVersion::LATEST);
        assert_eq!(ServerChoice::from_environment(None), build);
        assert_eq!(ServerChoice::from_environment(Some(PathBuf::new())), build);
        assert_eq!(ServerChoice::from_environment(Some("bin".into())), ServerChoice::Assets("bin".into()));
    }

    #[test]
    fn only_executables_of_examples_are_found() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"examples"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"kind":["example"],"name":"a"},"executable":"/t/a"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(find_executables(messages), BTreeMap::from([("a".to_owned(), PathBuf::from("/t/a"))]));
    }

    #[tokio::test]
    async fn a_missing_kubeconfig_is_named_in_the_error() {
        let error =
            ServerChoice::Kubeconfig(Some("verbs".into())).start_server().await.err().unwrap().to_string();
        assert!(error.contains("no file verbs"), "{error}");
    }
}
