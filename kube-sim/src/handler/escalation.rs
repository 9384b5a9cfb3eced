//! Prevention of privilege escalation. A user can write a role only if the user has the permissions that the role grants,
//! or the verb `escalate` on the role. A user can write a binding only if the user has the permissions of the role to
//! which the binding refers, or the verb `bind` on this role.

use serde_json::{Value, json};

use super::object_meta;
use super::target::Target;
use crate::json::text;
use crate::rbac::{
    Access, GROUP, ResourceAccess, find_grant, missing_permissions, quote_list, rules_of, rules_of_role,
};
use crate::status::SimError;
use crate::store::State;
use crate::user::{SUPERUSERS, User};

/// Checks that a user may write `object`. `old` is the stored object of an update. Only roles and bindings are checked.
///
/// # Errors
/// 403 with the permissions that the user does not have; 404 if the role of a binding does not exist.
pub(crate) fn check(
    state: &State,
    user: &User,
    target: &Target,
    object: &Value,
    old: Option<&Value>,
) -> Result<(), SimError> {
    if target.resource.group != GROUP
        || user.is_in(SUPERUSERS)
        || old.is_some_and(|old| object_meta::changes_only_gc_fields(old, object))
    {
        return Ok(());
    }
    let write = RoleWrite { state, user, target, object };
    match target.resource.plural.as_str() {
        "roles" | "clusterroles" => write.check_role(old),
        "rolebindings" | "clusterrolebindings" => write.check_binding(),
        _ => Ok(()),
    }
}

/// A write of a role or a binding.
struct RoleWrite<'a> {
    state: &'a State,
    user: &'a User,
    target: &'a Target,
    object: &'a Value,
}

impl RoleWrite<'_> {
    fn check_role(&self, old: Option<&Value>) -> Result<(), SimError> {
        let access = ResourceAccess {
            verb: "escalate",
            group: GROUP,
            resource: &self.target.resource.plural,
            name: &self.target.name,
            ..ResourceAccess::default()
        };
        if self.is_granted(access) {
            return Ok(());
        }
        self.check_permissions(self.object["rules"].as_array().map_or(&[], Vec::as_slice))?;
        // An aggregated role can get any permission, so its writer must have all permissions.
        let is_aggregated = |role: &Value| {
            let selectors = role["aggregationRule"]["clusterRoleSelectors"].as_array();
            selectors.is_some_and(|selectors| !selectors.is_empty())
        };
        let all = [
            json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}),
            json!({"nonResourceURLs": ["*"], "verbs": ["*"]}),
        ];
        if (is_aggregated(self.object) || old.is_some_and(is_aggregated))
            && self.check_permissions(&all).is_err()
        {
            return Err(self.forbidden("must have cluster-admin privileges to use the aggregationRule"));
        }
        Ok(())
    }

    fn check_binding(&self) -> Result<(), SimError> {
        let role = &self.object["roleRef"];
        let (group, name) = (GROUP, text(&role["name"]));
        let resource = if text(&role["kind"]) == "ClusterRole" { "clusterroles" } else { "roles" };
        let access = ResourceAccess { verb: "bind", group, resource, name, ..ResourceAccess::default() };
        if self.is_granted(access) {
            return Ok(());
        }
        match rules_of_role(self.state, role, &self.target.namespace) {
            Some(rules) => self.check_permissions(&rules),
            None => Err(SimError::not_found(group, resource, name)),
        }
    }

    /// Whether a role grants the user the access in the namespace of the request.
    fn is_granted(&self, access: ResourceAccess<'_>) -> bool {
        let access = ResourceAccess { namespace: &self.target.namespace, ..access };
        find_grant(self.state, self.user, &Access::Resource(access)).is_some()
    }

    /// Checks that the user has the permissions of these rules.
    fn check_permissions(&self, rules: &[Value]) -> Result<(), SimError> {
        let owned = rules_of(self.state, self.user, &self.target.namespace);
        let missing = missing_permissions(&owned, rules);
        if missing.is_empty() {
            return Ok(());
        }
        Err(self.forbidden(&format!(
            "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            self.user.name,
            quote_list(&self.user.groups),
            missing.join("\n")
        )))
    }

    fn forbidden(&self, why: &str) -> SimError {
        let name = object_meta::text(self.object, "name");
        SimError::forbidden(GROUP, &self.target.resource.plural, name, why)
    }
}
