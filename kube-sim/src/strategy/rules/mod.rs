//! Field rules: tables of checks for the fields of objects.
//!
//! A rule is a path and a [`Check`] of the value at this path. Rules that relate several fields are
//! [`Check::Custom`] functions, or code of the kind's strategy.
//!
//! Paths have the form `spec?.rules[].host`: `[]` visits each item of a list, and `?` marks a field that is a
//! pointer in the Go type. If a field with `?` is absent, the fields below it are not checked. An absent object without
//! `?` is checked like an empty object, as in Go.

mod admission;
mod autoscaling;
mod certificates;
mod cluster;
mod core;
mod devices;
mod flow_control;
mod job;
mod networking;
mod pod;
mod storage;
mod texts;

use std::collections::HashSet;

use serde_json::Value;

pub(super) use self::admission::{check_client_config, check_review_versions};
pub(super) use self::certificates::POD_CERTIFICATE_REQUEST;
pub(super) use self::devices::{check_claim, check_claim_status, device_id};
pub(super) use self::pod::POD_SPEC;
pub(super) use self::storage::check_requested_storage;
pub(super) use self::texts::{
    canonical_cidr_problem, canonical_ip, dns_label_1035_problem, ip_address_problem, path_segment_problem,
    qualified_name_problem, subdomain_problem,
};
use super::validation::{Errors, check_unique, is_empty, join};
use crate::schema::FieldError;

/// The largest value of an `int32`.
const MAX_INT32: i64 = i32::MAX as i64;

/// Returns the reason that a text is invalid, or `None` if it is valid.
type TextCheck = fn(&str) -> Option<&'static str>;

/// A path, and the check of the value at the path.
pub(super) type Rule = (&'static str, Check);

/// A check of one value.
#[derive(Clone, Copy)]
pub(super) enum Check {
    /// The value is present and not an empty text, list or map.
    Required,
    /// A text that is checked only if it is present and not empty.
    Text(TextCheck),
    /// A text that is checked if it is present, even if it is empty. The field is a pointer in the Go type.
    PointerText(TextCheck),
    /// A text that must be present and not empty, and that is checked.
    RequiredText(TextCheck),
    /// A text that is checked even if it is absent or empty.
    AnyText(TextCheck),
    /// A number from the first to the second value. An absent number counts as 0.
    Range(i64, i64),
    /// A number from the first to the second value. An absent number is valid: the field is a pointer in the
    /// Go type.
    PointerRange(i64, i64),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// One of these texts. An absent value is valid: the field is a pointer in the Go type.
    PointerOneOf(&'static [&'static str]),
    /// A list without equal items. Empty items are ignored.
    Unique,
    /// A list whose items have different values in this field. Items with an empty value are ignored.
    UniqueBy(&'static str),
    /// A label selector.
    Selector,
    /// A map whose keys and values are valid keys and values of labels.
    Labels,
    Custom(fn(&str, &Value, &mut Errors)),
}

struct KindRules {
    group: &'static str,
    kind: &'static str,
    rules: &'static [Rule],
    /// The fields whose errors have another path than the field. Each pair contains the path of the field and the path
    /// in the errors.
    moved: &'static [(&'static str, &'static str)],
}

impl KindRules {
    const fn new(group: &'static str, kind: &'static str, rules: &'static [Rule]) -> Self {
        Self { group, kind, rules, moved: &[] }
    }
}

/// The rules of the kinds in the submodules. Each item contains the rules of one submodule.
static KIND_RULES: [&[KindRules]; 10] = [
    &core::KIND_RULES,
    &job::KIND_RULES,
    &autoscaling::KIND_RULES,
    &networking::KIND_RULES,
    &storage::KIND_RULES,
    &cluster::KIND_RULES,
    &certificates::KIND_RULES,
    &admission::KIND_RULES,
    &flow_control::KIND_RULES,
    &devices::KIND_RULES,
];

fn kind_rules(group: &str, kind: &str) -> Option<&'static KindRules> {
    KIND_RULES.iter().copied().flatten().find(|rules| rules.group == group && rules.kind == kind)
}

/// Applies the rules of a kind to an object.
pub(super) fn check_object(group: &str, kind: &str, object: &Value, out: &mut Errors) {
    if let Some(kind) = kind_rules(group, kind) {
        apply(kind.rules, "", object, out);
    }
}

