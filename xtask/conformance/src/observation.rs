//! `Response`: the response of a server. `Observation`: the comparable part of a response.

use std::collections::BTreeSet;
use std::fmt;

use http::response::Parts;
use serde_json::{Map, Value, json};

use crate::mask;

/// The response headers that are compared, because clients act on them.
const RELEVANT_HEADERS: [&str; 5] = ["allow", "content-type", "location", "retry-after", "warning"];

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The headers of [`RELEVANT_HEADERS`] that the response has.
    headers: Vec<(String, String)>,
    etag: Option<String>,
    pub(crate) body: Value,
}

/// The comparable part of a response, and a label of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Observation {
    pub(crate) request: String,
    pub(crate) seen: Value,
}

/// The result of a case on one server.
#[derive(Debug, Default)]
pub(crate) struct CaseResult {
    pub(crate) observations: Vec<Observation>,
    pub(crate) unexpected: Vec<UnexpectedResponse>,
}

/// A response that does not meet the expectations of its scenario. If two servers give the same unexpected response, the
/// comparison may prove nothing.
#[derive(Debug)]
pub(crate) struct UnexpectedResponse {
    request: String,
    problem: String,
    status: u16,
    message: String,
}

impl UnexpectedResponse {
    pub(crate) fn new(request: &str, response: &Response, problem: String) -> Self {
        let (status, message) = (response.status, response.message().to_owned());
        Self { request: request.to_owned(), problem, status, message }
    }
}

impl fmt::Display for UnexpectedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { request, problem, status, message } = self;
        write!(f, "  {request}: {problem}\n    response     {status} {message}")
    }
}

impl Response {
    /// Parses the body as JSON, else as one JSON value per line (a watch), else as text.
    pub(crate) fn new(parts: &Parts, body: &[u8]) -> Self {
        let mut headers: Vec<_> = RELEVANT_HEADERS
            .iter()
            .flat_map(|name| parts.headers.get_all(*name).iter().map(move |value| (*name, value)))
            .map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        headers.sort();
        let text = String::from_utf8_lossy(body);
        let lines = || text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
        let body = serde_json::from_slice(body)
            .or_else(|_| lines().map(Value::Array))
            .unwrap_or_else(|_| Value::String(text.into_owned()));
        let etag = parts.headers.get("etag").and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self { status: parts.status.as_u16(), headers, etag, body }
    }

    /// The status, the relevant headers and the body, as one JSON object.
    pub(crate) fn comparable_parts(&self) -> Value {
        json!({"status": self.status, "headers": self.headers, "body": self.body})
    }

    /// The value that `source` names. `source` is a JSON pointer into the body, or `etag` for the header.
    pub(crate) fn value(&self, source: &str) -> Option<Value> {
        if source == "etag" {
            return self.etag.clone().map(Value::String);
        }
        self.body.pointer(source).cloned()
    }

    /// An observation of the [`comparable_parts`](Self::comparable_parts). Masks the values that differ in each run, and
    /// the values at the JSON pointers `masked`. If `only` is not empty, the body of a successful response is compared
    /// only at the JSON pointers `only`.
    pub(crate) fn masked_observation(
        &self,
        request: &str,
        masked: &[String],
        only: &[String],
    ) -> Observation {
        let mut seen = self.comparable_parts();
        if !only.is_empty() && self.is_success() {
            let values = only.iter().map(|pointer| (pointer.clone(), json!(self.value(pointer))));
            seen["body"] = Value::Object(values.collect());
        }
        mask::mask_body(&mut seen["body"], masked);
        mask::mask_texts(&mut seen["headers"]);
        Observation { request: request.to_owned(), seen }
    }

    /// An observation of the status, the reason and the invalid fields that the server reports. Omits the messages.
    pub(crate) fn observation_without_messages(&self, request: &str) -> Observation {
        let causes = self.body["details"]["causes"].as_array();
        let mut fields: Vec<_> =
            causes.into_iter().flatten().filter_map(|cause| cause["field"].as_str()).collect();
        fields.sort_unstable();
        fields.dedup();
        // The body of a success is an object, which may have a field `reason` of its own.
        let reason = if self.is_success() { &Value::Null } else { &self.body["reason"] };
        let seen = json!({"status": self.status, "reason": reason, "fields": fields});
        Observation { request: request.to_owned(), seen }
    }

    /// Whether the status is an error, of class 4xx or 5xx.
    pub(crate) fn is_refusal(&self) -> bool {
        self.status >= 400
    }

    /// Whether the status is of class 2xx.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The `message` of a `Status`, for the report.
    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

/// One value that differs between the two servers.
#[derive(Debug)]
pub(crate) struct Difference {
    request: String,
    /// The path of the value in the observation, such as `/body/metadata/name`.
    path: String,
    real: Value,
    simulated: Value,
}

/// Stands for an absent member of a JSON object. An absent member and a member that is null are different.
const ABSENT: &str = "(absent)";

/// All values in which the observations of the two servers differ.
pub(crate) fn differences(real: &[Observation], simulated: &[Observation]) -> Vec<Difference> {
    let mut found = Vec::new();
    for (real, simulated) in real.iter().zip(simulated) {
        collect_differences(&real.request, "", &real.seen, &simulated.seen, &mut found);
    }
    found
}

/// Compares two values, and appends their differences to `found`. Descends into objects, and into lists if both have the
/// same length.
fn collect_differences(
    request: &str,
    path: &str,
    real: &Value,
    simulated: &Value,
    found: &mut Vec<Difference>,
) {
    match (real, simulated) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<_> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let member =
                    |map: &Map<String, Value>| map.get(key).cloned().unwrap_or_else(|| ABSENT.into());
                collect_differences(request, &format!("{path}/{key}"), &member(a), &member(b), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                collect_differences(request, &format!("{path}/{index}"), a, b, found);
            }
        }
        (a, b) if a == b => {}
        (a, b) => found.push(Difference {
            request: request.to_owned(),
            path: path.to_owned(),
            real: a.clone(),
            simulated: b.clone(),
        }),
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { request, path, real, simulated } = self;
        write!(f, "  {request}: {path}\n    real server  {real}\n    kube-sim     {simulated}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_has_the_path_of_the_innermost_value() {
        let seen = |body: Value| [Observation { request: "1 GET /".to_owned(), seen: json!({"body": body}) }];
        let real = seen(json!({"a": [{"b": 1}, {"b": 2}], "c": null}));
        let simulated = seen(json!({"a": [{"b": 1}, {"b": 3}], "d": 4}));
        let found = differences(&real, &simulated);
        let paths: Vec<_> = found.iter().map(|difference| difference.path.as_str()).collect();
        assert_eq!(paths, ["/body/a/1/b", "/body/c", "/body/d"]);
    }
}
