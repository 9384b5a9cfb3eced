//! Judges an object of a custom resource by its schema.
//!
//! Owns the order in which constraints are tried and the texts of the complaints, which are those of an API server. It
//! must not change the object, and does not evaluate CEL rules.

mod number;

use serde_json::Value;

use super::field_error::FieldError;
use super::format;
use super::node::{Additional, Kind, ListType, Rules, Schema};

/// Everything about `object` that `schema` does not allow, in the order of the fields' names.
pub(crate) fn validate(schema: &Schema, object: &Value) -> Vec<FieldError> {
    let mut outcome = Outcome::default();
    Validator { path: String::new() }.visit(schema, object, &mut outcome);
    let mut errors = outcome.errors;
    list_types("", schema, object, &mut errors);
    errors
}

/// The complaints about one value, and how many checks were made: of several alternatives that all fail, the one that
/// got furthest is the one to report.
#[derive(Default)]
struct Outcome {
    errors: Vec<FieldError>,
    checks: usize,
}

impl Outcome {
    fn merge(&mut self, other: Outcome) {
        self.errors.extend(other.errors);
        self.checks += other.checks;
    }
}

struct Validator {
    path: String,
}

impl Validator {
    fn visit(&mut self, schema: &Schema, value: &Value, out: &mut Outcome) {
        let rules = &schema.rules;
        self.kind(schema, value, out);
        if value.is_null() {
            self.enumeration(rules, value, out);
            return;
        }
        self.combinations(rules, value, out);
        match value {
            Value::String(text) => self.text(schema, text, out),
            Value::Number(_) => number::check(schema, value, &self.path, out),
            Value::Array(items) => self.list(schema, items, out),
            _ => {}
        }
        self.enumeration(rules, value, out);
        if let Value::Object(map) = value {
            self.object(schema, map, out);
        }
        out.checks += 2;
    }

    /// A field's path as complaints name it; the root has none.
    fn field(&self) -> &str {
        self.path.trim_start_matches('.')
    }

    fn descend(&mut self, step: &str, schema: &Schema, value: &Value, out: &mut Outcome) {
        let length = self.path.len();
        if !self.path.is_empty() && !step.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(step);
        self.visit(schema, value, out);
        self.path.truncate(length);
    }

    fn kind(&self, schema: &Schema, value: &Value, out: &mut Outcome) {
        let format = format::known(schema);
        let expected = if schema.is_reference() { "" } else { type_name(schema.kind()) };
        let (found, found_format) = type_of(value);
        let wrong = |expected: &str, found: &str| {
            let detail = format!("{} in body must be of type {expected}: \"{found}\"", self.path);
            FieldError::type_invalid(self.field(), found, detail)
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
            // A text with a format is left to the format's own check.
            Some(_) if matches!(schema.kind(), Kind::String | Kind::Any) && found == "string" => {}
            _ if !fits => out.errors.push(wrong(expected, found)),
            _ => out.checks += 1,
        }
    }

    fn combinations(&mut self, rules: &Rules, value: &Value, out: &mut Outcome) {
        let path = self.path.clone();
        let complain = |out: &mut Outcome, detail: String| {
            out.errors.push(FieldError::invalid("", "", format!("\"{path}\" {detail}")));
        };
        if !rules.any_of.is_empty() {
            let (valid, best) = self.alternatives(&rules.any_of, value);
            if valid == 0 {
                complain(out, "must validate at least one schema (anyOf)".to_owned());
            }
            out.merge(best);
        }
        if !rules.one_of.is_empty() {
            let (valid, best) = self.alternatives(&rules.one_of, value);
            if valid != 1 {
                let found = match valid {
                    0 => "Found none valid".to_owned(),
                    many => format!("Found {many} valid alternatives"),
                };
                complain(out, format!("must validate one and only one schema (oneOf). {found}"));
            }
            out.merge(best);
        }
        if !rules.all_of.is_empty() {
            let mut valid = 0;
            for schema in &rules.all_of {
                let one = self.alone(schema, value);
                valid += usize::from(one.errors.is_empty());
                out.merge(one);
            }
            if valid != rules.all_of.len() {
                let none = if valid == 0 { ". None validated" } else { "" };
                complain(out, format!("must validate all the schemas (allOf){none}"));
            }
        }
        if let Some(not) = &rules.not
            && self.alone(not, value).errors.is_empty()
        {
            complain(out, "must not validate the schema (not)".to_owned());
        }
        out.checks += 1;
    }

