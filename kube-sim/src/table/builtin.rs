//! The `Table` columns of the built-in kinds.

use jiff::Timestamp;
use serde_json::Value;

use super::{CellsOf, ColumnDefinition, items, or_none, since, string_or_empty, workloads};
use crate::registry::Resource;

/// The cells of a row: the name of the object, then the cells that `more` returns.
fn cells_after_name(more: fn(&Value, Timestamp) -> Vec<Value>, now: Timestamp) -> CellsOf<'static> {
    Box::new(move |object| {
        let mut cells = vec![Value::from(string_or_empty(&object["metadata"]["name"]))];
        cells.extend(more(object, now));
        cells
    })
}

/// The column `Name`, followed by the columns of `names`. A leading `+` marks a column that only `-o wide` shows; a
/// trailing `#` marks an integer column.
fn columns(names: &[&str]) -> Vec<ColumnDefinition> {
    let mut columns = vec![ColumnDefinition::shown("Name", "string")];
    columns.extend(names.iter().map(|name| {
        let kind = if name.ends_with('#') { "integer" } else { "string" };
        let plain = name.trim_start_matches('+').trim_end_matches('#');
        if name.starts_with('+') {
            ColumnDefinition::wide(plain, kind)
        } else {
            ColumnDefinition::shown(plain, kind)
        }
    }));
    columns
}

fn age_cell(object: &Value, now: Timestamp) -> Value {
    since(string_or_empty(&object["metadata"]["creationTimestamp"]), now).into()
}

fn entry_count(map: &Value) -> Value {
    map.as_object().map_or(0, serde_json::Map::len).into()
}

/// The columns of a kind, and the function that returns the cells of an object.
pub(crate) fn columns_and_cells(
    resource: &Resource,
    now: Timestamp,
) -> (Vec<ColumnDefinition>, CellsOf<'static>) {
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Pod") => (
            columns(&[
                "Ready",
                "Status",
                "Restarts",
                "Age",
                "+IP",
                "+Node",
                "+Nominated Node",
                "+Readiness Gates",
            ]),
            cells_after_name(workloads::pod_cells, now),
        ),
        ("apps", "Deployment") => (
            columns(&["Ready", "Up-to-date#", "Available#", "Age", "+Containers", "+Images", "+Selector"]),
            cells_after_name(workloads::deployment_cells, now),
        ),
        ("apps", "ReplicaSet") | ("", "ReplicationController") => (
            columns(&["Desired#", "Current#", "Ready#", "Age", "+Containers", "+Images", "+Selector"]),
            cells_after_name(workloads::replica_set_cells, now),
        ),
        ("apps", "StatefulSet") => (
            columns(&["Ready", "Age", "+Containers", "+Images"]),
            cells_after_name(workloads::stateful_set_cells, now),
        ),
        ("apps", "DaemonSet") => (
            columns(&[
                "Desired#",
                "Current#",
                "Ready#",
                "Up-to-date#",
                "Available#",
                "Node Selector",
                "Age",
                "+Containers",
                "+Images",
                "+Selector",
            ]),
            cells_after_name(workloads::daemon_set_cells, now),
        ),
        ("batch", "Job") => (
            columns(&["Status", "Completions", "Duration", "Age"]),
            cells_after_name(workloads::job_cells, now),
        ),
        ("", "Node") => (
            columns(&[
                "Status",
                "Roles",
                "Age",
                "Version",
                "+Internal-IP",
                "+External-IP",
                "+OS-Image",
                "+Kernel-Version",
                "+Container-Runtime",
            ]),
            cells_after_name(node_cells, now),
        ),
        ("", "Service") => (
            columns(&["Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "+Selector"]),
            cells_after_name(service_cells, now),
        ),
        ("", "Namespace") => (
            columns(&["Status", "Age"]),
            cells_after_name(|o, now| vec![o["status"]["phase"].clone(), age_cell(o, now)], now),
        ),
        ("", "ConfigMap") => (columns(&["Data", "Age"]), cells_after_name(config_map_cells, now)),
        ("", "Secret") => (
            columns(&["Type", "Data#", "Age"]),
            cells_after_name(
                |o, now| vec![o["type"].clone(), entry_count(&o["data"]), age_cell(o, now)],
                now,
            ),
        ),
        ("" | "events.k8s.io", "Event") => event_table(resource, now),
        ("", "ServiceAccount") => (
            columns(&["Secrets#", "Age"]),
            cells_after_name(|o, now| vec![items(&o["secrets"]).count().into(), age_cell(o, now)], now),
        ),
        ("coordination.k8s.io", "Lease") => (
            columns(&["Holder", "Age"]),
            cells_after_name(
                |o, now| vec![string_or_empty(&o["spec"]["holderIdentity"]).into(), age_cell(o, now)],
                now,
            ),
        ),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => (
            columns(&["Created At"]),
            cells_after_name(|o, _| vec![o["metadata"]["creationTimestamp"].clone()], now),
        ),
        _ => (columns(&["Age"]), cells_after_name(|o, now| vec![age_cell(o, now)], now)),
    }
}

