//! The effects of Go's JSON decoder and encoder on an object of a built-in kind, or on the metadata of a custom resource.
//!
//! This module owns the decoding errors, and the changes to an object that Go decodes into a struct and serializes
//! again. The server responds with 400 to a request body that does not decode, before validation. Go drops null
//! fields, optional fields with an empty collection, and `omitempty` fields with the zero value. Go also replaces
//! nulls in lists and maps, and canonicalizes times and quantities. This module must not validate: it rejects only
//! values that Go cannot decode.

use base64::engine::general_purpose::STANDARD;
use base64::{DecodeError, Engine as _};
use serde_json::Value;

use super::node::{AdditionalFields, Kind, Schema, Variants};
use super::{apply_defaults, normalize_numbers, prune, quantity, time};
use crate::json::type_name;

/// A function that returns whether Go omits a scalar field with the zero value (`omitempty`). The arguments are the
/// name of a component, such as `io.k8s.api.core.v1.PodSpec`, and the name of a field. The schema does not contain this
/// information.
pub(crate) type OmitsZeroPredicate = fn(&str, &str) -> bool;

/// Changes `object` as Go does when Go decodes the object into the struct of its kind and serializes the struct.
///
/// # Errors
/// The error text of Go's decoder, such as `json: cannot unmarshal string into Go struct field
/// DeploymentSpec.spec.replicas of type int32`. The response to a create or update contains the text in the
/// form of [`undecodable_body_message`]. The response to a patch contains it in the form of
/// `patch::undecodable_result_error`.
pub(crate) fn decode(
    schema: &Schema,
    object: &mut Value,
    omits_zero: OmitsZeroPredicate,
) -> Result<(), String> {
    let mut decoder = Decoder { path: Vec::new(), owner: String::new(), keeps_owner: false, omits_zero };
    decoder.decode_value(schema, object)
}

/// The message of the 400 response if the request body does not decode as `kind`.
pub(crate) fn undecodable_body_message(kind: &str, version: &str, problem: &str) -> String {
    format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {problem}")
}

/// The error message of strict field validation. `problems` are the messages about unknown and duplicate fields.
pub(crate) fn strict_decoding_error(problems: &[String]) -> String {
    format!("strict decoding error: {}", problems.join(", "))
}

/// Decodes an object. The errors contain `path`, the path of the current field.
struct Decoder {
    path: Vec<String>,
    /// The name of the Go struct that contains the current field.
    owner: String,
    /// Whether the current value is inside a variant ([`Variants`]). Inside a variant, `owner` does not change: Go
    /// decodes a variant with a separate decoder, but the errors contain the name of the struct around the variant.
    keeps_owner: bool,
    omits_zero: OmitsZeroPredicate,
}

impl Decoder {
    fn decode_value(&mut self, schema: &Schema, value: &mut Value) -> Result<(), String> {
        match schema.kind() {
            Kind::Any => {
                if let Some(variants) = schema.variants() {
                    return self.decode_variant(variants, value);
                }
                // Inside a variant, the value is part of a JSON schema. In a JSON schema, only `default`,
                // `example` and the items of `enum` may have any type. Go rewrites the numbers in these
                // values.
                if self.keeps_owner {
                    normalize_numbers(value);
                }
                Ok(())
            }
            Kind::Object => self.decode_object(schema, value),
            Kind::Array => self.decode_array(schema, value),
            Kind::String => self.decode_string(schema, value),
            Kind::Boolean => {
                if value.is_boolean() {
                    Ok(())
                } else {
                    Err(self.type_error(value, "bool"))
                }
            }
            Kind::Integer => self.decode_integer(schema, value),
            Kind::Number => {
                if value.is_number() {
                    normalize_numbers(value);
                    Ok(())
                } else {
                    Err(self.type_error(value, "float64"))
                }
            }
            Kind::IntOrString => self.decode_int_or_string(schema, value),
        }
    }

