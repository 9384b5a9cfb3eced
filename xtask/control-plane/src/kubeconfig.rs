//! Writes kubeconfig files and other private files. This module must not depend on a running cluster.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use super::pki::Identity;

/// The credentials of a user in a kubeconfig.
#[derive(Clone)]
#[non_exhaustive]
pub enum Credentials {
    /// A client certificate.
    Certificate(Identity),
    /// A bearer token.
    Token(String),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Certificate(_) => "Certificate(..)",
            Self::Token(_) => "Token(..)",
        })
    }
}

/// The field `user` of an entry in a kubeconfig's `users`.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct User<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_certificate_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_key_data: Option<String>,
}

/// Writes a kubeconfig with one context to a file. The permissions of the file are those of [`write_private`].
pub(crate) fn write(
    path: &Path,
    server: &str,
    authority: &str,
    credentials: &Credentials,
) -> anyhow::Result<()> {
    let user = match credentials {
        Credentials::Certificate(identity) => User {
            token: None,
            client_certificate_data: Some(encode_base64(&identity.certificate)),
            client_key_data: Some(encode_base64(&identity.key)),
        },
        Credentials::Token(token) => {
            User { token: Some(token), client_certificate_data: None, client_key_data: None }
        }
    };
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "xtask",
        "clusters": [{
            "name": "xtask",
            "cluster": { "server": server, "certificate-authority-data": encode_base64(authority) },
        }],
        "users": [{ "name": "xtask", "user": user }],
        "contexts": [{ "name": "xtask", "context": { "cluster": "xtask", "user": "xtask" } }],
    });
    let text = yaml_serde::to_string(&config).context("cannot write YAML")?;
    write_private(path, &text)
}

/// Creates or overwrites a file. Only the owner can read a new file; an existing file keeps its permissions.
pub(crate) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn encode_base64(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_kubeconfig_with_a_token_is_readable_only_by_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        let credentials = Credentials::Token("secret".to_owned());
        write(&path, "https://127.0.0.1:1", "CA", &credentials).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let value: serde_json::Value =
            yaml_serde::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(value["users"][0]["user"], serde_json::json!({ "token": "secret" }));
        assert_eq!(value["clusters"][0]["cluster"]["server"], "https://127.0.0.1:1");
        assert_eq!(value["clusters"][0]["cluster"]["certificate-authority-data"], "Q0E=");
        assert!(!format!("{credentials:?}").contains("secret"));
    }
}
