//! Kinds with `#[derive(CustomResource)]`. Their Rust types cover many forms of structs, enums, maps and lists. Each kind
//! has specs that the server must accept. Most kinds also have specs that the server must reject.
//!
//! The tests on a real API server (`xtask/e2e`) share this module. This module must not assert anything.

mod flattened_fields;
pub(crate) mod modelled_on_public_crds;
mod multi_typed_values;

use std::collections::{BTreeMap, HashSet};

use k8s_openapi::{
    api::core::v1::PodTemplateSpec,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::{api::resource::Quantity, util::intstr::IntOrString},
};
use kube_client::{
    CustomResourceExt,
    core::schema::{SchemaError, StructuralSchemaRewriter},
};
use kube_derive::CustomResource;
use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A kind with `#[derive(CustomResource)]`, and the specs with which the tests check the schema of this kind.
pub(crate) struct DerivedKind {
    pub(crate) crd: CustomResourceDefinition,
    pub(crate) try_crd: Result<CustomResourceDefinition, SchemaError>,
    /// Specs that the Rust type decodes, and that the server must accept and return unchanged.
    pub(crate) good: Vec<Value>,
    /// Specs that the server must reject.
    pub(crate) bad: Vec<Value>,
    /// Generates the schema with these schemars settings and the transform [`StructuralSchemaRewriter`].
    pub(crate) generate_schema: fn(SchemaSettings) -> Schema,
    /// Decodes an object with this spec as the Rust type, and encodes the object again.
    pub(crate) decode: fn(&Value) -> Result<(), String>,
}

/// Defines a kind with `#[derive(CustomResource)]` whose spec has one field `value` of the given type.
macro_rules! define_kind {
    ($spec:ident, $kind:literal, $root:ident, $type:ty) => {
        #[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
        #[kube(group = "schema.example.com", version = "v1", kind = $kind, namespaced)]
        pub(crate) struct $spec {
            /// The value under test.
            pub(crate) value: $type,
        }

        impl $root {
            /// Returns this kind with values that the server must accept and values that it must reject.
            fn with_specs(good: Value, bad: Value) -> DerivedKind {
                let specs = |list: Value| -> Vec<Value> {
                    let list = list.as_array().expect("a list of values").clone();
                    list.into_iter().map(|value| json!({ "value": value })).collect()
                };
                DerivedKind {
                    crd: Self::crd(),
                    try_crd: Self::try_crd(),
                    good: specs(good),
                    bad: specs(bad),
                    generate_schema: |settings| {
                        let settings = settings.with_transform(StructuralSchemaRewriter);
                        settings.into_generator().into_root_schema_for::<$root>()
                    },
                    decode: |spec| {
                        let object = json!({
                            "apiVersion": "schema.example.com/v1",
                            "kind": $kind,
                            "metadata": { "name": "test" },
                            "spec": spec,
                        });
                        let object: $root = serde_json::from_value(object).map_err(|e| e.to_string())?;
                        serde_json::to_value(object).map(drop).map_err(|e| e.to_string())
                    },
                }
            }
        }
    };
}

use define_kind;

/// A point.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Point {
    /// Left to right.
    x_axis: i32,
    y_axis: Option<i32>,
}

/// A log level.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Level {
    Debug,
    Info,
}

/// A direction.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    /// Towards the top.
    Up,
    /// Towards the bottom.
    Down,
    Sideways,
}

/// An externally tagged enum.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ExternallyTagged {
    /// A variant with a struct as content.
    Point(Point),
    Name(String),
    Both {
        first: u8,
        second: Option<String>,
    },
}

/// An internally tagged enum.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub(crate) enum InternallyTagged {
    /// A web address.
    Http {
        url: String,
        #[serde(default)]
        retries: u32,
    },
    /// A file.
    File {
        path: String,
    },
    Nothing,
    Point(Point),
}

/// An internally tagged enum with a field that has a different type in each variant.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub(crate) enum Clash {
    Text { value: String },
    Count { value: i64 },
}

/// An adjacently tagged enum.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", content = "with")]
pub(crate) enum AdjacentlyTagged {
    Point(Point),
    Named { name: String },
    Nothing,
}

/// An adjacently tagged enum with contents of different JSON types.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", content = "with")]
pub(crate) enum AdjacentMixedContents {
    Point(Point),
    Names(Vec<String>),
}