    /// Decodes a value that may have several JSON types ([`Variants`]). As in Go, unknown fields in the value are
    /// dropped, and no error or warning reports them.
    fn decode_variant(&mut self, variants: &Variants, value: &mut Value) -> Result<(), String> {
        let Some(schema) = variants.schema_of(value) else {
            if variants.allows_boolean && !value.is_boolean() {
                return Err("boolean or JSON schema expected".to_owned());
            }
            if !variants.allows_boolean {
                *value = Value::Null;
            }
            return Ok(());
        };
        let _ = prune(schema, value);
        apply_defaults(schema, value);
        let outer = std::mem::replace(&mut self.keeps_owner, true);
        self.decode_value(schema, value)?;
        self.keeps_owner = outer;
        if value.as_array().is_some_and(Vec::is_empty) {
            *value = Value::Null;
        }
        Ok(())
    }

    fn decode_object(&mut self, schema: &Schema, value: &mut Value) -> Result<(), String> {
        let Value::Object(map) = value else {
            if schema.component().is_some_and(|name| name.ends_with(".RawExtension")) {
                return Ok(());
            }
            return Err(self.type_error(value, &go_type(schema)));
        };
        let is_struct = schema.has_properties();
        if !is_struct && matches!(schema.additional_fields(), AdditionalFields::Unset) {
            return Ok(());
        }
        if is_struct {
            map.retain(|_, value| !value.is_null());
        } else {
            replace_null_entries(schema, map);
        }
        let outer_owner = match schema.component() {
            Some(component) if is_struct && !self.keeps_owner => {
                std::mem::replace(&mut self.owner, unqualified_name(component).to_owned())
            }
            _ => self.owner.clone(),
        };
        for (name, value) in map.iter_mut() {
            let Some(entry) = schema.field(name) else { continue };
            if is_struct {
                self.path.push(name.clone());
            }
            self.decode_value(entry, value)?;
            if is_struct {
                self.path.pop();
            }
        }
        self.owner = outer_owner;
        if is_struct {
            add_null_times(schema, map);
            map.retain(|name, value| {
                if value.is_null() && is_time_with_explicit_null(schema, name) {
                    return true;
                }
                let Some(property) = schema.property(name) else { return true };
                let is_scalar =
                    matches!(property.kind(), Kind::String | Kind::Boolean | Kind::Integer | Kind::Number);
                let is_zero = is_scalar
                    && super::zero::is_zero_scalar(value)
                    && schema.component().is_some_and(|component| (self.omits_zero)(component, name));
                schema.requires(name)
                    || keeps_empty_list(schema, name)
                    || !(is_zero || is_omitted(property, value))
            });
        }
        Ok(())
    }

    fn decode_array(&mut self, schema: &Schema, value: &mut Value) -> Result<(), String> {
        let Value::Array(items) = value else {
            return Err(self.type_error(value, &go_type(schema)));
        };
        let Some(schema) = schema.items() else { return Ok(()) };
        for item in items {
            if item.is_null() {
                *item = zero_value(schema).unwrap_or_default();
            }
            if !item.is_null() {
                self.decode_value(schema, item)?;
            }
        }
        Ok(())
    }

