//! Schemas of derived kinds: the server accepts each definition, and stores what the Rust type writes as it was sent.
//!
//! The kinds are those of kube-client's own tests, which check them with a schema evaluator instead of a server.

use futures::{StreamExt, stream};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_client::api::{DeleteParams, Patch, PatchParams, PostParams, ValidationDirective};
use kube_client::core::{ApiResource, DynamicObject};
use kube_client::{Api, CustomResourceExt, ResourceExt};
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::widget::serve;
use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::LABEL;

#[path = "../../../../kube-client/tests/derive_schema/kinds/mod.rs"]
#[allow(dead_code, reason = "its other users look at more of a row")]
mod kinds;

suite!("derived":
    every_derived_schema_keeps_the_values_of_its_type,
    fields_beside_metadata_are_kept,
);

/// The number of kinds that are tested concurrently.
const ABREAST: usize = 8;

/// A definition in a group of the case.
fn own(env: &Env, mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    crd.spec.group = format!("{}.example.com", env.namespace());
    crd.metadata.name = Some(format!("{}.{}", crd.spec.names.plural, crd.spec.group));
    crd.metadata.labels.get_or_insert_default().insert(LABEL.0.to_owned(), LABEL.1.to_owned());
    crd
}

async fn every_derived_schema_keeps_the_values_of_its_type(env: Env) -> Outcome {
    let lossy = kinds::lossy().into_iter().map(|(row, _)| row);
    let failures: Vec<String> = stream::iter(kinds::faithful().into_iter().chain(lossy))
        .map(|row| {
            let env = env.clone();
            async move {
                let kind = row.crd.spec.names.kind.clone();
                kept(&env, row).await.err().map(|failure| format!("{kind}: {failure}"))
            }
        })
        .buffer_unordered(ABREAST)
        .filter_map(std::future::ready)
        .collect()
        .await;
    check!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

async fn kept(env: &Env, row: kinds::Row) -> Outcome {
    let resource = serve(env, &own(env, row.crd)).await?;
    let objects: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let params = PostParams { field_validation: Some(ValidationDirective::Strict), ..PostParams::default() };
    for (index, spec) in row.good.iter().enumerate() {
        let created = object(&resource, &format!("created-{index}"), "spec", spec);
        check_eq!(objects.create(&params, &created).await?.data["spec"], *spec);
        let replaced = objects.get(&created.name_any()).await?;
        check_eq!(replaced.data["spec"], *spec);
        check_eq!(objects.replace(&created.name_any(), &params, &replaced).await?.data["spec"], *spec);
        applied_twice(&objects, &object(&resource, &format!("applied-{index}"), "spec", spec), "spec")
            .await?;
        check_eq!((row.reads)(&replaced.data["spec"]), Ok(()));
    }
    for spec in &row.bad {
        let bad = object(&resource, "bad", "spec", spec);
        let error = match objects.create(&PostParams::default(), &bad).await {
            Err(error) => error,
            Ok(stored) => {
                return Err(anyhow::anyhow!("{spec} was stored as {}", stored.data["spec"]).into());
            }
        };
        check!(error.is_invalid(), "{spec}: {error:?}");
    }
    Ok(())
}

fn object(resource: &ApiResource, name: &str, field: &str, value: &Value) -> DynamicObject {
    DynamicObject::new(name, resource).data(json!({ field: value }))
}

/// Applies an object twice: it is stored as it was sent, and the second time nothing is written.
async fn applied_twice(objects: &Api<DynamicObject>, object: &DynamicObject, field: &str) -> Outcome {
    let params = PatchParams::apply("e2e");
    let name = object.name_any();
    let first = objects.patch(&name, &params, &Patch::Apply(object)).await?;
    check_eq!(first.data[field], object.data[field]);
    let second = objects.patch(&name, &params, &Patch::Apply(object)).await?;
    check_eq!(second.data[field], object.data[field]);
    check_eq!(
        (second.data[field].to_string(), second.resource_version()),
        (first.data[field].to_string(), first.resource_version())
    );
    Ok(())
}

#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "e2e.example.com", version = "v1", kind = "FlatMap", namespaced, no_spec)]
struct FlatMapFields {
    #[serde(flatten)]
    values: std::collections::BTreeMap<String, Value>,
}

async fn fields_beside_metadata_are_kept(env: Env) -> Outcome {
    let resource = serve(&env, &own(&env, FlatMap::crd())).await?;
    let objects: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let value = json!({ "a": [1, null, { "b": "c" }] });
    applied_twice(&objects, &object(&resource, "a", "anything", &value), "anything").await?;
    objects.delete("a", &DeleteParams::default()).await?;
    check!(refused!(objects.get("a").await).is_not_found());
    Ok(())
}
