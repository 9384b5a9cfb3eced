//! Validation of custom resources against their schema.
//!
//! This module owns the value validations, their order, and their error texts. This module must not change the
//! object. `crate::cel` evaluates the CEL rules.

mod number;

use std::collections::HashMap;

use serde_json::Value;

use super::field_error::FieldError;
use super::format;
use super::node::{AdditionalFields, Kind, ListType, Schema, ValueValidations};
use super::ratchet::Correlation;

/// Validates `object` against `schema` and returns the errors. Errors about list types (`x-kubernetes-list-type`), such
/// as a duplicate in a set, come last.
pub(crate) fn validate(schema: &Schema, object: &Value) -> Vec<FieldError> {
    validate_update(schema, None, object)
}

/// Validates `object`. For an update, `old` is the object before the update. A value for which
/// [`Correlation::is_unchanged`] is true has no errors (validation ratcheting, KEP-4008). If `old` violates a list type,
/// for example by duplicates in a set, the list types of `object` are not checked.
pub(crate) fn validate_update(schema: &Schema, old: Option<&Value>, object: &Value) -> Vec<FieldError> {
    let mut findings = Findings::default();
    let correlation = old.map(|old| Correlation { schema, old, new: object });
    Validator { path: String::new() }.check_correlated(schema, object, correlation, &mut findings);
    let mut errors = findings.errors;
    let has_duplicates = |object: &Value| {
        let mut errors = Vec::new();
        check_list_types("", schema, object, &mut errors);
        !errors.is_empty()
    };
    if !old.is_some_and(has_duplicates) {
        check_list_types("", schema, object, &mut errors);
    }
    errors
}

/// Creates the error for an exceeded `limit`: calls the function `error` with the absolute value of the limit. For a
/// negative limit, the detail of the returned error becomes `negative`, as in the API server.
fn limit_error(limit: i64, negative: &str, error: impl FnOnce(u64) -> FieldError) -> FieldError {
    let mut error = error(limit.unsigned_abs());
    if limit < 0 {
        negative.clone_into(&mut error.detail);
    }
    error
}

/// Whether a length is greater than a limit. Every length exceeds a negative limit.
fn exceeds(length: usize, limit: i64) -> bool {
    i64::try_from(length).is_ok_and(|length| length > limit)
}

/// The errors of one value, and the number of completed checks. If a value matches no subschema of `anyOf` or `oneOf`,
/// the server reports the errors of the subschema with the most completed checks.
#[derive(Default)]
struct Findings {
    errors: Vec<FieldError>,
    checks: usize,
}

impl Findings {
    fn merge(&mut self, other: Findings) {
        self.errors.extend(other.errors);
        self.checks += other.checks;
    }
}

/// Validates an object. `path` is the path of the current field.
struct Validator {
    path: String,
}

impl Validator {
    fn check_value(&mut self, schema: &Schema, value: &Value, out: &mut Findings) {
        self.check_correlated(schema, value, None, out);
    }

    /// Validates a value. For an update, `correlation` has the old value, if there is one. A value that the update does
    /// not change has no errors.
    fn check_correlated(
        &mut self,
        schema: &Schema,
        value: &Value,
        correlation: Option<Correlation<'_>>,
        out: &mut Findings,
    ) {
        let error_count = out.errors.len();
        self.check_with_ratcheting_of_children(schema, value, correlation, out);
        if out.errors.len() > error_count && correlation.is_some_and(Correlation::is_unchanged) {
            out.errors.truncate(error_count);
        }
    }

    /// Validates a value. Ratcheting does not apply to the value itself: its errors are reported even if the update does
    /// not change the value. Ratcheting applies to the fields and items of the value, except in the subschemas of logical
    /// junctors.
    fn check_with_ratcheting_of_children(
        &mut self,
        schema: &Schema,
        value: &Value,
        correlation: Option<Correlation<'_>>,
        out: &mut Findings,
    ) {
        let validations = &schema.validations;
        self.check_type(schema, value, out);
        if value.is_null() {
            self.check_enumeration(validations, value, out);
            return;
        }
        self.check_logical_junctors(validations, value, out);
        match value {
            Value::String(text) => self.check_string(schema, text, out),
            Value::Number(_) => number::check(schema, value, &self.path, out),
            Value::Array(items) => self.check_list(schema, items, correlation, out),
            _ => {}
        }
        self.check_enumeration(validations, value, out);
        if let Value::Object(map) = value {
            self.check_object(schema, map, correlation, out);
        }
        out.checks += 2;
    }

