//! The validation of the spec of resource claims: requests, constraints and configurations.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::Check::AnyText;
use super::{
    MAX_ITEMS, check_list, check_opaque_parameters, check_set, check_toleration, name_key, names, text_key,
    texts,
};
use crate::schema::FieldError;
use crate::strategy::validation::{Errors, is_empty, items, join, string_in};

/// The maximum number of subrequests of a request.
const MAX_SUBREQUESTS: usize = 8;

/// Checks the spec of a new claim.
pub(in crate::strategy) fn check_claim(claim: &Value, out: &mut Errors) {
    check_devices("spec.devices", &claim["spec"]["devices"], out);
}

/// Maps the name of each request of a claim to the names of its subrequests.
pub(super) struct RequestNames(HashMap<String, HashSet<String>>);

impl RequestNames {
    /// Collects the names from the `devices` of a claim.
    pub(super) fn of(devices: &Value) -> Self {
        let names = items("", devices, "requests").map(|(_, request)| {
            let subrequests = items("", request, "firstAvailable").map(|(_, sub)| name_key(sub));
            (name_key(request), subrequests.collect())
        });
        Self(names.collect())
    }

    /// Whether `text` is the name of a request, or `REQUEST/SUBREQUEST` with the names of both.
    fn contains(&self, text: &str) -> bool {
        match text.split_once('/') {
            None => self.0.contains_key(text),
            Some((request, sub)) => self.0.get(request).is_some_and(|names| names.contains(sub)),
        }
    }

    /// Checks a reference to a request or a subrequest.
    pub(super) fn check_reference(&self, path: &str, name: &Value, out: &mut Errors) {
        let text = name.as_str().unwrap_or_default();
        let has_valid_form = text.matches('/').count() <= 1;
        if has_valid_form {
            for part in text.split('/') {
                if let Some(why) = texts::dns_label_problem(part) {
                    out.push(FieldError::invalid(path, part, why));
                }
            }
        }
        if !has_valid_form || !self.contains(text) {
            let why = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
            out.push(FieldError::invalid(path, text, why));
        }
    }

    /// Checks a list of references to requests or subrequests. Each reference may occur only once.
    pub(super) fn check_references(&self, path: &str, names: &Value, out: &mut Errors) {
        let check = |path: &str, name: &Value, out: &mut Errors| self.check_reference(path, name, out);
        check_set(path, names, MAX_ITEMS, text_key, check, out);
    }
}

/// Checks the `devices` of a claim.
pub(super) fn check_devices(path: &str, devices: &Value, out: &mut Errors) {
    let names = RequestNames::of(devices);
    let requests = &devices["requests"];
    check_set(&join(path, "requests"), requests, MAX_ITEMS, name_key, check_request, out);
    let check = |path: &str, constraint: &Value, out: &mut Errors| {
        names.check_references(&join(path, "requests"), &constraint["requests"], out);
        check_constraint(path, constraint, out);
    };
    check_list(&join(path, "constraints"), &devices["constraints"], MAX_ITEMS, check, out);
    let check = |path: &str, config: &Value, out: &mut Errors| {
        names.check_references(&join(path, "requests"), &config["requests"], out);
        check_opaque_parameters(path, config, out);
    };
    check_list(&join(path, "config"), &devices["config"], MAX_ITEMS, check, out);
}

fn check_constraint(path: &str, constraint: &Value, out: &mut Errors) {
    let fields = ["matchAttribute", "distinctAttribute"];
    if let Some(field) = fields.iter().find(|field| !constraint[**field].is_null()) {
        return names::check_fully_qualified_name(&join(path, field), &constraint[*field], out);
    }
    // The API server reports "multiple fields are set" although no field is set.
    let why =
        "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set";
    out.push(FieldError::required(path, why));
}

/// Checks a request, which must have either `exactly` or `firstAvailable`.
fn check_request(path: &str, request: &Value, out: &mut Errors) {
    AnyText(texts::dns_label_problem).run(&join(path, "name"), &request["name"], out);
    let (exactly, first) = (&request["exactly"], &request["firstAvailable"]);
    let why = "exactly one of `exactly` or `firstAvailable` is required";
    match (exactly.is_null(), is_empty(first)) {
        (true, true) => out.push(FieldError::required(path, why)),
        (false, false) => {
            let why = format!("{why}, but multiple fields are set");
            out.push(FieldError::invalid(path, Value::Null, why));
        }
        (false, true) => check_wanted_devices(&join(path, "exactly"), exactly, out),
        (true, false) => {
            let check = |path: &str, sub: &Value, out: &mut Errors| {
                AnyText(texts::dns_label_problem).run(&join(path, "name"), &sub["name"], out);
                check_wanted_devices(path, sub, out);
            };
            check_set(&join(path, "firstAvailable"), first, MAX_SUBREQUESTS, name_key, check, out);
        }
    }
}

/// Checks the fields that both `exactly` and an item of `firstAvailable` have.
fn check_wanted_devices(path: &str, wanted: &Value, out: &mut Errors) {
    super::Check::RequiredText(texts::subdomain_problem).run(
        &join(path, "deviceClassName"),
        &wanted["deviceClassName"],
        out,
    );
    super::check_selectors(&join(path, "selectors"), &wanted["selectors"], out);
    let count = wanted["count"].as_i64().unwrap_or_default();
    let at = join(path, "count");
    match string_in(wanted, "allocationMode") {
        "All" if count != 0 => {
            let why = "must not be specified when allocationMode is 'All'";
            out.push(FieldError::invalid(at, count, why));
        }
        "ExactCount" if count <= 0 => {
            out.push(FieldError::invalid(at, count, "must be greater than zero"));
        }
        "All" | "ExactCount" => {}
        other => {
            let supported = ["All", "ExactCount"];
            out.push(FieldError::not_supported(join(path, "allocationMode"), other, &supported));
        }
    }
    for (path, toleration) in items(path, wanted, "tolerations") {
        check_toleration(&path, toleration, out);
    }
}
