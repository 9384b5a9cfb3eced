//! Validation of `CustomResourceDefinition` objects.
//!
//! Owns the rules for names, group, scope, versions, conversion, subresources and printer columns; `structural`
//! validates the schemas. The caller must first set the defaults of the CRD (`names.singular`, `names.listKind`).

mod approval;
mod selectable;

use serde_json::Value;

use super::field_error::FieldError;
use super::structural;
use crate::names;

pub(crate) use self::approval::{Approval, approval};

/// The error text for a name that is not a DNS label.
const INVALID_DNS_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
    character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is \
    '[a-z]([-a-z0-9]*[a-z0-9])?')";
/// The error text for a name that is not a DNS subdomain.
const INVALID_DNS_1123: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
    start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// Validates a CRD and returns the errors in the server's order. `old` is the stored CRD if the request is an update.
pub(crate) fn validate_crd(old: Option<&Value>, crd: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = &crd["spec"];
    let name = string_field(&crd["metadata"], "name");
    let expected = format!("{}.{}", string_field(&spec["names"], "plural"), string_field(spec, "group"));
    if name != expected {
        errors.push(FieldError::invalid("metadata.name", name, "must be spec.names.plural+\".\"+spec.group"));
    }
    check_group_and_scope(spec, &mut errors);
    check_versions(spec, old.is_none(), &mut errors);
    check_names(&spec["names"], &mut errors);
    check_conversion(&spec["conversion"], &mut errors);
    if let Some(old) = old {
        check_update(old, crd, &mut errors);
    }
    if spec["preserveUnknownFields"] == true {
        let why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.push(FieldError::invalid("spec.preserveUnknownFields", true, why));
    }
    approval::check(old, crd, &mut errors);
    errors
}

/// Checks that the scope and the kind of an established CRD do not change, and that the CRD keeps all versions in
/// `status.storedVersions`.
fn check_update(old: &Value, crd: &Value, errors: &mut Vec<FieldError>) {
    let spec = &crd["spec"];
    let mut conditions = old["status"]["conditions"].as_array().into_iter().flatten();
    if conditions.any(|condition| condition["type"] == "Established" && condition["status"] == "True") {
        for (field, before, now) in [
            ("spec.scope", &old["spec"]["scope"], &spec["scope"]),
            ("spec.names.kind", &old["spec"]["names"]["kind"], &spec["names"]["kind"]),
        ] {
            if before != now {
                errors.push(FieldError::invalid(field, now.clone(), "field is immutable"));
            }
        }
    }
    let versions = spec["versions"].as_array().map_or(&[][..], Vec::as_slice);
    let stored = crd["status"]["storedVersions"].as_array().into_iter().flatten();
    for (index, name) in stored.filter_map(Value::as_str).enumerate() {
        if !versions.iter().any(|version| version["name"] == name) {
            errors.push(FieldError::invalid(
                format!("status.storedVersions[{index}]"),
                name,
                format!(
                    "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
                ),
            ));
        }
    }
}

fn check_group_and_scope(spec: &Value, errors: &mut Vec<FieldError>) {
    let group = string_field(spec, "group");
    if group.is_empty() {
        errors.push(FieldError::required("spec.group", ""));
    } else if !names::is_subdomain(group) {
        errors.push(FieldError::invalid("spec.group", group, INVALID_DNS_1123));
    } else if !group.contains('.') {
        errors.push(FieldError::invalid("spec.group", group, "should be a domain with at least one dot"));
    }
    match string_field(spec, "scope") {
        "Cluster" | "Namespaced" => {}
        "" => errors.push(FieldError::required("spec.scope", "")),
        other => errors.push(FieldError::not_supported("spec.scope", other, &["Cluster", "Namespaced"])),
    }
}

