//! The roles and bindings that an API server creates at its start.

use anyhow::Context as _;
use serde_json::{Map, Value};

use super::server::Server;

/// The query parameter that selects the roles and bindings by their label. API servers create these objects, and repair
/// the objects at each start.
const SELECTOR: &str = "labelSelector=kubernetes.io/bootstrapping%3Drbac-defaults";

/// The kinds, and the plurals of their resources. Roles come before the bindings that refer to them.
const KINDS: [(&str, &str); 4] = [
    ("ClusterRole", "clusterroles"),
    ("Role", "roles"),
    ("ClusterRoleBinding", "clusterrolebindings"),
    ("RoleBinding", "rolebindings"),
];

/// The recorded fields of `metadata`. The server assigns the other fields.
const METADATA_FIELDS: [&str; 4] = ["name", "namespace", "labels", "annotations"];

/// The text of `bootstrap_policy.jsonl`: one line per object, in the order of [`KINDS`], then by namespace and name.
/// `None` if kube-controller-manager has not set the rules of the aggregated roles.
pub(super) fn policy_lines(server: &Server) -> anyhow::Result<Option<String>> {
    let mut lines = String::new();
    for (kind, plural) in KINDS {
        let list = server.get(&format!("/apis/rbac.authorization.k8s.io/v1/{plural}?{SELECTOR}"))?;
        // The server returns the items sorted by namespace and name.
        for item in list["items"].as_array().with_context(|| format!("the list of {plural} has no items"))? {
            if item["aggregationRule"].is_object() && item["rules"].is_null() {
                return Ok(None);
            }
            let mut object = item.clone();
            object["apiVersion"] = "rbac.authorization.k8s.io/v1".into();
            object["kind"] = kind.into();
            let fields = METADATA_FIELDS
                .into_iter()
                .filter_map(|field| Some((field.to_owned(), item["metadata"].get(field)?.clone())));
            object["metadata"] = Value::Object(fields.collect::<Map<_, _>>());
            lines.push_str(&object.to_string());
            lines.push('\n');
        }
    }
    Ok(Some(lines))
}
