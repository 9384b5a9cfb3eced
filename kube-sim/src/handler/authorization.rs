//! Authorization of requests by role-based access control (RBAC), if it is enabled.

use form_urlencoded::parse;

use super::reply::Request;
use super::target::Path;
use super::verb_of;
use crate::rbac::{Access, ResourceAccess, find_grant};
use crate::shared_state::Inner;
use crate::status::SimError;
use crate::user::User;

/// Checks that the roles grant the request to its user. Without RBAC, each user has all permissions. As in the API
/// server, the resource need not exist.
///
/// # Errors
/// 403 with the user, the verb, and the resource or the path.
pub(crate) fn check_request(inner: &Inner, request: &Request, path: Option<&Path>) -> Result<(), SimError> {
    if !inner.settings.rbac {
        return Ok(());
    }
    let Some(path) = path else {
        let verb = request.method.as_str().to_ascii_lowercase();
        return check(inner, &request.user, &Access::Path { verb: &verb, path: &request.path });
    };
    let verb = verb_of(&request.method, path, &request.query);
    let selected = selected_name(&request.query);
    let is_collection = matches!(verb, "list" | "watch" | "deletecollection");
    let name = if path.name.is_empty() && is_collection { &selected } else { &path.name };
    // A request for a `Namespace` counts as a request in this namespace: a role in the namespace can grant the request.
    let is_namespace = path.group.is_empty() && path.resource == "namespaces";
    let access = ResourceAccess {
        verb,
        group: &path.group,
        resource: &path.resource,
        subresource: &path.subresource,
        namespace: if is_namespace { &path.name } else { &path.namespace },
        name,
    };
    check(inner, &request.user, &Access::Resource(access))
}

/// Checks that the roles grant an access. Without RBAC, each user has all permissions.
///
/// # Errors
/// 403 with the user, the verb, and the resource or the path.
pub(crate) fn check(inner: &Inner, user: &User, access: &Access<'_>) -> Result<(), SimError> {
    if !inner.settings.rbac || find_grant(&inner.lock(), user, access).is_some() {
        return Ok(());
    }
    Err(match access {
        Access::Path { verb, path } => SimError::forbidden_path(&user.name, verb, path),
        Access::Resource(access) => {
            let ResourceAccess { verb, group, resource, subresource, namespace, name } = access;
            let resource_text = if subresource.is_empty() {
                (*resource).to_owned()
            } else {
                format!("{resource}/{subresource}")
            };
            let scope = if namespace.is_empty() {
                "at the cluster scope".to_owned()
            } else {
                format!("in the namespace {namespace:?}")
            };
            let why = format!(
                "User {:?} cannot {verb} resource {resource_text:?} in API group {group:?} {scope}",
                user.name
            );
            SimError::forbidden(group, resource, name, &why)
        }
    })
}

/// The name that the field selector of a query requires; empty if the selector requires no name.
fn selected_name(query: &str) -> String {
    let selector = parse(query.as_bytes()).find(|(key, _)| key == "fieldSelector").map(|(_, value)| value);
    let terms = selector.as_deref().unwrap_or_default().split(',');
    let mut name = terms.filter_map(|term| {
        let value = term.strip_prefix("metadata.name=")?;
        Some(value.strip_prefix('=').unwrap_or(value).to_owned())
    });
    name.next_back().unwrap_or_default()
}