fn check_versions(spec: &Value, is_new: bool, errors: &mut Vec<FieldError>) {
    let versions = spec["versions"].as_array().map_or(&[][..], Vec::as_slice);
    let schema = |version: &Value| version["schema"]["openAPIV3Schema"].clone();
    for (index, _) in versions.iter().enumerate().filter(|(_, version)| schema(version).is_null()) {
        let field = format!("spec.versions[{index}].schema.openAPIV3Schema");
        errors.push(FieldError::required(field, ""));
    }
    // If all versions have the same schema, the errors contain the path `spec.validation` instead of a version's path.
    let shared = versions.windows(2).all(|pair| schema(&pair[0]) == schema(&pair[1]));
    let shared_fields =
        shared && versions.windows(2).all(|pair| pair[0]["selectableFields"] == pair[1]["selectableFields"]);
    for (index, version) in versions.iter().enumerate() {
        let path = format!("spec.versions[{index}]");
        let name = string_field(version, "name");
        if !names::is_label_1035(name) {
            errors.push(FieldError::invalid(format!("{path}.name"), name, INVALID_DNS_1035));
            if versions.len() == 1 && !name.is_empty() {
                errors.push(FieldError::invalid("spec.version", name, INVALID_DNS_1035));
            }
        }
        check_deprecation(&path, version, errors);
        if !shared && !schema(version).is_null() {
            errors.extend(structural::check(&format!("{path}.schema.openAPIV3Schema"), &schema(version)));
        }
        // If the CRD has only one version, the API server's errors contain the path `spec` instead of the version's
        // path.
        let shown = if versions.len() == 1 { "spec" } else { &path };
        check_scale(&format!("{shown}.subresources.scale"), &version["subresources"]["scale"], errors);
        check_printer_columns(
            &format!("{shown}.additionalPrinterColumns"),
            &version["additionalPrinterColumns"],
            errors,
        );
        if !shared_fields && !schema(version).is_null() {
            let path = format!("{path}.selectableFields");
            selectable::check(&path, &version["selectableFields"], &schema(version), errors);
        }
    }
    let mut seen = std::collections::HashSet::new();
    if !versions.iter().all(|version| seen.insert(string_field(version, "name"))) {
        errors.push(FieldError::invalid(
            "spec.versions",
            spec["versions"].clone(),
            "must contain unique version names",
        ));
    }
    if versions.iter().filter(|version| version["storage"] == true).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid("spec.versions", spec["versions"].clone(), why));
        if versions.iter().all(|version| version["storage"] != true) && is_new {
            errors.push(FieldError::invalid(
                "status.storedVersions",
                Value::Null,
                "must have at least one stored version",
            ));
        }
    }
    if let (true, Some(first)) = (shared, versions.first().map(schema).filter(|schema| !schema.is_null())) {
        errors.extend(structural::check("spec.validation.openAPIV3Schema", &first));
        if shared_fields {
            selectable::check("spec.selectableFields", &versions[0]["selectableFields"], &first, errors);
        }
    }
}

/// Validates `deprecationWarning`, the text of the `Warning` header for requests to a deprecated version.
fn check_deprecation(path: &str, version: &Value, errors: &mut Vec<FieldError>) {
    let Some(warning) = version["deprecationWarning"].as_str() else { return };
    let mut report = |why: &str| {
        errors.push(FieldError::invalid(format!("{path}.deprecationWarning"), warning, why));
    };
    if version["deprecated"] != true {
        report("can only be set for deprecated versions");
        return;
    }
    if warning.len() > 256 {
        report("must be <= 256 characters long");
    }
    if warning.is_empty() {
        report("must not be an empty string");
    }
    let printable = |c: char| c == ' ' || !(c.is_control() || c.is_whitespace());
    if let Some((index, _)) = warning.char_indices().find(|(_, c)| !printable(*c)) {
        report(&format!(
            "must only contain printable UTF-8 characters; non-printable character found at index {index}"
        ));
    }
}

