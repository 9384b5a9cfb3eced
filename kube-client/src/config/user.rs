//! The types of a kubeconfig's users: credentials and impersonation.
//!
//! `Debug` shows which credentials are set, but not the values. This module must not read files or run plugins.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::HashMap, fmt};

use super::{
    decode::{
        base64_bytes, environment_variables, extra_attributes, map_with_null_values,
        optional_list_with_null_elements, serialize_sorted, serialize_sorted_option, yaml_bool_or_false,
    },
    kubeconfig::{NamedExtension, UnknownKeys},
    secret::{self, KeysOnly, redacted_if_set},
};
use crate::core::__client::null_as_default;

/// A user entry: a name and credentials.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct NamedAuthInfo {
    /// The name that contexts refer to.
    #[serde(default, deserialize_with = "null_as_default")]
    pub name: String,
    /// The credentials of the user.
    #[serde(rename = "user", skip_serializing_if = "Option::is_none")]
    pub auth_info: Option<AuthInfo>,
    /// The keys for which this type has no field, and the values of these keys.
    #[serde(flatten)]
    pub other: UnknownKeys,
}

/// The credentials of a client, and the user that it impersonates.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AuthInfo {
    /// The user name for basic authentication. API servers do not support basic authentication since Kubernetes 1.19;
    /// proxies may support it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password for basic authentication.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "secret")]
    pub password: Option<SecretString>,
    /// A bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "secret")]
    pub token: Option<SecretString>,
    /// A file with a bearer token. The client reads the file again at least once a minute. The file takes precedence over
    /// `token`: the client uses `token` only until it can read the file.
    #[serde(rename = "tokenFile", skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
    /// A PEM file with the client's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<String>,
    /// The PEM text of the certificate, in base64; takes precedence over `client_certificate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate_data: Option<String>,
    /// A PEM file with the certificate's private key (PKCS#8, PKCS#1 or SEC1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<String>,
    /// The PEM text of the private key, in base64; takes precedence over `client_key`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "secret")]
    pub client_key_data: Option<SecretString>,
    /// The user to impersonate.
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    pub impersonate: Option<String>,
    /// The UID to impersonate.
    #[serde(rename = "as-uid", skip_serializing_if = "Option::is_none")]
    pub impersonate_uid: Option<String>,
    /// The groups to impersonate.
    #[serde(
        rename = "as-groups",
        default,
        deserialize_with = "optional_list_with_null_elements",
        skip_serializing_if = "Option::is_none"
    )]
    pub impersonate_groups: Option<Vec<String>>,
    /// The extra attributes to impersonate.
    #[serde(
        rename = "as-user-extra",
        default,
        deserialize_with = "extra_attributes",
        serialize_with = "serialize_sorted_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub impersonate_user_extra: Option<HashMap<String, Vec<String>>>,
    /// An auth provider, the predecessor of credential plugins. Only `oidc` is supported: a client cannot be built with
    /// another provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_provider: Option<AuthProviderConfig>,
    /// A credential plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecConfig>,
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

impl fmt::Debug for AuthInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthInfo")
            .field("username", &self.username)
            .field("password", &redacted_if_set(self.password.as_ref()))
            .field("token", &redacted_if_set(self.token.as_ref()))
            .field("token_file", &self.token_file)
            .field("client_certificate", &self.client_certificate)
            .field("client_certificate_data", &self.client_certificate_data.as_ref().map(String::len))
            .field("client_key", &self.client_key)
            .field("client_key_data", &redacted_if_set(self.client_key_data.as_ref()))
            .field("impersonate", &self.impersonate)
            .field("impersonate_uid", &self.impersonate_uid)
            .field("impersonate_groups", &self.impersonate_groups)
            .field("impersonate_user_extra", &self.impersonate_user_extra)
            .field("auth_provider", &self.auth_provider)
            .field("exec", &self.exec)
            .field(
                "extensions",
                &self.extensions.iter().flatten().map(|extension| &extension.name).collect::<Vec<_>>(),
            )
            .field("other", &KeysOnly(&self.other))
            .finish()
    }
}

/// An auth provider, the predecessor of credential plugins.
///
/// With the auth provider `oidc`, the client sends the `id-token` of an OpenID Connect provider as a bearer token. With
/// the settings `refresh-token`, `idp-issuer-url`, `client-id` and an optional `client-secret`, the client refreshes the
/// token shortly before its expiry and after a 401. If the configuration was read from files, the client writes the new
/// tokens to the kubeconfig. `idp-certificate-authority` (a file) or `idp-certificate-authority-data` (base64) replaces
/// the system's CA bundle for connections to the OpenID Connect provider.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct AuthProviderConfig {
    /// The name of the auth provider, such as `oidc`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub name: String,
    /// The settings of the auth provider, which may include tokens.
    #[serde(default, deserialize_with = "map_with_null_values", serialize_with = "serialize_sorted")]
    pub config: HashMap<String, String>,
    /// The keys for which this type has no field, and the values of these keys.
    #[serde(flatten)]
    pub other: UnknownKeys,
}

