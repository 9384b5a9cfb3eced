//! The rules of jobs. They do not apply to the job templates of cron jobs.

use std::collections::HashSet;

use serde_json::Value;

use super::Check::{Custom, OneOf, PointerOneOf, PointerRange, Required, RequiredText, Unique};
use super::{KindRules, MAX_INT32, Rule, texts};
use crate::schema::FieldError;
use crate::strategy::validation::{Errors, is_empty, items, join, string_in};

pub(super) static KIND_RULES: [KindRules; 1] = [KindRules::new("batch", "Job", &JOB)];

static JOB: [Rule; 3] = [
    ("spec", Custom(check_job_spec)),
    ("spec.template", Custom(super::core::check_template_labels)),
    // This rule checks the labels of the job. A job without labels gets the labels of its pod template.
    (
        "metadata",
        Custom(|path, metadata, out| super::check_labels(&join(path, "labels"), &metadata["labels"], out)),
    ),
];

/// The maximum number of parallel pods of an indexed job.
const MAX_INDEXED_PARALLELISM: i64 = 100_000;

static JOB_SPEC: [Rule; 5] = [
    ("podReplacementPolicy", PointerOneOf(&["Failed", "TerminatingOrFailed"])),
    ("completionMode", PointerOneOf(&["Indexed", "NonIndexed"])),
    ("podFailurePolicy?.rules[]", Custom(check_failure_rule)),
    ("successPolicy?.rules", Required),
    ("", Custom(check_indexed_fields)),
];

/// Checks the completion mode, the policies and the index limits in a job's spec.
pub(in crate::strategy) fn check_job_spec(path: &str, spec: &Value, out: &mut Errors) {
    super::apply(&JOB_SPEC, path, spec, out);
    let names: HashSet<_> = ["containers", "initContainers"]
        .into_iter()
        .flat_map(|list| items("", &spec["template"]["spec"], list))
        .map(|(_, container)| string_in(container, "name").to_owned())
        .collect();
    for (path, rule) in items(&format!("{path}.podFailurePolicy"), &spec["podFailurePolicy"], "rules") {
        let name = &rule["onExitCodes"]["containerName"];
        if let Some(name) = name.as_str().filter(|name| !names.contains(*name)) {
            let why = "must be one of the container or initContainer names in the pod template";
            out.push(FieldError::invalid(join(&path, "onExitCodes.containerName"), name, why));
        }
    }
}

/// Checks that a rule of a pod failure policy has an action and exactly one requirement, and validates the requirement.
fn check_failure_rule(path: &str, rule: &Value, out: &mut Errors) {
    let field = join(path, "action");
    match string_in(rule, "action") {
        "" => out.push(FieldError::required(field, "")),
        "Count" | "FailIndex" | "FailJob" | "Ignore" => {}
        other => {
            out.push(FieldError::not_supported(field, other, &["Count", "FailIndex", "FailJob", "Ignore"]));
        }
    }
    match (rule["onExitCodes"].is_null(), is_empty(&rule["onPodConditions"])) {
        (true, true) => {
            let why = "specifying one of OnExitCodes and OnPodConditions is required";
            out.push(FieldError::invalid(path, "", why));
        }
        (false, false) => {
            let why = "specifying both OnExitCodes and OnPodConditions is not supported";
            out.push(FieldError::invalid(path, "", why));
        }
        _ => {}
    }
    super::apply(&FAILURE_RULE, path, rule, out);
}

static FAILURE_RULE: [Rule; 6] = [
    ("onExitCodes?.operator", OneOf(&["In", "NotIn"])),
    ("onExitCodes?.values", Required),
    ("onExitCodes?.values", Unique),
    ("onExitCodes?", Custom(check_exit_codes)),
    ("onPodConditions[].type", RequiredText(texts::qualified_name_problem)),
    ("onPodConditions[].status", Custom(check_condition_status)),
];

/// Checks the status of a condition, which defaults to `True`.
fn check_condition_status(path: &str, status: &Value, out: &mut Errors) {
    if !is_empty(status) {
        OneOf(&["False", "True", "Unknown"]).run(path, status, out);
    }
}

/// Checks that the values of the operator `In` do not contain the exit code 0, which is a success.
fn check_exit_codes(path: &str, requirement: &Value, out: &mut Errors) {
    if requirement["operator"] != "In" {
        return;
    }
    for (path, code) in items(path, requirement, "values") {
        if code.as_i64().unwrap_or_default() == 0 {
            out.push(FieldError::invalid(path, 0, "must not be 0 for the In operator"));
        }
    }
}

