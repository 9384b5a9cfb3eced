//! Converts a CustomResourceDefinition to the resources that it defines, and sets the status of the definition.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::fields::Field;
use super::resource::{Column, Conversion, CustomProperties, Origin, Resource, ScalePaths, Subresource};
use crate::builtin;
use crate::cel;
use crate::json::{has_condition, texts};
use crate::schema::{Approval, Schema, approval, quote};
use crate::strategy::{Strategy, has_valid_ca_bundle, list_kind, set_condition, singular};

/// The verbs of every custom resource.
const VERBS: [&str; 8] = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];

/// Returns the resources that a CustomResourceDefinition defines, one for each served version. The caller must check
/// the names for conflicts.
///
/// `previous` contains the resources of the definition before its last change. If the `openAPIV3Schema` of a
/// version is unchanged, the new resource shares the [`Schema`] of the previous resource (the same `Arc`).
/// If an object was stored with this [`Schema`], a read neither decodes nor converts the object.
///
/// `revision` is the [`CustomProperties::revision`] of the new resources.
pub(crate) fn resources_of(crd: &Value, previous: &[Arc<Resource>], revision: &Arc<()>) -> Vec<Resource> {
    let spec = &crd["spec"];
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let group = text(&spec["group"]);
    let names = served_names(crd);
    let versions: Vec<&Value> =
        spec["versions"].as_array().into_iter().flatten().filter(|v| v["served"] == true).collect();
    let served: Vec<String> =
        versions.iter().map(|v| format!("{group}/{}", v["name"].as_str().unwrap_or_default())).collect();
    let schemas = Arc::new(schemas_of(spec, &group, previous));
    versions
        .iter()
        .map(|version| {
            let custom = custom_properties(version, &group, crd, &schemas, revision);
            let fields = version["selectableFields"].as_array().into_iter().flatten();
            let name = text(&version["name"]);
            Resource {
                api_version: format!("{group}/{name}"),
                kind: text(&names["kind"]),
                list_kind: list_kind(names),
                plural: text(&names["plural"]),
                singular: singular(names),
                namespaced: spec["scope"] == "Namespaced",
                short_names: strings_in(&names["shortNames"]),
                categories: strings_in(&names["categories"]),
                verbs: VERBS.iter().map(ToString::to_string).collect(),
                subresources: subresources(&custom, &group, &name, &text(&names["kind"])),
                storage: Arc::from(format!("{group}/{}", text(&names["plural"]))),
                served: served.clone(),
                conversion: conversion_of(&custom, &group, &name),
                fields: fields.filter_map(|f| f["jsonPath"].as_str()).map(Field::of_json_path).collect(),
                origin: Origin::Custom(Box::new(custom)),
                strategy: &Strategy::CUSTOM,
                version: name,
                group: group.clone(),
            }
        })
        .collect()
}

/// The conversion that the server performs from the storage version to `version`: none if the versions are equal, or if
/// the CRD has a conversion webhook.
fn conversion_of(custom: &CustomProperties, group: &str, version: &str) -> Conversion {
    let is_stored = custom.storage_version.strip_prefix(group) == Some(&format!("/{version}"));
    if is_stored || custom.webhook.is_some() { Conversion::None } else { Conversion::Pruning }
}

/// The strings in a list.
fn strings_in(list: &Value) -> Vec<String> {
    texts(list).map(str::to_owned).collect()
}

/// The newest served version that is not deprecated, if it is newer than `version`.
fn replacement_of<'a>(version: &Value, spec: &'a Value) -> Option<&'a str> {
    let versions = spec["versions"].as_array().into_iter().flatten();
    let candidates = versions.filter(|other| other["served"] == true && other["deprecated"] != true);
    let newest = candidates
        .filter_map(|other| other["name"].as_str())
        .max_by_key(|name| super::version_order(name))?;
    let own = version["name"].as_str().unwrap_or_default();
    (super::version_order(newest) > super::version_order(own)).then_some(newest)
}

