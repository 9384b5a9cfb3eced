//! `Sample`: a valid object of a built-in kind, and the cases that are derived from it. `Mutation`: a copy of the object,
//! unchanged or with one changed field. A request with `dryRun=All` creates the copy.

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::endpoint::{Call, Endpoint};
use crate::observation::Observation;
use crate::scenario::Scenario;

/// The label of the mutation without a change.
const UNCHANGED_LABEL: &str = "unchanged";

/// A valid object, and the path of its collection.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sample {
    /// The path of the collection, such as `/api/v1/namespaces/$NS/pods`.
    pub(crate) path: String,
    object: Value,
    /// The reason why the object must not be stored; `None` if [`Sample::lifecycle_scenario`] may store the object.
    #[serde(default)]
    not_stored_because: Option<String>,
    /// The status with which the server refuses a PUT of the object without a resource version.
    #[serde(default)]
    unconditional_put_refused: Option<u16>,
    /// The status with which the server refuses a PUT of the object with its resource version.
    #[serde(default)]
    put_refused: Option<u16>,
    /// Whether a finalizer, which the server adds, keeps the object after a DELETE request.
    #[serde(default)]
    remains_after_delete: bool,
}

/// An object of `data/objects.yaml`, unchanged or with one changed field.
#[derive(Debug)]
pub(crate) struct Mutation {
    /// The label of the sample, the changed field and the change, such as `v1 Service sample: spec.ports[0].port: absent`.
    pub(crate) name: String,
    path: String,
    object: Value,
}

pub(crate) fn parse_samples(text: &str) -> anyhow::Result<Vec<Sample>> {
    yaml_serde::from_str(text).context("cannot parse data/objects.yaml")
}

/// One segment of a path in a JSON value: the name of a field, or the index of an item.
#[derive(Debug, Clone)]
enum Segment {
    Field(String),
    Item(usize),
}

impl Sample {
    /// `apiVersion`, kind and name, such as `apps/v1 Deployment sample`.
    fn label(&self) -> String {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let Self { object, .. } = self;
        format!(
            "{} {} {}",
            text(&object["apiVersion"]),
            text(&object["kind"]),
            text(&object["metadata"]["name"])
        )
    }

    /// First a mutation without a change. Then, for each value below the root, one mutation for each of its
    /// [changes](changes_of). `apiVersion` and `kind` of the root stay unchanged.
    pub(crate) fn mutations(&self) -> Vec<Mutation> {
        let mutation = |label: &str, object: Value| Mutation {
            name: format!("{}: {label}", self.label()),
            path: format!("{}?dryRun=All", self.path),
            object,
        };
        let mut mutations = vec![mutation(UNCHANGED_LABEL, self.object.clone())];
        let mut paths = Vec::new();
        let mut path = Vec::new();
        collect_paths(&self.object, &mut path, &mut paths);
        for path in &paths {
            let label = format_path(path);
            for (change, value) in changes_of(value_at(&self.object, path)) {
                let mut object = self.object.clone();
                replace_value(&mut object, path, value);
                mutations.push(mutation(&format!("{label}: {change}"), object));
            }
        }
        mutations
    }
}

// Media types of patches, for the header `content-type`.
const MERGE_PATCH_MEDIA_TYPE: &str = "application/merge-patch+json";
const APPLY_PATCH_MEDIA_TYPE: &str = "application/apply-patch+yaml";
// Media types of responses, for the header `accept`.
const TABLE_MEDIA_TYPE: &str = "application/json;as=Table;g=meta.k8s.io;v=v1";
const PARTIAL_LIST_MEDIA_TYPE: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

