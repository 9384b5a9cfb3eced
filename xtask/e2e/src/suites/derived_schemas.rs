//! Schemas that `#[derive(CustomResource)]` generates: the server accepts each CRD, stores serialized Rust values
//! unchanged, and refuses the values that kube-client's local validation refuses.
//!
//! The kinds in the module `kinds` are shared with kube-client's tests.

use futures::{StreamExt, stream};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_client::api::{DeleteParams, Patch, PatchParams, PostParams, ValidationDirective};
use kube_client::core::cel::Validator;
use kube_client::core::{ApiResource, DynamicObject, extract_applied};
use kube_client::{Api, CustomResourceExt, ResourceExt};
use kube_derive::{ApplyConfiguration, CustomResource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::widget::install_crd;
use crate::case::{Need, suite};
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::MANAGED_BY_LABEL;

#[path = "../../../../kube-client/tests/derive_schema/kinds/mod.rs"]
#[allow(dead_code, reason = "kube-client's tests use more fields of a kind")]
mod kinds;

suite!("derived":
    derived_schemas_preserve_all_values_of_their_types,
    flattened_fields_beside_metadata_are_preserved,
    field_managers_own_individual_containers_of_an_embedded_pod_template,
    an_apply_configuration_owns_only_the_fields_that_are_set,
);

/// The number of CRDs that are installed concurrently.
const CONCURRENCY: usize = 8;

/// Moves a CRD to the API group of the case, and adds the label [`MANAGED_BY_LABEL`].
fn with_group_of_case(env: &Env, mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    crd.spec.group = format!("{}.example.com", env.namespace());
    crd.metadata.name = Some(format!("{}.{}", crd.spec.names.plural, crd.spec.group));
    crd.metadata
        .labels
        .get_or_insert_default()
        .insert(MANAGED_BY_LABEL.0.to_owned(), MANAGED_BY_LABEL.1.to_owned());
    crd
}

async fn derived_schemas_preserve_all_values_of_their_types(env: Env) -> Outcome {
    let lossy = kinds::lossy_kinds().into_iter().map(|(derived, _)| derived);
    let kinds =
        kinds::lossless_kinds().into_iter().chain(lossy).chain(kinds::modelled_on_public_crds::all_kinds());
    let rows: Vec<Result<Row, String>> = stream::iter(kinds)
        .map(|derived| {
            let env = env.clone();
            async move {
                let kind = derived.crd.spec.names.kind.clone();
                check_kind(&env, derived).await.map_err(|failure| format!("{kind}: {failure}"))
            }
        })
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    let (rows, failures): (Vec<_>, Vec<_>) = rows.into_iter().partition(Result::is_ok);
    let mut rows: Vec<Row> = rows.into_iter().flatten().collect();
    rows.sort_by(|a, b| a.kind.cmp(&b.kind));
    println!("{}", format_table(&rows));
    let failures: Vec<String> = failures.into_iter().filter_map(Result::err).collect();
    check!(failures.is_empty(), "{}", failures.join("\n"));
    check!(rows.iter().all(|row| row.differences.is_empty()));
    check!(rows.iter().map(|row| row.valid + row.invalid).sum::<usize>() >= 100);
    Ok(())
}

/// The verdicts of the server and of [`Validator::validate_schema`] on the specs of a kind.
struct Row {
    kind: String,
    /// The number of specs that the server and the local validation accept.
    valid: usize,
    /// The number of specs that the server and the local validation refuse.
    invalid: usize,
    /// The specs that only the server or only the local validation accepts.
    differences: Vec<String>,
}

/// The rows and their sum as text.
fn format_table(rows: &[Row]) -> String {
    let mut text = format!("{:<28} {:>6} {:>8} {:>12}\n", "derived kind", "valid", "invalid", "differences");
    let mut sum = [0; 3];
    for Row { kind, valid, invalid, differences } in rows {
        let numbers = [*valid, *invalid, differences.len()];
        text += &format_row(kind, numbers);
        for difference in differences {
            text.extend(["    ", difference, "\n"]);
        }
        sum.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
    }
    text + &format_row(&format!("{} cases", sum.iter().sum::<usize>()), sum)
}

fn format_row(name: &str, [valid, invalid, differences]: [usize; 3]) -> String {
    format!("{name:<28} {valid:>6} {invalid:>8} {differences:>12}\n")
}

/// Installs the CRD of a derived kind. Checks that the server stores the specs in `derived.good` unchanged and rejects the
/// specs in `derived.bad`. Compares the verdicts of the server with the verdicts of the local validation.
async fn check_kind(env: &Env, derived: kinds::DerivedKind) -> Outcome<Row> {
    let mut row =
        Row { kind: derived.crd.spec.names.kind.clone(), valid: 0, invalid: 0, differences: Vec::new() };
    let schema = derived.crd.spec.versions[0].schema.as_ref().and_then(|s| s.open_api_v3_schema.as_ref());
    let validator = Validator::new(&serde_json::to_value(schema)?);
    let validate_locally = |spec: &Value| {
        let object = json!({"metadata": {"name": "a"}, "spec": spec});
        validator.validate_schema(&object, None).map_err(|errors| errors.to_string())
    };
    let resource = install_crd(env, &with_group_of_case(env, derived.crd)).await?;
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
        match validate_locally(spec) {
            Ok(()) => row.valid += 1,
            Err(errors) => row.differences.push(format!("{spec} is valid on the server only: {errors}")),
        }
    }
    for spec in &derived.bad {
        let bad = object(&resource, "bad", "spec", spec);
        let error = match objects.create(&PostParams::default(), &bad).await {
            Err(error) => error,
            // Kubernetes 1.33 does not check the range of an integer of the format `int32`.
            Ok(_)
                if env.server().unmet_need_reason(Need::Latest).is_some()
                    && validate_locally(spec).is_err_and(|errors| errors.contains("int32")) =>
            {
                objects.delete("bad", &DeleteParams::default()).await?;
                continue;
            }
            Ok(stored) => {
                return Err(anyhow::anyhow!("{spec} was stored as {}", stored.data["spec"]).into());
            }
        };
        check!(error.is_invalid(), "{spec}: {error:?}");
        match validate_locally(spec) {
            Err(_) => row.invalid += 1,
            Ok(()) => row.differences.push(format!("{spec} is refused by the server only: {error}")),
        }
    }
    Ok(row)
}

