//! Validation of `CustomResourceDefinition` objects.
//!
//! This module owns the rules for names, group, scope, versions, conversion, subresources and printer columns, and
//! the order of the errors; `structural_schema` validates the schemas. The caller must first set the defaults of the
//! CRD (`names.singular`, `names.listKind`), and supplies the checks that need other modules ([`DefinitionChecks`]).

mod approval;
mod names;
mod selectable_fields;
mod stored_versions;
mod version;

use serde_json::Value;

use super::field_error::FieldError;
use super::structural_schema;
use crate::json::has_condition;
use crate::names as dns;

pub(crate) use self::approval::{Approval, approval};

/// The error text for a name that is not a DNS-1035 label.
const INVALID_LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
    character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is \
    '[a-z]([-a-z0-9]*[a-z0-9])?')";
/// The error text for a name that is not a DNS-1123 subdomain.
const INVALID_SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
    start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// A function that checks the CEL rules of a schema. The arguments are the path of the schema, the schema, and the other
/// errors of the schema.
type CelRuleCheck<'a> = &'a dyn Fn(&str, &Value, &[FieldError]) -> Vec<FieldError>;

/// Some of the checks of a CRD. Other modules implement these checks.
#[derive(Clone, Copy)]
pub(crate) struct DefinitionChecks<'a> {
    pub(crate) rules: CelRuleCheck<'a>,
    /// Checks `spec.conversion.webhook`.
    pub(crate) conversion_webhook: &'a dyn Fn(&Value) -> Vec<FieldError>,
}

/// Validates a CRD and returns the errors in the server's order. `old` is the stored CRD if the request is an update.
pub(crate) fn validate_crd(
    old: Option<&Value>,
    crd: &Value,
    checks: DefinitionChecks<'_>,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = &crd["spec"];
    if old.is_none() {
        let name = string_field(&crd["metadata"], "name");
        let expected = format!("{}.{}", string_field(&spec["names"], "plural"), string_field(spec, "group"));
        if name != expected {
            let why = "must be spec.names.plural+\".\"+spec.group";
            errors.push(FieldError::invalid("metadata.name", name, why));
        }
    }
    check_spec(spec, checks, &mut errors);
    if let Some(old) = old {
        check_immutable_fields(old, spec, &mut errors);
    }
    names::check("status.acceptedNames", &crd["status"]["acceptedNames"], &mut errors);
    stored_versions::check(crd, &mut errors);
    approval::check(old, crd, &mut errors);
    if spec["preserveUnknownFields"] == true {
        let why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.push(FieldError::invalid("spec.preserveUnknownFields", true, why));
    }
    errors
}

/// Validates a write to the status of a CRD. As in the API server, checks only `acceptedNames`, not the stored
/// versions.
pub(crate) fn validate_crd_status(crd: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    names::check("status.acceptedNames", &crd["status"]["acceptedNames"], &mut errors);
    errors
}

/// Checks that the group and the plural name do not change. If the CRD is established, also checks that the scope and
/// the kind do not change.
fn check_immutable_fields(old: &Value, spec: &Value, errors: &mut Vec<FieldError>) {
    let established = has_condition(old, "Established", "True");
    let fields = [
        ("spec.scope", "/scope", established),
        ("spec.names.kind", "/names/kind", established),
        ("spec.group", "/group", true),
        ("spec.names.plural", "/names/plural", true),
    ];
    for (field, pointer, is_immutable) in fields {
        let (before, now) = (old["spec"].pointer(pointer), spec.pointer(pointer));
        if is_immutable && before != now {
            errors.push(FieldError::invalid(field, now.cloned(), "field is immutable"));
        }
    }
}

/// The versions of a CRD. As in the API server's internal representation of a CRD, a property that is equal in all
/// versions is a property of the whole CRD. The errors of this property have a path directly in `spec`, and come after
/// the errors of the versions.
#[derive(Clone, Copy)]
struct Versions<'a>(&'a [Value]);

