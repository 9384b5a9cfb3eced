//! What can be wrong with a configuration, said with file, entry and remedy.

use std::{fmt, io, path::PathBuf};

use crate::error::BoxError;

/// A kubeconfig cannot be found, read or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KubeconfigError {
    /// There is no `KUBECONFIG`, and no home directory to look into.
    #[error("no kubeconfig: KUBECONFIG is not set and there is no home directory; set KUBECONFIG to a file")]
    FindPath,

    /// A file cannot be read.
    #[error("cannot read the kubeconfig {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// `KUBECONFIG` names files, and none of them exists.
    #[error("none of the files that KUBECONFIG names exists: {}; correct or unset KUBECONFIG", list(paths.iter().map(|path| path.display())))]
    AllMissing {
        /// The files.
        paths: Vec<PathBuf>,
    },

    /// A file is not text in UTF-8 or UTF-16.
    #[error("{origin} is not text in UTF-8 or UTF-16")]
    NotText {
        /// The file, or where else the bytes come from.
        origin: String,
    },

    /// A file is not YAML, or not of a kubeconfig's shape.
    #[error("{origin} is not a valid kubeconfig")]
    Parse {
        /// The file, or where else the text comes from.
        origin: String,
        /// What is wrong, and at which line.
        source: BoxError,
    },

    /// A file holds something else.
    #[error("{origin} is not a kubeconfig: it holds apiVersion `{api_version}`, kind `{kind}`")]
    WrongKind {
        /// The file.
        origin: String,
        /// Its API version.
        api_version: String,
        /// Its kind.
        kind: String,
    },

    /// Two entries of one file have the same name.
    #[error("{origin} has two {what}s named `{name}`; rename or remove one")]
    Duplicate {
        /// The file.
        origin: String,
        /// `cluster`, `user` or `context`.
        what: &'static str,
        /// The name.
        name: String,
    },

    /// No context was asked for, and none is set.
    #[error("{origin} sets no current-context; {}", choose("context", known))]
    CurrentContextNotSet {
        /// The files.
        origin: String,
        /// The contexts that there are.
        known: Vec<String>,
    },

    /// The context does not exist.
    #[error("{origin} has no context `{name}`; {}", choose("context", known))]
    NoSuchContext {
        /// The files.
        origin: String,
        /// The context.
        name: String,
        /// The contexts that there are.
        known: Vec<String>,
    },

    /// The context's cluster does not exist.
    #[error("{origin} has no cluster `{name}`{}; {}", wanted_by(context.as_deref()), choose("cluster", known))]
    NoSuchCluster {
        /// The files.
        origin: String,
        /// The cluster.
        name: String,
        /// The context that names it, unless it was asked for by name.
        context: Option<String>,
        /// The clusters that there are.
        known: Vec<String>,
    },

    /// The context's user does not exist.
    #[error("{origin} has no user `{name}`{}; {}", wanted_by(context.as_deref()), choose("user", known))]
    NoSuchUser {
        /// The files.
        origin: String,
        /// The user.
        name: String,
        /// The context that names it, unless it was asked for by name.
        context: Option<String>,
        /// The users that there are.
        known: Vec<String>,
    },

    /// A field of an entry cannot be used.
    #[error("{field} of {what} in {origin} cannot be used")]
    Field {
        /// The files.
        origin: String,
        /// The entry, such as ``cluster `prod` ``.
        what: String,
        /// The field.
        field: &'static str,
        /// Why.
        source: FieldError,
    },

    /// The task that reads the files was cancelled with its runtime.
    #[error("reading the kubeconfig was interrupted")]
    Interrupted(#[source] BoxError),
}

/// Why a field of a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// It is needed and absent.
    #[error("it is missing")]
    Missing,
    /// Only one of two fields that belong together is there.
    #[error("it needs {0} beside it")]
    Needs(&'static str),
    /// A file that it names cannot be read.
    #[error("cannot read {}", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The value is not base64.
    #[error("it is not valid base64")]
    Base64(#[source] BoxError),
    /// The value, or the file, holds no PEM block of the kind that is needed.
    #[error("{from} holds no {wanted} in PEM form")]
    NoPem {
        /// The file, or `the value`.
        from: String,
        /// What was looked for.
        wanted: &'static str,
    },
    /// The PEM text is damaged.
    #[error("{from} is not valid PEM{}", block.map(|block| format!(": certificate {block}")).unwrap_or_default())]
    Pem {
        /// The file, or `the value`.
        from: String,
        /// Which certificate of the text it is, counted from 1.
        block: Option<usize>,
        /// What is wrong with it.
        source: BoxError,
    },
    /// The value is not an address.
    #[error("`{value}` is not an address: {why}")]
    Address {
        /// The value, without any password in it.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// Anything else that is wrong with it.
    #[error("{0}")]
    Invalid(String),
}

/// The process does not run inside a cluster, or what a pod finds there cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InClusterError {
    /// The variables that Kubernetes sets in every container are not there.
    #[error("not inside a cluster: the environment variable {0} is not set")]
    NotInCluster(&'static str),
    /// The variables do not make an address.
    #[error("KUBERNETES_SERVICE_HOST `{host}` and KUBERNETES_SERVICE_PORT `{port}` do not make an address")]
    Address {
        /// The host.
        host: String,
        /// The port.
        port: String,
    },
    /// A file of the service account cannot be read.
    #[error("cannot read the service account's {what} {}; the pod needs automountServiceAccountToken", path.display())]
    Read {
        /// What is in the file.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The cluster's certificate authority cannot be used.
    #[error("cannot use the cluster's certificate authority")]
    CertificateAuthority(#[source] FieldError),
    /// The proxy variables of the environment cannot be used.
    #[error("cannot use the environment variable {0}")]
    Proxy(&'static str, #[source] FieldError),
}

/// Neither a kubeconfig nor a cluster around the process gave a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InferConfigError {
    /// There is a kubeconfig, and it cannot be used.
    #[error("cannot make a configuration from the kubeconfig")]
    Kubeconfig(#[source] KubeconfigError),
    /// There is no kubeconfig, and the process runs inside a cluster whose credentials cannot be used.
    #[error("cannot make a configuration from the pod's service account")]
    InCluster(#[source] InClusterError),
    /// There is neither.
    #[error(
        "no cluster to connect to: {tried}; set KUBECONFIG to a kubeconfig file, or run inside a cluster"
    )]
    Nothing {
        /// Where a configuration was looked for.
        tried: String,
    },
}

/// `a, b, c`.
pub(super) fn list<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

fn choose(what: &str, known: &[String]) -> String {
    if known.is_empty() { format!("it has no {what} at all") } else { format!("it has: {}", list(known)) }
}

fn wanted_by(context: Option<&str>) -> String {
    context.map(|name| format!(", which context `{name}` names")).unwrap_or_default()
}
