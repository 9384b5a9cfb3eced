//! Writes the config map from which aggregated API servers read the certificate authorities of client certificates.

use serde_json::json;

use super::writes;
use crate::store::State;

/// Adds certificate authorities (PEM) to the config map `extension-apiserver-authentication`. Does nothing if the
/// config map already contains them.
pub(crate) fn publish(state: &mut State, authorities: &str) {
    let map = json!({"metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"}});
    let written = writes::create_or_modify(state, "/configmaps", map, "kube-apiserver", |map| {
        let known = map["data"]["client-ca-file"].as_str().unwrap_or_default();
        if !known.contains(authorities) {
            let separator = if known.is_empty() || known.ends_with('\n') { "" } else { "\n" };
            map["data"]["client-ca-file"] = format!("{known}{separator}{authorities}").into();
        }
    });
    if let Err(error) = written {
        tracing::debug!(%error, "cannot publish the authorities of client certificates");
    }
    super::run(state);
}