/// An object with metadata and one other field.
fn object(resource: &ApiResource, name: &str, field: &str, value: &Value) -> DynamicObject {
    DynamicObject::new(name, resource).data(json!({ field: value }))
}

/// Applies an object twice. Checks that the server stores the value of `field` unchanged, and that the second apply does
/// not change the resource version.
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

/// The fields of the kind `FlatMap`. Serde flattens these fields into the object, beside `metadata`.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "e2e.example.com", version = "v1", kind = "FlatMap", namespaced, no_spec)]
struct FlatMapFields {
    #[serde(flatten)]
    values: std::collections::BTreeMap<String, Value>,
}

async fn flattened_fields_beside_metadata_are_preserved(env: Env) -> Outcome {
    let resource = install_crd(&env, &with_group_of_case(&env, FlatMap::crd())).await?;
    let objects: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let value = json!({ "a": [1, null, { "b": "c" }] });
    check_apply(&objects, &object(&resource, "a", "anything", &value), "anything").await?;
    objects.delete("a", &DeleteParams::default()).await?;
    check!(refused!(objects.get("a").await).is_not_found());
    Ok(())
}

async fn field_managers_own_individual_containers_of_an_embedded_pod_template(env: Env) -> Outcome {
    let resource = install_crd(&env, &with_group_of_case(&env, kinds::TemplateKind::crd())).await?;
    let objects: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    for name in ["app", "sidecar"] {
        let spec = json!({"value": {"spec": {"containers": [{"name": name, "image": name}]}}});
        let applied = object(&resource, "a", "spec", &spec);
        objects.patch("a", &PatchParams::apply(name), &Patch::Apply(&applied)).await?;
    }
    let stored = objects.get("a").await?;
    let containers = &stored.data["spec"]["value"]["spec"]["containers"];
    check_eq!(*containers, json!([{"name": "app", "image": "app"}, {"name": "sidecar", "image": "sidecar"}]));
    Ok(())
}

