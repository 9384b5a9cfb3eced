//! `Server`: the API server that `record` reads from, by GET requests with JSON responses.
//!
//! This module holds the address, certificates and credentials. The callers choose the requested paths, except `/version`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

/// The server certificates that the client accepts.
#[derive(Debug, PartialEq, Eq)]
enum Trust {
    /// Those that an authority has signed. The value is the certificate of the authority, in PEM.
    Authority(Vec<u8>),
    /// The certificates that a public authority has signed.
    PublicAuthorities,
    /// All certificates, without a check.
    Any,
}

impl Trust {
    /// The server certificates that a client accepts. `cluster` is the entry of the cluster in a kubeconfig.
    /// As in client-go, the client omits the check only if `insecure-skip-tls-verify` in the entry is true.
    /// Paths are relative to `folder`.
    fn of_cluster(cluster: &Value, folder: &Path) -> anyhow::Result<Self> {
        if cluster["insecure-skip-tls-verify"] == true {
            return Ok(Self::Any);
        }
        let authority = read_credential(cluster, "certificate-authority", folder)?;
        Ok(authority.map_or(Self::PublicAuthorities, Self::Authority))
    }
}

/// An API server and the credentials to read from it.
pub(super) struct Server {
    url: String,
    token: Option<String>,
    agent: ureq::Agent,
}

impl Server {
    /// The server at `url`. Without `authority`, the client does not check the server's certificate.
    pub(super) fn from_url(url: &str, token: Option<&str>, authority: Option<&Path>) -> anyhow::Result<Self> {
        let trust = match authority {
            Some(file) => Trust::Authority(read_file(file)?),
            None => Trust::Any,
        };
        Self::new(url, token.map(str::to_owned), trust, None)
    }

    /// The server and the credentials that a kubeconfig selects by its current context. The kubeconfig is the single file
    /// that KUBECONFIG names, else `~/.kube/config`.
    pub(super) fn from_kubeconfig() -> anyhow::Result<Self> {
        let path = match std::env::var_os("KUBECONFIG") {
            Some(path) if !path.is_empty() => PathBuf::from(path),
            _ => {
                let home = std::env::var_os("HOME").context("neither KUBECONFIG nor HOME is set")?;
                PathBuf::from(home).join(".kube/config")
            }
        };
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!("reading {} (name another with KUBECONFIG, or use --server)", path.display())
        })?;
        let config: Value =
            yaml_serde::from_str(&text).with_context(|| format!("{} is not a kubeconfig", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let context =
            &find_entry(&config, "contexts", expect_string(&config["current-context"])?)?["context"];
        let cluster = &find_entry(&config, "clusters", expect_string(&context["cluster"])?)?["cluster"];
        let user = &find_entry(&config, "users", expect_string(&context["user"])?)?["user"];
        let trust = Trust::of_cluster(cluster, folder)?;
        let identity = match (
            read_credential(user, "client-certificate", folder)?,
            read_credential(user, "client-key", folder)?,
        ) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            _ => None,
        };
        let token = user["token"].as_str().map(str::to_owned);
        Self::new(expect_string(&cluster["server"])?, token, trust, identity)
    }

    fn new(
        url: &str,
        token: Option<String>,
        trust: Trust,
        identity: Option<(Vec<u8>, Vec<u8>)>,
    ) -> anyhow::Result<Self> {
        let mut tls = TlsConfig::builder();
        tls = match trust {
            Trust::Authority(pem) => {
                let certificate = Certificate::from_pem(&pem).context("reading the certificate authority")?;
                tls.root_certs(RootCerts::Specific(Arc::new(vec![certificate])))
            }
            Trust::PublicAuthorities => tls,
            Trust::Any => tls.disable_verification(true),
        };
        if let Some((certificate, key)) = identity {
            let certificate =
                Certificate::from_pem(&certificate).context("reading the client certificate")?;
            let key = PrivateKey::from_pem(&key).context("reading the client key")?;
            tls = tls.client_cert(Some(ClientCert::new_with_certs(&[certificate], key)));
        }
        let agent = ureq::Agent::config_builder()
            .tls_config(tls.build())
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        Ok(Self { url: url.trim_end_matches('/').to_owned(), token, agent })
    }

    /// Requests `path`, and returns the JSON of the response.
    pub(super) fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.fetch(path, "application/json")
    }

    /// Requests aggregated discovery, version 2, at `/api` or `/apis`.
    pub(super) fn get_aggregated_discovery(&self, root: &str) -> anyhow::Result<Value> {
        let document =
            self.fetch(root, "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")?;
        if document["kind"] != "APIGroupDiscoveryList" {
            bail!(
                "{}{root} does not support aggregated discovery v2; use a server of 1.30 or later",
                self.url
            );
        }
        Ok(document)
    }

    /// Requests `path` as a `Table`.
    pub(super) fn get_table(&self, path: &str) -> anyhow::Result<Value> {
        self.fetch(path, "application/json;as=Table;g=meta.k8s.io;v=v1")
    }

    /// The server's version, such as `v1.37.2`.
    pub(super) fn get_version(&self) -> anyhow::Result<String> {
        Ok(expect_string(&self.get("/version")?["gitVersion"])?.to_owned())
    }

    /// Requests `path` with the `Accept` header `accept`, and returns the JSON of the response.
    fn fetch(&self, path: &str, accept: &str) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.url);
        let mut request = self.agent.get(&url).header("accept", accept);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = request.call().with_context(|| format!("requesting {url}"))?;
        let body = response.body_mut().with_config().limit(64 << 20).read_to_vec();
        let body = body.with_context(|| format!("reading {url}"))?;
        serde_json::from_slice(&body).with_context(|| format!("the response of {url} is not JSON"))
    }
}

/// Finds the entry `name` in a list of a kubeconfig, such as `contexts`.
fn find_entry<'a>(config: &'a Value, list: &str, name: &str) -> anyhow::Result<&'a Value> {
    let entries = config[list].as_array();
    let found = entries.and_then(|entries| entries.iter().find(|entry| entry["name"] == name));
    found.with_context(|| format!("the kubeconfig has no {name:?} among its {list}"))
}

/// The JSON value as a string; an error if it is not a string.
fn expect_string(value: &Value) -> anyhow::Result<&str> {
    value.as_str().context("a string is missing in the kubeconfig or the server's response")
}

/// Reads a certificate or key from inline data (`FIELD-data`), or from the file at a path relative to `folder`. `None` if
/// `entry` has neither.
fn read_credential(entry: &Value, field: &str, folder: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    if let Some(data) = entry[format!("{field}-data")].as_str() {
        return Ok(Some(STANDARD.decode(data).with_context(|| format!("decoding {field}-data"))?));
    }
    entry[field].as_str().map(|file| read_file(&folder.join(file))).transpose()
}

/// Reads a file; the error contains its path.
fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_certificate_check_is_omitted_only_with_insecure_skip_tls_verify() {
        for (cluster, expected) in [
            (json!({"certificate-authority-data": "Q0E="}), Trust::Authority(b"CA".to_vec())),
            (json!({}), Trust::PublicAuthorities),
            (json!({"insecure-skip-tls-verify": false}), Trust::PublicAuthorities),
            (json!({"insecure-skip-tls-verify": true}), Trust::Any),
        ] {
            assert_eq!(Trust::of_cluster(&cluster, Path::new(".")).unwrap(), expected, "{cluster}");
        }
    }
}
