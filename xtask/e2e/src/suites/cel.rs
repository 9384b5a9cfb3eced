//! CEL validation rules of custom resources: the rules that a server refuses, and the errors for invalid objects.
//!
//! The tables are `definitions.json`, `objects.json` and `updates.json` in the folder `cel`. Each row of a table has rules
//! or a schema. Each row also has the expected causes, which are the causes in the `Status` of kube-apiserver 1.37. A case
//! fails if the tested server returns other causes.

use std::time::Duration;

use kube_client::api::{ListParams, Patch, PatchParams, PostParams};
use kube_client::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube_client::{Api, Error, ResourceExt};
use serde_json::{Map, Value, json};

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::{MANAGED_BY_LABEL, eventually};

suite!("cel":
    rules_that_cost_too_much_or_do_not_compile_are_refused [Latest],
    rules_are_evaluated_on_objects [Latest],
    rules_are_evaluated_on_updates [Latest],
    unchanged_values_are_not_refused [Latest],
);

/// The time limit of each wait.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The maximum number of rows in one CustomResourceDefinition. The server compiles the rules of all rows of a definition
/// during one request.
const ROWS_PER_DEFINITION: usize = 30;

/// The schema of the rows that have no schema of their own.
const SCHEMA: &str = include_str!("cel/schema.json");
/// The value of the rows that have no value of their own.
const VALUE: &str = include_str!("cel/value.json");

/// Parses the rows of a table.
fn parse_rows(table: &str) -> Outcome<Vec<Value>> {
    Ok(serde_json::from_str(table)?)
}

/// The schema of a row: the row's own schema, or [`SCHEMA`] with the row's rules.
fn schema_of(row: &Value) -> Outcome<Value> {
    if let Some(schema) = row.get("schema") {
        return Ok(schema.clone());
    }
    let mut schema: Value = serde_json::from_str(SCHEMA)?;
    schema["x-kubernetes-validations"] = row["rules"].clone();
    Ok(schema)
}

/// The CustomResourceDefinition of a kind, and the kind's resource. `spec` is the schema of the field `spec`. The name of
/// the group contains the case's namespace.
fn definition(env: &Env, plural: &str, spec: &Value) -> (DynamicObject, ApiResource) {
    let group = format!("{}.example.com", env.namespace());
    let kind = plural.trim_end_matches('s');
    let kind = format!("{}{}", kind[..1].to_uppercase(), &kind[1..]);
    let mut crd = DynamicObject::new(&format!("{plural}.{group}"), &crd_resource()).data(json!({"spec": {
        "group": group,
        "scope": "Namespaced",
        "names": {"plural": plural, "kind": kind},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": spec},
        }}}],
    }}));
    crd.labels_mut().insert(MANAGED_BY_LABEL.0.to_owned(), MANAGED_BY_LABEL.1.to_owned());
    (crd, ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(&group, "v1", &kind), plural))
}

/// The resource `customresourcedefinitions`. The cases create untyped definitions, because the type
/// `CustomResourceDefinition` cannot represent every schema.
fn crd_resource() -> ApiResource {
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    ApiResource::from_gvk_with_plural(&kind, "customresourcedefinitions")
}

/// The causes in the `Status` of a refused request, sorted; empty if the server accepted the request. Omits the number
/// in the type name of `self`, because the number is different in each response.
fn causes<T>(result: Result<T, Error>) -> Outcome<Vec<Value>> {
    let Err(error) = result else { return Ok(Vec::new()) };
    let Some(status) = error.status() else { return Err(error.into()) };
    let causes = status.details.as_ref().map_or(&[][..], |details| &details.causes);
    let causes = causes.iter().map(|cause| {
        json!({"reason": cause.reason, "field": cause.field, "message": without_number(&cause.message)})
    });
    Ok(sorted(causes.collect()))
}

/// Removes the number from each type name such as `selfType123`.
fn without_number(message: &str) -> String {
    const TYPE_PREFIX: &str = "selfType";
    let mut parts = message.split(TYPE_PREFIX);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(TYPE_PREFIX);
        out.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    out
}

