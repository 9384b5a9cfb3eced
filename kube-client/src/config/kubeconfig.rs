//! The types of a kubeconfig file (`v1 Config`).
//!
//! The types keep unknown keys, so that a file still contains these keys after it is read and written. This module must not
//! read files or select entries: see `load`, `merge` and `resolve`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, path::PathBuf};

use super::{
    decode::{list_with_null_elements, optional_list_with_null_elements, yaml_bool},
    user::{AuthInfo, NamedAuthInfo},
};
use crate::core::__client::null_as_default;

/// Unknown keys and their values. A key is unknown if the Rust type, such as [`Cluster`], has no field for the key.
pub(super) type UnknownKeys = BTreeMap<String, Value>;

/// A kubeconfig: clusters, users, and contexts that combine a cluster with a user.
///
/// Read a kubeconfig with [`read`](Self::read), [`read_from`](Self::read_from) or [`from_yaml`](Self::from_yaml). Convert it
/// to a [`Config`](crate::Config) with [`Config::from_custom_kubeconfig`](crate::Config::from_custom_kubeconfig).
///
/// ```
/// use kube_client::{Config, config::{KubeConfigOptions, Kubeconfig}};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let kubeconfig = Kubeconfig::from_yaml(
///     "
/// contexts:
/// - name: staging
///   context: {cluster: east, user: ada, namespace: web}
/// clusters:
/// - name: east
///   cluster: {server: 'https://10.0.0.1:6443'}
/// users:
/// - name: ada
///   user: {token: abc}
/// ",
/// )?;
/// let options = KubeConfigOptions { context: Some("staging".into()), ..Default::default() };
/// let config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
/// assert_eq!(config.default_namespace, "web");
/// # Ok::<_, Box<dyn std::error::Error>>(()) })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Kubeconfig {
    /// `Config` or absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `v1` or absent.
    #[serde(rename = "apiVersion", skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Preferences of command line tools (deprecated in Kubernetes; preserved when a file is read and written).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferences: Option<Preferences>,
    /// The clusters, each with a name.
    #[serde(default, deserialize_with = "list_with_null_elements")]
    pub clusters: Vec<NamedCluster>,
    /// The users, each with a name.
    #[serde(rename = "users", default, deserialize_with = "list_with_null_elements")]
    pub auth_infos: Vec<NamedAuthInfo>,
    /// The contexts, each with a name.
    #[serde(default, deserialize_with = "list_with_null_elements")]
    pub contexts: Vec<NamedContext>,
    /// The name of the default context.
    #[serde(rename = "current-context", skip_serializing_if = "Option::is_none")]
    pub current_context: Option<String>,
    /// Additional data of other tools.
    #[serde(
        default,
        deserialize_with = "optional_list_with_null_elements",
        skip_serializing_if = "Option::is_none"
    )]
    pub extensions: Option<Vec<NamedExtension>>,
    /// The keys for which this type has no field, and the values of these keys.
    #[serde(flatten)]
    pub other: UnknownKeys,
    /// The files from which the kubeconfig was read; empty for other sources. Error texts name these files, and the client
    /// writes new tokens of an auth provider to them.
    #[serde(skip)]
    pub sources: Vec<PathBuf>,
}

/// Preferences of command line tools.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Preferences {
    /// Whether tools use colours in their output.
    #[serde(default, deserialize_with = "yaml_bool", skip_serializing_if = "Option::is_none")]
    pub colors: Option<bool>,
    /// Additional data of other tools.
    #[serde(
        default,
        deserialize_with = "optional_list_with_null_elements",
        skip_serializing_if = "Option::is_none"
    )]
    pub extensions: Option<Vec<NamedExtension>>,
    /// The keys for which this type has no field, and the values of these keys.
    #[serde(flatten)]
    pub other: UnknownKeys,
}

/// Additional data of another tool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NamedExtension {
    /// The name of the extension.
    #[serde(default, deserialize_with = "null_as_default")]
    pub name: String,
    /// The data of the extension.
    #[serde(default)]
    pub extension: Value,
}

