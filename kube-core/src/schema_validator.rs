//! Validates a value against a structural schema, as an API server does. This module must not evaluate CEL expressions:
//! `cel_validator` evaluates them.

use std::collections::HashMap;

use jiff::civil::Date;
use regex::Regex;
use serde_json::{Map, Number, Value};

use super::Reason;
use super::validation_error::{ErrorKind, ValidationError};

/// A schema or subschema: the JSON object with its keywords.
type SchemaObject = Map<String, Value>;

/// The compiled patterns of a schema, by their text; `None` for a pattern that the crate `regex` does not support.
pub(super) type Patterns = HashMap<String, Option<Regex>>;

pub(super) fn compile_patterns(schema: &Value) -> Patterns {
    let mut patterns = Patterns::new();
    collect_patterns(schema, &mut patterns);
    patterns
}

fn collect_patterns(schema: &Value, patterns: &mut Patterns) {
    match schema {
        Value::Object(node) => {
            if let Some(pattern) = node.get("pattern").and_then(Value::as_str) {
                patterns.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).ok());
            }
            node.values().for_each(|child| collect_patterns(child, patterns));
        }
        Value::Array(schemas) => schemas.iter().for_each(|child| collect_patterns(child, patterns)),
        _ => {}
    }
}

/// Validates one value, and collects the errors.
pub(super) struct SchemaValidator<'p> {
    patterns: &'p Patterns,
    errors: Vec<ValidationError>,
    /// Whether one of the errors makes an API server skip the validation rules (`x-kubernetes-validations`).
    is_blocked: bool,
}

/// The effect of a schema violation: whether the server still evaluates the validation rules.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// This violation does not prevent the evaluation of the validation rules.
    RulesRun,
    /// Because of this violation, the server skips the validation rules.
    RulesSkipped,
}

impl<'p> SchemaValidator<'p> {
    pub(super) fn new(patterns: &'p Patterns) -> Self {
        Self { patterns, errors: Vec::new(), is_blocked: false }
    }

    /// Validates a value from which `without_disallowed_nulls` has removed nulls. Returns the errors, and whether the
    /// server would skip the validation rules because of these errors.
    pub(super) fn validate(mut self, schema: &Value, value: &Value) -> (Vec<ValidationError>, bool) {
        self.check_value(schema, value, "");
        (self.errors, self.is_blocked)
    }

    fn report(&mut self, path: &str, reason: Reason, effect: Effect, message: String) {
        self.is_blocked |= effect == Effect::RulesSkipped;
        let error = ValidationError {
            rule: String::new(),
            message,
            field_path: path.to_owned(),
            reason,
            kind: ErrorKind::SchemaViolation,
        };
        self.errors.push(error);
    }

    fn report_invalid_value(&mut self, path: &str, message: String) {
        self.report(path, Reason::FieldValueInvalid, Effect::RulesRun, message);
    }

    fn check_value(&mut self, schema: &Value, value: &Value, path: &str) {
        let Some(node) = schema.as_object() else { return };
        if value.is_null() && is_nullable(node) {
            // For null in a nullable field, the server checks only `enum`.
            self.check_enum(node, value, path);
            return;
        }
        if let Some(expected) = violated_type(node, value) {
            let message = format!("must be of type {expected}: {:?}", type_name(value));
            return self.report(path, Reason::FieldValueInvalid, Effect::RulesSkipped, message);
        }
        self.check_enum(node, value, path);
        match value {
            Value::Object(fields) => self.check_object(node, fields, path),
            Value::Array(items) => self.check_array(node, items, path),
            Value::String(text) => self.check_string(node, text, path),
            Value::Number(number) => self.check_number(node, number, path),
            Value::Null | Value::Bool(_) => {}
        }
        self.check_composition(node, value, path);
    }

    fn check_enum(&mut self, node: &SchemaObject, value: &Value, path: &str) {
        let Some(allowed) = node.get("enum").and_then(Value::as_array) else { return };
        if !allowed.iter().any(|allowed| is_equal(allowed, value)) {
            let allowed: Vec<_> = allowed.iter().map(ToString::to_string).collect();
            let message = format!("unsupported value: supported values: {}", allowed.join(", "));
            self.report(path, Reason::FieldValueInvalid, Effect::RulesSkipped, message);
        }
    }

