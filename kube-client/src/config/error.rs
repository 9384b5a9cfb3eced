//! Errors of configurations. Most error texts name the file and the entry. Some error texts advise the user.

use std::{fmt, io, path::PathBuf};

use crate::error::{BoxError, Error};

/// The error of an operation that finds, reads, uses or writes a kubeconfig.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KubeconfigError {
    /// `KUBECONFIG` is not set, and there is no home directory.
    #[error("no kubeconfig: KUBECONFIG is not set and there is no home directory; set KUBECONFIG to a file")]
    FindPath,

    /// A file cannot be read.
    #[error("cannot read the kubeconfig {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },

    /// `KUBECONFIG` is set, but none of the listed files exists.
    #[error("{}; correct or unset KUBECONFIG", describe_missing_files(paths))]
    AllMissing {
        /// The listed files.
        paths: Vec<PathBuf>,
    },

    /// A file is not text in UTF-8 or UTF-16.
    #[error("{origin} is not text in UTF-8 or UTF-16")]
    NotText {
        /// The path of the file.
        origin: String,
    },

    /// A file, or another source, is not YAML or does not match the schema of a kubeconfig.
    #[error("{origin} is not a valid kubeconfig")]
    Parse {
        /// The file or other source.
        origin: String,
        /// The error of the YAML library, without the values in the file. The error contains the line, except
        /// for some errors in texts with merge keys (`<<`).
        source: BoxError,
    },

    /// A file, or another source, contains an object that is not a `v1` `Config`.
    #[error("{origin} is not a kubeconfig: it contains apiVersion `{api_version}`, kind `{kind}`")]
    WrongKind {
        /// The file or other source.
        origin: String,
        /// The API version of the object.
        api_version: String,
        /// The kind of the object.
        kind: String,
    },

    /// Two clusters, two users or two contexts in one YAML document have the same name.
    #[error("{origin} has two {what}s named `{name}`; rename or remove one")]
    Duplicate {
        /// The file or other source.
        origin: String,
        /// `cluster`, `user` or `context`.
        what: &'static str,
        /// The name of both entries.
        name: String,
    },

    /// `KubeConfigOptions` selects neither a context nor a cluster, and the kubeconfig does not set `current-context`.
    #[error("{origin} sets no current-context; {}", describe_existing_names("context", known))]
    CurrentContextNotSet {
        /// The files of the kubeconfig. If the kubeconfig was not read from files, this is the text
        /// `the given kubeconfig`.
        origin: String,
        /// The names of all contexts in the kubeconfig.
        known: Vec<String>,
    },

    /// The context that `KubeConfigOptions` or `current-context` selects does not exist.
    #[error("{origin} has no context `{name}`; {}", describe_existing_names("context", known))]
    NoSuchContext {
        /// The files of the kubeconfig, or `the given kubeconfig`.
        origin: String,
        /// The name of the context.
        name: String,
        /// The names of all contexts in the kubeconfig.
        known: Vec<String>,
    },

    /// The cluster that the context or `KubeConfigOptions` selects does not exist.
    #[error(
        "{origin} has no cluster `{name}`{}; {}",
        context_reference(context.as_deref()),
        describe_existing_names("cluster", known)
    )]
    NoSuchCluster {
        /// The files of the kubeconfig, or `the given kubeconfig`.
        origin: String,
        /// The name of the cluster.
        name: String,
        /// The context that refers to this cluster; `None` if `KubeConfigOptions::cluster` selects it.
        context: Option<String>,
        /// The names of all clusters in the kubeconfig.
        known: Vec<String>,
    },

    /// The user that the context or `KubeConfigOptions` selects does not exist.
    #[error(
        "{origin} has no user `{name}`{}; {}",
        context_reference(context.as_deref()),
        describe_existing_names("user", known)
    )]
    NoSuchUser {
        /// The files of the kubeconfig, or `the given kubeconfig`.
        origin: String,
        /// The name of the user.
        name: String,
        /// The context that refers to this user; `None` if `KubeConfigOptions::user` selects it.
        context: Option<String>,
        /// The names of all users in the kubeconfig.
        known: Vec<String>,
    },

    /// A field of an entry, or a proxy variable of the environment, cannot be used.
    #[error("{field} of {what} in {origin} cannot be used")]
    Field {
        /// The files of the kubeconfig, `the given kubeconfig`, or `the environment`.
        origin: String,
        /// The entry, such as ``cluster `prod` ``, or `the proxy settings`.
        what: String,
        /// The field or the variable.
        field: &'static str,
        /// The cause.
        source: FieldError,
    },

    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },

    /// Another program holds the lock of a file.
    #[error("the kubeconfig is locked: remove {} if no other program writes the kubeconfig", lock.display())]
    Locked {
        /// The lock file.
        lock: PathBuf,
    },

    /// The runtime was shut down while the files were being read.
    #[error("reading the kubeconfig was interrupted")]
    Interrupted(#[source] BoxError),
}