    /// The path of the current field in the form that errors use; empty for the root.
    fn field_path(&self) -> &str {
        self.path.trim_start_matches('.')
    }

    /// Validates a field or an item. `step` is the name of the field, or the index of the item in brackets.
    fn check_child(
        &mut self,
        step: &str,
        schema: &Schema,
        value: &Value,
        correlation: Option<Correlation<'_>>,
        out: &mut Findings,
    ) {
        let length = self.path.len();
        if !self.path.is_empty() && !step.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(step);
        self.check_correlated(schema, value, correlation, out);
        self.path.truncate(length);
    }

    fn check_type(&self, schema: &Schema, value: &Value, out: &mut Findings) {
        let format = format::validated_format(schema);
        let expected = if schema.is_reference() { "" } else { schema_type_name(schema.kind()) };
        let (found, found_format) = type_and_format_of(value);
        let wrong = |expected: &str, found: &str| {
            let detail = format!("{} in body must be of type {expected}: \"{found}\"", self.path);
            FieldError::type_invalid(self.field_path(), found, detail)
        };
        if value.is_null() {
            if !expected.is_empty() && !schema.nullable {
                out.errors.push(wrong(expected, "null"));
            }
            return;
        }
        if expected.is_empty() && format.is_none() {
            return;
        }
        let whole = value.as_f64().is_some_and(number::is_whole);
        let fits = match schema.kind() {
            Kind::Any => true,
            Kind::IntOrString => found == "string" || (found == "integer" || found == "number") && whole,
            Kind::Number => found == "number" || found == "integer",
            Kind::Integer => found == "integer" || found == "number" && whole,
            _ => found == expected,
        };
        match format {
            Some(format) if !fits && !matches!(value, Value::String(_) | Value::Array(_)) => {
                out.errors.push(wrong(format, found_format));
            }
            // For a string, `check_string` validates the format.
            Some(_) if matches!(schema.kind(), Kind::String | Kind::Any) && found == "string" => {}
            _ if !fits => out.errors.push(wrong(expected, found)),
            _ => out.checks += 1,
        }
    }

    fn check_logical_junctors(&mut self, validations: &ValueValidations, value: &Value, out: &mut Findings) {
        let path = self.path.clone();
        let report = |out: &mut Findings, detail: String| {
            out.errors.push(FieldError::invalid("", "", format!("\"{path}\" {detail}")));
        };
        if !validations.any_of.is_empty() {
            let (valid, best) = self.check_alternatives(&validations.any_of, value);
            if valid == 0 {
                report(out, "must validate at least one schema (anyOf)".to_owned());
            }
            out.merge(best);
        }
        if !validations.one_of.is_empty() {
            let (valid, best) = self.check_alternatives(&validations.one_of, value);
            if valid != 1 {
                let found = match valid {
                    0 => "Found none valid".to_owned(),
                    many => format!("Found {many} valid alternatives"),
                };
                report(out, format!("must validate one and only one schema (oneOf). {found}"));
            }
            out.merge(best);
        }
        if !validations.all_of.is_empty() {
            let mut valid = 0;
            for schema in &validations.all_of {
                let one = self.validate_nested(schema, value);
                valid += usize::from(one.errors.is_empty());
                out.merge(one);
            }
            if valid != validations.all_of.len() {
                let none = if valid == 0 { ". None validated" } else { "" };
                report(out, format!("must validate all the schemas (allOf){none}"));
            }
        }
        if let Some(not) = &validations.not
            && self.validate_nested(not, value).errors.is_empty()
        {
            report(out, "must not validate the schema (not)".to_owned());
        }
        out.checks += 1;
    }

    /// Returns the number of subschemas that the value matches. If it matches none, also returns the errors of the
    /// subschema with the most completed checks.
    fn check_alternatives(&mut self, schemas: &[Schema], value: &Value) -> (usize, Findings) {
        let mut valid = 0;
        let mut best: Option<Findings> = None;
        for schema in schemas {
            let one = self.validate_nested(schema, value);
            if one.errors.is_empty() {
                valid += 1;
            } else if best.as_ref().is_none_or(|best| one.checks > best.checks) {
                best = Some(one);
            }
        }
        (valid, if valid == 0 { best.unwrap_or_default() } else { Findings::default() })
    }