impl<'a> Versions<'a> {
    fn of(spec: &'a Value) -> Self {
        Self(spec["versions"].as_array().map_or(&[][..], Vec::as_slice))
    }

    /// Whether a property is equal in all versions.
    fn have_same_property(self, property: &str) -> bool {
        self.0.windows(2).all(|pair| pair[0][property] == pair[1][property])
    }

    /// The first version, or null if the CRD has no versions. The properties that are equal in all versions can be read
    /// from it.
    fn first(self) -> &'a Value {
        self.0.first().unwrap_or(&Value::Null)
    }
}

/// The `openAPIV3Schema` of a version; null if it has none.
fn schema_of(version: &Value) -> &Value {
    &version["schema"]["openAPIV3Schema"]
}

/// Checks a schema, then its CEL rules.
fn check_schema(
    path: &str,
    schema: &Value,
    has_status: bool,
    checks: DefinitionChecks<'_>,
    errors: &mut Vec<FieldError>,
) {
    if schema.is_null() {
        return;
    }
    let checked = structural_schema::check(path, schema, has_status);
    // The API server compiles the CEL rules only if the schema is structural and its defaults are valid.
    let rule_errors =
        if checked.is_structural { (checks.rules)(path, schema, &checked.errors) } else { Vec::new() };
    errors.extend(checked.errors);
    errors.extend(rule_errors);
}

fn check_spec(spec: &Value, checks: DefinitionChecks<'_>, errors: &mut Vec<FieldError>) {
    let versions = Versions::of(spec);
    check_group_and_scope(spec, errors);
    for (index, _) in versions.0.iter().enumerate().filter(|(_, version)| schema_of(version).is_null()) {
        errors.push(FieldError::required(format!("spec.versions[{index}].schema.openAPIV3Schema"), ""));
    }
    let has_default = |version: &Value| structural_schema::has_default(schema_of(version));
    if spec["preserveUnknownFields"] == true && versions.0.iter().any(has_default) {
        let why = "must be false in order to use defaults in the schema";
        errors.push(FieldError::invalid("spec.preserveUnknownFields", true, why));
    }
    for (index, version) in versions.0.iter().enumerate() {
        check_version(&format!("spec.versions[{index}]"), version, versions, checks, errors);
    }
    check_version_list(spec, versions, errors);
    names::check_required(&spec["names"], errors);
    names::check("spec.names", &spec["names"], errors);
    check_shared_properties(versions, checks, errors);
    check_conversion(spec, checks, errors);
}

fn check_group_and_scope(spec: &Value, errors: &mut Vec<FieldError>) {
    let group = string_field(spec, "group");
    if group.is_empty() {
        errors.push(FieldError::required("spec.group", ""));
    } else if !dns::is_subdomain(group) {
        errors.push(FieldError::invalid("spec.group", group, INVALID_SUBDOMAIN));
    } else if !group.contains('.') {
        errors.push(FieldError::invalid("spec.group", group, "should be a domain with at least one dot"));
    }
    match string_field(spec, "scope") {
        "Cluster" | "Namespaced" => {}
        "" => errors.push(FieldError::required("spec.scope", "")),
        other => errors.push(FieldError::not_supported("spec.scope", other, &["Cluster", "Namespaced"])),
    }
}

