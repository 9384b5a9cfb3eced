//! The strategies of the group `rbac.authorization.k8s.io`.

use serde_json::Value;

use super::Strategy;
use super::defaulting::{has_string, object_in, object_items, set_default_string};
use super::printer::{self, Printer};
use super::rules::path_segment_problem;
use super::validation::{Errors, items, string_in};
use crate::schema::FieldError;

const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// The part of the strategy that all kinds of this API group share.
const DEFAULT: Strategy = Strategy {
    group: RBAC_GROUP,
    allow_create_on_update: true,
    name_problem: |name| path_segment_problem(name).map(str::to_owned),
    ..Strategy::DEFAULT
};

/// The strategy of roles and cluster roles.
const ROLE: Strategy = Strategy { validate: check_role, ..DEFAULT };

/// The strategy of role bindings and cluster role bindings.
const BINDING: Strategy = Strategy {
    set_defaults: set_role_binding_defaults,
    printer: Printer::new(printer::cluster::role_binding_cells),
    validate: check_role_binding,
    validate_update: Some(|old, new, out| {
        check_role_binding(new, out);
        out.reject_change("roleRef", old, new);
    }),
    ..DEFAULT
};

pub(super) static STRATEGIES: [Strategy; 4] = [
    Strategy { kind: "ClusterRole", ..ROLE },
    Strategy { kind: "ClusterRoleBinding", ..BINDING },
    Strategy { kind: "Role", ..ROLE },
    Strategy { kind: "RoleBinding", ..BINDING },
];

fn set_role_binding_defaults(_: Option<&Value>, object: &mut Value) {
    if let Some(role) = object_in(object, "roleRef") {
        set_default_string(role, "apiGroup", RBAC_GROUP);
    }
    for subject in object_items(object, "subjects") {
        if has_string(subject, "kind", "User") || has_string(subject, "kind", "Group") {
            set_default_string(subject, "apiGroup", RBAC_GROUP);
        }
    }
}

fn check_role(new: &Value, out: &mut Errors) {
    for (path, rule) in items("", new, "rules") {
        if rule["verbs"].as_array().is_none_or(Vec::is_empty) {
            out.push(FieldError::required(format!("{path}.verbs"), ""));
        }
        let is_for_urls = rule["nonResourceURLs"].as_array().is_some_and(|urls| !urls.is_empty());
        for (field, why) in [
            ("apiGroups", "resource rules must supply at least one api group"),
            ("resources", "resource rules must supply at least one resource"),
        ] {
            if !is_for_urls && rule[field].as_array().is_none_or(Vec::is_empty) {
                out.push(FieldError::required(format!("{path}.{field}"), why));
            }
        }
    }
}

fn check_role_binding(new: &Value, out: &mut Errors) {
    for (path, subject) in items("", new, "subjects") {
        out.require_string(&path, subject, "name");
        match string_in(subject, "kind") {
            "User" | "Group" => {}
            // A service account without `namespace` is in the namespace of the role binding.
            "ServiceAccount" if new["kind"] == "RoleBinding" => {}
            "ServiceAccount" => out.require_string(&path, subject, "namespace"),
            other => {
                let known = ["ServiceAccount", "User", "Group"];
                out.push(FieldError::not_supported(format!("{path}.kind"), other, &known));
            }
        }
    }
    out.require_string("roleRef", &new["roleRef"], "name");
}
