//! Parses and validates the options of a cluster. Starts nothing.

use std::path::PathBuf;
use std::str::FromStr;

use super::version::KubernetesVersion;
use xtask_process::progress::Progress;

/// The maximum number of API servers of a cluster.
pub const MAX_API_SERVERS: usize = 5;

/// The source of a cluster's programs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Source {
    /// Programs that are built from pinned Go modules, and kept in the cache folder.
    Build(KubernetesVersion),
    /// A folder with `etcd` and `kube-apiserver`, usually the value of `KUBEBUILDER_ASSETS`. The cluster has no nodes and
    /// runs no pods.
    Assets(PathBuf),
}

/// A feature gate, parsed from `NAME`, `NAME=true` or `NAME=false`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureGate {
    name: String,
    enabled: bool,
}

impl FromStr for FeatureGate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').unwrap_or((text, "true"));
        let enabled = value
            .parse()
            .map_err(|_| format!("the value of a feature gate must be true or false, not {value:?}"))?;
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(format!("{name:?} is not the name of a feature gate, such as CBORServingAndStorage"));
        }
        Ok(Self { name: name.to_owned(), enabled })
    }
}

impl std::fmt::Display for FeatureGate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.name, self.enabled)
    }
}

/// A user with a bearer token in the token file, which the API servers read only when they start. To create a user
/// later, use [`client_certificate`](super::Cluster::client_certificate).
#[derive(Debug, Clone)]
pub struct User {
    pub(crate) name: String,
    pub(crate) groups: Vec<String>,
}

/// The options of a cluster. The default is the newest Kubernetes with one API server and three nodes.
#[derive(Debug)]
pub struct Options {
    pub(crate) source: Source,
    pub(crate) api_servers: usize,
    pub(crate) nodes: usize,
    pub(crate) controllers: bool,
    pub(crate) disabled_admission_plugins: Option<Vec<&'static str>>,
    pub(crate) feature_gates: Vec<FeatureGate>,
    pub(crate) users: Vec<User>,
    pub(crate) logs: Option<PathBuf>,
    pub(crate) progress: Progress,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            source: Source::Build(KubernetesVersion::LATEST),
            api_servers: 1,
            nodes: 3,
            controllers: true,
            disabled_admission_plugins: None,
            feature_gates: Vec::new(),
            users: Vec::new(),
            logs: None,
            progress: Progress::silent(),
        }
    }
}

impl Options {
    /// Sets the source of the programs.
    #[must_use]
    pub fn source(mut self, source: Source) -> Self {
        self.source = source;
        self
    }

    /// Sets the number of API servers that share the etcd: 1 to [`MAX_API_SERVERS`].
    #[must_use]
    pub fn api_servers(mut self, count: usize) -> Self {
        self.api_servers = count;
        self
    }

    /// Sets the number of nodes. A cluster of [`Source::Assets`] or without controllers has no nodes.
    #[must_use]
    pub fn nodes(mut self, count: usize) -> Self {
        self.nodes = count;
        self
    }

    /// Starts only etcd and the API servers: no controllers, scheduler or nodes.
    #[must_use]
    pub fn without_controllers(mut self) -> Self {
        self.controllers = false;
        self
    }

    /// Sets the admission plugins that the API servers do not run. Without controllers, the default is
    /// `ServiceAccount`: this plugin refuses pods without an existing service account, and only a controller creates the
    /// account `default` of a namespace.
    #[must_use]
    pub fn disabled_admission_plugins(mut self, plugins: &[&'static str]) -> Self {
        self.disabled_admission_plugins = Some(plugins.to_vec());
        self
    }

    /// Adds feature gates for all components of Kubernetes.
    #[must_use]
    pub fn feature_gates(mut self, gates: impl IntoIterator<Item = FeatureGate>) -> Self {
        self.feature_gates.extend(gates);
        self
    }

    /// Adds a user. [`Cluster::token`](super::Cluster::token) returns the user's token.
    #[must_use]
    pub fn user<G: Into<String>>(
        mut self,
        name: impl Into<String>,
        groups: impl IntoIterator<Item = G>,
    ) -> Self {
        self.users.push(User { name: name.into(), groups: groups.into_iter().map(Into::into).collect() });
        self
    }

    /// Writes the components' logs to `folder` instead of the temporary folder. The cluster does not delete `folder`.
    #[must_use]
    pub fn logs(mut self, folder: impl Into<PathBuf>) -> Self {
        self.logs = Some(folder.into());
        self
    }

    /// Sets the progress output; silent by default.
    #[must_use]
    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Checks the number of API servers and the names of users and groups.
    pub(crate) fn validate(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            (1..=MAX_API_SERVERS).contains(&self.api_servers),
            "the number of API servers must be 1 to {MAX_API_SERVERS}, not {}",
            self.api_servers
        );
        for user in &self.users {
            let plain = |text: &String| !text.is_empty() && !text.contains(['"', ',', '\n', '\r']);
            anyhow::ensure!(
                plain(&user.name) && user.groups.iter().all(plain),
                "the name or a group of user {:?} is empty or contains a comma, a quote or a line break",
                user.name
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_gate(text: &str, expected: Result<&str, &str>) {
        match (text.parse::<FeatureGate>(), expected) {
            (Ok(gate), Ok(expected)) => assert_eq!(gate.to_string(), expected),
            (Err(message), Err(expected)) => assert!(message.contains(expected), "{message}"),
            (got, _) => panic!("{text}: {got:?}"),
        }
    }

    #[test]
    fn a_feature_gate_without_a_value_is_enabled_and_invalid_text_is_rejected() {
        check_gate("WatchList", Ok("WatchList=true"));
        check_gate("WatchList=false", Ok("WatchList=false"));
        check_gate("WatchList=maybe", Err("maybe"));
        check_gate("Watch,List", Err("Watch,List"));
        check_gate("", Err("not the name"));
    }

    #[test]
    fn invalid_options_are_rejected() {
        let message = |options: Options| options.validate().unwrap_err().to_string();
        assert!(message(Options::default().api_servers(0)).contains("not 0"));
        assert!(message(Options::default().user("a,b", ["g"])).contains("a,b"));
        assert!(Options::default().user("a", ["g", "h"]).api_servers(2).validate().is_ok());
    }
}