/// The schemas of all versions, by `apiVersion`.
fn schemas_of(spec: &Value, group: &str, previous: &[Arc<Resource>]) -> BTreeMap<String, Arc<Schema>> {
    let versions = spec["versions"].as_array().into_iter().flatten();
    let unchanged = |api_version: &str, open_api: Option<&Value>| {
        let resource = previous.iter().find(|resource| resource.api_version == api_version)?;
        let custom = resource.custom_properties().filter(|custom| custom.open_api.as_ref() == open_api)?;
        Some(custom.schema.clone())
    };
    let schema = |version: &Value| {
        let api_version = format!("{group}/{}", version["name"].as_str().unwrap_or_default());
        let open_api = open_api_schema_of(version);
        let schema = unchanged(&api_version, open_api)
            .unwrap_or_else(|| open_api.map_or_else(Schema::permissive, Schema::of_custom_resource));
        (api_version, schema)
    };
    versions.map(schema).collect()
}

/// The `openAPIV3Schema` of a version.
fn open_api_schema_of(version: &Value) -> Option<&Value> {
    version["schema"].get("openAPIV3Schema").filter(|schema| schema.is_object())
}

/// The properties that only custom resources have, from one version of `crd`. `version` is the item of
/// `spec.versions` that defines this version.
fn custom_properties(
    version: &Value,
    group: &str,
    crd: &Value,
    schemas: &Arc<BTreeMap<String, Arc<Schema>>>,
    revision: &Arc<()>,
) -> CustomProperties {
    let spec = &crd["spec"];
    let open_api = open_api_schema_of(version).cloned();
    let name = version["name"].as_str().unwrap_or_default();
    let schema = schemas.get(&format!("{group}/{name}")).cloned().unwrap_or_else(Schema::permissive);
    let kind = served_names(crd)["kind"].as_str().unwrap_or_default();
    let deprecation = (version["deprecated"] == true).then(|| match version["deprecationWarning"].as_str() {
        Some(text) => text.to_owned(),
        None => match replacement_of(version, spec) {
            Some(other) => format!("{group}/{name} {kind} is deprecated; use {group}/{other} {kind}"),
            None => format!("{group}/{name} {kind} is deprecated"),
        },
    });
    let conversion = &spec["conversion"];
    let mut versions = spec["versions"].as_array().into_iter().flatten();
    let storage = versions.find(|version| version["storage"] == true).unwrap_or(version);
    CustomProperties {
        webhook: (conversion["strategy"] == "Webhook").then(|| Box::new(conversion["webhook"].clone())),
        storage_version: Arc::from(format!("{group}/{}", storage["name"].as_str().unwrap_or_default())),
        schema,
        schemas: schemas.clone(),
        rules: open_api.as_ref().and_then(cel::Validator::compile).map(Box::new),
        open_api,
        status: version["subresources"]["status"].is_object(),
        scale: scale_of(&version["subresources"]["scale"]),
        columns: columns_of(&version["additionalPrinterColumns"]),
        deprecation,
        is_terminating: has_condition(crd, "Terminating", "True"),
        revision: revision.clone(),
    }
}

/// The names under which a definition is served: the accepted names, or the names in the spec if none are accepted.
pub(super) fn served_names(crd: &Value) -> &Value {
    let accepted = &crd["status"]["acceptedNames"];
    if accepted["kind"].as_str().is_some_and(|kind| !kind.is_empty()) {
        accepted
    } else {
        &crd["spec"]["names"]
    }
}

/// Parses a path such as `.spec.replicas` into its field names.
fn parse_path(value: &Value) -> Option<Vec<String>> {
    let text = value.as_str()?.trim_start_matches('.');
    (!text.is_empty()).then(|| text.split('.').map(str::to_owned).collect())
}

/// The paths of the subresource `scale`; `None` if the version does not enable this subresource.
fn scale_of(scale: &Value) -> Option<ScalePaths> {
    Some(ScalePaths {
        replicas: parse_path(&scale["specReplicasPath"])?,
        status_replicas: parse_path(&scale["statusReplicasPath"])?,
        selector: parse_path(&scale["labelSelectorPath"]),
    })
}

