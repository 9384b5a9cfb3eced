//! Kinds with values of several JSON types (any JSON value, int-or-string, quantity, and values that may be null), and
//! kinds with a `RawExtension`, which accepts any JSON object. `DefaultedKind` has fields with default values.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::{
    api::resource::Quantity, runtime::RawExtension, util::intstr::IntOrString,
};
use kube_client::CustomResourceExt;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{DerivedKind, StructuralSchemaRewriter, define_kind};

/// A struct whose `Default` value serializes with nulls.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct NullableFields {
    target: Option<IntOrString>,
    memory: Option<Quantity>,
    anything: Option<Value>,
}

// A struct with one required field. The other fields have different types and `#[serde(default)]`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct WithDefaults {
    own: String,
    #[serde(default)]
    limits: NullableFields,
    #[serde(default)]
    list: Vec<String>,
    #[serde(default)]
    map: BTreeMap<String, i64>,
    #[serde(default)]
    count: i64,
    #[serde(default)]
    text: String,
    #[serde(default)]
    flag: bool,
}

define_kind!(MaybeAnySpec, "MaybeAnyKind", MaybeAnyKind, Option<Value>);
define_kind!(NullAnySpec, "NullAnyKind", NullAnyKind, Value);
define_kind!(NullMapSpec, "NullMapKind", NullMapKind, BTreeMap<String, Value>);
define_kind!(MaybePortSpec, "MaybePortKind", MaybePortKind, Option<IntOrString>);
define_kind!(MaybePortsSpec, "MaybePortsKind", MaybePortsKind, Vec<Option<IntOrString>>);
define_kind!(MaybeQuantitiesSpec, "MaybeQuantitiesKind", MaybeQuantitiesKind, BTreeMap<String, Option<Quantity>>);
define_kind!(MaybeListsSpec, "MaybeListsKind", MaybeListsKind, Vec<Vec<Option<i32>>>);
define_kind!(DefaultedSpec, "DefaultedKind", DefaultedKind, WithDefaults);
define_kind!(RawSpec, "RawKind", RawKind, RawExtension);
define_kind!(MaybeRawSpec, "MaybeRawKind", MaybeRawKind, Vec<Option<RawExtension>>);

/// Kinds whose structural schema is equivalent to the Rust type.
pub(super) fn lossless_kinds() -> Vec<DerivedKind> {
    vec![
        MaybeAnyKind::with_specs(json!([null, 1, { "a": null }]), json!([])),
        NullAnyKind::with_specs(json!([null, { "a": { "b": null } }]), json!([])),
        NullMapKind::with_specs(json!([{ "a": null, "b": { "c": null } }]), json!([1])),
        MaybePortKind::with_specs(json!([null, 1, "50%"]), json!([{}, true])),
        MaybePortsKind::with_specs(json!([[null, 1, "a"], []]), json!([[{}], null])),
        MaybeQuantitiesKind::with_specs(json!([{ "a": null, "b": "1Gi", "c": 2 }]), json!([{ "a": true }])),
        MaybeListsKind::with_specs(json!([[[1, null], []]]), json!([[null], [["a"]]])),
        DefaultedKind::with_specs(
            json!([{
                "own": "a", "limits": { "target": null, "memory": "1Gi", "anything": null },
                "list": [], "map": {}, "count": 0, "text": "", "flag": false,
            }]),
            json!([{}, { "own": "a", "count": "b" }]),
        ),
        RawKind::with_specs(
            json!([{ "apiVersion": "v1", "kind": "Pod", "spec": { "a": [1, { "b": null }] } }, {}]),
            json!([1, "a"]),
        ),
        MaybeRawKind::with_specs(json!([[{ "a": { "b": 1 } }, null]]), json!([[1]])),
    ]
}