fn sorted(mut causes: Vec<Value>) -> Vec<Value> {
    causes.sort_by_key(Value::to_string);
    causes
}

fn expected_causes(row: &Value) -> Vec<Value> {
    sorted(row["causes"].as_array().cloned().unwrap_or_default())
}

/// Describes a row, and the differences between the row's expected causes and the causes in `found`; `None` if there are no
/// differences.
fn describe_difference(row: &Value, found: &[Value]) -> Option<String> {
    let expected = expected_causes(row);
    if expected == found {
        return None;
    }
    let what = row.get("rules").or(row.get("schema")).map(Value::to_string).unwrap_or_default();
    let missing = expected.iter().filter(|cause| !found.contains(cause)).map(Value::to_string);
    let other = found.iter().filter(|cause| !expected.contains(cause)).map(Value::to_string);
    let (missing, other) = (missing.collect::<Vec<_>>().join("\n"), other.collect::<Vec<_>>().join("\n"));
    Some(format!("{what}\n  expected:\n{missing}\n  returned:\n{other}"))
}

fn check_no_differences(differences: &[String]) -> Outcome {
    check!(differences.is_empty(), "{} rows differ:\n{}", differences.len(), differences.join("\n"));
    Ok(())
}

async fn rules_that_cost_too_much_or_do_not_compile_are_refused(env: Env) -> Outcome {
    let definitions: Api<DynamicObject> = Api::all_with(env.client(), &crd_resource());
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let mut differences = Vec::new();
    for row in parse_rows(include_str!("cel/definitions.json"))? {
        let (crd, _) = definition(&env, "things", &schema_of(&row)?);
        let found = causes(definitions.create(&dry_run, &crd).await)?;
        differences.extend(describe_difference(&row, &found));
    }
    check_no_differences(&differences)
}

/// A custom kind that the server serves.
struct Kind {
    api: Api<DynamicObject>,
    resource: ApiResource,
}

impl Kind {
    /// Installs the definition of a kind whose `spec` has one field for each row: `c0`, `c1` and so on.
    async fn install(env: &Env, plural: &str, rows: &[Value]) -> Outcome<Self> {
        let mut properties = Map::new();
        for (index, row) in rows.iter().enumerate() {
            properties.insert(format!("c{index}"), schema_of(row)?);
        }
        Self::install_schema(env, plural, &json!({"type": "object", "properties": properties})).await
    }