/// The spec of a kind with a derived apply configuration.
#[derive(CustomResource, ApplyConfiguration, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "companions.example.com",
    version = "v1",
    kind = "Plan",
    namespaced,
    status = "PlanStatus",
    apply
)]
#[serde(rename_all = "camelCase")]
struct PlanSpec {
    title: String,
    #[serde(default)]
    cpu_limits: Limits,
}

#[derive(ApplyConfiguration, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Limits {
    soft: u32,
    hard: u32,
}

#[derive(ApplyConfiguration, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct PlanStatus {
    ready: bool,
    users: u32,
}

fn plan_with_hard_limit(hard: u32) -> PlanApply {
    let cpu_limits = Some(LimitsApply { hard: Some(hard), soft: None });
    PlanApply { spec: Some(PlanSpecApply { title: None, cpu_limits }), ..PlanApply::new("a") }
}

async fn an_apply_configuration_owns_only_the_fields_that_are_set(env: Env) -> Outcome {
    let mut crd = Plan::crd();
    crd.metadata
        .labels
        .get_or_insert_default()
        .insert(MANAGED_BY_LABEL.0.to_owned(), MANAGED_BY_LABEL.1.to_owned());
    install_crd(&env, &crd).await?;
    let (plans, applied): (Api<Plan>, Api<PlanApply>) = (env.api(), env.api());
    let (author, limiter) = (PatchParams::apply("author"), PatchParams::apply("limiter"));
    let titled = |title: &str| {
        let spec = PlanSpecApply { title: Some(title.to_owned()), ..PlanSpecApply::default() };
        PlanApply { spec: Some(spec), ..PlanApply::new("a") }
    };
    // The title is required, so an apply without a title cannot create the plan.
    check!(refused!(applied.apply(&limiter, &plan_with_hard_limit(5)).await).is_invalid());
    applied.apply(&author, &titled("first")).await?;
    applied.apply(&limiter, &plan_with_hard_limit(5)).await?;
    applied.apply(&author, &titled("second")).await?;
    let plan = plans.get("a").await?;
    check_eq!(plan.spec, PlanSpec { title: "second".to_owned(), cpu_limits: Limits { soft: 0, hard: 5 } });
    let owned = |manager: &str, subresource: Option<&str>, plan: &Plan| -> Outcome<Option<Value>> {
        let applied: Option<PlanApply> = extract_applied(plan, manager, subresource)?;
        Ok(applied.map(serde_json::to_value).transpose()?.map(|mut applied| {
            let field = if subresource.is_some() { "status" } else { "spec" };
            applied[field].take()
        }))
    };
    check_eq!(owned("author", None, &plan)?, Some(json!({"title": "second"})));
    check_eq!(owned("limiter", None, &plan)?, Some(json!({"cpuLimits": {"hard": 5}})));
    check!(refused!(applied.apply(&author, &plan_with_hard_limit(6)).await).is_conflict());
    let status = PlanApply {
        status: Some(PlanStatusApply { ready: Some(true), users: Some(1) }),
        ..PlanApply::new("a")
    };
    applied.apply_status(&limiter, &status).await?;
    // A field that is no longer set is removed.
    applied.apply(&limiter, &PlanApply::new("a")).await?;
    let plan = plans.get("a").await?;
    check_eq!(plan.spec, PlanSpec { title: "second".to_owned(), cpu_limits: Limits::default() });
    check_eq!(owned("limiter", Some("status"), &plan)?, Some(json!({"ready": true, "users": 1})));
    check_eq!(owned("author", None, &plan)?, Some(json!({"title": "second"})));
    Ok(())
}