/// An untagged enum of objects.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum UntaggedObjects {
    ByName { name: String },
    ByPoint(Point),
}

/// An untagged enum of scalars.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Port {
    Number(u16),
    Name(String),
}

/// An untagged enum with an object variant and a string variant.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum ShortOrLong {
    Short(String),
    Long { name: String },
}

/// An enum with unit, tuple and struct variants.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) enum MixedVariants {
    Off,
    On,
    Level(i32),
    Custom { command: String },
    Pair(i32, String),
}

// A struct that flattens a struct and an externally tagged enum.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct FlattenedStructAndEnum {
    own: String,
    #[serde(flatten)]
    point: Point,
    #[serde(flatten)]
    choice: ExternallyTagged,
}

// A struct that flattens an internally tagged enum.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct FlattenedTag {
    own: String,
    #[serde(flatten)]
    choice: InternallyTagged,
}

// A struct that flattens a map of any values.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct FlattenedMap {
    own: String,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

// A recursive struct.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Tree {
    name: String,
    #[serde(default)]
    children: Vec<Tree>,
}

fn default_replicas() -> u32 {
    3
}

// A struct with bounds and defaults of numbers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Numbers {
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 1, max = 9))]
    replicas: u32,
    byte: u8,
    #[schemars(extend("exclusiveMinimum" = 0))]
    above_zero: f64,
    signed: i64,
    #[serde(default)]
    point: Point,
    #[serde(default)]
    maybe: Option<bool>,
}

// A struct with strings, lists, sets, maps and tuples.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct StringsAndCollections {
    #[schemars(length(min = 2, max = 5))]
    short: String,
    #[schemars(regex(pattern = "^[a-z]+$"))]
    lower: Option<String>,
    list: Vec<String>,
    set: HashSet<String>,
    by_name: BTreeMap<String, Point>,
    by_number: BTreeMap<u32, String>,
    pair: (i32, i32),
    letter: char,
    nothing: (),
}

// A struct with a validation rule.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [{ "rule": "self.min <= self.max", "message": "min above max" }]))]
pub(crate) struct WithRule {
    min: i32,
    max: i32,
}

define_kind!(NumbersSpec, "NumbersKind", NumbersKind, Numbers);
define_kind!(TextsSpec, "TextsKind", TextsKind, StringsAndCollections);
define_kind!(LevelSpec, "LevelKind", LevelKind, Level);
define_kind!(MaybeLevelSpec, "MaybeLevel", MaybeLevel, Option<Level>);
define_kind!(DirectionSpec, "DirectionKind", DirectionKind, Direction);
define_kind!(MaybeDirectionSpec, "MaybeDirection", MaybeDirection, Option<Direction>);
define_kind!(ExternalSpec, "ExternalKind", ExternalKind, ExternallyTagged);
define_kind!(MaybeExternalSpec, "MaybeExternal", MaybeExternal, Option<ExternallyTagged>);
define_kind!(InternalSpec, "InternalKind", InternalKind, InternallyTagged);
define_kind!(MaybeInternalSpec, "MaybeInternal", MaybeInternal, Option<InternallyTagged>);
define_kind!(ClashSpec, "ClashKind", ClashKind, Clash);
define_kind!(AdjacentSpec, "AdjacentKind", AdjacentKind, AdjacentlyTagged);
define_kind!(AdjacentMixedSpec, "AdjacentMixedKind", AdjacentMixedKind, AdjacentMixedContents);
define_kind!(UntaggedSpec, "UntaggedKind", UntaggedKind, UntaggedObjects);
define_kind!(PortSpec, "PortKind", PortKind, Option<Port>);
define_kind!(ShortOrLongSpec, "ShortOrLongKind", ShortOrLongKind, ShortOrLong);
define_kind!(MixedSpec, "MixedKind", MixedKind, MixedVariants);
define_kind!(FlattenedSpec, "FlattenedKind", FlattenedKind, FlattenedStructAndEnum);
define_kind!(FlattenedTagSpec, "FlattenedTagKind", FlattenedTagKind, FlattenedTag);
define_kind!(FlattenedMapSpec, "FlattenedMapKind", FlattenedMapKind, FlattenedMap);
define_kind!(TreeSpec, "TreeKind", TreeKind, Tree);
define_kind!(RuledSpec, "RuledKind", RuledKind, WithRule);
define_kind!(AnySpec, "AnyKind", AnyKind, Value);
define_kind!(AnyMapSpec, "AnyMap", AnyMap, BTreeMap<String, Value>);
define_kind!(QuantitySpec, "QuantityKind", QuantityKind, Option<Quantity>);
define_kind!(IntOrStringSpec, "IntOrStringKind", IntOrStringKind, IntOrString);
define_kind!(TemplateSpec, "TemplateKind", TemplateKind, PodTemplateSpec);

