//! The parsed form of schemas. Each [`Schema`] describes one value of an object, and contains the schemas of its fields
//! or items.
//!
//! This module owns the parsing of OpenAPI v3 schemas. The schemas of built-in kinds refer to named components, which
//! are resolved at first use. The schemas of custom resources are structural; only the schema of `metadata` refers to
//! a component. This module must not validate values.

mod variants;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

pub(super) use self::variants::Variants;
use super::go_regex;

/// The type that a schema specifies (`type`), as opposed to the kind of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Kind {
    /// Any value, because no type is specified.
    #[default]
    Any,
    /// A map or a struct.
    Object,
    /// A list.
    Array,
    String,
    Integer,
    /// An integer or a floating-point number.
    Number,
    Boolean,
    /// An integer or a string (`x-kubernetes-int-or-string`, `IntOrString`, `Quantity`).
    IntOrString,
}

/// The list type, which determines how two lists merge (`x-kubernetes-list-type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListType {
    /// A merge replaces the list as a whole.
    Atomic,
    /// The list is a set of unique items.
    Set,
    /// The list is a map, whose keys are fields of the items.
    Map,
}

/// The fields that an object may have besides its `properties` (`additionalProperties`).
#[derive(Debug, Clone, Default)]
pub(crate) enum AdditionalFields {
    /// `additionalProperties` is not specified.
    #[default]
    Unset,
    /// Any field (`additionalProperties: true`).
    Any,
    /// No field (`additionalProperties: false`).
    Denied,
    /// Any field whose value has this schema.
    Of(Arc<Schema>),
}

/// The parsed schema of one value. Immutable, and shared by `Arc`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schema {
    /// The referenced component, if this schema is a reference.
    base: Option<Reference>,
    component: Option<Box<str>>,
    kind: Kind,
    properties: BTreeMap<Box<str>, Arc<Schema>>,
    additional_fields: AdditionalFields,
    items: Option<Arc<Schema>>,
    variants: Option<Box<Variants>>,
    /// Names of the required properties.
    pub(super) required: Vec<Box<str>>,
    /// Whether null is allowed.
    pub(crate) nullable: bool,
    /// The default, which replaces an absent value.
    pub(crate) default: Option<Value>,
    /// If this field is a key of list items (`x-kubernetes-list-map-keys`), an item without the field is
    /// identified by this value.
    key_default: Option<Value>,
    /// The list type. A list without a list type is atomic, except if the schema specifies the patch strategy `merge`.
    pub(crate) list_type: Option<ListType>,
    list_keys: Vec<Box<str>>,
    atomic_map: Option<bool>,
    /// The field by which a strategic merge patch matches list items.
    pub(crate) merge_key: Option<Box<str>>,
    patch_strategy: Option<Box<str>>,
    /// Whether unknown fields are preserved (`x-kubernetes-preserve-unknown-fields`).
    pub(crate) preserve_unknown: bool,
    /// Whether the value has its own `apiVersion`, `kind` and `metadata` (`x-kubernetes-embedded-resource`).
    pub(crate) embedded_resource: bool,
    /// The specified format, such as `int32` or `date-time`.
    pub(crate) format: Option<Box<str>>,
    pub(super) validations: ValueValidations,
}

/// The keywords of a schema that restrict a value but do not specify its structure, such as `minimum` and `anyOf`.
#[derive(Debug, Clone, Default)]
pub(crate) struct ValueValidations {
    pub(super) enumeration: Vec<Value>,
    pub(super) minimum: Option<Bound>,
    pub(super) maximum: Option<Bound>,
    pub(super) multiple_of: Option<f64>,
    pub(super) min_length: Option<u64>,
    pub(super) max_length: Option<i64>,
    pub(super) pattern: Option<Pattern>,
    pub(super) min_items: Option<u64>,
    pub(super) max_items: Option<i64>,
    pub(super) unique_items: bool,
    pub(super) min_properties: Option<u64>,
    pub(super) max_properties: Option<i64>,
    pub(super) all_of: Vec<Schema>,
    pub(super) any_of: Vec<Schema>,
    pub(super) one_of: Vec<Schema>,
    pub(super) not: Option<Box<Schema>>,
}

/// The value of `minimum` or `maximum`, and whether it is exclusive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    pub(super) value: f64,
    pub(super) exclusive: bool,
}

