//! `Scenario`: a sequence of requests, in a namespace of its own. Most scenarios are in `data/scenarios`.
//!
//! `$NS` in a path, header or body is the namespace. A step can save values of its response under names. Later steps
//! insert a saved value with `$NAME`.
//!
//! If both servers refused the first request of a scenario, they would also agree about all requests that depend on it,
//! and the comparison would prove nothing. Therefore the real server must accept each request, except requests that
//! state the status of their refusal in `refused`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::endpoint::{Call, Endpoint};
use crate::observation::{CaseResult, Response, UnexpectedResponse};

/// The time limit of a step with `until`. Such a step repeats its request until the response has the given
/// values.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// The pause between two requests of a step with `until`.
const PAUSE: Duration = Duration::from_millis(50);

/// A named sequence of requests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// The name. No other scenario in any file has this name.
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
    /// The sources of the saved values, by the name that later steps use. A source is a JSON pointer into the response
    /// body, or `etag` for the header.
    #[serde(default)]
    save: BTreeMap<String, String>,
    /// JSON pointers into the response body. The values at these pointers differ in each run.
    #[serde(default)]
    mask: Vec<String>,
    /// JSON pointers into the body of a successful response. Of the body, only the values at these pointers are compared.
    /// Without pointers, the whole body is compared.
    #[serde(default)]
    only: Vec<String>,
    /// The request is repeated until its response has these values. The keys are JSON pointers that begin with `/status`
    /// or `/body`.
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
    /// The number of requests. A request that is repeated for `until` counts once.
    pub(crate) fn request_count(&self) -> usize {
        self.steps.len()
    }

    /// Whether all requests are GET requests.
    pub(crate) fn only_reads(&self) -> bool {
        self.steps.iter().all(|step| step.request.starts_with(Method::GET.as_str()))
    }

    /// Sends all requests in order. Returns one observation for each request, and the unexpected responses.
    pub(crate) async fn observe(&self, endpoint: &Endpoint, namespace: &str) -> anyhow::Result<CaseResult> {
        let mut values = BTreeMap::from([("NS".to_owned(), namespace.to_owned())]);
        let mut result = CaseResult::default();
        for (index, step) in self.steps.iter().enumerate() {
            let call =
                step.build_call(&values).with_context(|| format!("{}: step {}", self.name, index + 1))?;
            let (response, unmet) = step.send(endpoint, &call).await?;
            let label = format!("{} {}", index + 1, step.request);
            let mut problems = Vec::from_iter(unmet);
            // Check only the real server: a wrong status of kube-sim is reported as a difference.
            if endpoint.is_real() {
                problems.extend(step.problems(&response));
            }
            let unexpected =
                problems.into_iter().map(|problem| UnexpectedResponse::new(&label, &response, problem));
            result.unexpected.extend(unexpected);
            let mut observation = response.masked_observation(&label, &step.mask, &step.only);
            for (name, source) in &step.save {
                let value = match response.value(source) {
                    Some(Value::String(text)) => text,
                    Some(other) => other.to_string(),
                    None => {
                        // Record that the value is absent: the other server may have it.
                        observation.seen["absent"][source] = true.into();
                        String::new()
                    }
                };
                values.insert(name.clone(), value);
            }
            result.observations.push(observation);
        }
        Ok(result)
    }
}

impl Step {
    /// Sends the request, and repeats it until the response has the values of `until`, or [`MAX_WAIT`] has passed.
    /// Returns the last response. If that response lacks a value of `until`, also returns a description of the first
    /// missing value.
    async fn send(&self, endpoint: &Endpoint, call: &Call) -> anyhow::Result<(Response, Option<String>)> {
        let end = Instant::now() + MAX_WAIT;
        loop {
            let response = endpoint.send(call).await?;
            let seen = response.comparable_parts();
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

    /// Describes what is wrong with a response of the real server: another status than the step expects, or no value at
    /// a pointer of `save` or `only`.
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

    /// Builds the request, with the values inserted for `$NS` and each `$NAME`.
    fn build_call(&self, values: &BTreeMap<String, String>) -> anyhow::Result<Call> {
        let (method, path) = self.request.split_once(' ').context("a request is METHOD PATH")?;
        let body = self.body.as_ref().map(|body| match body {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        Ok(Call {
            method: method.parse()?,
            path: insert_values(path, values),
            headers: self.headers.iter().map(|(k, v)| (k.clone(), insert_values(v, values))).collect(),
            body: body.map(|text| insert_values(&text, values)),
        })
    }
}

/// Replaces each `$NAME` whose value is known.
fn insert_values(text: &str, values: &BTreeMap<String, String>) -> String {
    // The reverse order replaces `$RV2` before its prefix `$RV`.
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
    fn a_name_gets_its_own_value_and_not_that_of_its_prefix() {
        let values = [("RV", "1"), ("RV2", "2"), ("NS", "n")];
        let values = values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(insert_values("$NS/$RV2/$RV/$OTHER", &values), "n/2/1/$OTHER");
    }

    /// The problems of a response to a step. `step` has the fields of the step, except `request`. The body of the response
    /// has only the field `kind`.
    fn problems(step: Value, status: u16) -> Vec<String> {
        let mut step = step;
        step["request"] = "GET /".into();
        let step: Step = serde_json::from_value(step).unwrap();
        let (parts, ()) = http::Response::builder().status(status).body(()).unwrap().into_parts();
        step.problems(&Response::new(&parts, br#"{"kind": "A"}"#))
    }

    #[test]
    fn the_field_refused_of_a_step_must_match_the_response() {
        assert_eq!(problems(json!({}), 200), [""; 0]);
        assert_eq!(problems(json!({}), 422), ["refused, but the step has no `refused`"]);
        assert_eq!(problems(json!({"refused": 422}), 422), [""; 0]);
        assert_eq!(problems(json!({"refused": 422}), 404), ["the step expects the refusal 422"]);
        assert_eq!(problems(json!({"refused": 422}), 201), ["the step expects the refusal 422"]);
    }

    #[test]
    fn a_missing_value_that_the_step_saves_or_compares_is_a_problem() {
        assert_eq!(
            problems(json!({"only": ["/kind", "/a"], "save": {"B": "/b"}}), 200),
            ["no value at /b", "no value at /a"]
        );
    }
}