impl fmt::Debug for AuthProviderConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthProviderConfig")
            .field("name", &self.name)
            .field("config", &KeysOnly(&self.config.iter().collect()))
            .field("other", &KeysOnly(&self.other))
            .finish()
    }
}

/// A credential plugin: a command that prints an `ExecCredential` (KEP-541).
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecConfig {
    /// `client.authentication.k8s.io/v1` or `client.authentication.k8s.io/v1beta1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// The command: a path, or a name that is searched for in `PATH`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The arguments of the command.
    #[serde(
        default,
        deserialize_with = "optional_list_with_null_elements",
        skip_serializing_if = "Option::is_none"
    )]
    pub args: Option<Vec<String>>,
    /// Environment variables to set in addition to the inherited variables: maps with `name` and `value`.
    #[serde(default, deserialize_with = "environment_variables", skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<HashMap<String, String>>>,
    /// Inherited variables to remove; not part of the file format.
    #[serde(skip)]
    pub drop_env: Option<Vec<String>>,
    /// Advice on the installation of the command. If the command is not found, the error contains the advice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub install_hint: Option<String>,
    /// Whether the command may use the terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interactive_mode: Option<ExecInteractiveMode>,
    /// Whether the command receives [`cluster`](Self::cluster) in `KUBERNETES_EXEC_INFO`.
    #[serde(default, deserialize_with = "yaml_bool_or_false")]
    pub provide_cluster_info: bool,
    /// The cluster information for the command; set when a [`Config`](crate::Config) is built with
    /// `provide_cluster_info`.
    #[serde(skip)]
    pub cluster: Option<ExecAuthCluster>,
    /// The keys for which this type has no field, and the values of these keys.
    #[serde(flatten)]
    pub other: UnknownKeys,
}

impl fmt::Debug for ExecConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.env.iter().flatten().filter_map(|variable| variable.get("name")).collect();
        f.debug_struct("ExecConfig")
            .field("api_version", &self.api_version)
            .field("command", &self.command)
            .field("args", &redacted_if_set(self.args.as_ref()))
            .field("env", &names)
            .field("drop_env", &self.drop_env)
            .field("interactive_mode", &self.interactive_mode)
            .field("provide_cluster_info", &self.provide_cluster_info)
            .field("cluster", &self.cluster)
            .field("other", &KeysOnly(&self.other))
            .finish_non_exhaustive()
    }
}

/// Whether a credential plugin uses the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExecInteractiveMode {
    /// The plugin does not use the terminal.
    Never,
    /// The plugin uses the terminal if there is one.
    IfAvailable,
    /// The plugin requires a terminal.
    Always,
}

/// The cluster information for a credential plugin. `ExecAuthCluster::try_from` builds the information from a
/// [`Cluster`](super::Cluster), and reads the CA bundle of the cluster.
///
/// ```
/// use kube_client::config::{Cluster, ExecAuthCluster};
///
/// let cluster = Cluster { server: Some("https://10.0.0.1:6443".into()), ..Cluster::default() };
/// let information = ExecAuthCluster::try_from(&cluster)?;
/// assert_eq!(information.server, cluster.server);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ExecAuthCluster {
    /// The API server's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The server name (SNI) that the certificate is verified against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,
    /// Whether clients skip the verification of the server's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure_skip_tls_verify: Option<bool>,
    /// The CA bundle as PEM text. The serialized form is in base64.
    #[serde(default, with = "base64_bytes", skip_serializing_if = "Option::is_none")]
    pub certificate_authority_data: Option<Vec<u8>>,
    /// The proxy URL of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_url: Option<String>,
    /// The cluster's extension `client.authentication.k8s.io/exec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Value>,
}

impl fmt::Debug for ExecAuthCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecAuthCluster")
            .field("server", &self.server.as_deref().map(super::address::without_userinfo))
            .field("tls_server_name", &self.tls_server_name)
            .field("insecure_skip_tls_verify", &self.insecure_skip_tls_verify)
            .field("config", &redacted_if_set(self.config.as_ref()))
            .finish_non_exhaustive()
    }
}