impl Sample {
    /// A scenario that creates, reads, changes and deletes the object; `None` if the object must not be stored.
    pub(crate) fn lifecycle_scenario(&self) -> anyhow::Result<Option<Scenario>> {
        if self.not_stored_because.is_some() {
            return Ok(None);
        }
        let Self { path, object, .. } = self;
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let one = format!("{path}/{name}");
        let selected = format!("{path}?fieldSelector=metadata.name%3D{name}");
        let labels = json!({"metadata": {"labels": {"example.com/changed": "yes"}}});
        let mut applied = object.clone();
        applied["metadata"]["annotations"]["example.com/applied"] = "yes".into();
        let mut versioned = object.clone();
        versioned["metadata"]["resourceVersion"] = "$RV".into();
        let steps = [
            json!({"request": format!("POST {path}"), "body": object}),
            json!({"request": format!("GET {one}")}),
            json!({"request": format!("GET {selected}"), "headers": {"accept": TABLE_MEDIA_TYPE}}),
            json!({"request": format!("GET {selected}"), "headers": {"accept": PARTIAL_LIST_MEDIA_TYPE}}),
            json!({
                "request": format!("PATCH {one}"),
                "headers": {"content-type": MERGE_PATCH_MEDIA_TYPE},
                "body": labels,
            }),
            json!({
                "request": format!("PATCH {one}?fieldManager=applier&force=true"),
                "headers": {"content-type": APPLY_PATCH_MEDIA_TYPE},
                "body": applied,
            }),
            json!({
                "request": format!("PUT {one}"),
                "body": object,
                "refused": self.unconditional_put_refused,
            }),
            json!({"request": format!("GET {one}"), "save": {"RV": "/metadata/resourceVersion"}}),
            json!({"request": format!("PUT {one}"), "body": versioned, "refused": self.put_refused}),
            json!({"request": format!("DELETE {one}?dryRun=All")}),
            json!({"request": format!("DELETE {one}")}),
            json!({
                "request": format!("GET {one}"),
                "refused": (!self.remains_after_delete).then_some(404),
            }),
        ];
        let scenario = json!({"name": format!("lifecycle/{}", self.label()), "steps": steps});
        Ok(Some(serde_json::from_value(scenario)?))
    }
}

impl Mutation {
    /// Creates the object with `dryRun=All`. Returns the status and the reason of the response, and the fields that the
    /// server reports as invalid.
    pub(crate) async fn observe(
        &self,
        endpoint: &Endpoint,
        namespace: &str,
    ) -> anyhow::Result<Vec<Observation>> {
        let insert = |text: &str| text.replace("$NS", namespace);
        let mut call = Call::post(insert(&self.path), &self.object);
        call.body = call.body.as_deref().map(insert);
        let response = match endpoint.send(&call).await {
            Ok(response) => response,
            // The API server resets the stream if its handler panics, for example for an indexed Job without
            // `completions`. If the server still responds afterwards, the reset is the observed result.
            Err(error) if endpoint.is_real() && endpoint.send(&Call::get("/version")).await.is_ok() => {
                let seen = json!({"status": format!("{error:#}"), "reason": null, "fields": []});
                return Ok(vec![Observation { request: "create".to_owned(), seen }]);
            }
            Err(error) => return Err(error),
        };
        if self.name.ends_with(UNCHANGED_LABEL) {
            ensure!(response.is_success(), "the sample is invalid: {}", response.message());
        }
        Ok(vec![response.observation_without_messages("create")])
    }
}

/// Appends to `paths` the paths of all values below `value`, which is at `path`. Each parent comes before its children.
/// Omits `apiVersion` and `kind` of the root.
fn collect_paths(value: &Value, path: &mut Vec<Segment>, paths: &mut Vec<Vec<Segment>>) {
    let children: Vec<(Segment, &Value)> = match value {
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| !path.is_empty() || !matches!(key.as_str(), "apiVersion" | "kind"))
            .map(|(key, value)| (Segment::Field(key.clone()), value))
            .collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, value)| (Segment::Item(index), value)).collect()
        }
        _ => return,
    };
    for (segment, value) in children {
        path.push(segment);
        paths.push(path.clone());
        collect_paths(value, path, paths);
        path.pop();
    }
}