/// Kinds whose structural schema is equivalent to the Rust type.
pub(crate) fn lossless_kinds() -> Vec<DerivedKind> {
    lossless_kinds_of_this_file()
        .into_iter()
        .chain(flattened_fields::lossless_kinds())
        .chain(multi_typed_values::lossless_kinds())
        .collect()
}

/// The kinds of this file whose structural schema is equivalent to the Rust type.
fn lossless_kinds_of_this_file() -> Vec<DerivedKind> {
    let point = json!({ "xAxis": 1, "yAxis": 2 });
    vec![
        NumbersKind::with_specs(
            json!([
                { "replicas": 9, "byte": 255, "above_zero": 0.1, "signed": -5, "point": point, "maybe": true },
                { "replicas": 1, "byte": 0, "above_zero": 3, "signed": 0, "point": { "xAxis": 0, "yAxis": null }, "maybe": null },
            ]),
            json!([
                { "replicas": 0, "byte": 0, "above_zero": 1, "signed": 0 },
                { "replicas": 10, "byte": 0, "above_zero": 1, "signed": 0 },
                { "byte": 256, "above_zero": 1, "signed": 0 },
                { "byte": -1, "above_zero": 1, "signed": 0 },
                { "byte": 0, "above_zero": 0, "signed": 0 },
                { "above_zero": 1, "signed": 0 },
                { "byte": 0, "above_zero": 1, "signed": "0" },
            ]),
        ),
        TextsKind::with_specs(
            json!([{
                "short": "abc", "lower": "abc", "list": ["a"], "set": ["a", "b"], "by_name": { "p": point },
                "by_number": { "7": "seven" }, "pair": [1, 2], "letter": "x", "nothing": null,
            }]),
            json!([
                { "short": "a", "list": [], "set": [], "by_name": {}, "by_number": {}, "pair": [1, 2], "letter": "x", "nothing": null },
                { "short": "ab", "list": [], "set": ["a", "a"], "by_name": {}, "by_number": {}, "pair": [1, 2], "letter": "x", "nothing": null },
                { "short": "ab", "list": [], "set": [], "by_name": { "p": {} }, "by_number": {}, "pair": [1, 2], "letter": "x", "nothing": null },
                { "short": "ab", "list": [], "set": [], "by_name": {}, "by_number": { "7": 7 }, "pair": [1, 2], "letter": "x", "nothing": null },
                { "short": "ab", "list": [], "set": [], "by_name": {}, "by_number": {}, "pair": [1], "letter": "x", "nothing": null },
                { "short": "ab", "list": [], "set": [], "by_name": {}, "by_number": {}, "pair": [1, 2], "letter": "xy", "nothing": null },
            ]),
        ),
        LevelKind::with_specs(json!(["Debug", "Info"]), json!(["Loud", 1, null])),
        MaybeLevel::with_specs(json!(["Debug", null]), json!(["Loud", 1])),
        DirectionKind::with_specs(json!(["up", "down", "sideways"]), json!(["Up", {}])),
        MaybeDirection::with_specs(json!(["up", null]), json!(["Up"])),
        ExternalKind::with_specs(
            json!([{ "point": point }, { "name": "a" }, { "both": { "first": 1, "second": "b" } }]),
            json!([{}, { "point": point, "name": "a" }, { "name": 1 }, { "both": {} }, { "point": {} }, "name"]),
        ),
        MaybeExternal::with_specs(json!([{ "name": "a" }, null]), json!([{}, { "name": 1 }])),
        InternalKind::with_specs(
            json!([
                { "type": "Http", "url": "http://a", "retries": 2 },
                { "type": "File", "path": "/a" },
                { "type": "Nothing" },
                { "type": "Point", "xAxis": 1 },
            ]),
            json!([
                {}, { "type": "Other" }, { "type": "Http" }, { "type": "Http", "path": "/a" },
                { "type": "File", "url": "http://a" }, { "url": "http://a" }, { "type": "Point" },
                { "type": "File", "path": 1 },
            ]),
        ),
        MaybeInternal::with_specs(
            json!([null, { "type": "File", "path": "/a" }]),
            json!([{}, { "type": "File" }, { "type": "Http", "path": "/a" }]),
        ),
        ClashKind::with_specs(
            json!([{ "type": "Text", "value": "a" }, { "type": "Count", "value": 1 }]),
            json!([{ "type": "Text" }, { "type": "Text", "value": {} }, { "type": "Text", "value": 1.5 }]),
        ),
        AdjacentKind::with_specs(
            json!([{ "kind": "Point", "with": point }, { "kind": "Named", "with": { "name": "a" } }, { "kind": "Nothing" }]),
            json!([{ "kind": "Point" }, { "kind": "Point", "with": { "name": "a" } }, { "with": point }, { "kind": "Other" }]),
        ),
        UntaggedKind::with_specs(
            json!([{ "name": "a" }, point]),
            json!([{}, { "name": 1 }, { "yAxis": 1 }, "a"]),
        ),
        PortKind::with_specs(json!([80, "http", null]), json!([1.5, {}, true])),
        FlattenedKind::with_specs(
            json!([{ "own": "a", "xAxis": 1, "name": "b" }, { "own": "a", "xAxis": 1, "point": point }]),
            json!([{ "own": "a", "name": "b" }, { "own": "a", "xAxis": 1 }, { "own": "a", "xAxis": 1, "name": 1 }]),
        ),
        FlattenedTagKind::with_specs(
            json!([{ "own": "a", "type": "File", "path": "/a" }]),
            json!([{ "own": "a" }, { "own": "a", "type": "File" }, { "type": "File", "path": "/a" }]),
        ),
        FlattenedMapKind::with_specs(
            json!([{ "own": "a", "more": { "of": [1, "two"] } }]),
            json!([{}, { "own": 1 }]),
        ),
        RuledKind::with_specs(json!([{ "min": 1, "max": 2 }]), json!([{ "min": 2 }])),
        AnyKind::with_specs(json!([1, "a", [1], { "a": { "b": null } }, true]), json!([])),
        AnyMap::with_specs(json!([{ "a": 1, "b": { "c": [true] } }]), json!([1, "a"])),
        QuantityKind::with_specs(json!(["1Gi", 2]), json!([{}, true])),
        IntOrStringKind::with_specs(json!([1, "50%"]), json!([{}, true])),
        TemplateKind::with_specs(
            json!([{ "metadata": { "labels": { "a": "b" } }, "spec": { "containers": [{ "name": "c", "image": "i" }] } }]),
            json!([
                { "spec": { "containers": "none" } },
                { "spec": { "containers": [{ "name": "c" }, { "name": "c" }] } },
                { "spec": { "containers": [{ "name": "c", "ports": [{ "containerPort": 1 }, { "containerPort": 1 }] }] } },
            ]),
        ),
    ]
}