    fn check_object(&mut self, node: &SchemaObject, fields: &Map<String, Value>, path: &str) {
        self.check_size(node, fields.len(), ["minProperties", "maxProperties"], "properties", path);
        let embedded: &[&str] =
            if has_flag(node, "x-kubernetes-embedded-resource") { &["apiVersion", "kind"] } else { &[] };
        let required = node.get("required").and_then(Value::as_array).into_iter().flatten();
        let required = required.filter_map(Value::as_str).chain(embedded.iter().copied());
        for name in required.filter(|name| !fields.contains_key(*name)) {
            let message = "required value".to_owned();
            self.report(&field_path(path, name), Reason::FieldValueRequired, Effect::RulesSkipped, message);
        }
        let properties = node.get("properties").and_then(Value::as_object);
        let values = node.get("additionalProperties");
        for (name, field) in fields {
            let property = properties.and_then(|properties| properties.get(name));
            if let Some(schema) = property.or(values.filter(|values| values.is_object())) {
                self.check_value(schema, field, &field_path(path, name));
            } else if values == Some(&Value::Bool(false)) {
                let message = "forbidden property".to_owned();
                self.report(&field_path(path, name), Reason::FieldValueForbidden, Effect::RulesRun, message);
            }
        }
    }

    fn check_array(&mut self, node: &SchemaObject, items: &[Value], path: &str) {
        self.check_size(node, items.len(), ["minItems", "maxItems"], "items", path);
        if let Some(schema) = node.get("items") {
            for (index, item) in items.iter().enumerate() {
                self.check_value(schema, item, &format!("{path}[{index}]"));
            }
        }
        let keys: Vec<&str> = match node.get("x-kubernetes-list-type").and_then(Value::as_str) {
            Some("set") => vec![],
            Some("map") => {
                let keys = node.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
                keys.into_iter().flatten().filter_map(Value::as_str).collect()
            }
            _ => return,
        };
        let is_same = |a: &Value, b: &Value| match keys.as_slice() {
            [] => is_equal(a, b),
            keys => keys.iter().all(|key| is_equal(&a[key], &b[key])),
        };
        for (index, item) in items.iter().enumerate() {
            if items[..index].iter().any(|earlier| is_same(earlier, item)) {
                let message = "duplicate value".to_owned();
                let path = format!("{path}[{index}]");
                self.report(&path, Reason::FieldValueDuplicate, Effect::RulesRun, message);
            }
        }
    }

    fn check_string(&mut self, node: &SchemaObject, text: &str, path: &str) {
        self.check_size(node, text.chars().count(), ["minLength", "maxLength"], "characters", path);
        if let Some(pattern) = node.get("pattern").and_then(Value::as_str) {
            match self.patterns.get(pattern) {
                Some(Some(regex)) if regex.is_match(text) => {}
                Some(Some(_)) => self.report_invalid_value(path, format!("should match '{pattern}'")),
                _ => self.errors.push(ValidationError {
                    rule: String::new(),
                    message: format!("not evaluated: the pattern '{pattern}' has syntax of Go only"),
                    field_path: path.to_owned(),
                    reason: Reason::FieldValueInvalid,
                    kind: ErrorKind::NotEvaluated,
                }),
            }
        }
        if let Some(format) = node.get("format").and_then(Value::as_str)
            && !is_valid_for_format(format, text)
        {
            self.report_invalid_value(path, format!("must be of type {format}"));
        }
    }

    /// Checks a size against its bounds. A size above its maximum prevents the evaluation of the rules.
    fn check_size(
        &mut self,
        node: &SchemaObject,
        size: usize,
        [min, max]: [&str; 2],
        what: &str,
        path: &str,
    ) {
        let bound =
            |key: &str| node.get(key).and_then(Value::as_u64).and_then(|bound| usize::try_from(bound).ok());
        if let Some(bound) = bound(min).filter(|bound| size < *bound) {
            self.report_invalid_value(path, format!("should have at least {bound} {what}"));
        }
        if let Some(bound) = bound(max).filter(|bound| size > *bound) {
            let message = format!("must have at most {bound} {what}");
            self.report(path, Reason::FieldValueInvalid, Effect::RulesSkipped, message);
        }
    }

