//! The union of two schemas: one structural schema for the values of the first and the values of the second schema.

use serde_json::{Value, json};

use super::{
    JsonObject,
    keywords::{accepts_any_type, has_flag, type_of},
    nullable,
    rewrite::{Rewriter, any_value_schema},
};

/// The union of the schemas `a` and `b`. The [`Rewriter`] must have rewritten both before the call.
pub(super) fn union(rewriter: &mut Rewriter, a: JsonObject, b: JsonObject) -> JsonObject {
    if a == b {
        return a;
    }
    let nullable = nullable::is_nullable(&a) || nullable::is_nullable(&b);
    let mut whole = match (value_type_of(&a), value_type_of(&b)) {
        (ValueType::Any, _) | (_, ValueType::Any) => any_value_schema(),
        (ValueType::IntOrString, other) | (other, ValueType::IntOrString) if other.fits_int_or_string() => {
            int_or_string_schema()
        }
        (ValueType::Type(x), ValueType::Type(y)) if x == y => {
            let type_name = x.to_owned();
            union_of_same_type(rewriter, a, b, &type_name)
        }
        (ValueType::Type("integer"), ValueType::Type("number"))
        | (ValueType::Type("number"), ValueType::Type("integer")) => {
            let (mut a, mut b) = (a, b);
            a.insert("type".to_owned(), json!("number"));
            b.insert("type".to_owned(), json!("number"));
            union_of_same_type(rewriter, a, b, "number")
        }
        (ValueType::Type("integer"), ValueType::Type("string"))
        | (ValueType::Type("string"), ValueType::Type("integer")) => int_or_string_schema(),
        (x, y) => {
            let what = format!("the variants have different types, {} and {}", x.name(), y.name());
            rewriter.report(what, "give all variants the same type; for enums, use #[serde(tag = \"type\")]");
            any_value_schema()
        }
    };
    if nullable {
        nullable::set_nullable(&mut whole);
    }
    whole
}

/// The type of the values that a schema accepts.
#[derive(Clone, Copy, PartialEq)]
enum ValueType<'a> {
    Any,
    IntOrString,
    Type(&'a str),
}

/// The type of the values that a rewritten node accepts.
fn value_type_of(node: &JsonObject) -> ValueType<'_> {
    match type_of(node) {
        _ if accepts_any_type(node) => ValueType::Any,
        Some(name) => ValueType::Type(name),
        None => ValueType::IntOrString,
    }
}

impl<'a> ValueType<'a> {
    /// Whether `int_or_string_schema` accepts all values of this type.
    fn fits_int_or_string(self) -> bool {
        matches!(self, Self::IntOrString | Self::Type("integer" | "string"))
    }

    /// The name of the type, for the text of a `SchemaProblem`.
    fn name(self) -> &'a str {
        match self {
            Self::Any => "any",
            Self::IntOrString => "integer or string",
            Self::Type(name) => name,
        }
    }
}

/// A schema that accepts integers and strings.
fn int_or_string_schema() -> JsonObject {
    JsonObject::from_iter([("x-kubernetes-int-or-string".to_owned(), Value::Bool(true))])
}

/// The union of two schemas, both of the JSON type `type_name`.
fn union_of_same_type(
    rewriter: &mut Rewriter,
    mut a: JsonObject,
    mut b: JsonObject,
    type_name: &str,
) -> JsonObject {
    let mut whole = JsonObject::from_iter([("type".to_owned(), json!(type_name))]);
    // Keep the keywords that are equal in both schemas. A keyword that only one schema has could reject values of the
    // other schema.
    for (key, value) in &a {
        if b.get(key) == Some(value) {
            whole.insert(key.clone(), value.clone());
        }
    }
    if has_flag(&a, "x-kubernetes-preserve-unknown-fields")
        || has_flag(&b, "x-kubernetes-preserve-unknown-fields")
    {
        whole.insert("x-kubernetes-preserve-unknown-fields".to_owned(), Value::Bool(true));
    }
    unite_enums(&mut whole, &a, &b);
    keep_looser_bounds(&mut whole, &a, &b);
    match type_name {
        "object" => unite_object_fields(rewriter, &mut whole, &mut a, &mut b),
        "array" => {
            let item = match (a.remove("items"), b.remove("items")) {
                (Some(Value::Object(x)), Some(Value::Object(y))) => {
                    rewriter.at_path_segment("[*]", |this| union(this, x, y))
                }
                _ => any_value_schema(),
            };
            whole.insert("items".to_owned(), Value::Object(item));
        }
        _ => {}
    }
    report_unequal_rules(rewriter, &whole, &a, &b);
    whole
}