/// The reason that a field of a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// A required field is absent.
    #[error("it is missing")]
    Missing,
    /// Only one of two fields that require each other is set.
    #[error("it needs {0} as well")]
    Needs(&'static str),
    /// The file to which the field refers cannot be read.
    #[error("cannot read {}", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The value is not base64.
    #[error("it is not valid base64")]
    Base64(#[source] BoxError),
    /// The value or file contains no PEM block of the required kind.
    #[error("{from} contains no {wanted} in PEM form")]
    NoPem {
        /// The path of the file, or the words `the value` for an inline value.
        from: String,
        /// The required kind: `certificate` or `private key`.
        wanted: &'static str,
    },
    /// The PEM text is damaged.
    #[error("{from} is not valid PEM{}", block.map(|block| format!(": certificate {block}")).unwrap_or_default())]
    Pem {
        /// The path of the file that contains the PEM text, or the words `the value` for an inline value.
        from: String,
        /// The number of the certificate in the text, from 1; `None` for a private key.
        block: Option<usize>,
        /// The cause.
        source: BoxError,
    },
    /// The value is not a valid address.
    #[error("`{value}` is not an address: {why}")]
    Address {
        /// The value with its userinfo hidden.
        value: String,
        /// The cause.
        why: String,
    },
    /// Any other cause.
    #[error("{0}")]
    Invalid(String),
}

/// The reason that the configuration of a pod's service account cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InClusterError {
    /// A variable that the kubelet sets in every container is absent.
    #[error("not inside a cluster: the environment variable {0} is not set")]
    NotInCluster(&'static str),
    /// The host and port in the variables do not form a valid address.
    #[error("KUBERNETES_SERVICE_HOST `{host}` and KUBERNETES_SERVICE_PORT `{port}` are not a valid address")]
    Address {
        /// The host.
        host: String,
        /// The port.
        port: String,
    },
    /// A file of the service account cannot be read.
    #[error("cannot read the service account's {what} {}; the pod needs automountServiceAccountToken", path.display())]
    Read {
        /// The kind of the file: `token` or `certificate authority`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause: an error of the operating system, an empty file, or invalid UTF-8.
        source: io::Error,
    },
    /// The cluster's certificate authority cannot be used.
    #[error("cannot use the cluster's certificate authority")]
    CertificateAuthority(#[source] FieldError),
    /// An environment variable contains a proxy address that cannot be used.
    #[error("cannot use the environment variable {0}")]
    Proxy(&'static str, #[source] FieldError),
}

/// The reason that [`Config::infer`](crate::Config::infer) found no usable configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InferConfigError {
    /// A kubeconfig exists, but cannot be used.
    #[error("cannot make a configuration from the kubeconfig")]
    Kubeconfig(#[source] KubeconfigError),
    /// There is no kubeconfig, and the pod's service account cannot be used.
    #[error("cannot make a configuration from the pod's service account")]
    InCluster(#[source] InClusterError),
    /// There is neither a kubeconfig nor a service account.
    #[error(
        "no cluster to connect to: {tried}; set KUBECONFIG to a kubeconfig file, or run inside a cluster"
    )]
    Nothing {
        /// The sources that were tried, each with the reason that it provides no configuration.
        tried: String,
    },
}

impl From<KubeconfigError> for Error {
    fn from(error: KubeconfigError) -> Self {
        Self::config(error)
    }
}

impl From<InClusterError> for Error {
    fn from(error: InClusterError) -> Self {
        Self::config(error)
    }
}

impl From<InferConfigError> for Error {
    /// Allows `Config::infer().await?` in a function that returns an [`Error`].
    fn from(error: InferConfigError) -> Self {
        Self::config(error)
    }
}

/// The text of [`KubeconfigError::AllMissing`] without its advice. `paths` is empty if `KUBECONFIG` contains only
/// separators.
fn describe_missing_files(paths: &[PathBuf]) -> String {
    if paths.is_empty() {
        return "KUBECONFIG contains no path of a file".to_owned();
    }
    let paths = join_with_commas(paths.iter().map(|path| path.display()));
    format!("none of the files in KUBECONFIG exists: {paths}")
}

/// Joins the items with commas: `a, b, c`.
pub(super) fn join_with_commas<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// The end of an error text about a missing entry of the type `what`: the names of the existing entries.
fn describe_existing_names(what: &str, known: &[String]) -> String {
    if known.is_empty() {
        format!("it has no {what}")
    } else {
        format!("it has: {}", join_with_commas(known))
    }
}

/// The part of an error text about a missing entry: the name of the context that refers to the entry. The text
/// is empty if `context` is `None`.
fn context_reference(context: Option<&str>) -> String {
    context.map(|name| format!(", to which context `{name}` refers")).unwrap_or_default()
}