/// A regular expression and its compiled form. If the expression is malformed, `regex` is `None`, and validation rejects
/// every string.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) source: Box<str>,
    pub(super) regex: Option<regex::Regex>,
}

/// A reference to a named component, resolved at first use.
#[derive(Debug, Clone)]
struct Reference {
    name: Box<str>,
    target: OnceLock<Arc<Schema>>,
}

impl Schema {
    /// A schema that accepts any value and preserves unknown fields.
    pub(crate) fn permissive() -> Arc<Self> {
        static PERMISSIVE: OnceLock<Arc<Schema>> = OnceLock::new();
        Arc::clone(PERMISSIVE.get_or_init(|| Arc::new(Self { preserve_unknown: true, ..Self::default() })))
    }

    /// Parses the recorded schema of the component `name`.
    pub(crate) fn of_component(name: &str, source: &Value) -> Arc<Self> {
        let mut schema = SchemaParser { is_built_in: true }.parse(source);
        schema.component = Some(name.into());
        if name.ends_with(".resource.Quantity") || name.ends_with(".intstr.IntOrString") {
            schema.kind = Kind::IntOrString;
            schema.validations = ValueValidations::default();
        }
        schema.variants = Variants::of_component(name).map(Box::new);
        Arc::new(schema)
    }

    /// Parses the schema of a custom resource (`spec.versions[].schema.openAPIV3Schema`) and adds `apiVersion`,
    /// `kind` and `metadata`. Malformed parts are ignored; `validate_crd` reports them.
    pub(crate) fn of_custom_resource(source: &Value) -> Arc<Self> {
        let mut schema = SchemaParser { is_built_in: false }.parse(source);
        schema.embedded_resource = true;
        schema.add_object_fields();
        Arc::new(schema)
    }

    /// The schema of `ObjectMeta`, the metadata of every object.
    pub(super) fn of_metadata() -> Arc<Self> {
        super::component(OBJECT_META).unwrap_or_else(Self::permissive)
    }

    /// Adds the properties `apiVersion`, `kind` and `metadata`. Keeps the value validations that the schema specifies
    /// for these fields.
    fn add_object_fields(&mut self) {
        for field in ["apiVersion", "kind"] {
            let text = || Arc::new(Self { kind: Kind::String, ..Self::default() });
            self.properties.entry(field.into()).or_insert_with(text);
        }
        let own = self.properties.remove("metadata").map_or_else(Self::default, |own| (*own).clone());
        let metadata = Self { base: Some(Reference::to(OBJECT_META)), ..own };
        self.properties.insert("metadata".into(), Arc::new(metadata));
    }

    /// The schema that specifies the structure of the value: the referenced component if this schema is a reference,
    /// otherwise this schema.
    pub(crate) fn shape(&self) -> &Self {
        match &self.base {
            Some(base) => base.target().shape(),
            None => self,
        }
    }

    /// Whether this schema is a reference to a component.
    pub(crate) fn is_reference(&self) -> bool {
        self.base.is_some()
    }

    /// The properties of this schema, without those of a referenced component. If this schema is a reference to
    /// `ObjectMeta`, these properties are the restrictions that the schema of a custom resource specifies.
    pub(super) fn own_properties(&self) -> &BTreeMap<Box<str>, Arc<Self>> {
        &self.properties
    }

    /// The name of the component that specifies the structure, such as `io.k8s.api.core.v1.PodSpec`.
    pub(crate) fn component(&self) -> Option<&str> {
        self.shape().component.as_deref()
    }

    /// The specified type.
    pub(crate) fn kind(&self) -> Kind {
        self.shape().kind
    }

    /// The names and schemas of all `properties`.
    pub(crate) fn properties(&self) -> impl Iterator<Item = (&str, &Arc<Self>)> {
        self.shape().properties.iter().map(|(name, schema)| (&**name, schema))
    }

    /// Whether the schema specifies any `properties`.
    pub(crate) fn has_properties(&self) -> bool {
        !self.shape().properties.is_empty()
    }

    /// The schema of the field `name` from `properties`.
    pub(crate) fn property(&self, name: &str) -> Option<&Arc<Self>> {
        self.shape().properties.get(name)
    }

    /// The fields that the object may have besides its `properties`.
    pub(crate) fn additional_fields(&self) -> &AdditionalFields {
        &self.shape().additional_fields
    }