fn check_names(names: &Value, errors: &mut Vec<FieldError>) {
    for field in ["plural", "singular", "kind", "listKind"] {
        if string_field(names, field).is_empty() {
            errors.push(FieldError::required(format!("spec.names.{field}"), ""));
        }
    }
    for field in ["plural", "singular", "kind", "listKind"] {
        let name = string_field(names, field);
        let is_kind = field.ends_with("ind");
        let fits =
            if is_kind { names::is_label_1035(&name.to_lowercase()) } else { names::is_label_1035(name) };
        if !name.is_empty() && !fits {
            let why = if is_kind {
                format!("may have mixed case, but should otherwise match: {INVALID_DNS_1035}")
            } else {
                INVALID_DNS_1035.to_owned()
            };
            errors.push(FieldError::invalid(format!("spec.names.{field}"), name, why));
        }
    }
    let kind = string_field(names, "kind");
    for list in ["shortNames", "categories"] {
        for (index, name) in names[list].as_array().into_iter().flatten().enumerate() {
            let name = name.as_str().unwrap_or_default();
            if !names::is_label_1035(name) {
                errors.push(FieldError::invalid(
                    format!("spec.names.{list}[{index}]"),
                    name,
                    INVALID_DNS_1035,
                ));
            }
        }
    }
    if !kind.is_empty() && kind == string_field(names, "listKind") {
        errors.push(FieldError::invalid(
            "spec.names.listKind",
            kind,
            "kind and listKind may not be the same",
        ));
    }
}

fn check_conversion(conversion: &Value, errors: &mut Vec<FieldError>) {
    match string_field(conversion, "strategy") {
        "None" | "Webhook" => {}
        "" if conversion.is_null() => {}
        "" => errors.push(FieldError::required("spec.conversion.strategy", "")),
        other => {
            errors.push(FieldError::not_supported("spec.conversion.strategy", other, &["None", "Webhook"]));
        }
    }
}

fn check_scale(path: &str, scale: &Value, errors: &mut Vec<FieldError>) {
    if !scale.is_object() {
        return;
    }
    for (field, root) in [("specReplicasPath", ".spec"), ("statusReplicasPath", ".status")] {
        let found = string_field(scale, field);
        if found.is_empty() {
            errors.push(FieldError::required(format!("{path}.{field}"), ""));
        } else if !(is_simple_path(found) && found.starts_with(&format!("{root}."))) {
            let why = format!("should be a json path under {root}");
            errors.push(FieldError::invalid(format!("{path}.{field}"), found, why));
        }
    }
    let selector = string_field(scale, "labelSelectorPath");
    let below = selector.starts_with(".spec.") || selector.starts_with(".status.");
    if !(selector.is_empty() || is_simple_path(selector) && below) {
        let why = "should be a json path under either .spec or .status";
        errors.push(FieldError::invalid(format!("{path}.labelSelectorPath"), selector, why));
    }
}

/// Whether the JSON path consists only of field names, such as `.spec.replicas`.
fn is_simple_path(path: &str) -> bool {
    path.starts_with('.')
        && !path.contains(['[', ']', '\'', '"', ' '])
        && path[1..].split('.').all(|step| !step.is_empty())
}

/// The formats of a printer column (`OpenAPI` v2).
const COLUMN_FORMATS: [&str; 8] =
    ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];

fn check_printer_columns(path: &str, columns: &Value, errors: &mut Vec<FieldError>) {
    const INVALID_TYPE: &str = "must be one of boolean,date,integer,number,string";
    for (index, column) in columns.as_array().into_iter().flatten().enumerate() {
        let path = format!("{path}[{index}]");
        if string_field(column, "name").is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        }
        match string_field(column, "type") {
            "boolean" | "date" | "integer" | "number" | "string" => {}
            "" => errors.push(FieldError::required(format!("{path}.type"), INVALID_TYPE)),
            other => errors.push(FieldError::invalid(format!("{path}.type"), other, INVALID_TYPE)),
        }
        match string_field(column, "jsonPath") {
            "" => errors.push(FieldError::required(format!("{path}.JSONPath"), "")),
            found if !found.starts_with('.') => {
                let why = "must be a simple json path starting with .";
                errors.push(FieldError::invalid(format!("{path}.JSONPath"), found, why));
            }
            _ => {}
        }
        let format = string_field(column, "format");
        if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
            let why = format!("must be one of {}", COLUMN_FORMATS.join(","));
            errors.push(FieldError::invalid(format!("{path}.format"), format, why));
        }
    }
}

/// The string in the field `key`; empty if the field is absent.
fn string_field<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;