/// Applies rules to the value at `path`. If `out` already contains an error for a field, adds no error for this field: the
/// earlier error is usually from the strategy of the kind, and its text is more specific.
pub(super) fn apply(rules: &[Rule], path: &str, value: &Value, out: &mut Errors) {
    let mut found = Errors::default();
    for (pattern, check) in rules {
        check_selected_values(path, value, pattern, *check, &mut found);
    }
    if found.0.is_empty() {
        return;
    }
    // The items of a list are validated one after the other, so only the last errors can be about fields below `path`.
    // With thousands of items, a search of all errors would be too slow.
    let start = out.0.iter().rposition(|error| !error.field.starts_with(path)).map_or(0, |index| index + 1);
    let reported: HashSet<_> = out.0[start..].iter().map(|error| error.field.clone()).collect();
    out.0.extend(found.0.into_iter().filter(|error| !reported.contains(&error.field)));
}

/// In each error, replaces the path of the field with the path that the API server reports for this kind.
pub(super) fn replace_error_paths(group: &str, kind: &str, errors: &mut [FieldError]) {
    let moved = kind_rules(group, kind).map_or(&[][..], |kind| kind.moved);
    for error in errors {
        if let Some(field) = moved.iter().find_map(|(from, to)| moved_path(&error.field, from, to)) {
            error.field = field;
        }
    }
}

/// Returns the path `to` if the path `field` matches the pattern `from`, otherwise `None`. In `from` and
/// `to`, `[]` stands for a list index. The returned path has the list indexes of `field`. If `to` has fewer
/// indexes than `from`, only the last indexes are used.
fn moved_path(field: &str, from: &str, to: &str) -> Option<String> {
    let mut indexes = Vec::new();
    let mut rest = field;
    for (number, part) in from.split("[]").enumerate() {
        if number > 0 {
            let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
            indexes.push(index.parse::<usize>().ok()?);
            rest = after;
        }
        rest = rest.strip_prefix(part)?;
    }
    if !rest.is_empty() {
        return None;
    }
    let count = to.matches("[]").count();
    let mut indexes = indexes[indexes.len().checked_sub(count)?..].iter();
    let mut parts = to.split("[]");
    let mut moved = parts.next()?.to_owned();
    for (part, index) in parts.zip(&mut indexes) {
        moved = format!("{moved}[{index}]{part}");
    }
    Some(moved)
}

/// Checks each value that `pattern` selects below `value`.
fn check_selected_values(path: &str, value: &Value, pattern: &str, check: Check, out: &mut Errors) {
    if pattern.is_empty() {
        return check.run(path, value, out);
    }
    let (step, rest) = pattern.split_once('.').unwrap_or((pattern, ""));
    if let Some(list) = step.strip_suffix("[]") {
        let items = value[list].as_array().map_or(&[][..], Vec::as_slice);
        for (index, item) in items.iter().enumerate() {
            check_selected_values(&format!("{}[{index}]", join(path, list)), item, rest, check, out);
        }
    } else if let Some(field) = step.strip_suffix('?') {
        if !value[field].is_null() {
            check_selected_values(&join(path, field), &value[field], rest, check, out);
        }
    } else {
        check_selected_values(&join(path, step), &value[step], rest, check, out);
    }
}

impl Check {
    /// Checks the value at `path`; `value` is null if the field is absent.
    fn run(self, path: &str, value: &Value, out: &mut Errors) {
        let text = value.as_str().unwrap_or_default();
        match self {
            Self::Required => require_value(path, is_empty(value), out),
            Self::Text(_) if text.is_empty() => {}
            Self::PointerText(_) | Self::PointerRange(..) | Self::PointerOneOf(_) if value.is_null() => {}
            Self::RequiredText(_) if text.is_empty() => require_value(path, true, out),
            Self::Text(problem)
            | Self::PointerText(problem)
            | Self::RequiredText(problem)
            | Self::AnyText(problem) => {
                if let Some(why) = problem(text) {
                    out.push(FieldError::invalid(path, text, why));
                }
            }
            Self::Range(least, most) | Self::PointerRange(least, most) => {
                let number = value.as_i64().unwrap_or_default();
                if !(least..=most).contains(&number) {
                    let why = format!("must be between {least} and {most}, inclusive");
                    out.push(FieldError::invalid(path, number, why));
                }
            }
            Self::OneOf(supported) | Self::PointerOneOf(supported) => {
                if !supported.contains(&text) {
                    out.push(FieldError::not_supported(path, text, supported));
                }
            }
            Self::Unique => check_unique(path, value, None, out),
            Self::UniqueBy(field) => check_unique(path, value, Some(field), out),
            Self::Selector => check_selector(path, value, out),
            Self::Labels => check_labels(path, value, out),
            Self::Custom(check) => check(path, value, out),
        }
    }
}

