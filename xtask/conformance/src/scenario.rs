//! `Scenario`: a sequence of requests from `data/scenarios`, in a namespace of its own.
//!
//! `$NS` in a path, header or body is the namespace. A step may save values of its response by JSON pointer; later
//! steps refer to them as `$NAME`.
//!
//! Two servers that refuse the first request of a scenario also agree about all requests that depend on it. Therefore
//! the real server must accept each request, except those that name the status of their refusal.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::endpoint::{Call, Endpoint};
use crate::observation::{Observed, Response, Unexpected};

/// The maximum time until a response has the values of `until`.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// The pause between two requests of a step with `until`.
const PAUSE: Duration = Duration::from_millis(50);

/// A named sequence of requests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// The name, unique in all files.
    pub(crate) name: String,
    steps: Vec<Step>,
}

/// One request, the parts of its response that are compared, and the expected outcome.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// The method and the path with its query, such as `GET /api/v1/namespaces/$NS/pods?limit=1`.
    request: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The body: an object, which is sent as JSON, or a string, which is sent unchanged.
    #[serde(default)]
    body: Option<Value>,
    /// JSON pointers into the response body, or `etag` for the header, by the name that later steps use.
    #[serde(default)]
    save: BTreeMap<String, String>,
    /// JSON pointers of values of the response that differ in each run.
    #[serde(default)]
    mask: Vec<String>,
    /// JSON pointers of the only values of the body that are compared; empty for the whole body.
    #[serde(default)]
    only: Vec<String>,
    /// The request is repeated until its response has these values. The pointers begin with `/status` or `/body`.
    #[serde(default)]
    until: BTreeMap<String, Value>,
    /// The HTTP status with which the server refuses the request; absent if the server accepts it.
    #[serde(default)]
    refused: Option<u16>,
}

pub(crate) fn parse(file: &str, text: &str) -> anyhow::Result<Vec<Scenario>> {
    yaml_serde::from_str(text).with_context(|| format!("cannot parse data/scenarios/{file}"))
}

impl Scenario {
    /// The number of requests.
    pub(crate) fn requests(&self) -> usize {
        self.steps.len()
    }

    /// Whether no request changes an object.
    pub(crate) fn only_reads(&self) -> bool {
        self.steps.iter().all(|step| step.request.starts_with(Method::GET.as_str()))
    }

    /// Sends all requests in order.
    pub(crate) async fn observe(&self, endpoint: &Endpoint, namespace: &str) -> anyhow::Result<Observed> {
        let mut values = BTreeMap::from([("NS".to_owned(), namespace.to_owned())]);
        let mut observed = Observed::default();
        for (index, step) in self.steps.iter().enumerate() {
            let call = step.call(&values).with_context(|| format!("{}: step {}", self.name, index + 1))?;
            let (response, unmet) = step.send(endpoint, &call).await?;
            let label = format!("{} {}", index + 1, step.request);
            let mut problems = Vec::from_iter(unmet);
            // A wrong status of kube-sim is a difference from the real server.
            if endpoint.is_real() {
                problems.extend(step.problems(&response));
            }
            let unexpected = problems.into_iter().map(|problem| Unexpected::new(&label, &response, problem));
            observed.unexpected.extend(unexpected);
            let mut observation = response.whole(&label, &step.mask, &step.only);
            for (name, source) in &step.save {
                let value = match response.value(source) {
                    Some(Value::String(text)) => text,
                    Some(other) => other.to_string(),
                    None => {
                        // The other server may have the value.
                        observation.seen["absent"][source] = true.into();
                        String::new()
                    }
                };
                values.insert(name.clone(), value);
            }
            observed.observations.push(observation);
        }
        Ok(observed)
    }
}

impl Step {
    /// Sends the request, and repeats it until the response has the values of `until`, or [`MAX_WAIT`] has passed.
    /// Returns the last response, and a description of the first value of `until` that it lacks; `None` if it has all
    /// of them.
    async fn send(&self, endpoint: &Endpoint, call: &Call) -> anyhow::Result<(Response, Option<String>)> {
        let end = Instant::now() + MAX_WAIT;
        loop {
            let response = endpoint.send(call).await?;
            let seen = response.comparable();
            let unmet = self.until.iter().find(|(pointer, value)| seen.pointer(pointer) != Some(value));
            match unmet {
                Some((pointer, value)) if Instant::now() > end => {
                    let waited = MAX_WAIT.as_secs();
                    return Ok((response, Some(format!("{pointer} is not {value} after {waited} s"))));
                }
                None => return Ok((response, None)),
                Some(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// The deviations of a response of the real server from the expectations of the step.
    fn problems(&self, response: &Response) -> Vec<String> {
        match self.refused {
            None if response.is_refusal() => {
                return vec!["refused, but the step has no `refused`".to_owned()];
            }
            Some(status) if response.status != status => {
                return vec![format!("the step expects the refusal {status}")];
            }
            _ => {}
        }
        let saved = self.save.values().map(String::as_str);
        let compared = self.only.iter().map(String::as_str).filter(|_| response.is_success());
        saved
            .chain(compared)
            .filter(|source| response.value(source).is_none())
            .map(|source| format!("no value at {source}"))
            .collect()
    }

    /// The request with all values inserted.
    fn call(&self, values: &BTreeMap<String, String>) -> anyhow::Result<Call> {
        let (method, path) = self.request.split_once(' ').context("a request is METHOD PATH")?;
        let body = self.body.as_ref().map(|body| match body {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        Ok(Call {
            method: method.parse()?,
            path: insert(path, values),
            headers: self.headers.iter().map(|(k, v)| (k.clone(), insert(v, values))).collect(),
            body: body.map(|text| insert(&text, values)),
        })
    }
}

/// Replaces each `$NAME` whose value is known.
fn insert(text: &str, values: &BTreeMap<String, String>) -> String {
    // Longer names first: `$RV2` must not be taken for `$RV`.
    let mut text = text.to_owned();
    for (name, value) in values.iter().rev() {
        text = text.replace(&format!("${name}"), value);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn longer_names_are_inserted_first() {
        let values = [("RV", "1"), ("RV2", "2"), ("NS", "n")];
        let values = values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(insert("$NS/$RV2/$RV/$OTHER", &values), "n/2/1/$OTHER");
    }

    /// The problems of a response with this status and a body with `/kind` to a step with these fields.
    fn problems(step: Value, status: u16) -> Vec<String> {
        let mut step = step;
        step["request"] = "GET /".into();
        let step: Step = serde_json::from_value(step).unwrap();
        let (parts, ()) = http::Response::builder().status(status).body(()).unwrap().into_parts();
        step.problems(&Response::new(&parts, br#"{"kind": "A"}"#))
    }

    #[test]
    fn a_refusal_is_expected_only_with_its_status() {
        assert_eq!(problems(json!({}), 200), [""; 0]);
        assert_eq!(problems(json!({}), 422), ["refused, but the step has no `refused`"]);
        assert_eq!(problems(json!({"refused": 422}), 422), [""; 0]);
        assert_eq!(problems(json!({"refused": 422}), 404), ["the step expects the refusal 422"]);
        assert_eq!(problems(json!({"refused": 422}), 201), ["the step expects the refusal 422"]);
    }

    #[test]
    fn a_value_that_is_saved_or_compared_alone_is_present() {
        assert_eq!(
            problems(json!({"only": ["/kind", "/a"], "save": {"B": "/b"}}), 200),
            ["no value at /b", "no value at /a"]
        );
    }
}
