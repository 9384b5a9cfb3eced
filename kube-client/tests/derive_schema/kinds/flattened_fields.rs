//! Kinds that flatten enums or optional structs: JSON has the flattened fields and the other fields in one object. Also
//! kinds with enums as the values of maps, and kinds with enums whose variants have a field `metadata`.

use std::collections::{BTreeMap, HashMap};

use kube_client::CustomResourceExt;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    DerivedKind, ExternallyTagged, InternallyTagged, Point, StructuralSchemaRewriter, UntaggedObjects,
    define_kind,
};

/// A struct that flattens an `Option` of an externally tagged enum.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct WithOptionalExternalEnum {
    name: String,
    #[serde(flatten)]
    source: Option<ExternallyTagged>,
}

// A struct that flattens an `Option` of an internally tagged enum.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct WithOptionalInternalEnum {
    own: String,
    #[serde(flatten)]
    source: Option<InternallyTagged>,
}

// A struct that flattens an `Option` of an untagged enum.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct WithOptionalUntaggedEnum {
    own: String,
    #[serde(flatten)]
    source: Option<UntaggedObjects>,
}

// A struct that flattens an `Option` of a struct.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct WithOptionalStruct {
    own: String,
    #[serde(flatten)]
    point: Option<Box<Point>>,
}

/// An untagged enum with a variant that accepts any value, so that unknown fields are preserved.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum KnownOrAny {
    Known { n: i32 },
    Any(Value),
}

// A struct that flattens an enum with a variant for any value.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct FlattenedAny {
    own: String,
    #[serde(flatten)]
    choice: KnownOrAny,
}

/// An enum that is flattened into the same object as another enum.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Target {
    Host(String),
    Service { port: u16 },
}

// A struct that flattens two enums.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct FlattenedTwice {
    #[serde(flatten)]
    source: ExternallyTagged,
    #[serde(flatten)]
    target: Option<Target>,
}

/// An enum with a variant that flattens an `Option` of another enum.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub(crate) enum EnumWithFlattenedEnum {
    Copy {
        from: String,
        #[serde(flatten)]
        target: Option<Target>,
    },
    Nothing,
}

/// The type of a field named `metadata`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Tags {
    tags: Vec<String>,
}

// An internally tagged enum whose variants have a field `metadata` of the same type.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub(crate) enum EnumWithEqualMetadataTypes {
    A { metadata: Tags },
    B { metadata: Tags, b: i32 },
}

// An internally tagged enum whose variants have a field `metadata` of different types.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub(crate) enum EnumWithDifferentMetadataTypes {
    WithTags { metadata: Tags },
    WithPoint { metadata: Point },
}

// An untagged enum whose variants have a field `metadata` of different types.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum UntaggedEnumWithMetadata {
    WithTags { metadata: Tags, t: i32 },
    WithPoint { metadata: Point, p: i32 },
}

/// An externally tagged enum with a variant that becomes a property named `metadata`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EnumWithMetadataVariant {
    Metadata(Tags),
    Other(i32),
}

define_kind!(OptionalSpec, "OptionalKind", OptionalKind, WithOptionalExternalEnum);
define_kind!(OptionalTaggedSpec, "OptionalTaggedKind", OptionalTaggedKind, WithOptionalInternalEnum);
define_kind!(OptionalUntaggedSpec, "OptionalUntaggedKind", OptionalUntaggedKind, WithOptionalUntaggedEnum);
define_kind!(OptionalStructSpec, "OptionalStructKind", OptionalStructKind, WithOptionalStruct);
define_kind!(FlattenedAnySpec, "FlattenedAnyKind", FlattenedAnyKind, FlattenedAny);
define_kind!(FlattenedTwiceSpec, "FlattenedTwiceKind", FlattenedTwiceKind, FlattenedTwice);
define_kind!(OptionalListSpec, "OptionalListKind", OptionalListKind, Vec<WithOptionalExternalEnum>);
define_kind!(NestedSpec, "NestedKind", NestedKind, EnumWithFlattenedEnum);
define_kind!(EnumMapSpec, "EnumMapKind", EnumMapKind, HashMap<String, InternallyTagged>);
define_kind!(MapMapSpec, "MapMapKind", MapMapKind, BTreeMap<String, BTreeMap<String, ExternallyTagged>>);
define_kind!(SameMetadataSpec, "SameMetadataKind", SameMetadataKind, EnumWithEqualMetadataTypes);
define_kind!(OtherMetadataSpec, "OtherMetadataKind", OtherMetadataKind, EnumWithDifferentMetadataTypes);
define_kind!(UntaggedMetadataSpec, "UntaggedMetadataKind", UntaggedMetadataKind, UntaggedEnumWithMetadata);
define_kind!(NamedMetadataSpec, "NamedMetadataKind", NamedMetadataKind, EnumWithMetadataVariant);

