//! The cells of the kinds that configure a cluster (for example access, certificates, admission, limits and devices), and
//! of controller revisions.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    Row, age_cell, items, name_cell, number_or_text, number_or_zero, pairs_cell, string_or_empty, text_cell,
    text_cell_or, text_cell_or_none,
};
use crate::store::selector::LabelSelector;
use crate::strategy::age::{human_age, human_seconds};

pub(in crate::strategy) fn service_account_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name_cell(object), age_cell(object, now)]
}

pub(in crate::strategy) fn role_binding_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let role = &object["roleRef"];
    let names = |kind: &str| -> Value {
        let subjects = items(&object["subjects"]).filter(|subject| subject["kind"] == kind);
        let shown: Vec<String> = subjects
            .map(|subject| match kind {
                "ServiceAccount" => {
                    format!(
                        "{}/{}",
                        string_or_empty(&subject["namespace"]),
                        string_or_empty(&subject["name"])
                    )
                }
                _ => string_or_empty(&subject["name"]).to_owned(),
            })
            .collect();
        shown.join(", ").into()
    };
    vec![
        name_cell(object),
        format!("{}/{}", string_or_empty(&role["kind"]), string_or_empty(&role["name"])).into(),
        age_cell(object, now),
        names("User"),
        names("Group"),
        names("ServiceAccount"),
    ]
}

pub(in crate::strategy) fn signing_request_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let has = |kind: &str| items(&status["conditions"]).any(|condition| condition["type"] == kind);
    let mut state = match (has("Denied"), has("Approved")) {
        (true, _) => "Denied",
        (_, true) => "Approved",
        _ => "Pending",
    }
    .to_owned();
    if has("Failed") {
        state.push_str(",Failed");
    }
    if !string_or_empty(&status["certificate"]).is_empty() {
        state.push_str(",Issued");
    }
    vec![
        name_cell(object),
        age_cell(object, now),
        text_cell_or_none(string_or_empty(&spec["signerName"])),
        text_cell(&spec["username"]),
        spec["expirationSeconds"].as_i64().map_or_else(|| "<none>".to_owned(), human_seconds).into(),
        state.into(),
    ]
}

pub(in crate::strategy) fn trust_bundle_cells(object: &Value, _: Timestamp) -> Vec<Value> {
    vec![name_cell(object), text_cell_or_none(string_or_empty(&object["spec"]["signerName"]))]
}

pub(in crate::strategy) fn pod_certificate_request_cells(object: &Value, _: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let conditions =
        items(&object["status"]["conditions"]).map(|condition| string_or_empty(&condition["type"]));
    let state = conditions.filter(|kind| matches!(*kind, "Issued" | "Denied" | "Failed")).last();
    vec![
        name_cell(object),
        text_cell(&spec["podName"]),
        text_cell(&spec["serviceAccountName"]),
        text_cell(&spec["nodeName"]),
        text_cell(&spec["signerName"]),
        state.unwrap_or("Pending").into(),
        pairs_cell(&spec["unverifiedUserAnnotations"]),
    ]
}

pub(in crate::strategy) fn webhook_configuration_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name_cell(object), items(&object["webhooks"]).count().into(), age_cell(object, now)]
}

pub(in crate::strategy) fn validating_policy_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    policy_cells(object, "validations", now)
}

pub(in crate::strategy) fn mutating_policy_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    policy_cells(object, "mutations", now)
}

fn policy_cells(object: &Value, rules: &str, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let kind = match &spec["paramKind"] {
        Value::Null => "<unset>".to_owned(),
        kind => format!("{}/{}", string_or_empty(&kind["apiVersion"]), string_or_empty(&kind["kind"])),
    };
    vec![name_cell(object), items(&spec[rules]).count().into(), kind.into(), age_cell(object, now)]
}

pub(in crate::strategy) fn policy_binding_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let parameter = &spec["paramRef"];
    let text = |field: &str| string_or_empty(&parameter[field]);
    let shown = match (text("namespace"), text("name")) {
        ("", "") if !parameter["selector"].is_null() => {
            LabelSelector::from_json(&parameter["selector"]).to_string()
        }
        (_, "") => "<unset>".to_owned(),
        ("", name) => format!("*/{name}"),
        (namespace, name) => format!("{namespace}/{name}"),
    };
    vec![name_cell(object), text_cell(&spec["policyName"]), shown.into(), age_cell(object, now)]
}

pub(in crate::strategy) fn flow_schema_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let mut conditions = items(&object["status"]["conditions"]);
    let dangling = conditions.find(|condition| condition["type"] == "Dangling");
    vec![
        name_cell(object),
        text_cell(&spec["priorityLevelConfiguration"]["name"]),
        number_or_zero(&spec["matchingPrecedence"]).into(),
        text_cell_or(&spec["distinguisherMethod"]["type"], "<none>"),
        age_cell(object, now),
        dangling.map_or("?", |condition| string_or_empty(&condition["status"])).into(),
    ]
}

/// Sorts flow schemas in the order in which the API server compares them with a request.
pub(in crate::strategy) fn sort_flow_schemas(rows: &mut [Row]) {
    rows.sort_by_key(|row| {
        let name = string_or_empty(&row.object["metadata"]["name"]).to_owned();
        (number_or_zero(&row.object["spec"]["matchingPrecedence"]), name)
    });
}

