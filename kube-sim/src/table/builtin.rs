//! The `Table` columns of the built-in kinds.

use jiff::Timestamp;
use serde_json::Value;

use super::{CellsOf, ColumnDefinition, list, or_none, since, text, workloads};
use crate::registry::Resource;

/// The cells of a row: the name of the object, then the cells that `more` returns.
fn cells_after_name(more: fn(&Value, Timestamp) -> Vec<Value>, now: Timestamp) -> CellsOf<'static> {
    Box::new(move |object| {
        let mut cells = vec![Value::from(text(&object["metadata"]["name"]))];
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

fn age(object: &Value, now: Timestamp) -> Value {
    since(text(&object["metadata"]["creationTimestamp"]), now).into()
}

fn entry_count(map: &Value) -> Value {
    map.as_object().map_or(0, serde_json::Map::len).into()
}

/// The columns of a kind, and the function that returns the cells of an object.
pub(crate) fn table(resource: &Resource, now: Timestamp) -> (Vec<ColumnDefinition>, CellsOf<'static>) {
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
            cells_after_name(workloads::pod, now),
        ),
        ("apps", "Deployment") => (
            columns(&["Ready", "Up-to-date#", "Available#", "Age", "+Containers", "+Images", "+Selector"]),
            cells_after_name(workloads::deployment, now),
        ),
        ("apps", "ReplicaSet") | ("", "ReplicationController") => (
            columns(&["Desired#", "Current#", "Ready#", "Age", "+Containers", "+Images", "+Selector"]),
            cells_after_name(workloads::replica_set, now),
        ),
        ("apps", "StatefulSet") => (
            columns(&["Ready", "Age", "+Containers", "+Images"]),
            cells_after_name(workloads::stateful_set, now),
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
            cells_after_name(workloads::daemon_set, now),
        ),
        ("batch", "Job") => {
            (columns(&["Status", "Completions", "Duration", "Age"]), cells_after_name(workloads::job, now))
        }
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
            cells_after_name(node, now),
        ),
        ("", "Service") => (
            columns(&["Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "+Selector"]),
            cells_after_name(service, now),
        ),
        ("", "Namespace") => (
            columns(&["Status", "Age"]),
            cells_after_name(|o, now| vec![o["status"]["phase"].clone(), age(o, now)], now),
        ),
        ("", "ConfigMap") => (columns(&["Data", "Age"]), cells_after_name(config_map, now)),
        ("", "Secret") => (
            columns(&["Type", "Data#", "Age"]),
            cells_after_name(|o, now| vec![o["type"].clone(), entry_count(&o["data"]), age(o, now)], now),
        ),
        ("" | "events.k8s.io", "Event") => event_table(resource, now),
        ("", "ServiceAccount") => (
            columns(&["Secrets#", "Age"]),
            cells_after_name(|o, now| vec![list(&o["secrets"]).count().into(), age(o, now)], now),
        ),
        ("coordination.k8s.io", "Lease") => (
            columns(&["Holder", "Age"]),
            cells_after_name(|o, now| vec![text(&o["spec"]["holderIdentity"]).into(), age(o, now)], now),
        ),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => (
            columns(&["Created At"]),
            cells_after_name(|o, _| vec![o["metadata"]["creationTimestamp"].clone()], now),
        ),
        _ => (columns(&["Age"]), cells_after_name(|o, now| vec![age(o, now)], now)),
    }
}

fn config_map(object: &Value, now: Timestamp) -> Vec<Value> {
    let keys = |field: &str| object[field].as_object().map_or(0, serde_json::Map::len);
    vec![(keys("data") + keys("binaryData")).into(), age(object, now)]
}

fn node(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let ready = list(&status["conditions"]).find(|c| c["type"] == "Ready");
    let mut state = match ready.map(|c| text(&c["status"])) {
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
        list(&status["addresses"]).find(|a| a["type"] == kind).map_or("", |a| text(&a["address"]))
    };
    let info = &status["nodeInfo"];
    vec![
        state.into(),
        or_none(&roles.join(",")),
        age(object, now),
        text(&info["kubeletVersion"]).into(),
        or_none(address("InternalIP")),
        or_none(address("ExternalIP")),
        or_none(text(&info["osImage"])),
        or_none(text(&info["kernelVersion"])),
        or_none(text(&info["containerRuntimeVersion"])),
    ]
}

fn service(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let ports: Vec<String> = list(&spec["ports"])
        .map(|p| {
            let protocol = p["protocol"].as_str().unwrap_or("TCP");
            match p["nodePort"].as_u64().unwrap_or(0) {
                0 => format!("{}/{protocol}", p["port"]),
                node => format!("{}:{node}/{protocol}", p["port"]),
            }
        })
        .collect();
    let external: Vec<&str> = list(&spec["externalIPs"]).map(text).collect();
    let external = match (text(&spec["type"]), external.is_empty()) {
        ("ExternalName", _) => text(&spec["externalName"]).to_owned(),
        (_, false) => external.join(","),
        ("LoadBalancer", true) => "<pending>".to_owned(),
        _ => String::new(),
    };
    let selector = crate::store::selector::LabelSelector::of_object(&spec["selector"]).to_string();
    vec![
        text(&spec["type"]).into(),
        or_none(text(&spec["clusterIP"])),
        or_none(&external),
        or_none(&ports.join(",")),
        age(object, now),
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
            None => since(text(&o["metadata"]["creationTimestamp"]), now),
        };
        let source = text(&o[if modern { "reportingController" } else { "reportingComponent" }]);
        let count = o["count"].as_i64().or(o["deprecatedCount"].as_i64()).unwrap_or(1);
        vec![
            stamp(last).into(),
            text(&o["type"]).into(),
            text(&o["reason"]).into(),
            format!("{}/{}", text(&object["kind"]).to_lowercase(), text(&object["name"])).into(),
            text(&object["fieldPath"]).into(),
            event_source(source, &o["source"]).into(),
            text(&o[note]).trim().into(),
            stamp(first).into(),
            count.to_string().into(),
            text(&o["metadata"]["name"]).into(),
        ]
    };
    (columns, Box::new(cells))
}

/// The source of an event: the component of its `source` (otherwise `controller`), and the host if there is one.
fn event_source(controller: &str, source: &Value) -> String {
    let component = text(&source["component"]);
    let who = if component.is_empty() { controller } else { component };
    match text(&source["host"]) {
        "" => who.to_owned(),
        host => format!("{who}, {host}"),
    }
}