/// Checks the name and the deprecation warning of a version, and the properties that are not equal in all versions.
fn check_version(
    path: &str,
    version: &Value,
    versions: Versions<'_>,
    checks: DefinitionChecks<'_>,
    errors: &mut Vec<FieldError>,
) {
    let name = string_field(version, "name");
    if !dns::is_label_1035(name) {
        errors.push(FieldError::invalid(format!("{path}.name"), name, INVALID_LABEL_1035));
    }
    version::check_deprecation_warning(path, version, errors);
    if !versions.have_same_property("schema") {
        let has_status = version["subresources"]["status"].is_object();
        check_schema(
            &format!("{path}.schema.openAPIV3Schema"),
            schema_of(version),
            has_status,
            checks,
            errors,
        );
    }
    if !versions.have_same_property("subresources") {
        version::check_scale(
            &format!("{path}.subresources.scale"),
            &version["subresources"]["scale"],
            errors,
        );
    }
    if !versions.have_same_property("additionalPrinterColumns") {
        let columns = &version["additionalPrinterColumns"];
        version::check_printer_columns(&format!("{path}.additionalPrinterColumns"), columns, errors);
    }
    let fields = &version["selectableFields"];
    if versions.have_same_property("selectableFields") || fields.as_array().is_none_or(Vec::is_empty) {
        return;
    }
    let path = format!("{path}.selectableFields");
    if versions.have_same_property("schema") || schema_of(version).is_null() {
        let why = "may only be set when `version.schema.openAPIV3Schema` is not included";
        errors.push(FieldError::invalid(path, "", why));
    } else {
        selectable_fields::check(&path, fields, schema_of(version), errors);
    }
}

/// Checks that the names of the versions are unique, and that exactly one version is the storage version. Also checks
/// that the name of the first version is a DNS-1035 label, because the API server's internal representation of a CRD has
/// this name in `spec.version`.
fn check_version_list(spec: &Value, versions: Versions<'_>, errors: &mut Vec<FieldError>) {
    let mut seen = std::collections::HashSet::new();
    let mut report = |why: &str| {
        errors.push(FieldError::invalid("spec.versions", spec["versions"].clone(), why));
    };
    if !versions.0.iter().all(|version| seen.insert(string_field(version, "name"))) {
        report("must contain unique version names");
    }
    if versions.0.iter().filter(|version| version["storage"] == true).count() != 1 {
        report("must have exactly one version marked as storage version");
    }
    let first = string_field(versions.first(), "name");
    if !first.is_empty() && !dns::is_label_1035(first) {
        errors.push(FieldError::invalid("spec.version", first, INVALID_LABEL_1035));
    }
}

fn check_shared_properties(
    versions: Versions<'_>,
    checks: DefinitionChecks<'_>,
    errors: &mut Vec<FieldError>,
) {
    let first = versions.first();
    if versions.have_same_property("schema") {
        let has_status = versions.0.iter().any(|version| version["subresources"]["status"].is_object());
        check_schema("spec.validation.openAPIV3Schema", schema_of(first), has_status, checks, errors);
    }
    if versions.have_same_property("subresources") {
        version::check_scale("spec.subresources.scale", &first["subresources"]["scale"], errors);
    }
    if versions.have_same_property("additionalPrinterColumns") {
        let columns = &first["additionalPrinterColumns"];
        version::check_printer_columns("spec.additionalPrinterColumns", columns, errors);
    }
    let fields = &first["selectableFields"];
    if !versions.have_same_property("selectableFields") || fields.as_array().is_none_or(Vec::is_empty) {
        return;
    }
    if versions.have_same_property("schema") && !first["schema"].is_null() {
        selectable_fields::check("spec.selectableFields", fields, schema_of(first), errors);
    } else {
        let why = "may only be set when validations.schema is included";
        errors.push(FieldError::invalid("spec.selectableFields", "", why));
    }
}

fn check_conversion(spec: &Value, checks: DefinitionChecks<'_>, errors: &mut Vec<FieldError>) {
    let conversion = &spec["conversion"];
    let strategy = string_field(conversion, "strategy");
    if !conversion.is_null() && strategy != "None" && spec["preserveUnknownFields"] == true {
        let why = "must be None if spec.preserveUnknownFields is true";
        errors.push(FieldError::invalid("spec.conversion.strategy", strategy, why));
    }
    match strategy {
        "None" | "Webhook" => {}
        "" if conversion.is_null() => return,
        "" => errors.push(FieldError::required("spec.conversion.strategy", "")),
        other => {
            errors.push(FieldError::not_supported("spec.conversion.strategy", other, &["None", "Webhook"]));
        }
    }
    errors.extend((checks.conversion_webhook)(conversion));
}

/// The string in the field `key`; empty if the field is absent or not a string.
fn string_field<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;