    fn check_number(&mut self, node: &SchemaObject, number: &Number, path: &str) {
        if let Some(format) = violated_format(node, number) {
            return self.report_invalid_value(path, format!("must be within the range of {format}"));
        }
        let Some(value) = number.as_f64() else { return };
        let bound = |key: &str| node.get(key).and_then(Value::as_f64);
        if let Some(minimum) = bound("minimum") {
            let is_exclusive = has_flag(node, "exclusiveMinimum");
            if value < minimum || is_exclusive && value <= minimum {
                let or_equal = if is_exclusive { "" } else { " or equal to" };
                self.report_invalid_value(path, format!("should be greater than{or_equal} {minimum}"));
            }
        }
        if let Some(maximum) = bound("maximum") {
            let is_exclusive = has_flag(node, "exclusiveMaximum");
            if value > maximum || is_exclusive && value >= maximum {
                let or_equal = if is_exclusive { "" } else { " or equal to" };
                self.report_invalid_value(path, format!("should be less than{or_equal} {maximum}"));
            }
        }
        if let Some(factor) = bound("multipleOf")
            && !is_multiple(value, factor)
        {
            self.report_invalid_value(path, format!("should be a multiple of {factor}"));
        }
    }

    fn check_composition(&mut self, node: &SchemaObject, value: &Value, path: &str) {
        let schemas = |key: &str| node.get(key).and_then(Value::as_array).map(Vec::as_slice);
        for schema in schemas("allOf").unwrap_or_default() {
            self.check_value(schema, value, path);
        }
        let matches =
            |schemas: &[Value]| schemas.iter().filter(|schema| self.is_valid(schema, value)).count();
        let any = schemas("anyOf").map(matches);
        let one = schemas("oneOf").map(matches);
        let not = node.get("not").is_some_and(|schema| self.is_valid(schema, value));
        if any == Some(0) {
            self.report_invalid_value(path, "must validate at least one schema (anyOf)".to_owned());
        }
        if one.is_some_and(|valid| valid != 1) {
            self.report_invalid_value(path, "must validate one and only one schema (oneOf)".to_owned());
        }
        if not {
            self.report_invalid_value(path, "must not validate the schema (not)".to_owned());
        }
    }

    fn is_valid(&self, schema: &Value, value: &Value) -> bool {
        SchemaValidator::new(self.patterns).validate(schema, value).0.is_empty()
    }
}

/// Removes the nulls of fields that are not nullable, as the server does before it validates.
pub(super) fn without_disallowed_nulls(schema: &Value, value: Value) -> Value {
    match (schema, value) {
        (Value::Object(node), Value::Object(fields)) => {
            let properties = node.get("properties").and_then(Value::as_object);
            let values = node.get("additionalProperties").filter(|values| values.is_object());
            let kept = fields.into_iter().filter_map(|(name, field)| {
                let schema = properties.and_then(|properties| properties.get(&name)).or(values);
                match schema {
                    Some(schema) if field.is_null() && !schema.as_object().is_some_and(is_nullable) => None,
                    Some(schema) => Some((name, without_disallowed_nulls(schema, field))),
                    None => Some((name, field)),
                }
            });
            Value::Object(kept.collect())
        }
        (Value::Object(node), Value::Array(items)) => {
            let Some(schema) = node.get("items") else { return Value::Array(items) };
            Value::Array(items.into_iter().map(|item| without_disallowed_nulls(schema, item)).collect())
        }
        (_, value) => value,
    }
}

fn is_nullable(node: &SchemaObject) -> bool {
    has_flag(node, "nullable")
}

fn has_flag(node: &SchemaObject, key: &str) -> bool {
    node.get(key) == Some(&Value::Bool(true))
}

