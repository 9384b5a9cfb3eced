//! The strategy of the group `storagemigration.k8s.io`.

use serde_json::Value;

use super::conditions::{check_status_conditions, is_condition_true};
use super::printer::{self, Printer};
use super::rules::{dns_label_1035_problem, subdomain_problem};
use super::validation::{Errors, string_in};
use super::{Strategy, SubresourceUpdate};
use crate::schema::FieldError;

pub(super) static STRATEGIES: [Strategy; 1] = [Strategy {
    group: "storagemigration.k8s.io",
    kind: "StorageVersionMigration",
    validate,
    validate_update: Some(|old, new, out| {
        validate(new, out);
        out.reject_change("spec", old, new);
    }),
    validate_subresource: check_status,
    status_metadata: &["managedFields"],
    printer: Printer::new(printer::cluster::version_migration_cells),
    allow_unconditional_update: false,
    ..Strategy::DEFAULT
}];

fn validate(migration: &Value, out: &mut Errors) {
    let path = "spec.resource.resource";
    let target = &migration["spec"]["resource"];
    let resource = string_in(target, "resource");
    if resource.is_empty() {
        out.push(FieldError::required(path, "resource is required to be set"));
    } else if let Some(why) = dns_label_1035_problem(resource) {
        out.push(FieldError::invalid(path, resource, why));
    }
    let group = string_in(target, "group");
    if let Some(why) = subdomain_problem(group).filter(|_| !group.is_empty()) {
        out.push(FieldError::invalid("spec.resource.group", group, why));
    }
}

/// Checks that the resource version is absent or well-formed. A resource version must not change after it is set. At most
/// one of the conditions `Succeeded` and `Failed` may be true, and a true condition must stay true.
fn check_status(update: &SubresourceUpdate<'_>, new: &Value, out: &mut Errors) {
    let path = "status.resourceVersion";
    let version = string_in(&new["status"], "resourceVersion");
    if let Some(why) = resource_version_problem(version).filter(|_| !version.is_empty()) {
        out.push(FieldError::invalid(path, version, why));
    }
    check_status_conditions(new, out);
    let before = string_in(&update.old["status"], "resourceVersion");
    if !before.is_empty() && before != version {
        out.push(FieldError::invalid(path, version, "field is immutable"));
    }
    let mut reject = |why: &str| {
        let conditions = new["status"]["conditions"].clone();
        out.push(FieldError::invalid("status.conditions", conditions, why));
    };
    if is_condition_true(new, "Succeeded") && is_condition_true(new, "Failed") {
        reject("Both success and failed conditions cannot be true at the same time");
    }
    for (kind, name) in [("Succeeded", "Success"), ("Failed", "Failed")] {
        if is_condition_true(update.old, kind) && !is_condition_true(new, kind) {
            reject(&format!("{name} condition cannot be set to false once it is true"));
        }
    }
}

/// The reason that a text is not a valid resource version; `None` if it is valid. A valid resource version
/// has only digits, and does not begin with 0. The caller skips empty texts.
fn resource_version_problem(text: &str) -> Option<String> {
    let valid = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    (!valid).then(|| format!("resource version is not well formed: {text}"))
}