    /// The schema of the object's field `name`: from `properties`, otherwise from `additionalProperties`.
    pub(crate) fn field(&self, name: &str) -> Option<&Arc<Self>> {
        self.property(name).or_else(|| match self.additional_fields() {
            AdditionalFields::Of(schema) => Some(schema),
            _ => None,
        })
    }

    /// The schemas for the JSON types that the value may have. `Some` only if the Go type of the value is one
    /// of the `JSONSchemaPropsOr...` types; see [`Variants`].
    pub(super) fn variants(&self) -> Option<&Variants> {
        self.shape().variants.as_deref()
    }

    /// The schema of a list's items.
    pub(crate) fn items(&self) -> Option<&Arc<Self>> {
        self.shape().items.as_ref()
    }

    /// Whether the field `name` is required.
    pub(crate) fn requires(&self, name: &str) -> bool {
        self.shape().required.iter().any(|required| &**required == name)
    }

    /// The fields that identify an item of a list of type `map` (`x-kubernetes-list-map-keys`).
    pub(crate) fn list_keys(&self) -> &[Box<str>] {
        &self.list_keys
    }

    /// If this field is a key of list items (`x-kubernetes-list-map-keys`), an item without the field is
    /// identified by this value.
    pub(crate) fn key_default(&self) -> Option<&Value> {
        self.key_default.as_ref()
    }

    /// Whether a merge replaces the object as a whole (`x-kubernetes-map-type: atomic`).
    pub(crate) fn is_atomic_map(&self) -> bool {
        self.atomic_map.or(self.shape().atomic_map).unwrap_or(false)
    }

    /// The patch strategies (`merge`, `retainKeys`) of a strategic merge patch.
    pub(crate) fn patch_strategies(&self) -> impl Iterator<Item = &str> {
        self.patch_strategy.as_deref().into_iter().flat_map(|strategies| strategies.split(','))
    }
}

/// The component that specifies the metadata of objects.
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

impl Reference {
    fn to(name: &str) -> Self {
        Self { name: name.into(), target: OnceLock::new() }
    }

    /// The referenced component; a permissive schema if the component does not exist.
    fn target(&self) -> &Arc<Schema> {
        self.target.get_or_init(|| super::component(&self.name).unwrap_or_else(Schema::permissive))
    }
}

/// Parses schemas of built-in kinds if `is_built_in` is set, otherwise schemas of custom resources. References (`$ref`)
/// are parsed only for built-in kinds; logical junctors (such as `anyOf`) are parsed only for custom resources.
struct SchemaParser {
    is_built_in: bool,
}

impl SchemaParser {
    fn parse(&self, source: &Value) -> Schema {
        let Some(map) = source.as_object() else {
            return Schema { preserve_unknown: true, ..Schema::default() };
        };
        let default = map.get("default").filter(|default| !default.is_null()).cloned();
        let mut schema = Schema {
            base: if self.is_built_in { parse_reference(map) } else { None },
            kind: parse_kind(map),
            properties: self.parse_properties(map),
            additional_fields: self.parse_additional_fields(map),
            items: map.get("items").map(|items| Arc::new(self.parse(items))),
            required: string_list_keyword(map, "required"),
            nullable: bool_keyword(map, "nullable"),
            key_default: default.clone(),
            default,
            list_type: parse_list_type(map),
            list_keys: string_list_keyword(map, "x-kubernetes-list-map-keys"),
            atomic_map: string_keyword(map, "x-kubernetes-map-type").map(|kind| kind == "atomic"),
            merge_key: string_keyword(map, "x-kubernetes-patch-merge-key").map(Into::into),
            patch_strategy: string_keyword(map, "x-kubernetes-patch-strategy").map(Into::into),
            preserve_unknown: bool_keyword(map, "x-kubernetes-preserve-unknown-fields"),
            embedded_resource: bool_keyword(map, "x-kubernetes-embedded-resource"),
            format: string_keyword(map, "format").filter(|format| !format.is_empty()).map(Into::into),
            validations: self.parse_value_validations(map),
            component: None,
            variants: None,
        };
        if schema.embedded_resource && !self.is_built_in {
            schema.add_object_fields();
        }
        schema
    }