fn config_map_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let keys = |field: &str| object[field].as_object().map_or(0, serde_json::Map::len);
    vec![(keys("data") + keys("binaryData")).into(), age_cell(object, now)]
}

fn node_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let ready = items(&status["conditions"]).find(|c| c["type"] == "Ready");
    let mut state = match ready.map(|c| string_or_empty(&c["status"])) {
        Some("True") => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if object["spec"]["unschedulable"] == true {
        state.push_str(",SchedulingDisabled");
    }
    let mut roles: Vec<&str> = object["metadata"]["labels"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
        .collect();
    roles.sort_unstable();
    let address = |kind: &str| {
        items(&status["addresses"]).find(|a| a["type"] == kind).map_or("", |a| string_or_empty(&a["address"]))
    };
    let info = &status["nodeInfo"];
    vec![
        state.into(),
        or_none(&roles.join(",")),
        age_cell(object, now),
        string_or_empty(&info["kubeletVersion"]).into(),
        or_none(address("InternalIP")),
        or_none(address("ExternalIP")),
        or_none(string_or_empty(&info["osImage"])),
        or_none(string_or_empty(&info["kernelVersion"])),
        or_none(string_or_empty(&info["containerRuntimeVersion"])),
    ]
}

fn service_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let ports: Vec<String> = items(&spec["ports"])
        .map(|p| {
            let protocol = p["protocol"].as_str().unwrap_or("TCP");
            match p["nodePort"].as_u64().unwrap_or(0) {
                0 => format!("{}/{protocol}", p["port"]),
                node => format!("{}:{node}/{protocol}", p["port"]),
            }
        })
        .collect();
    let external: Vec<&str> = items(&spec["externalIPs"]).map(string_or_empty).collect();
    let external = match (string_or_empty(&spec["type"]), external.is_empty()) {
        ("ExternalName", _) => string_or_empty(&spec["externalName"]).to_owned(),
        (_, false) => external.join(","),
        ("LoadBalancer", true) => "<pending>".to_owned(),
        _ => String::new(),
    };
    let selector = crate::store::selector::LabelSelector::of_object(&spec["selector"]).to_string();
    vec![
        string_or_empty(&spec["type"]).into(),
        or_none(string_or_empty(&spec["clusterIP"])),
        or_none(&external),
        or_none(&ports.join(",")),
        age_cell(object, now),
        or_none(&selector),
    ]
}

/// The table of events. Event is the only kind whose first column is not the name.
fn event_table(resource: &Resource, now: Timestamp) -> (Vec<ColumnDefinition>, CellsOf<'static>) {
    let modern = resource.group == "events.k8s.io";
    let (about, note) = if modern { ("regarding", "note") } else { ("involvedObject", "message") };
    let (last, first) = if modern {
        ("deprecatedLastTimestamp", "deprecatedFirstTimestamp")
    } else {
        ("lastTimestamp", "firstTimestamp")
    };
    let mut columns: Vec<ColumnDefinition> = ["Last Seen", "Type", "Reason", "Object"]
        .iter()
        .map(|n| ColumnDefinition::shown(n, "string"))
        .collect();
    columns.extend([
        ColumnDefinition::wide("Subobject", "string"),
        ColumnDefinition::wide("Source", "string"),
        ColumnDefinition::shown("Message", "string"),
    ]);
    columns.extend([
        ColumnDefinition::wide("First Seen", "string"),
        ColumnDefinition::wide("Count", "string"),
        ColumnDefinition::wide("Name", "string"),
    ]);
    let cells = move |o: &Value| {
        let object = &o[about];
        let stamp = |field: &str| match o[field].as_str().or(o["eventTime"].as_str()) {
            Some(at) => since(at, now),
            None => since(string_or_empty(&o["metadata"]["creationTimestamp"]), now),
        };
        let source = string_or_empty(&o[if modern { "reportingController" } else { "reportingComponent" }]);
        let count = o["count"].as_i64().or(o["deprecatedCount"].as_i64()).unwrap_or(1);
        vec![
            stamp(last).into(),
            string_or_empty(&o["type"]).into(),
            string_or_empty(&o["reason"]).into(),
            format!(
                "{}/{}",
                string_or_empty(&object["kind"]).to_lowercase(),
                string_or_empty(&object["name"])
            )
            .into(),
            string_or_empty(&object["fieldPath"]).into(),
            event_source(source, &o["source"]).into(),
            string_or_empty(&o[note]).trim().into(),
            stamp(first).into(),
            count.to_string().into(),
            string_or_empty(&o["metadata"]["name"]).into(),
        ]
    };
    (columns, Box::new(cells))
}

/// The cell `Source` of an event: the component in `source`, or `controller` if it is empty, and the host if it is set.
fn event_source(controller: &str, source: &Value) -> String {
    let component = string_or_empty(&source["component"]);
    let who = if component.is_empty() { controller } else { component };
    match string_or_empty(&source["host"]) {
        "" => who.to_owned(),
        host => format!("{who}, {host}"),
    }
}
