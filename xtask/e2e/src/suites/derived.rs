//! Schemas that `#[derive(CustomResource)]` generates: the server accepts each CRD and stores serialized Rust values
//! unchanged.
//!
//! The kinds are shared with kube-client's tests, which check the same values with a schema evaluator.

use futures::{StreamExt, stream};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_client::api::{DeleteParams, Patch, PatchParams, PostParams, ValidationDirective};
use kube_client::core::{ApiResource, DynamicObject};
use kube_client::{Api, CustomResourceExt, ResourceExt};
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::widget::install_crd;
use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::LABEL;

#[path = "../../../../kube-client/tests/derive_schema/kinds/mod.rs"]
#[allow(dead_code, reason = "kube-client's tests use more fields of a kind")]
mod kinds;

suite!("derived":
    derived_schemas_preserve_all_values_of_their_types,
    flattened_fields_beside_metadata_are_preserved,
);

/// The number of CRDs that are installed concurrently.
const CONCURRENCY: usize = 8;

/// Changes the API group of a CRD to that of the case.
fn in_case_group(env: &Env, mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    crd.spec.group = format!("{}.example.com", env.namespace());
    crd.metadata.name = Some(format!("{}.{}", crd.spec.names.plural, crd.spec.group));
    crd.metadata.labels.get_or_insert_default().insert(LABEL.0.to_owned(), LABEL.1.to_owned());
    crd
}

async fn derived_schemas_preserve_all_values_of_their_types(env: Env) -> Outcome {
    let lossy = kinds::lossy().into_iter().map(|(derived, _)| derived);
    let failures: Vec<String> = stream::iter(kinds::faithful().into_iter().chain(lossy))
        .map(|derived| {
            let env = env.clone();
            async move {
                let kind = derived.crd.spec.names.kind.clone();
                check_kind(&env, derived).await.err().map(|failure| format!("{kind}: {failure}"))
            }
        })
        .buffer_unordered(CONCURRENCY)
        .filter_map(std::future::ready)
        .collect()
        .await;
    check!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

/// Installs the CRD. Checks that the server stores the values in `good` unchanged and rejects the values in `bad`.
async fn check_kind(env: &Env, derived: kinds::DerivedKind) -> Outcome {
    let resource = install_crd(env, &in_case_group(env, derived.crd)).await?;
    let objects: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let params = PostParams { field_validation: Some(ValidationDirective::Strict), ..PostParams::default() };
    for (index, spec) in derived.good.iter().enumerate() {
        let created = object(&resource, &format!("created-{index}"), "spec", spec);
        check_eq!(objects.create(&params, &created).await?.data["spec"], *spec);
        let replaced = objects.get(&created.name_any()).await?;
        check_eq!(replaced.data["spec"], *spec);
        check_eq!(objects.replace(&created.name_any(), &params, &replaced).await?.data["spec"], *spec);
        check_apply(&objects, &object(&resource, &format!("applied-{index}"), "spec", spec), "spec").await?;
        check_eq!((derived.decode)(&replaced.data["spec"]), Ok(()));
    }
    for spec in &derived.bad {
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

/// An object with metadata and one other field.
fn object(resource: &ApiResource, name: &str, field: &str, value: &Value) -> DynamicObject {
    DynamicObject::new(name, resource).data(json!({ field: value }))
}

/// Applies an object twice. Checks that the value is stored unchanged, and that the second apply does not change the
/// resource version.
async fn check_apply(objects: &Api<DynamicObject>, object: &DynamicObject, field: &str) -> Outcome {
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

/// The fields of the kind `FlatMap`, which are flattened into the object beside `metadata`.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "e2e.example.com", version = "v1", kind = "FlatMap", namespaced, no_spec)]
struct FlatMapFields {
    #[serde(flatten)]
    values: std::collections::BTreeMap<String, Value>,
}

async fn flattened_fields_beside_metadata_are_preserved(env: Env) -> Outcome {
    let resource = install_crd(&env, &in_case_group(&env, FlatMap::crd())).await?;
    let objects: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let value = json!({ "a": [1, null, { "b": "c" }] });
    check_apply(&objects, &object(&resource, "a", "anything", &value), "anything").await?;
    objects.delete("a", &DeleteParams::default()).await?;
    check!(refused!(objects.get("a").await).is_not_found());
    Ok(())
}