/// The path of the field `name` of the value at `path`.
fn field_path(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The type of the schema, if the value has another type.
fn violated_type(node: &SchemaObject, value: &Value) -> Option<String> {
    if has_flag(node, "x-kubernetes-int-or-string") {
        return (!value.is_string() && !is_integer(value)).then(|| "integer,string".to_owned());
    }
    let expected = node.get("type").and_then(Value::as_str)?;
    let is_valid = match expected {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => is_integer(value),
        _ => true,
    };
    (!is_valid).then(|| expected.to_owned())
}

/// Whether the server treats `value` as a multiple of `factor`. The server tolerates a relative error of
/// 10^-9. For a factor below 1, the server multiplies by the reciprocal.
fn is_multiple(value: f64, factor: f64) -> bool {
    let quotient = if factor < 1.0 { 1.0 / factor * value } else { value / factor };
    (quotient - quotient.round()).abs() <= 1e-9 * quotient.abs().max(1.0)
}

/// Whether a value is a number without a fraction. As on the server, `3.0` is an integer.
fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if is_integer(value) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The integer format whose range does not contain the number; `None` if the number is in range. A node of
/// the type `integer` has the range of `int64`, unless its format is `int32`, `uint32` or `uint64`. A node of
/// any other type has a range only if its format is one of these three formats.
fn violated_format(node: &SchemaObject, number: &Number) -> Option<&'static str> {
    let is_integer = node.get("type").and_then(Value::as_str) == Some("integer");
    let format = node.get("format").and_then(Value::as_str);
    let (name, range) = match format {
        Some("int32") => ("int32", i128::from(i32::MIN)..=i128::from(i32::MAX)),
        Some("uint32") => ("uint32", 0..=i128::from(u32::MAX)),
        Some("uint64") => ("uint64", 0..=i128::from(u64::MAX)),
        _ if is_integer => ("int64", i128::from(i64::MIN)..=i128::from(i64::MAX)),
        _ => return None,
    };
    let value = match (number.as_i64(), number.as_u64()) {
        (Some(value), _) => i128::from(value),
        (None, Some(value)) => i128::from(value),
        #[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
        (None, None) => number.as_f64()? as i128,
    };
    (!range.contains(&value)).then_some(name)
}

/// Whether two values are equal, as the server compares them: `1` equals `1.0`.
fn is_equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        (Value::Array(x), Value::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| is_equal(x, y))
        }
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(name, x)| y.get(name).is_some_and(|y| is_equal(x, y)))
        }
        _ => a == b,
    }
}

/// Whether a text is valid for `format`. Every text is valid for a format that this module does not know.
fn is_valid_for_format(format: &str, text: &str) -> bool {
    match format {
        "date" => is_date(text),
        "date-time" => is_date_time(text),
        "uuid" => is_uuid(text),
        _ => true,
    }
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<Date>().is_ok()
}

/// Whether the text is a date, `T`, and a time with an offset. As on the server, the offset may be out of range, such
/// as `+99:99`.
fn is_date_time(text: &str) -> bool {
    let Some((date, time)) = text.split_once(['T', 't']) else { return false };
    let Some((hours, rest)) = time.split_at_checked(8) else { return false };
    let is_time =
        hours.char_indices().all(|(at, c)| if at == 2 || at == 5 { c == ':' } else { c.is_ascii_digit() });
    let in_range = |range: std::ops::Range<usize>, max: u8| {
        hours.get(range).and_then(|part| part.parse::<u8>().ok()).is_some_and(|part| part <= max)
    };
    let rest = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => {
            let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
            if end == 0 {
                return false;
            }
            &fraction[end..]
        }
    };
    let is_offset = matches!(rest, "Z" | "z")
        || rest.len() == 6
            && rest.char_indices().all(|(at, c)| match at {
                0 => matches!(c, '+' | '-'),
                3 => c == ':',
                _ => c.is_ascii_digit(),
            });
    is_date(date) && is_time && in_range(0..2, 23) && in_range(3..5, 59) && in_range(6..8, 59) && is_offset
}

/// Whether the text has hexadecimal digits in groups of 8, 4, 4, 4 and 12, with an optional hyphen between two groups.
fn is_uuid(text: &str) -> bool {
    let mut rest = text;
    for (group, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if group > 0 {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        let Some((digits, next)) = rest.split_at_checked(length) else { return false };
        if !digits.chars().all(|c| c.is_ascii_hexdigit()) {
            return false;
        }
        rest = next;
    }
    rest.is_empty()
}