    fn decode_string(&mut self, schema: &Schema, value: &mut Value) -> Result<(), String> {
        let format = schema.format.as_deref().or(schema.shape().format.as_deref());
        let Value::String(text) = value else {
            let expected = match format {
                Some("byte") => "[]uint8",
                _ if self.is_uid() => "types.UID",
                _ => "string",
            };
            return Err(self.type_error(value, expected));
        };
        match format {
            Some("byte") => check_base64(text),
            Some("date-time") => {
                // Go serializes the zero time as null. `decode_object` drops the null if Go omits the field.
                *value =
                    time::canonical_form(text, time_precision(schema))?.map_or(Value::Null, Value::String);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether the current field is `uid` in `ObjectMeta` or `OwnerReference`. The Go type of these fields is `types.UID`.
    fn is_uid(&self) -> bool {
        matches!(self.owner.as_str(), "ObjectMeta" | "OwnerReference")
            && self.path.last().is_some_and(|field| field == "uid")
    }

    fn decode_integer(&mut self, schema: &Schema, value: &mut Value) -> Result<(), String> {
        let format = schema.format.as_deref().unwrap_or("int64");
        let Value::Number(number) = &*value else { return Err(self.type_error(value, format)) };
        let whole = number.as_i64();
        let fits = match format {
            "int32" => whole.is_some_and(|whole| i32::try_from(whole).is_ok()),
            _ => whole.is_some(),
        };
        if fits { Ok(()) } else { Err(self.type_error_text(&format!("number {number}"), format)) }
    }

    fn decode_int_or_string(&mut self, schema: &Schema, value: &mut Value) -> Result<(), String> {
        let is_quantity = schema.component().is_some_and(|component| component.ends_with("Quantity"));
        if !is_quantity {
            return match value {
                Value::String(_) => Ok(()),
                Value::Number(number) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => Ok(()),
                other => Err(self.type_error(other, "int32")),
            };
        }
        let text = match &*value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            other => other.to_string(),
        };
        *value = Value::String(quantity::canonical_form(&text)?);
        Ok(())
    }

    /// The error for `value` in a field of the Go type `expected`.
    fn type_error(&self, value: &Value, expected: &str) -> String {
        self.type_error_text(type_name(value), expected)
    }

    /// The error for a value that Go describes as `found`, such as `number 3.5`, in a field of the Go type `expected`.
    fn type_error_text(&self, found: &str, expected: &str) -> String {
        if self.path.is_empty() {
            return format!("json: cannot unmarshal {found} into Go value of type {expected}");
        }
        let path = self.path.join(".");
        format!(
            "json: cannot unmarshal {found} into Go struct field {}.{path} of type {expected}",
            self.owner
        )
    }
}

/// Adds a null for each absent time that Go serializes as null.
fn add_null_times(schema: &Schema, map: &mut serde_json::Map<String, Value>) {
    let absent =
        schema.properties().map(|(name, _)| name).filter(|name| is_time_with_explicit_null(schema, name));
    for name in absent {
        map.entry(name.to_owned()).or_insert(Value::Null);
    }
}

/// Whether `field` is a time that Go serializes as null if the time is absent. `omitempty` has no effect on such a time,
/// because its Go type is not a pointer.
pub(super) fn is_time_with_explicit_null(schema: &Schema, field: &str) -> bool {
    let Some(component) = schema.component().filter(|name| name.starts_with("io.k8s.api.")) else {
        return false;
    };
    let has_times = [
        "Condition",
        ".ContainerStateRunning",
        ".ContainerStateTerminated",
        ".core.v1.Event",
        ".events.v1.Event",
    ]
    .iter()
    .any(|suffix| component.ends_with(suffix));
    let is_time = |property: &Schema| {
        property.component().is_some_and(|name| name.ends_with(".v1.Time") || name.ends_with(".v1.MicroTime"))
    };
    has_times && schema.property(field).is_some_and(|property| is_time(property))
}

/// Replaces the null entries of a map with the zero value of their type. If the type has no zero value ([`zero_value`]),
/// the null entries are dropped.
fn replace_null_entries(schema: &Schema, map: &mut serde_json::Map<String, Value>) {
    let AdditionalFields::Of(values) = schema.additional_fields() else { return };
    let zero = zero_value(values);
    map.retain(|_, value| !value.is_null() || zero.is_some());
    for value in map.values_mut().filter(|value| value.is_null()) {
        *value = zero.clone().unwrap_or_default();
    }
}

/// The value that Go decodes from a null entry of a list or map. `schema` is the schema of the entry. Returns
/// `None` if the entry is itself a list or a map, or if the schema has no type.
fn zero_value(schema: &Schema) -> Option<Value> {
    match schema.kind() {
        Kind::String => Some("".into()),
        Kind::Boolean => Some(false.into()),
        Kind::IntOrString if schema.component().is_some_and(|name| name.ends_with("Quantity")) => {
            Some("0".into())
        }
        Kind::Integer | Kind::Number | Kind::IntOrString => Some(0.into()),
        Kind::Object if schema.has_properties() => Some(Value::Object(serde_json::Map::new())),
        Kind::Any | Kind::Array | Kind::Object => None,
    }
}

/// Whether decoding must keep an empty list in `field`. Only the policies of an autoscaler need this: their default
/// replaces an absent list, but not an empty list. Validation rejects the empty list, so the server never returns it.
fn keeps_empty_list(schema: &Schema, field: &str) -> bool {
    field == "policies" && schema.component().is_some_and(|name| name.ends_with(".HPAScalingRules"))
}

/// Whether Go omits an optional field because it is null or an empty collection.
fn is_omitted(schema: &Schema, value: &Value) -> bool {
    match value {
        Value::Null => true,
        // A field of type `JSON`, such as `default` in the schema of a CRD, keeps an empty list.
        Value::Array(items) => items.is_empty() && matches!(schema.kind(), Kind::Array),
        Value::Object(map) => map.is_empty() && matches!(schema.additional_fields(), AdditionalFields::Of(_)),
        _ => false,
    }
}

/// The Go type of the values of a schema, as Go's errors print it.
fn go_type(schema: &Schema) -> String {
    if let Some(component) = schema.component() {
        return go_type_of_component(component);
    }
    match schema.kind() {
        Kind::Array => {
            format!("[]{}", schema.items().map_or_else(|| "interface {}".to_owned(), |items| go_type(items)))
        }
        Kind::Object => match schema.additional_fields() {
            AdditionalFields::Of(values)
                if values.component().is_some_and(|name| name.ends_with("Quantity")) =>
            {
                "v1.ResourceList".to_owned()
            }
            AdditionalFields::Of(values) => format!("map[string]{}", go_type(values)),
            _ => "map[string]interface {}".to_owned(),
        },
        Kind::String if schema.format.as_deref() == Some("byte") => "[]uint8".to_owned(),
        Kind::String => "string".to_owned(),
        Kind::Boolean => "bool".to_owned(),
        Kind::Integer => schema.format.as_deref().unwrap_or("int64").to_owned(),
        Kind::Number => "float64".to_owned(),
        Kind::IntOrString => "intstr.IntOrString".to_owned(),
        Kind::Any => "interface {}".to_owned(),
    }
}

/// Converts a component's name such as `io.k8s.api.core.v1.PodSpec` to the Go type `v1.PodSpec`.
fn go_type_of_component(component: &str) -> String {
    let mut parts = component.rsplit('.');
    match (parts.next(), parts.next()) {
        (Some(name), Some(package)) => format!("{package}.{name}"),
        _ => component.to_owned(),
    }
}

/// The last part of a component's name: `PodSpec`.
fn unqualified_name(component: &str) -> &str {
    component.rsplit('.').next().unwrap_or(component)
}

/// Checks that `text` is base64. Ignores line breaks and trailing bits. The error contains the offset of an invalid byte.
/// If no byte is invalid, but the last group of four characters is incomplete, the error contains the offset of this
/// group. The offset does not count line breaks. Go's decoder counts line breaks, and can report another offset for
/// malformed padding.
fn check_base64(text: &str) -> Result<(), String> {
    let compact: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    let offset = match STANDARD.decode(&compact) {
        Ok(_) | Err(DecodeError::InvalidLastSymbol(..)) => return Ok(()),
        Err(DecodeError::InvalidByte(offset, _)) => offset,
        Err(_) => compact.trim_end_matches('=').len() / 4 * 4,
    };
    Err(format!("illegal base64 data at input byte {offset}"))
}

fn time_precision(schema: &Schema) -> time::Precision {
    match schema.component() {
        Some(component) if component.ends_with("MicroTime") => time::Precision::Micros,
        _ => time::Precision::Seconds,
    }
}

#[cfg(test)]
mod tests;