/// Checks the fields that only indexed jobs may have, and the limits of indexed jobs.
fn check_indexed_fields(path: &str, spec: &Value, out: &mut Errors) {
    let field = |name: &str| join(path, name);
    let number = |name: &str| spec[name].as_i64();
    let completions = number("completions").unwrap_or_default();
    for name in ["backoffLimitPerIndex", "maxFailedIndexes"] {
        PointerRange(0, MAX_INT32).run(&field(name), &spec[name], out);
    }
    let mode = string_in(spec, "completionMode");
    if mode != "Indexed" {
        let limits: &[&str] =
            if mode == "NonIndexed" { &["backoffLimitPerIndex", "maxFailedIndexes"] } else { &[] };
        for name in limits.iter().chain(&["successPolicy"]).filter(|name| !spec[**name].is_null()) {
            let why = "requires indexed completion mode";
            out.push(FieldError::invalid(field(name), spec[*name].clone(), why));
        }
        return;
    }
    if spec["completions"].is_null() {
        let why = "when completion mode is Indexed, completions must be specified";
        out.push(FieldError::required(field("completions"), why));
    }
    if let Some(parallelism) = number("parallelism").filter(|number| *number > MAX_INDEXED_PARALLELISM) {
        let why = format!(
            "must be less than or equal to {MAX_INDEXED_PARALLELISM} when completion mode is Indexed"
        );
        out.push(FieldError::invalid(field("parallelism"), parallelism, why));
    }
    if let Some(failed) = number("maxFailedIndexes") {
        if spec["backoffLimitPerIndex"].is_null() {
            let why = "when maxFailedIndexes is specified";
            out.push(FieldError::required(field("backoffLimitPerIndex"), why));
        }
        if failed > completions {
            let why = "must be less than or equal to completions";
            out.push(FieldError::invalid(field("maxFailedIndexes"), failed, why));
        }
    }
    for (path, rule) in items(&field("successPolicy"), &spec["successPolicy"], "rules") {
        check_success_rule(&path, rule, completions, out);
    }
}

/// Checks that a rule of a success policy has indexes or a count, and that the count does not exceed the number of
/// indexes.
fn check_success_rule(path: &str, rule: &Value, completions: i64, out: &mut Errors) {
    let (indexes, count) = (&rule["succeededIndexes"], rule["succeededCount"].as_i64());
    if indexes.is_null() && count.is_none() {
        let why = "at least one of succeededCount or succeededIndexes must be specified";
        return out.push(FieldError::required(path, why));
    }
    let mut total = completions;
    if let Some(text) = indexes.as_str() {
        total = count_indexes(text, completions).unwrap_or_else(|| {
            let why = "cannot be parsed, or contains an index of completions or above";
            out.push(FieldError::invalid(join(path, "succeededIndexes"), text, why));
            0
        });
    }
    let Some(count) = count else { return };
    if count < 0 || count > total.min(completions) {
        let why = format!("must be less than or equal to {} (the number of indexes)", total.min(completions));
        out.push(FieldError::invalid(join(path, "succeededCount"), count, why));
    }
}

/// Counts the indexes in a text such as `1,3-5`. Returns `None` if the text is malformed, is not sorted, or contains an
/// index that is equal to `completions` or greater.
fn count_indexes(text: &str, completions: i64) -> Option<i64> {
    let (mut count, mut next) = (0, 0);
    if text.is_empty() {
        return Some(0);
    }
    for interval in text.split(',') {
        let (first, last) = interval.split_once('-').unwrap_or((interval, interval));
        let (first, last) = (first.parse::<i64>().ok()?, last.parse::<i64>().ok()?);
        if first < next || last < first || last >= completions {
            return None;
        }
        count += last - first + 1;
        next = last + 1;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_indexes_of_sorted_intervals_are_counted() {
        assert_eq!(count_indexes("1,3-5", 6), Some(4));
        assert_eq!(count_indexes("", 6), Some(0));
        for malformed in ["3-5,1", "1,1", "5-3", "6", "a", "-1", "1,"] {
            assert_eq!(count_indexes(malformed, 6), None, "{malformed}");
        }
    }
}