/// Kinds whose structural schema is equivalent to the Rust type.
pub(super) fn lossless_kinds() -> Vec<DerivedKind> {
    let point = json!({ "xAxis": 1, "yAxis": 2 });
    let tags = json!({ "tags": ["a"] });
    let optional = json!([
        { "name": "a", "point": point },
        { "name": "a", "both": { "first": 1, "second": "b" } },
        { "name": "a" },
    ]);
    vec![
        OptionalKind::with_specs(
            optional.clone(),
            json!([{}, { "name": "a", "point": {} }, { "name": "a", "both": { "first": "b" } }]),
        ),
        OptionalTaggedKind::with_specs(
            json!([{ "own": "a", "type": "Http", "url": "b", "retries": 1 }, { "own": "a", "type": "Nothing" }, { "own": "a" }]),
            json!([{}, { "own": "a", "type": "Other" }, { "own": "a", "type": "Http", "url": 1 }]),
        ),
        OptionalUntaggedKind::with_specs(
            json!([{ "own": "a", "name": "b" }, { "own": "a", "xAxis": 1 }, { "own": "a" }]),
            json!([{ "own": "a", "name": 1 }, { "own": "a", "xAxis": "b" }]),
        ),
        OptionalStructKind::with_specs(
            json!([{ "own": "a", "xAxis": 1 }, { "own": "a" }]),
            json!([{ "own": "a", "xAxis": "b" }]),
        ),
        FlattenedAnyKind::with_specs(
            json!([{ "own": "a", "n": 1 }, { "own": "a", "x": { "y": [1, null] } }]),
            json!([{}, { "own": 1 }]),
        ),
        FlattenedTwiceKind::with_specs(
            json!([{ "name": "a", "host": "b" }, { "point": point, "service": { "port": 80 } }, { "name": "a" }]),
            json!([{ "host": "b" }, { "name": "a", "service": { "port": "b" } }, { "name": "a", "service": {} }]),
        ),
        OptionalListKind::with_specs(
            json!([optional, []]),
            json!([[{}], [{ "name": "a", "point": {} }], {}]),
        ),
        NestedKind::with_specs(
            json!([
                { "type": "Copy", "from": "a", "host": "b" },
                { "type": "Copy", "from": "a", "service": { "port": 1 } },
                { "type": "Copy", "from": "a" },
                { "type": "Nothing" },
            ]),
            json!([{ "type": "Copy" }, { "type": "Copy", "from": "a", "service": { "port": -1 } }]),
        ),
        EnumMapKind::with_specs(
            json!([{ "a": { "type": "File", "path": "b" }, "c": { "type": "Nothing" } }, {}]),
            json!([{ "a": {} }, { "a": { "type": "File" } }]),
        ),
        MapMapKind::with_specs(
            json!([{ "a": { "b": { "name": "c" } }, "d": {} }]),
            json!([{ "a": { "b": {} } }, { "a": { "b": "c" } }]),
        ),
        SameMetadataKind::with_specs(
            json!([{ "type": "A", "metadata": tags }, { "type": "B", "metadata": tags, "b": 1 }]),
            json!([{ "type": "A" }, { "type": "B", "metadata": tags }, { "type": "A", "metadata": {} }]),
        ),
        NamedMetadataKind::with_specs(
            json!([{ "metadata": tags }, { "other": 1 }]),
            json!([{}, { "metadata": {} }, { "metadata": tags, "other": 1 }]),
        ),
    ]
}

/// Kinds with an enum whose variants have a field `metadata` of different types. A structural schema cannot express such
/// a field. With each kind, returns the paths of the problems that `try_crd` must report.
pub(super) fn lossy_kinds() -> Vec<(DerivedKind, Vec<&'static str>)> {
    let point = json!({ "xAxis": 1, "yAxis": 2 });
    let tags = json!({ "tags": ["a"] });
    let path = ".spec.value.metadata";
    vec![
        (
            OtherMetadataKind::with_specs(
                json!([{ "type": "WithTags", "metadata": tags }, { "type": "WithPoint", "metadata": point }]),
                json!([
                    { "type": "WithTags" },
                    { "type": "WithPoint" },
                    { "metadata": point },
                    { "type": "WithPoint", "metadata": 1 },
                ]),
            ),
            vec![path, path],
        ),
        (
            UntaggedMetadataKind::with_specs(
                json!([{ "metadata": tags, "t": 1 }, { "metadata": point, "p": 1 }]),
                json!([{ "metadata": tags }, { "t": 1 }, { "metadata": 1, "p": 1 }]),
            ),
            vec![path, path],
        ),
    ]
}
