//! The strategies of events, in the core group and in `events.k8s.io`.
//!
//! Errors contain the field names of core `v1`, even for events of `events.k8s.io`. The only exception is
//! `reportingController`.

use jiff::Timestamp;
use serde_json::Value;

use super::Strategy;
use super::fields::SelectableField;
use super::human_age;
use super::printer::{Printer, name_cell, string_or_empty, text_cell};
use super::validation::{Errors, string_in};
use crate::names;
use crate::schema::FieldError;

pub(super) const CORE_EVENT: Strategy = Strategy {
    kind: "Event",
    allow_create_on_update: true,
    validate: check_core_event,
    validate_update: Some(|_, _, _| {}),
    selectable_fields: &[
        SelectableField::new("involvedObject.kind"),
        SelectableField::new("involvedObject.namespace"),
        SelectableField::new("involvedObject.name"),
        SelectableField::new("involvedObject.uid"),
        SelectableField::new("involvedObject.apiVersion"),
        SelectableField::new("involvedObject.resourceVersion"),
        SelectableField::new("involvedObject.fieldPath"),
        SelectableField::new("reason"),
        SelectableField::new("reportingComponent"),
        SelectableField::new("type"),
        SelectableField {
            label: "source",
            fallback: "reportingComponent",
            ..SelectableField::new("source.component")
        },
    ],
    printer: Printer::new(|event, now| cells(event, &CORE_FIELD_NAMES, now)),
    ..Strategy::DEFAULT
};

pub(super) static STRATEGIES: [Strategy; 1] = [Strategy {
    group: "events.k8s.io",
    validate: check_event,
    validate_update: Some(validate_update),
    printer: Printer::new(|event, now| cells(event, &EVENTS_GROUP_FIELD_NAMES, now)),
    ..CORE_EVENT
}];

/// The names of the fields that have a different name in each API version of events.
struct FieldNames {
    about: &'static str,
    note: &'static str,
    last: &'static str,
    first: &'static str,
    count: &'static str,
    source: &'static str,
    controller: &'static str,
}

/// The field names in core `v1`.
const CORE_FIELD_NAMES: FieldNames = FieldNames {
    about: "involvedObject",
    note: "message",
    last: "lastTimestamp",
    first: "firstTimestamp",
    count: "count",
    source: "source",
    controller: "reportingComponent",
};

/// The field names in `events.k8s.io`.
const EVENTS_GROUP_FIELD_NAMES: FieldNames = FieldNames {
    about: "regarding",
    note: "note",
    last: "deprecatedLastTimestamp",
    first: "deprecatedFirstTimestamp",
    count: "deprecatedCount",
    source: "deprecatedSource",
    controller: "reportingController",
};