/// The changes to make to a value. Each change has a name and the new value; `None` removes the value.
fn changes_of(value: &Value) -> Vec<(&'static str, Option<Value>)> {
    let mut changes = vec![("absent", None), ("null", Some(Value::Null))];
    match value {
        Value::String(_) => changes.extend([
            ("empty", Some(json!(""))),
            ("too long", Some(json!("a".repeat(300)))),
            ("bad format", Some(json!("Bad_Value!"))),
            ("a number", Some(json!(7))),
        ]),
        Value::Number(_) => changes.extend([
            ("zero", Some(json!(0))),
            ("negative", Some(json!(-1))),
            ("large", Some(json!(2_000_000_000))),
            ("out of int32", Some(json!(3_000_000_000_u64))),
            ("a string", Some(json!("x"))),
        ]),
        Value::Array(items) => {
            changes.extend([("empty", Some(json!([]))), ("an object", Some(json!({})))]);
            let twice: Vec<_> = items.iter().chain(items.first()).cloned().collect();
            changes.push(("first item twice", Some(Value::Array(twice))));
        }
        Value::Object(map) => {
            let mut unknown: Map<_, _> = map.clone();
            unknown.insert("Bad_Key!".to_owned(), json!("x"));
            changes.extend([
                ("empty", Some(json!({}))),
                ("a string", Some(json!("x"))),
                ("another key", Some(Value::Object(unknown))),
            ]);
        }
        Value::Bool(flag) => {
            changes.extend([("inverted", Some(json!(!flag))), ("a string", Some(json!("x")))]);
        }
        Value::Null => {}
    }
    changes
}

/// The value of `object` at a path from [`collect_paths`].
fn value_at<'a>(object: &'a Value, path: &[Segment]) -> &'a Value {
    path.iter().fold(object, |value, segment| match segment {
        Segment::Field(key) => &value[key.as_str()],
        Segment::Item(index) => &value[*index],
    })
}

/// Replaces the value at a path. Removes the old value if the new value is `None`.
fn replace_value(object: &mut Value, path: &[Segment], value: Option<Value>) {
    let Some((last, parents)) = path.split_last() else { return };
    let parent = parents.iter().fold(object, |value, segment| match segment {
        Segment::Field(key) => &mut value[key.as_str()],
        Segment::Item(index) => &mut value[*index],
    });
    match (last, value) {
        (Segment::Field(key), Some(value)) => parent[key.as_str()] = value,
        (Segment::Item(index), Some(value)) => parent[*index] = value,
        (Segment::Field(key), None) => drop(parent.as_object_mut().and_then(|map| map.remove(key))),
        (Segment::Item(index), None) => drop(parent.as_array_mut().map(|items| items.remove(*index))),
    }
}

/// Formats a path in the notation of the API server, such as `spec.ports[0].port`.
fn format_path(path: &[Segment]) -> String {
    let mut text = String::new();
    for segment in path {
        let step = match segment {
            Segment::Field(key) if text.is_empty() => key.clone(),
            Segment::Field(key) if key.contains(['.', '/']) => format!("[{key}]"),
            Segment::Field(key) => format!(".{key}"),
            Segment::Item(index) => format!("[{index}]"),
        };
        text.push_str(&step);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mutations_contain_changed_copies_and_have_unique_names() {
        let object =
            json!({"apiVersion": "v1", "kind": "K", "metadata": {"name": "k"}, "spec": {"a": ["x"]}});
        let sample: Sample = serde_json::from_value(json!({"path": "/p", "object": object})).unwrap();
        let mutations = sample.mutations();
        let names: Vec<_> = mutations.iter().map(|mutation| mutation.name.as_str()).collect();
        assert!(names.contains(&"v1 K k: spec.a[0]: too long"), "{names:?}");
        let removed = mutations.iter().find(|mutation| mutation.name == "v1 K k: spec.a[0]: absent").unwrap();
        assert_eq!(removed.object["spec"]["a"], json!([]));
        let unique: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(names.len(), unique.len());
    }
}