/// The printer columns of a version; the column `Age` if the version defines none.
fn columns_of(columns: &Value) -> Vec<Column> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let all: Vec<Column> = columns
        .as_array()
        .into_iter()
        .flatten()
        .map(|c| Column {
            name: text(&c["name"]),
            kind: text(&c["type"]),
            format: text(&c["format"]),
            description: match text(&c["description"]) {
                empty if empty.is_empty() => format!(
                    "Custom resource definition column (in JSONPath format): {}",
                    text(&c["jsonPath"])
                ),
                given => given,
            },
            priority: c["priority"].as_i64().unwrap_or(0),
            json_path: text(&c["jsonPath"]),
        })
        .collect();
    if !all.is_empty() {
        return all;
    }
    vec![Column {
        name: "Age".into(),
        kind: "date".into(),
        format: String::new(),
        description: builtin::age_column_description().into(),
        priority: 0,
        json_path: ".metadata.creationTimestamp".into(),
    }]
}

/// The subresources of a version: `status` and `scale`, if the version enables them.
fn subresources(custom: &CustomProperties, group: &str, version: &str, kind: &str) -> Vec<Subresource> {
    let verbs = || ["get", "patch", "update"].iter().map(ToString::to_string).collect();
    let mut all = Vec::new();
    if custom.status {
        all.push(Subresource {
            name: "status".into(),
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
            verbs: verbs(),
        });
    }
    if custom.scale.is_some() {
        all.push(Subresource {
            name: "scale".into(),
            group: "autoscaling".into(),
            version: "v1".into(),
            kind: "Scale".into(),
            verbs: verbs(),
        });
    }
    all
}

/// The names that the definitions of a group use.
#[derive(Debug, Default)]
pub(crate) struct UsedNames {
    resources: BTreeSet<String>,
    kinds: BTreeSet<String>,
}

impl UsedNames {
    /// Adds the accepted names of a definition.
    pub(crate) fn add_accepted_names(&mut self, crd: &Value) {
        let names = &crd["status"]["acceptedNames"];
        let text = |field: &str| names[field].as_str().map(str::to_owned);
        self.resources.extend(["plural", "singular"].into_iter().filter_map(text));
        self.resources.extend(strings_in(&names["shortNames"]));
        self.kinds.extend(["kind", "listKind"].into_iter().filter_map(text));
    }

    /// Returns an error text if the name `wanted` is already used. It is not a conflict if `wanted` equals
    /// `accepted`, the definition's own accepted name.
    fn conflict(used: &BTreeSet<String>, wanted: &Value, accepted: &Value) -> Option<String> {
        let name = wanted.as_str().filter(|_| wanted != accepted)?;
        used.contains(name).then(|| format!("{name:?} is already in use"))
    }