    /// Installs a definition with `spec` as the schema of the field `spec`, and waits until the server serves the kind.
    async fn install_schema(env: &Env, plural: &str, spec: &Value) -> Outcome<Self> {
        let (crd, resource) = definition(env, plural, spec);
        let definitions: Api<DynamicObject> = Api::all_with(env.client(), &crd_resource());
        env.delete_at_end(&definitions, crd.metadata.name.as_deref().unwrap_or_default());
        definitions.create(&PostParams::default(), &crd).await?;
        let api: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
        eventually("the kind is served", TIMEOUT, async || match api.list(&ListParams::default()).await {
            Ok(_) => Ok(Some(())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        })
        .await?;
        Ok(Self { api, resource })
    }

    /// An object with one field for each row. The value of the field is the entry `key` of the row, else [`VALUE`].
    fn object(&self, rows: &[Value], key: &str) -> Outcome<DynamicObject> {
        let common: Value = serde_json::from_str(VALUE)?;
        let value = |row: &Value| row.get(key).unwrap_or(&common).clone();
        let spec: Map<String, Value> =
            rows.iter().enumerate().map(|(index, row)| (format!("c{index}"), value(row))).collect();
        Ok(DynamicObject::new("a", &self.resource).data(json!({"spec": spec})))
    }
}

/// Describes each row whose expected causes differ from the causes in `found`. The server returned `found` for one object
/// with one field for each row. The expected causes contain `~` instead of the field's path.
fn row_differences(rows: &[Value], found: &[Value]) -> Vec<String> {
    let below = |cause: &Value, path: &str| {
        let field = cause["field"].as_str().unwrap_or_default();
        rows.len() == 1
            || field.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let compared = rows.iter().enumerate().filter_map(|(index, row)| {
        let path = format!("spec.c{index}");
        let own = found.iter().filter(|cause| below(cause, &path)).map(|cause| {
            let text = |key: &str| cause[key].as_str().unwrap_or_default().replace(&path, "~");
            json!({"reason": cause["reason"], "field": text("field"), "message": text("message")})
        });
        describe_difference(row, &sorted(own.collect()))
    });
    compared.collect()
}

async fn rules_are_evaluated_on_objects(env: Env) -> Outcome {
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let (alone, together): (Vec<Value>, Vec<Value>) =
        parse_rows(include_str!("cel/objects.json"))?.into_iter().partition(|row| row["alone"] == true);
    let mut differences = Vec::new();
    let chunks = together.chunks(ROWS_PER_DEFINITION).chain(alone.chunks(1));
    for (number, rows) in chunks.enumerate() {
        let kind = Kind::install(&env, &format!("group{number}s"), rows).await?;
        let found = causes(kind.api.create(&dry_run, &kind.object(rows, "value")?).await)?;
        differences.extend(row_differences(rows, &found));
    }
    check_no_differences(&differences)
}

async fn rules_are_evaluated_on_updates(env: Env) -> Outcome {
    let rows = parse_rows(include_str!("cel/updates.json"))?;
    let kind = Kind::install(&env, "updates", &rows).await?;
    let created = kind.api.create(&PostParams::default(), &kind.object(&rows, "old")?).await?;
    let mut object = kind.object(&rows, "value")?;
    object.metadata = created.metadata;
    let found = causes(kind.api.replace("a", &PostParams::default(), &object).await)?;
    check_no_differences(&row_differences(&rows, &found))
}

/// Validation ratcheting (KEP-4008): a rule that is added later does not refuse updates of other fields.
async fn unchanged_values_are_not_refused(env: Env) -> Outcome {
    let schema = |rules: &Value| {
        json!({"type": "object", "properties": {
            "size": {"type": "integer", "x-kubernetes-validations": rules},
            "named": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "maxItems": 9,
                "items": {"type": "object", "required": ["name"], "properties": {
                    "name": {"type": "string", "maxLength": 9},
                    "size": {"type": "integer", "x-kubernetes-validations": rules},
                }},
            },
            "note": {"type": "string"},
        }})
    };
    let kind = Kind::install_schema(&env, "ratchets", &schema(&json!([]))).await?;
    let object = DynamicObject::new("a", &kind.resource)
        .data(json!({"spec": {"size": 5, "named": [{"name": "x", "size": 5}]}}));
    kind.api.create(&PostParams::default(), &object).await?;
    let definitions: Api<DynamicObject> = Api::all_with(env.client(), &crd_resource());
    let (crd, _) = definition(&env, "ratchets", &schema(&json!([{"rule": "self < 5"}])));
    let name = crd.metadata.name.clone().unwrap_or_default();
    definitions.patch(&name, &PatchParams::default(), &Patch::Merge(&crd.data)).await?;
    let probe = DynamicObject::new("b", &kind.resource).data(json!({"spec": {"size": 6}}));
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    eventually("the new rule applies", TIMEOUT, async || match kind.api.create(&dry_run, &probe).await {
        Ok(_) => Ok(None),
        Err(error) if error.is_invalid() => Ok(Some(())),
        Err(error) => Err(error.into()),
    })
    .await?;
    let patch = async |spec: Value| {
        let patch = json!({"metadata": {"labels": {"touched": "true"}}, "spec": spec});
        kind.api.patch("a", &PatchParams::default(), &Patch::Merge(&patch)).await
    };
    patch(json!({"note": "another field"})).await?;
    patch(json!({"named": [{"name": "y", "size": 1}, {"name": "x", "size": 5}]})).await?;
    let error = refused!(patch(json!({"size": 6})).await);
    check!(error.is_invalid() && error.to_string().contains("spec.size"), "{error}");
    let found = causes(patch(json!({"named": [{"name": "x", "size": 7}]})).await)?;
    let message = "Invalid value: 7: failed rule: self < 5";
    check_eq!(
        found,
        [json!({"reason": "FieldValueInvalid", "field": "spec.named[0].size", "message": message})]
    );
    Ok(())
}