fn cells(event: &Value, names: &FieldNames, now: Timestamp) -> Vec<Value> {
    let object = &event[names.about];
    let series = &event["series"];
    let first = match event[names.first].as_str() {
        Some(at) => human_age(at, now),
        None => human_age(string_or_empty(&event["eventTime"]), now),
    };
    let last = match (series, event[names.last].as_str()) {
        (Value::Object(_), _) => human_age(string_or_empty(&series["lastObservedTime"]), now),
        (_, Some(at)) => human_age(at, now),
        _ => first.clone(),
    };
    // The cell shows 1 for an event without a count, such as an event of `events.k8s.io` without a series.
    let count = match (&series["count"], event[names.count].as_i64().unwrap_or(0)) {
        (Value::Number(count), _) => count.as_i64().unwrap_or(0),
        (_, 0) => 1,
        (_, count) => count,
    };
    let kind = string_or_empty(&object["kind"]).to_lowercase();
    let target = match string_or_empty(&object["name"]) {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    vec![
        last.into(),
        text_cell(&event["type"]),
        text_cell(&event["reason"]),
        target.into(),
        text_cell(&object["fieldPath"]),
        source_text(event, names).into(),
        string_or_empty(&event[names.note]).trim().into(),
        first.into(),
        count.into(),
        name_cell(event),
    ]
}

/// The cell `Source` of an event: the component (or else the reporting controller), then the host (or else the reporting
/// instance).
fn source_text(event: &Value, names: &FieldNames) -> String {
    let first = |texts: [&Value; 2]| {
        let mut texts = texts.into_iter().map(string_or_empty);
        texts.find(|text| !text.is_empty()).unwrap_or_default().to_owned()
    };
    let source = &event[names.source];
    let component = first([&source["component"], &event[names.controller]]);
    match first([&source["host"], &event["reportingInstance"]]) {
        host if host.is_empty() => component,
        host => format!("{component}, {host}"),
    }
}

/// Validates a new event of core `v1`. An event without `eventTime` is a legacy event; only its namespace is validated.
fn check_core_event(new: &Value, out: &mut Errors) {
    check_event_namespace(new, &new["involvedObject"], true, out);
    if !new["eventTime"].is_null() {
        check_content(new, "reportingComponent", "message", out);
    }
}

/// Validates a new event of `events.k8s.io`.
fn check_event(new: &Value, out: &mut Errors) {
    check_event_namespace(new, &new["regarding"], false, out);
    if new["eventTime"].is_null() {
        out.push(FieldError::required("eventTime", ""));
    } else {
        check_content(new, "reportingController", "note", out);
    }
    check_event_series(&new["series"], out);
    for (field, shown) in [
        ("deprecatedCount", "count"),
        ("deprecatedFirstTimestamp", "firstTimestamp"),
        ("deprecatedLastTimestamp", "lastTimestamp"),
        ("deprecatedSource", "source"),
    ] {
        let is_set = match &new[field] {
            Value::Null => false,
            Value::Number(count) => count.as_i64() != Some(0),
            Value::Object(source) => source.values().any(|value| value != ""),
            _ => true,
        };
        if is_set {
            out.push(FieldError::invalid(shown, "", "needs to be unset"));
        }
    }
    let kind = string_in(new, "type");
    if !matches!(kind, "Normal" | "Warning") {
        out.push(FieldError::invalid("type", "", format!("has invalid value: {kind}")));
    }
}

/// Checks the namespace of an event about `object`. If `object` is cluster-scoped, the event must be in
/// `default` or have no namespace. If `object` has a namespace and `must_agree` is true, the event must be in
/// the same namespace.
fn check_event_namespace(event: &Value, object: &Value, must_agree: bool, out: &mut Errors) {
    let (here, there) = (string_in(&event["metadata"], "namespace"), string_in(object, "namespace"));
    let agrees = if there.is_empty() { matches!(here, "" | "default") } else { !must_agree || here == there };
    if !agrees {
        let why = "does not match event.namespace";
        out.push(FieldError::invalid("involvedObject.namespace", there, why));
    }
}

/// Validates the reporter, action, reason and note. `controller` and `note` are the names of the fields for the
/// reporting controller and the note in the event's API version.
fn check_content(event: &Value, controller: &str, note: &str, out: &mut Errors) {
    let reporter = string_in(event, controller);
    if reporter.is_empty() {
        out.push(FieldError::required(controller, ""));
        out.push(FieldError::invalid(controller, "", "name part must be non-empty"));
    }
    if !names::is_qualified_name(reporter) {
        out.push(FieldError::invalid(controller, reporter, names::INVALID_NAME_PART));
    }
    for field in ["reportingInstance", "action", "reason"] {
        out.require_string("", event, field);
        check_length(event, field, field, 128, out);
    }
    check_length(event, note, "message", 1024, out);
}

/// Adds an error about the path `shown` if the string in `field` has more than `most` bytes.
fn check_length(event: &Value, field: &str, shown: &str, most: usize, out: &mut Errors) {
    if string_in(event, field).len() > most {
        out.push(FieldError::invalid(shown, "", format!("can have at most {most} characters")));
    }
}

fn check_event_series(series: &Value, out: &mut Errors) {
    if series.is_null() {
        return;
    }
    if series["count"].as_i64().unwrap_or(0) < 2 {
        out.push(FieldError::invalid("series.count", "", "should be at least 2"));
    }
    if series["lastObservedTime"].is_null() {
        out.push(FieldError::required("series.lastObservedTime", ""));
    }
}

/// Checks that an update changes no field except `series` and the metadata.
fn validate_update(old: &Value, new: &Value, out: &mut Errors) {
    for (field, shown) in [
        ("regarding", "involvedObject"),
        ("reason", "reason"),
        ("note", "message"),
        ("deprecatedSource", "source"),
        ("deprecatedFirstTimestamp", "firstTimestamp"),
        ("deprecatedLastTimestamp", "lastTimestamp"),
        ("deprecatedCount", "count"),
        ("type", "type"),
        ("eventTime", "eventTime"),
        ("action", "action"),
        ("related", "related"),
        ("reportingController", "reportingController"),
        ("reportingInstance", "reportingInstance"),
    ] {
        if old[field] != new[field] {
            out.push(FieldError::invalid(shown, new[field].clone(), "field is immutable"));
        }
    }
}