    /// Returns the accepted names of the definition. If other definitions already use some of the wanted names, also
    /// returns the reason and message of the condition `NamesAccepted`.
    fn accepted_names(&self, crd: &Value) -> (Value, Option<(&'static str, String)>) {
        let wanted = &crd["spec"]["names"];
        let mut names = crd["status"]["acceptedNames"].clone();
        if !names.is_object() {
            names = json!({"kind": "", "plural": ""});
        }
        let accepted = names.clone();
        let mut conflict = None;
        let fields = [
            ("plural", &self.resources, "PluralConflict"),
            ("singular", &self.resources, "SingularConflict"),
            ("shortNames", &self.resources, "ShortNamesConflict"),
            ("kind", &self.kinds, "KindConflict"),
            ("listKind", &self.kinds, "ListKindConflict"),
        ];
        for (field, used, reason) in fields {
            let error = if field == "shortNames" {
                let own = strings_in(&accepted[field]);
                let new = strings_in(&wanted[field]).into_iter().filter(|name| !own.contains(name));
                let mut errors: Vec<_> =
                    new.filter_map(|name| Self::conflict(used, &name.into(), &Value::Null)).collect();
                let mut seen = BTreeSet::new();
                errors.retain(|error| seen.insert(error.clone()));
                match errors.as_slice() {
                    [] => None,
                    [error] => Some(error.clone()),
                    errors => Some(format!("[{}]", errors.join(", "))),
                }
            } else {
                Self::conflict(used, &wanted[field], &accepted[field])
            };
            match error {
                Some(message) => conflict = Some((reason, message)),
                None => copy_field(wanted, &mut names, field),
            }
        }
        copy_field(wanted, &mut names, "categories");
        (names, conflict)
    }
}

/// Copies a field. If `from` does not have the field, removes the field from `to`.
fn copy_field(from: &Value, to: &mut Value, field: &str) {
    match (from.get(field), to.as_object_mut()) {
        (Some(value), Some(map)) => map.insert(field.to_owned(), value.clone()),
        (_, map) => map.and_then(|map| map.remove(field)),
    };
}

/// Sets `acceptedNames` in the status, and the conditions `KubernetesAPIApprovalPolicyConformant`, `NamesAccepted` and
/// `Established`. Does in one step what several controllers of the API server do one after the other.
pub(crate) fn update_status(crd: &mut Value, used: &UsedNames, now: &str) {
    if !crd["status"].is_object() {
        crd["status"] = json!({});
    }
    if let Some((status, reason, message)) = approval_condition(crd) {
        set_condition(crd, ("KubernetesAPIApprovalPolicyConformant", status), reason, &message, now);
    }
    accept_names(crd, used, now);
    if has_condition(crd, "NamesAccepted", "True") && !has_condition(crd, "Established", "True") {
        let (status, reason, message) = if has_valid_ca_bundle(crd) {
            ("True", "InitialNamesAccepted", "the initial names have been accepted")
        } else {
            ("False", "InvalidCABundle", "The conversion webhook CABundle is invalid")
        };
        set_condition(crd, ("Established", status), reason, message, now);
    }
}

/// Sets `acceptedNames` and the condition `NamesAccepted`. After a conflict, also adds the condition `Established` with
/// the status `False` if the definition does not have this condition. If all names in the spec are already accepted,
/// changes nothing. As in the API server, `NamesAccepted` can then still report an earlier conflict.
fn accept_names(crd: &mut Value, used: &UsedNames, now: &str) {
    if crd["spec"]["names"] == crd["status"]["acceptedNames"] {
        return;
    }
    let (names, conflict) = used.accepted_names(crd);
    crd["status"]["acceptedNames"] = names;
    let Some((reason, message)) = conflict else {
        return set_condition(crd, ("NamesAccepted", "True"), "NoConflicts", "no conflicts found", now);
    };
    set_condition(crd, ("NamesAccepted", "False"), reason, &message, now);
    let is_known = has_condition(crd, "Established", "True") || has_condition(crd, "Established", "False");
    // An established definition stays established: the server continues to serve its accepted names.
    if !is_known {
        let why = "not all names are accepted";
        set_condition(crd, ("Established", "False"), "NotAccepted", why, now);
    }
}

/// The status, reason and message of the condition `KubernetesAPIApprovalPolicyConformant`; `None` if the group of the
/// CustomResourceDefinition needs no API approval, or if the approval annotation is absent or invalid.
fn approval_condition(crd: &Value) -> Option<(&'static str, &'static str, String)> {
    let (state, annotation) = approval(crd)?;
    match state {
        Approval::Approved => Some(("True", "ApprovedAnnotation", format!("approved in {annotation}"))),
        Approval::Bypassed => {
            Some(("False", "UnapprovedAnnotation", format!("not approved: {}", quote(annotation))))
        }
        // Validation rejects definitions in these states, so no condition is needed.
        Approval::Missing | Approval::Invalid => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_changed_schema_is_replaced() {
        let definition = |size: &str| {
            let version = |name: &str, size: &str| {
                let schema = json!({"type": "object", "properties": {"size": {"type": size}}});
                json!({"name": name, "served": true, "storage": name == "v1", "schema": {"openAPIV3Schema": schema}})
            };
            json!({"spec": {
                "group": "example.com", "scope": "Namespaced", "names": {"kind": "Foo", "plural": "foos"},
                "versions": [version("v1", "integer"), version("v2", size)],
            }})
        };
        let resources = |definition: &Value, previous: &[Arc<Resource>]| -> Vec<_> {
            resources_of(definition, previous, &Arc::default()).into_iter().map(Arc::new).collect()
        };
        let first = resources(&definition("integer"), &[]);
        let second = resources(&definition("string"), &first);
        let schemas = |resources: &[Arc<Resource>]| -> Vec<Arc<Schema>> {
            resources.iter().map(|resource| resource.custom_properties().unwrap().schema.clone()).collect()
        };
        let (first, second) = (schemas(&first), schemas(&second));
        assert!(Arc::ptr_eq(&first[0], &second[0]), "the schema of v1 is unchanged");
        assert!(!Arc::ptr_eq(&first[1], &second[1]), "the schema of v2 is changed");
    }
}