    /// Validates a value against a subschema of a logical junctor.
    fn validate_nested(&mut self, schema: &Schema, value: &Value) -> Findings {
        let mut out = Findings::default();
        self.check_value(schema, value, &mut out);
        out
    }

    fn check_string(&self, schema: &Schema, text: &str, out: &mut Findings) {
        let validations = &schema.validations;
        let length = text.chars().count();
        let path = &self.path;
        if let Some(max) = validations.max_length.filter(|max| exceeds(length, *max)) {
            out.errors.push(limit_error(max, "value is too long", |max| {
                FieldError::too_long(self.field_path(), max)
            }));
        } else if let Some(min) = validations.min_length.filter(|min| (length as u64) < *min) {
            let detail = format!("{path} in body should be at least {min} chars long");
            out.errors.push(FieldError::invalid(self.field_path(), text, detail));
        } else if let Some(pattern) = &validations.pattern {
            let matches = pattern.regex.as_ref().is_some_and(|regex| regex.is_match(text));
            if !matches {
                let detail = format!("{path} in body should match '{}'", pattern.source);
                out.errors.push(FieldError::invalid(self.field_path(), text, detail));
            }
        }
        if let Some(format) = format::validated_format(schema).filter(|format| !format::accepts(format, text))
        {
            let detail = format!("{path} in body must be of type {format}: {}", super::quote(text));
            out.errors.push(FieldError::type_invalid(self.field_path(), text, detail));
        }
        out.checks += 1;
    }

    fn check_list(
        &mut self,
        schema: &Schema,
        items: &[Value],
        correlation: Option<Correlation<'_>>,
        out: &mut Findings,
    ) {
        if let Some(schema) = schema.items() {
            for (index, item) in items.iter().enumerate() {
                let correlation = correlation.and_then(|of| of.item(index));
                self.check_child(&format!("[{index}]"), schema, item, correlation, out);
            }
        }
        let count = items.len() as u64;
        if let Some(min) = schema.validations.min_items.filter(|min| count < *min) {
            let detail = format!("{} in body should have at least {min} items", self.path);
            out.errors.push(FieldError::invalid(self.field_path(), count, detail));
        }
        if let Some(max) = schema.validations.max_items.filter(|max| exceeds(items.len(), *max)) {
            out.errors.push(limit_error(max, "has too many items", |max| {
                FieldError::too_many(self.field_path(), count, max)
            }));
        }
        if schema.validations.unique_items
            && items.iter().enumerate().any(|(i, item)| items[..i].contains(item))
        {
            let detail = format!("{} in body shouldn't contain duplicates", self.path);
            out.errors.push(FieldError::invalid(self.field_path(), "", detail));
        }
        out.checks += 1;
    }

    fn check_enumeration(&self, validations: &ValueValidations, value: &Value, out: &mut Findings) {
        if validations.enumeration.is_empty() || validations.enumeration.contains(value) {
            return;
        }
        let texts: Vec<String> = validations
            .enumeration
            .iter()
            .map(|allowed| allowed.as_str().map_or_else(|| allowed.to_string(), str::to_owned))
            .collect();
        let supported: Vec<&str> = texts.iter().map(String::as_str).collect();
        out.errors.push(FieldError::not_supported(self.field_path(), value.clone(), &supported));
    }

    fn check_object(
        &mut self,
        schema: &Schema,
        map: &serde_json::Map<String, Value>,
        correlation: Option<Correlation<'_>>,
        out: &mut Findings,
    ) {
        let count = map.len() as u64;
        if let Some(min) = schema.validations.min_properties.filter(|min| count < *min) {
            let detail = format!("{} in body should have at least {min} properties", self.path);
            out.errors.push(FieldError::invalid(self.field_path(), count, detail));
        }
        if let Some(max) = schema.validations.max_properties.filter(|max| exceeds(map.len(), *max)) {
            out.errors.push(limit_error(max, "has too many items", |max| {
                FieldError::too_many(self.field_path(), count, max)
            }));
        }
        // In the schema of a custom resource, only `metadata` refers to a component. This component is
        // `ObjectMeta`, which other code validates. For `metadata`, `own` contains only the restrictions that
        // the schema adds to `ObjectMeta`.
        let own = schema.own_properties();
        for (name, value) in map {
            let correlation = correlation.and_then(|of| of.field(name));
            if let Some(property) = own.get(name.as_str()) {
                self.check_child(name, property, value, correlation, out);
            } else if let (AdditionalFields::Denied, false) =
                (schema.additional_fields(), schema.is_reference())
            {
                let detail = format!("{}.{name} in body is a forbidden property", self.path);
                out.errors.push(FieldError::invalid(self.field_path(), name.as_str(), detail));
            } else if let (AdditionalFields::Of(entry), false) =
                (schema.additional_fields(), schema.is_reference())
            {
                self.check_child(name, entry, value, correlation, out);
            }
        }
        for name in schema.required.iter().filter(|name| !map.contains_key(&***name)) {
            let field = format!("{}.{name}", self.path);
            out.errors.push(FieldError::required(field.trim_start_matches('.'), ""));
        }
    }
}