pub(in crate::strategy) fn priority_level_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let limited = &object["spec"]["limited"];
    let queuing = &limited["limitResponse"]["queuing"];
    let number = |from: &Value, field: &str| match &from[field] {
        Value::Null => Value::from("<none>"),
        number => number.clone(),
    };
    vec![
        name_cell(object),
        text_cell(&object["spec"]["type"]),
        number(limited, "nominalConcurrencyShares"),
        number(queuing, "queues"),
        number(queuing, "handSize"),
        number(queuing, "queueLengthLimit"),
        age_cell(object, now),
    ]
}

pub(in crate::strategy) fn disruption_budget_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let limit = |field: &str| match number_or_text(&object["spec"][field]) {
        text if text.is_empty() => "N/A".to_owned(),
        text => text,
    };
    vec![
        name_cell(object),
        limit("minAvailable").into(),
        limit("maxUnavailable").into(),
        number_or_zero(&object["status"]["disruptionsAllowed"]).into(),
        age_cell(object, now),
    ]
}

pub(in crate::strategy) fn quota_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let shown = |limits: bool| -> Value {
        let hard = status["hard"].as_object().into_iter().flatten();
        let lines: Vec<String> = hard
            .filter(|(resource, _)| resource.starts_with("limits.") == limits)
            .map(|(resource, hard)| {
                let used = match number_or_text(&status["used"][resource]) {
                    text if text.is_empty() => "0".to_owned(),
                    text => text,
                };
                format!("{resource}: {used}/{}", number_or_text(hard))
            })
            .collect();
        lines.join(", ").into()
    };
    vec![name_cell(object), shown(false), shown(true), age_cell(object, now)]
}

pub(in crate::strategy) fn priority_class_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name_cell(object),
        number_or_zero(&object["value"]).into(),
        (object["globalDefault"] == true).into(),
        age_cell(object, now),
        text_cell(&object["preemptionPolicy"]),
    ]
}

pub(in crate::strategy) fn runtime_class_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name_cell(object), text_cell(&object["handler"]), age_cell(object, now)]
}

pub(in crate::strategy) fn controller_revision_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let controller = items(&object["metadata"]["ownerReferences"]).find(|owner| owner["controller"] == true);
    let shown = controller.map_or_else(
        || "<none>".to_owned(),
        |owner| {
            let group = string_or_empty(&owner["apiVersion"]).rsplit_once('/').map_or("", |(group, _)| group);
            let kind = crate::names::with_group(string_or_empty(&owner["kind"]), group);
            format!("{}/{}", kind.to_lowercase(), string_or_empty(&owner["name"]))
        },
    );
    vec![name_cell(object), shown.into(), number_or_zero(&object["revision"]).into(), age_cell(object, now)]
}

pub(in crate::strategy) fn api_service_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let service = match &object["spec"]["service"] {
        Value::Null => "Local".to_owned(),
        service => {
            format!("{}/{}", string_or_empty(&service["namespace"]), string_or_empty(&service["name"]))
        }
    };
    let available = items(&object["status"]["conditions"]).find(|condition| condition["type"] == "Available");
    let shown = available.map_or_else(
        || "Unknown".to_owned(),
        |condition| match (string_or_empty(&condition["status"]), string_or_empty(&condition["reason"])) {
            (status @ "True", _) | (status, "") => status.to_owned(),
            (status, reason) => format!("{status} ({reason})"),
        },
    );
    vec![name_cell(object), service.into(), shown.into(), age_cell(object, now)]
}

pub(in crate::strategy) fn name_and_age_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name_cell(object), age_cell(object, now)]
}

pub(in crate::strategy) fn resource_claim_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let is_deleted = object["metadata"]["deletionTimestamp"].is_string();
    let is_allocated = !status["allocation"].is_null();
    let is_reserved = is_allocated && items(&status["reservedFor"]).next().is_some();
    let known_states = [
        (is_deleted, "deleted"),
        (!is_allocated && !is_deleted, "pending"),
        (is_allocated, "allocated"),
        (is_reserved, "reserved"),
    ];
    let shown: Vec<&str> = known_states.iter().filter(|(holds, _)| *holds).map(|(_, state)| *state).collect();
    vec![name_cell(object), shown.join(",").into(), age_cell(object, now)]
}

pub(in crate::strategy) fn resource_slice_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    vec![
        name_cell(object),
        text_cell(&spec["nodeName"]),
        text_cell(&spec["driver"]),
        text_cell(&spec["pool"]["name"]),
        age_cell(object, now),
    ]
}

pub(in crate::strategy) fn device_taint_rule_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let taint = &object["spec"]["taint"];
    let added = taint["timeAdded"].as_str().map_or_else(String::new, |at| human_age(at, now));
    vec![
        name_cell(object),
        text_cell(&taint["key"]),
        text_cell(&taint["value"]),
        text_cell(&taint["effect"]),
        added.into(),
        age_cell(object, now),
    ]
}

pub(in crate::strategy) fn version_migration_cells(object: &Value, _: Timestamp) -> Vec<Value> {
    let resource = &object["spec"]["resource"];
    let name =
        crate::names::with_group(string_or_empty(&resource["resource"]), string_or_empty(&resource["group"]));
    let conditions = items(&object["status"]["conditions"]).filter(|condition| condition["status"] == "True");
    let state = conditions
        .map(|condition| string_or_empty(&condition["type"]))
        .filter(|kind| matches!(*kind, "Running" | "Failed" | "Succeeded"))
        .last();
    vec![name_cell(object), name.into(), state.unwrap_or("Unknown").into()]
}