/// A cluster and its name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct NamedCluster {
    /// The name that contexts refer to.
    #[serde(default, deserialize_with = "null_as_default")]
    pub name: String,
    /// The address and TLS settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Cluster>,
    /// The keys for which this type has no field, and the values of these keys.
    #[serde(flatten)]
    pub other: UnknownKeys,
}

/// The address and TLS settings of a cluster.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Cluster {
    /// The API server's address, such as `https://host:port`. The scheme is `https` or `http`; a path is optional.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Whether to accept any certificate of the server, which makes the connection insecure.
    #[serde(default, deserialize_with = "yaml_bool", skip_serializing_if = "Option::is_none")]
    pub insecure_skip_tls_verify: Option<bool>,
    /// The path of a PEM file with the trusted certificate authorities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<String>,
    /// The PEM text of the trusted certificate authorities, in base64; takes precedence over `certificate_authority`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_authority_data: Option<String>,
    /// The proxy for this cluster; takes precedence over the proxy variables of the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_url: Option<String>,
    /// Whether to request uncompressed responses.
    #[serde(default, deserialize_with = "yaml_bool", skip_serializing_if = "Option::is_none")]
    pub disable_compression: Option<bool>,
    /// The server name (SNI) that the certificate is verified against, instead of the host in `server`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,
    /// Additional data of other tools. The extension `client.authentication.k8s.io/exec` is passed to credential
    /// plugins.
    #[serde(
        default,
        deserialize_with = "optional_list_with_null_elements",
        skip_serializing_if = "Option::is_none"
    )]
    pub extensions: Option<Vec<NamedExtension>>,
    /// The keys for which this type has no field, and the values of these keys.
    #[serde(flatten)]
    pub other: UnknownKeys,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("server", &self.server.as_deref().map(super::address::without_userinfo))
            .field("insecure_skip_tls_verify", &self.insecure_skip_tls_verify)
            .field("certificate_authority", &self.certificate_authority)
            .field("certificate_authority_data", &self.certificate_authority_data.as_ref().map(String::len))
            .field("proxy_url", &self.proxy_url.as_deref().map(super::address::without_userinfo))
            .field("disable_compression", &self.disable_compression)
            .field("tls_server_name", &self.tls_server_name)
            .field(
                "extensions",
                &self.extensions.iter().flatten().map(|extension| &extension.name).collect::<Vec<_>>(),
            )
            .field("other", &super::secret::KeysOnly(&self.other))
            .finish()
    }
}

/// A context and its name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct NamedContext {
    /// The name of the entry.
    #[serde(default, deserialize_with = "null_as_default")]
    pub name: String,
    /// The cluster, user and namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
    /// The keys for which this type has no field, and the values of these keys.
    #[serde(flatten)]
    pub other: UnknownKeys,
}

/// A cluster, a user, and a default namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// The name of an entry in `clusters`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub cluster: String,
    /// The name of an entry in `users`; absent for anonymous requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The default namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Additional data of other tools.
    #[serde(
        default,
        deserialize_with = "optional_list_with_null_elements",
        skip_serializing_if = "Option::is_none"
    )]
    pub extensions: Option<Vec<NamedExtension>>,
    /// The keys for which this type has no field, and the values of these keys.
    #[serde(flatten)]
    pub other: UnknownKeys,
}

impl Kubeconfig {
    /// The cluster with this name; an entry without `cluster` is an empty cluster.
    pub(super) fn cluster(&self, name: &str) -> Option<Cluster> {
        Some(self.clusters.iter().find(|named| named.name == name)?.cluster.clone().unwrap_or_default())
    }

    /// The user with this name; an entry without `user` is an anonymous user.
    pub(super) fn user(&self, name: &str) -> Option<AuthInfo> {
        Some(self.auth_infos.iter().find(|named| named.name == name)?.auth_info.clone().unwrap_or_default())
    }

    /// The context with this name; an entry without `context` is an empty context.
    pub(super) fn context(&self, name: &str) -> Option<Context> {
        Some(self.contexts.iter().find(|named| named.name == name)?.context.clone().unwrap_or_default())
    }
}