/// If `is_absent`, reports that the value at `path` is required.
fn require_value(path: &str, is_absent: bool, out: &mut Errors) {
    if is_absent {
        out.push(FieldError::required(path, ""));
    }
}

/// Checks a label selector.
pub(super) fn check_selector(path: &str, selector: &Value, out: &mut Errors) {
    check_labels(&join(path, "matchLabels"), &selector["matchLabels"], out);
    for (path, expression) in super::validation::items(path, selector, "matchExpressions") {
        check_requirement(&path, expression, &[], out);
    }
}

/// Checks a requirement of a selector: its key, its operator, and its values. `numeric` are the operators that compare
/// with one number.
fn check_requirement(path: &str, requirement: &Value, numeric: &[&str], out: &mut Errors) {
    let field = join(path, "values");
    let count = requirement["values"].as_array().map_or(0, Vec::len);
    match (requirement["operator"].as_str().unwrap_or_default(), count) {
        ("In" | "NotIn", 0) => {
            let why = "must be specified when `operator` is 'In' or 'NotIn'";
            out.push(FieldError::required(field, why));
        }
        ("Exists" | "DoesNotExist", 1..) => {
            let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            out.push(FieldError::forbidden(field, why));
        }
        ("In" | "NotIn" | "Exists" | "DoesNotExist", _) => {}
        (operator, count) if numeric.contains(&operator) => {
            if count != 1 {
                let why = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                out.push(FieldError::required(field, why));
            }
        }
        (operator, _) => {
            out.push(FieldError::invalid(join(path, "operator"), operator, "not a valid selector operator"));
        }
    }
    Check::AnyText(texts::qualified_name_problem).run(&join(path, "key"), &requirement["key"], out);
    for (path, value) in super::validation::items(path, requirement, "values") {
        Check::Text(texts::label_value_problem).run(&path, value, out);
    }
}

/// Checks the keys and values of labels. An error has the path of the map, as on the API server.
fn check_labels(path: &str, labels: &Value, out: &mut Errors) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        if let Some(why) = texts::qualified_name_problem(key) {
            out.push(FieldError::invalid(path, key.as_str(), why));
        }
        let value = value.as_str().unwrap_or_default();
        if let Some(why) = texts::label_value_problem(value) {
            out.push(FieldError::invalid(path, value, why));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The fields that `rule` reports for `object`.
    fn reported_fields(rule: Rule, object: &Value) -> Vec<String> {
        let mut out = Errors::default();
        apply(&[rule], "", object, &mut out);
        out.0.into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn fields_below_an_absent_field_are_checked_unless_the_absent_field_is_a_go_pointer() {
        let spec_only = json!({"spec": {}});
        assert_eq!(reported_fields(("spec.a.name", Check::Required), &spec_only), ["spec.a.name"]);
        assert!(reported_fields(("spec.a?.name", Check::Required), &spec_only).is_empty());
        assert_eq!(
            reported_fields(("spec.a?.name", Check::Required), &json!({"spec": {"a": {}}})),
            ["spec.a.name"]
        );
    }

    #[test]
    fn a_rule_checks_each_item_of_nested_lists() {
        let object = json!({"a": [{"b": ["x", ""]}, {"b": [""]}]});
        assert_eq!(reported_fields(("a[].b[]", Check::Required), &object), ["a[0].b[1]", "a[1].b[0]"]);
    }

    #[test]
    fn an_empty_text_in_a_pointer_field_is_checked() {
        let object = json!({"a": ""});
        let label = texts::dns_label_problem;
        assert!(reported_fields(("a", Check::Text(label)), &object).is_empty());
        assert_eq!(reported_fields(("a", Check::PointerText(label)), &object), ["a"]);
        assert!(reported_fields(("b", Check::PointerText(label)), &object).is_empty());
    }

    #[test]
    fn a_moved_path_has_the_last_list_indexes_of_the_original_path() {
        let moved = |field, from, to| moved_path(field, from, to);
        assert_eq!(moved("v[0].c[2].t", "v[].c[].t", "c[].t").as_deref(), Some("c[2].t"));
        assert_eq!(moved("s.modes[1]", "s.modes[]", "s.modes").as_deref(), Some("s.modes"));
        assert_eq!(moved("s.modes", "s.modes[]", "s.modes"), None);
        assert_eq!(moved("s.modes[1].x", "s.modes[]", "s.modes"), None);
    }
}