    fn parse_properties(&self, map: &Map<String, Value>) -> BTreeMap<Box<str>, Arc<Schema>> {
        let required = string_list_keyword(map, "required");
        let Some(properties) = map.get("properties").and_then(Value::as_object) else {
            return BTreeMap::new();
        };
        let read = |(name, source): (&String, &Value)| {
            let mut schema = self.parse(source);
            let is_required = required.iter().any(|required| **required == **name);
            if self.is_built_in && !is_required && name == "name" && schema.default == Some(Value::from("")) {
                // In types such as `LocalObjectReference`, the schema specifies an empty default for the optional field
                // `name`, but Go does not serialize the empty name.
                schema.default = None;
            }
            (Box::from(name.as_str()), Arc::new(schema))
        };
        properties.iter().map(read).collect()
    }

    fn parse_additional_fields(&self, map: &Map<String, Value>) -> AdditionalFields {
        match map.get("additionalProperties") {
            None => AdditionalFields::Unset,
            Some(Value::Bool(true)) => AdditionalFields::Any,
            Some(Value::Bool(false)) => AdditionalFields::Denied,
            Some(schema) => AdditionalFields::Of(Arc::new(self.parse(schema))),
        }
    }

    fn parse_value_validations(&self, map: &Map<String, Value>) -> ValueValidations {
        let list = |key: &str| map.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let schemas = |key: &str| -> Vec<Schema> {
            if self.is_built_in {
                Vec::new()
            } else {
                list(key).iter().map(|source| self.parse(source)).collect()
            }
        };
        let count = |key: &str| map.get(key).and_then(Value::as_u64);
        let limit = |key: &str| map.get(key).and_then(Value::as_i64);
        let bound = |key: &str, exclusive: &str| {
            let value = map.get(key).and_then(Value::as_f64)?;
            Some(Bound { value, exclusive: bool_keyword(map, exclusive) })
        };
        ValueValidations {
            enumeration: list("enum"),
            minimum: bound("minimum", "exclusiveMinimum"),
            maximum: bound("maximum", "exclusiveMaximum"),
            multiple_of: map.get("multipleOf").and_then(Value::as_f64),
            min_length: count("minLength"),
            max_length: limit("maxLength"),
            pattern: string_keyword(map, "pattern")
                .map(|source| Pattern { source: source.into(), regex: go_regex::compile(source).ok() }),
            min_items: count("minItems"),
            max_items: limit("maxItems"),
            unique_items: bool_keyword(map, "uniqueItems"),
            min_properties: count("minProperties"),
            max_properties: limit("maxProperties"),
            all_of: schemas("allOf"),
            any_of: schemas("anyOf"),
            one_of: schemas("oneOf"),
            not: if self.is_built_in { None } else { map.get("not").map(|not| Box::new(self.parse(not))) },
        }
    }
}

fn parse_kind(map: &Map<String, Value>) -> Kind {
    if bool_keyword(map, "x-kubernetes-int-or-string") {
        return Kind::IntOrString;
    }
    match string_keyword(map, "type") {
        Some("object") => Kind::Object,
        Some("array") => Kind::Array,
        Some("string") => Kind::String,
        Some("integer") => Kind::Integer,
        Some("number") => Kind::Number,
        Some("boolean") => Kind::Boolean,
        _ => Kind::Any,
    }
}

/// The target of `$ref`. The schema of a field with a default contains `$ref` in `allOf[0]`.
fn parse_reference(map: &Map<String, Value>) -> Option<Reference> {
    let direct = map.get("$ref");
    let wrapped = || map.get("allOf")?.as_array()?.first()?.get("$ref");
    let target = direct.or_else(wrapped)?.as_str()?;
    Some(Reference::to(target.rsplit('/').next().unwrap_or(target)))
}

fn parse_list_type(map: &Map<String, Value>) -> Option<ListType> {
    match string_keyword(map, "x-kubernetes-list-type")? {
        "set" => Some(ListType::Set),
        "map" => Some(ListType::Map),
        _ => Some(ListType::Atomic),
    }
}

fn string_keyword<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    map.get(key).and_then(Value::as_str)
}

fn string_list_keyword(map: &Map<String, Value>, key: &str) -> Vec<Box<str>> {
    let list = map.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect()
}

fn bool_keyword(map: &Map<String, Value>, key: &str) -> bool {
    map.get(key).and_then(Value::as_bool).unwrap_or(false)
}
