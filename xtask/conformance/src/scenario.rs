//! `Scenario`: a sequence of requests from `data/scenarios`, in a namespace of its own.
//!
//! `$NS` in a path, header or body is the namespace. A step may save values of its response by JSON pointer; later
//! steps refer to them as `$NAME`.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::endpoint::{Call, Endpoint};
use crate::observation::Observation;

/// A named sequence of requests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// The name, unique in all files.
    pub(crate) name: String,
    steps: Vec<Step>,
}

/// One request.
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
    /// JSON pointers of values of the response, by the name that later steps use.
    #[serde(default)]
    save: BTreeMap<String, String>,
    /// JSON pointers of values of the response that differ in each run.
    #[serde(default)]
    mask: Vec<String>,
}

pub(crate) fn parse(file: &str, text: &str) -> anyhow::Result<Vec<Scenario>> {
    yaml_serde::from_str(text).with_context(|| format!("cannot parse data/scenarios/{file}"))
}

impl Scenario {
    /// The number of requests.
    pub(crate) fn requests(&self) -> usize {
        self.steps.len()
    }

    /// Sends all requests in order.
    pub(crate) async fn observe(
        &self,
        endpoint: &Endpoint,
        namespace: &str,
    ) -> anyhow::Result<Vec<Observation>> {
        let mut values = BTreeMap::from([("NS".to_owned(), namespace.to_owned())]);
        let mut observations = Vec::new();
        for (index, step) in self.steps.iter().enumerate() {
            let call = step.call(&values).with_context(|| format!("{}: step {}", self.name, index + 1))?;
            let response = endpoint.send(&call).await?;
            for (name, pointer) in &step.save {
                let value = match response.body.pointer(pointer) {
                    Some(Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                    None => bail!("{}: the response to {} has no {pointer}", self.name, step.request),
                };
                values.insert(name.clone(), value);
            }
            observations.push(response.whole(&format!("{} {}", index + 1, step.request), &step.mask));
        }
        Ok(observations)
    }
}

impl Step {
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
    use super::*;

    #[test]
    fn longer_names_are_inserted_first() {
        let values = [("RV", "1"), ("RV2", "2"), ("NS", "n")];
        let values = values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(insert("$NS/$RV2/$RV/$OTHER", &values), "n/2/1/$OTHER");
    }
}