/// Checks that no list of type `set` repeats a value, and no list of type `map` repeats a key.
fn check_list_types(path: &str, schema: &Schema, value: &Value, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(map) if !schema.is_reference() => {
            for (name, value) in map {
                let Some(entry) = schema.field(name) else { continue };
                let path = match (schema.property(name), path.is_empty()) {
                    (None, _) => format!("{path}[{name}]"),
                    (Some(_), true) => name.clone(),
                    (Some(_), false) => format!("{path}.{name}"),
                };
                check_list_types(&path, entry, value, errors);
            }
        }
        Value::Array(items) => {
            match schema.list_type {
                Some(ListType::Set) => {
                    report_duplicates(path, &normalize_numbers_in_composite_items(items), errors);
                }
                Some(ListType::Map) => check_list_map_keys(path, schema, items, errors),
                _ => {}
            }
            let Some(schema) = schema.items() else { return };
            for (index, item) in items.iter().enumerate() {
                check_list_types(&format!("{path}[{index}]"), schema, item, errors);
            }
        }
        _ => {}
    }
}

/// Checks that each item of a list of type `map` is an object or null, and that no two items have the same key.
fn check_list_map_keys(path: &str, schema: &Schema, items: &[Value], errors: &mut Vec<FieldError>) {
    if let Some(index) = items.iter().position(|item| !item.is_object() && !item.is_null()) {
        let detail = "must be an object for an array of list-type map";
        errors.push(FieldError::invalid(format!("{path}[{index}]"), items[index].clone(), detail));
        return;
    }
    let key = |item: &Value| -> Value {
        let fields = schema.list_keys().iter();
        fields.filter_map(|field| Some((field.to_string(), item.get(&**field)?.clone()))).collect()
    };
    report_duplicates(path, &items.iter().map(key).collect::<Vec<_>>(), errors);
}

/// Returns the items of a set as the server compares them. The server serializes items that are lists or objects, so
/// that `1.0` equals `1` inside of these items. It compares scalar items unchanged.
fn normalize_numbers_in_composite_items(items: &[Value]) -> Vec<Value> {
    let normalize = |item: &Value| {
        let mut item = item.clone();
        if item.is_array() || item.is_object() {
            super::normalize_numbers(&mut item);
        }
        item
    };
    items.iter().map(normalize).collect()
}

/// Reports each duplicate value only once, at the index of its second occurrence, as the server does.
fn report_duplicates(path: &str, values: &[Value], errors: &mut Vec<FieldError>) {
    let mut counts: HashMap<&Value, usize> = HashMap::new();
    for (index, value) in values.iter().enumerate() {
        let count = counts.entry(value).or_default();
        *count += 1;
        if *count == 2 {
            errors.push(FieldError::duplicate(format!("{path}[{index}]"), value.clone()));
        }
    }
}

/// The type that a schema specifies, as the errors of the server print it.
fn schema_type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Any => "",
        Kind::Object => "object",
        Kind::Array => "array",
        Kind::String => "string",
        Kind::Integer => "integer",
        Kind::Number => "number",
        Kind::Boolean => "boolean",
        Kind::IntOrString => "integer,string",
    }
}

/// The type and format of a value, as the server's errors print them.
pub(super) fn type_and_format_of(value: &Value) -> (&'static str, &'static str) {
    match value {
        Value::Null => ("null", ""),
        Value::Bool(_) => ("boolean", ""),
        // Go parses an integer outside of int64 as a float64.
        Value::Number(number) if number.as_i64().is_none() => ("number", "float64"),
        Value::Number(_) => ("integer", "int64"),
        Value::String(_) => ("string", ""),
        Value::Array(_) => ("array", ""),
        Value::Object(_) => ("object", ""),
    }
}

#[cfg(test)]
mod tests;