    /// How many alternatives accept the value, and the complaints of the best one where none does.
    fn alternatives(&mut self, schemas: &[Schema], value: &Value) -> (usize, Outcome) {
        let mut valid = 0;
        let mut best: Option<Outcome> = None;
        for schema in schemas {
            let one = self.alone(schema, value);
            if one.errors.is_empty() {
                valid += 1;
            } else if best.as_ref().is_none_or(|best| one.checks > best.checks) {
                best = Some(one);
            }
        }
        (valid, if valid == 0 { best.unwrap_or_default() } else { Outcome::default() })
    }

    fn alone(&mut self, schema: &Schema, value: &Value) -> Outcome {
        let mut out = Outcome::default();
        self.visit(schema, value, &mut out);
        out
    }

    fn text(&self, schema: &Schema, text: &str, out: &mut Outcome) {
        let rules = &schema.rules;
        let length = text.chars().count() as u64;
        let path = &self.path;
        if let Some(max) = rules.max_length.filter(|max| length > *max) {
            out.errors.push(FieldError::too_long(self.field(), max));
        } else if let Some(min) = rules.min_length.filter(|min| length < *min) {
            let detail = format!("{path} in body should be at least {min} chars long");
            out.errors.push(FieldError::invalid(self.field(), text, detail));
        } else if let Some(pattern) = &rules.pattern {
            let matches = pattern.regex.as_ref().is_some_and(|regex| regex.is_match(text));
            if !matches {
                let detail = format!("{path} in body should match '{}'", pattern.source);
                out.errors.push(FieldError::invalid(self.field(), text, detail));
            }
        }
        if let Some(format) = format::known(schema).filter(|format| !format::accepts(format, text)) {
            let detail = format!("{path} in body must be of type {format}: {}", super::quote(text));
            out.errors.push(FieldError::type_invalid(self.field(), text, detail));
        }
        out.checks += 1;
    }

    fn list(&mut self, schema: &Schema, items: &[Value], out: &mut Outcome) {
        if let Some(schema) = schema.items() {
            for (index, item) in items.iter().enumerate() {
                self.descend(&format!("[{index}]"), schema, item, out);
            }
        }
        let count = items.len() as u64;
        if let Some(min) = schema.rules.min_items.filter(|min| count < *min) {
            let detail = format!("{} in body should have at least {min} items", self.path);
            out.errors.push(FieldError::invalid(self.field(), count, detail));
        }
        if let Some(max) = schema.rules.max_items.filter(|max| count > *max) {
            out.errors.push(FieldError::too_many(self.field(), count, max));
        }
        if schema.rules.unique_items && items.iter().enumerate().any(|(i, item)| items[..i].contains(item)) {
            let detail = format!("{} in body shouldn't contain duplicates", self.path);
            out.errors.push(FieldError::invalid(self.field(), "", detail));
        }
        out.checks += 1;
    }

    fn enumeration(&self, rules: &Rules, value: &Value, out: &mut Outcome) {
        if rules.enumeration.is_empty() || rules.enumeration.contains(value) {
            return;
        }
        let texts: Vec<String> = rules
            .enumeration
            .iter()
            .map(|allowed| allowed.as_str().map_or_else(|| allowed.to_string(), str::to_owned))
            .collect();
        let supported: Vec<&str> = texts.iter().map(String::as_str).collect();
        out.errors.push(FieldError::not_supported(self.field(), value.clone(), &supported));
    }