/// If both schemas have an `enum`, sets the `enum` of `whole` to the values of both.
fn unite_enums(whole: &mut JsonObject, a: &JsonObject, b: &JsonObject) {
    let list = |node: &JsonObject| node.get("enum").and_then(Value::as_array).cloned();
    if let (Some(mut values), Some(more)) = (list(a), list(b)) {
        for value in more {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        whole.insert("enum".to_owned(), Value::Array(values));
    }
}

/// For each bound that both schemas have, sets the bound of `whole` to the less strict value.
fn keep_looser_bounds(whole: &mut JsonObject, a: &JsonObject, b: &JsonObject) {
    type IsLooser = fn(&f64, &f64) -> bool;
    let looser: [(&str, IsLooser); 8] = [
        ("minimum", f64::lt),
        ("minLength", f64::lt),
        ("minItems", f64::lt),
        ("minProperties", f64::lt),
        ("maximum", f64::gt),
        ("maxLength", f64::gt),
        ("maxItems", f64::gt),
        ("maxProperties", f64::gt),
    ];
    for (key, is_looser) in looser {
        let (Some(x), Some(y)) = (a.get(key), b.get(key)) else { continue };
        let pick_a = x.as_f64().zip(y.as_f64()).is_some_and(|(x, y)| is_looser(&x, &y));
        whole.insert(key.to_owned(), if pick_a { x } else { y }.clone());
    }
    for (exclusive, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        if !whole.contains_key(bound) {
            whole.remove(exclusive);
        }
    }
}

/// Sets `properties` and `additionalProperties` of `whole` to the union of these keywords in `a` and `b`, two schemas
/// of type `object`. If the union has properties, `x-kubernetes-preserve-unknown-fields` replaces
/// `additionalProperties`. Sets `required` to the fields that both schemas require.
fn unite_object_fields(
    rewriter: &mut Rewriter,
    whole: &mut JsonObject,
    a: &mut JsonObject,
    b: &mut JsonObject,
) {
    whole.remove("additionalProperties");
    let properties = |node: &mut JsonObject| match node.remove("properties") {
        Some(Value::Object(properties)) => properties,
        _ => JsonObject::new(),
    };
    let mut all = properties(a);
    let mut in_both = Vec::new();
    for (name, property) in properties(b) {
        if all.contains_key(&name) {
            in_both.push(name.clone());
        }
        let merged = match (all.remove(&name), property) {
            (Some(Value::Object(x)), Value::Object(y)) => {
                Value::Object(rewriter.at_path_segment(&format!(".{name}"), |this| union(this, x, y)))
            }
            (_, property) => without_default(property),
        };
        all.insert(name, merged);
    }
    for (name, property) in &mut all {
        if !in_both.contains(name) {
            *property = without_default(property.take());
        }
    }
    let values = match (a.remove("additionalProperties"), b.remove("additionalProperties")) {
        (Some(Value::Object(x)), Some(Value::Object(y))) => {
            Some(rewriter.at_path_segment("[*]", |this| union(this, x, y)))
        }
        (Some(Value::Object(one)), _) | (_, Some(Value::Object(one))) => Some(one),
        _ => None,
    };
    match values {
        Some(values) if all.is_empty() => {
            whole.insert("additionalProperties".to_owned(), Value::Object(values));
        }
        Some(values) => {
            if !accepts_any_type(&values) {
                rewriter.report(
                    "the variants are a map and a struct, so the values of the map are not validated",
                    "move the map into a field",
                );
            }
            whole.insert("x-kubernetes-preserve-unknown-fields".to_owned(), Value::Bool(true));
        }
        None => {}
    }
    whole.insert("properties".to_owned(), Value::Object(all));
    intersect_required(whole, a, b);
}

/// Removes the default of `property`, a field that only one variant has. With the default, the server would add the
/// field to objects of other variants.
fn without_default(mut property: Value) -> Value {
    if let Value::Object(property) = &mut property {
        property.remove("default");
    }
    property
}

/// Sets `required` of `whole` to the properties that both variants require.
fn intersect_required(whole: &mut JsonObject, a: &JsonObject, b: &JsonObject) {
    let list =
        |node: &JsonObject| node.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let other = list(b);
    let both: Vec<Value> = list(a).into_iter().filter(|name| other.contains(name)).collect();
    if both.is_empty() {
        whole.remove("required");
    } else {
        whole.insert("required".to_owned(), Value::Array(both));
    }
}

/// Reports a problem if `a` and `b` have different validation rules (`x-kubernetes-validations`), because a
/// structural schema cannot contain rules inside of `oneOf`.
fn report_unequal_rules(rewriter: &mut Rewriter, whole: &JsonObject, a: &JsonObject, b: &JsonObject) {
    let key = "x-kubernetes-validations";
    if !whole.contains_key(key) && (a.contains_key(key) || b.contains_key(key)) {
        rewriter.report(
            "the validation rules of one variant cannot apply to all variants",
            "move the rules to the enum, with a condition such as `!has(self.a) || ..`",
        );
    }
}