/// Kinds whose schema accepts values that the Rust type does not decode. With each kind, returns the paths of the problems
/// that `try_crd` must report.
pub(crate) fn lossy_kinds() -> Vec<(DerivedKind, Vec<&'static str>)> {
    let mut all = flattened_fields::lossy_kinds();
    all.extend([
        (
            MixedKind::with_specs(
                json!(["Off", { "Level": 1 }, { "Custom": { "command": "a" } }, { "Pair": [1, "a"] }]),
                json!([]),
            ),
            vec![".spec.value"],
        ),
        (ShortOrLongKind::with_specs(json!(["a", { "name": "b" }]), json!([])), vec![".spec.value"]),
        (
            AdjacentMixedKind::with_specs(
                json!([{ "kind": "Names", "with": ["a"] }, { "kind": "Point", "with": { "xAxis": 1 } }]),
                json!([{ "kind": "Names" }, { "kind": "Other", "with": [] }]),
            ),
            vec![".spec.value.with"],
        ),
        (
            TreeKind::with_specs(
                json!([{ "name": "a", "children": [{ "name": "b", "children": [{ "name": "c", "children": [] }] }] }]),
                json!([{ "children": [] }, { "name": "a", "children": [1] }]),
            ),
            vec![".spec.value.children[*].children[*]"],
        ),
    ]);
    all
}
