//! The admission plugin ServiceAccount. A new pod that names no service account gets the account `default`. The containers
//! of a new pod get a volume with the token of the account, unless `automountServiceAccountToken` is false. Mirror pods are
//! not changed.
//!
//! If the service account controller does not run, a new namespace has no service account. The plugin then only sets the
//! name of the account, unless a test has enabled the plugin explicitly.

use serde_json::{Value, json};

use crate::admission_plugin::AdmissionPlugin;
use crate::schema::quote;
use crate::status::SimError;
use crate::store::State;
use crate::store::object::key;
use crate::store::queue::Controller;

/// The name of the table that contains the service accounts.
const SERVICE_ACCOUNTS: &str = "/serviceaccounts";

/// The folder of the token in each container.
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The prefix of the name of the volume with the token.
const VOLUME_PREFIX: &str = "kube-api-access-";

/// Sets the service account of a new pod and mounts the token of the account. If the pod has no image pull secrets, copies
/// those of the account.
///
/// # Errors
/// 403 if the service account does not exist.
pub(crate) fn admit(state: &mut State, namespace: &str, pod: &mut Value) -> Result<(), SimError> {
    // The kubelet creates mirror pods, which have no access to the API.
    if !pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_null() || !pod["spec"].is_object() {
        return Ok(());
    }
    let spec = &mut pod["spec"];
    let name =
        spec["serviceAccountName"].as_str().filter(|name| !name.is_empty()).unwrap_or("default").to_owned();
    if !state.is_running(Controller::ServiceAccount)
        && !state.plugins.contains_key(&AdmissionPlugin::ServiceAccount)
    {
        set_account_name(spec, &name);
        return Ok(());
    }
    let Some(account) = state.get(SERVICE_ACCOUNTS, &key(namespace, &name)).cloned() else {
        let quoted = quote(&name);
        let why =
            format!("error looking up service account {namespace}/{name}: serviceaccount {quoted} not found");
        let pod = pod["metadata"]["name"].as_str().unwrap_or_default();
        return Err(SimError::forbidden("", "pods", pod, &why));
    };
    let account = state.decoded_value(&account);
    set_account_name(spec, &name);
    let has_secrets = spec["imagePullSecrets"].as_array().is_some_and(|list| !list.is_empty());
    if !has_secrets && account["imagePullSecrets"].is_array() {
        spec["imagePullSecrets"] = account["imagePullSecrets"].clone();
    }
    let of_account = account["automountServiceAccountToken"].as_bool();
    if spec["automountServiceAccountToken"].as_bool().or(of_account).unwrap_or(true) {
        let suffix = state.random.suffix(5);
        mount_token(spec, &format!("{VOLUME_PREFIX}{suffix}"));
    }
    Ok(())
}

/// Sets the name of the account, also in the deprecated field `serviceAccount`.
fn set_account_name(spec: &mut Value, name: &str) {
    spec["serviceAccountName"] = name.into();
    spec["serviceAccount"] = name.into();
}

/// Mounts the token in each container that mounts nothing at [`MOUNT_PATH`]. If the pod has a volume whose
/// name begins with [`VOLUME_PREFIX`], mounts this volume. If not, mounts a volume with the name `new_name`,
/// and adds this volume to the pod if at least one container mounts it.
fn mount_token(spec: &mut Value, new_name: &str) {
    let mut volumes = spec["volumes"].as_array().into_iter().flatten();
    let name_of = |volume: &Value| volume["name"].as_str().map(ToOwned::to_owned);
    let existing = volumes.find_map(|volume| name_of(volume).filter(|name| name.starts_with(VOLUME_PREFIX)));
    let name = existing.clone().unwrap_or_else(|| new_name.to_owned());
    let mut is_mounted = false;
    for list in ["initContainers", "containers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            let mut mounts = container["volumeMounts"].as_array().into_iter().flatten();
            if mounts.any(|mount| mount["mountPath"] == MOUNT_PATH) {
                continue;
            }
            is_mounted = true;
            push(container, "volumeMounts", json!({"mountPath": MOUNT_PATH, "name": name, "readOnly": true}));
        }
    }
    if is_mounted && existing.is_none() {
        let sources = json!([
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"items": [{"key": "ca.crt", "path": "ca.crt"}], "name": "kube-root-ca.crt"}},
            {"downwardAPI": {"items": [
                {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}, "path": "namespace"},
            ]}},
        ]);
        push(spec, "volumes", json!({"name": name, "projected": {"defaultMode": 420, "sources": sources}}));
    }
    // Remove null lists. If the pod has no `initContainers`, `spec[list]` in the first loop has inserted
    // null.
    for list in ["initContainers", "volumes"] {
        if spec[list].is_null() {
            spec.as_object_mut().map(|spec| spec.remove(list));
        }
    }
}

/// Appends an item to a list, which may be absent.
fn push(parent: &mut Value, list: &str, item: Value) {
    match parent[list].as_array_mut() {
        Some(items) => items.push(item),
        None => parent[list] = json!([item]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_mounted_in_each_container_without_a_mount_at_the_token_path() {
        let own = json!([{"name": "own", "mountPath": MOUNT_PATH}]);
        let mut spec = json!({"containers": [{"name": "a"}, {"name": "b", "volumeMounts": own}]});
        mount_token(&mut spec, "kube-api-access-x");
        assert_eq!(spec["containers"][0]["volumeMounts"][0]["name"], "kube-api-access-x");
        assert_eq!(spec["containers"][1]["volumeMounts"], own);
        assert_eq!(spec["volumes"].as_array().unwrap().len(), 1);
        assert_eq!(spec.get("initContainers"), None);
    }

    #[test]
    fn an_existing_volume_is_used_and_an_unneeded_volume_is_not_added() {
        let volumes = json!([{"name": "kube-api-access-old"}]);
        let mut spec = json!({"containers": [{"name": "a"}], "volumes": volumes});
        mount_token(&mut spec, "kube-api-access-x");
        assert_eq!(spec["containers"][0]["volumeMounts"][0]["name"], "kube-api-access-old");
        assert_eq!(spec["volumes"], volumes);
        let own = json!([{"name": "own", "mountPath": MOUNT_PATH}]);
        let mut spec = json!({"containers": [{"name": "b", "volumeMounts": own}]});
        mount_token(&mut spec, "kube-api-access-x");
        assert_eq!(spec.get("volumes"), None);
    }
}