    fn object(&mut self, schema: &Schema, map: &serde_json::Map<String, Value>, out: &mut Outcome) {
        let count = map.len() as u64;
        if let Some(min) = schema.rules.min_properties.filter(|min| count < *min) {
            let detail = format!("{} in body should have at least {min} properties", self.path);
            out.errors.push(FieldError::invalid(self.field(), count, detail));
        }
        if let Some(max) = schema.rules.max_properties.filter(|max| count > *max) {
            out.errors.push(FieldError::too_many(self.field(), count, max));
        }
        // A reference is to the metadata of built-in objects, which are judged elsewhere; only what is written beside it
        // counts here.
        let own = schema.own_properties();
        for (name, value) in map {
            if let Some(property) = own.get(name.as_str()) {
                self.descend(name, property, value, out);
            } else if let (Additional::Denied, false) = (schema.additional(), schema.is_reference()) {
                let detail = format!("{}.{name} in body is a forbidden property", self.path);
                out.errors.push(FieldError::invalid(self.field(), name.as_str(), detail));
            } else if let (Additional::Of(entry), false) = (schema.additional(), schema.is_reference()) {
                self.descend(name, entry, value, out);
            }
        }
        for name in schema.required.iter().filter(|name| !map.contains_key(&***name)) {
            let field = format!("{}.{name}", self.path);
            out.errors.push(FieldError::required(field.trim_start_matches('.'), ""));
        }
    }
}

/// Sets must not repeat a value, lists of type `map` not a key.
fn list_types(path: &str, schema: &Schema, value: &Value, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(map) if !schema.is_reference() => {
            for (name, value) in map {
                let Some(entry) = schema.entry(name) else { continue };
                let path = match (schema.property(name), path.is_empty()) {
                    (None, _) => format!("{path}[{name}]"),
                    (Some(_), true) => name.clone(),
                    (Some(_), false) => format!("{path}.{name}"),
                };
                list_types(&path, entry, value, errors);
            }
        }
        Value::Array(items) => {
            match schema.list_type {
                Some(ListType::Set) => repeated(path, &as_written(items), errors),
                Some(ListType::Map) => list_map(path, schema, items, errors),
                _ => {}
            }
            let Some(schema) = schema.items() else { return };
            for (index, item) in items.iter().enumerate() {
                list_types(&format!("{path}[{index}]"), schema, item, errors);
            }
        }
        _ => {}
    }
}

fn list_map(path: &str, schema: &Schema, items: &[Value], errors: &mut Vec<FieldError>) {
    if let Some(index) = items.iter().position(|item| !item.is_object() && !item.is_null()) {
        let detail = "must be an object for an array of list-type map";
        errors.push(FieldError::invalid(format!("{path}[{index}]"), items[index].clone(), detail));
        return;
    }
    let key = |item: &Value| -> Value {
        let fields = schema.list_keys().iter();
        fields.filter_map(|field| Some((field.to_string(), item.get(&**field)?.clone()))).collect()
    };
    repeated(path, &items.iter().map(key).collect::<Vec<_>>(), errors);
}

/// Lists and objects in a set are compared as Go writes them, where `1.0` is `1`; scalars as they are.
fn as_written(items: &[Value]) -> Vec<Value> {
    let written = |item: &Value| {
        let mut item = item.clone();
        if item.is_array() || item.is_object() {
            super::store_numbers(&mut item);
        }
        item
    };
    items.iter().map(written).collect()
}

/// Reports the second of equal values; further ones are not reported again.
fn repeated(path: &str, values: &[Value], errors: &mut Vec<FieldError>) {
    for index in 0..values.len() {
        let before = values[..index].iter().filter(|value| **value == values[index]).count();
        if before == 1 {
            errors.push(FieldError::duplicate(format!("{path}[{index}]"), values[index].clone()));
        }
    }
}

fn type_name(kind: Kind) -> &'static str {
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

/// The type and format of a value as Go sees it.
fn type_of(value: &Value) -> (&'static str, &'static str) {
    match value {
        Value::Null => ("null", ""),
        Value::Bool(_) => ("boolean", ""),
        // What is beyond int64 is read as a float64.
        Value::Number(number) if number.as_i64().is_none() => ("number", "float64"),
        Value::Number(_) => ("integer", "int64"),
        Value::String(_) => ("string", ""),
        Value::Array(_) => ("array", ""),
        Value::Object(_) => ("object", ""),
    }
}

#[cfg(test)]
mod tests;
