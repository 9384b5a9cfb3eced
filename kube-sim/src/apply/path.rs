//! Path elements of field sets.
//!
//! This module owns the four kinds of path elements, their order, and their two formats: in conflicts (`.spec`,
//! `[name="a"]`) and in `FieldsV1` (`f:spec`, `k:{"name":"a"}`).

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Map, Value};

/// A path element.
#[derive(Debug, Clone)]
pub(crate) enum Element {
    /// A field of an object.
    Field(String),
    /// The list item whose key fields have these values.
    Key(Map<String, Value>),
    /// The list item that equals this value, in a list without duplicates.
    Value(Value),
    /// The list item at this index.
    Index(i64),
}

impl Element {
    /// The element in the format of `FieldsV1`, such as `f:spec`.
    pub(crate) fn to_fields_v1(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(key) => format!("k:{}", Value::Object(key.clone())),
            Self::Value(value) => format!("v:{value}"),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    /// Parses an element in the format of `FieldsV1`; `None` if the kind of the element is unknown.
    ///
    /// # Errors
    /// The kind of the element is missing, or an element of a known kind is malformed.
    pub(crate) fn of_fields_v1(text: &str) -> Result<Option<Self>, String> {
        let Some((kind, rest)) = text.split_once(':') else {
            return Err(format!("missing colon: {text}"));
        };
        let malformed = |error: &dyn fmt::Display| format!("{text}: {error}");
        Ok(Some(match kind {
            "f" => Self::Field(rest.to_owned()),
            "k" => match serde_json::from_str(rest).map_err(|error| malformed(&error))? {
                Value::Object(key) => Self::Key(key),
                _ => return Err(malformed(&"a key must be an object")),
            },
            "v" => Self::Value(serde_json::from_str(rest).map_err(|error| malformed(&error))?),
            "i" => Self::Index(rest.parse().map_err(|error| malformed(&error))?),
            _ => return Ok(None),
        }))
    }

    /// The position of this kind of element in the order of elements.
    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(key) => {
                let fields: Vec<String> = key.iter().map(|(name, value)| format!("{name}={value}")).collect();
                write!(f, "[{}]", fields.join(","))
            }
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Element {}

impl PartialOrd for Element {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Element {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(left), Self::Field(right)) => left.cmp(right),
            (Self::Key(left), Self::Key(right)) => compare_maps(left, right),
            (Self::Value(left), Self::Value(right)) => compare_values(left, right),
            (Self::Index(left), Self::Index(right)) => left.cmp(right),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

/// The order of values: numbers, strings, booleans, lists, maps, null. Two `i64` are compared as integers, all other
/// numbers as `f64`, so that `1` equals `1.0`.
pub(super) fn compare_values(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => left.as_f64().unwrap_or(f64::NAN).total_cmp(&right.as_f64().unwrap_or(f64::NAN)),
        },
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Array(left), Value::Array(right)) => {
            let mut pairs = left.iter().zip(right).map(|(left, right)| compare_values(left, right));
            pairs.find(|order| order.is_ne()).unwrap_or_else(|| left.len().cmp(&right.len()))
        }
        (Value::Object(left), Value::Object(right)) => compare_maps(left, right),
        _ => value_rank(left).cmp(&value_rank(right)),
    }
}

fn compare_maps(left: &Map<String, Value>, right: &Map<String, Value>) -> Ordering {
    let entry = |((a, x), (b, y)): ((&String, &Value), (&String, &Value))| {
        a.cmp(b).then_with(|| compare_values(x, y))
    };
    let mut pairs = left.iter().zip(right).map(entry);
    pairs.find(|order| order.is_ne()).unwrap_or_else(|| left.len().cmp(&right.len()))
}

/// Whether two values are equal in the order of [`compare_values`].
pub(super) fn is_same_value(left: &Value, right: &Value) -> bool {
    compare_values(left, right).is_eq()
}

/// The position of the type of `value` in the order of [`compare_values`].
fn value_rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn elements_convert_to_conflict_text_and_to_fields_v1_and_back() {
        let key = json!({"protocol": "TCP", "containerPort": 80}).as_object().unwrap().clone();
        let cases = [
            (Element::Field("a.b".into()), "f:a.b", ".a.b"),
            (
                Element::Key(key),
                r#"k:{"containerPort":80,"protocol":"TCP"}"#,
                r#"[containerPort=80,protocol="TCP"]"#,
            ),
            (Element::Value(json!("x")), "v:\"x\"", "[=\"x\"]"),
            (Element::Value(json!(1)), "v:1", "[=1]"),
            (Element::Index(3), "i:3", "[3]"),
        ];
        for (element, fields, text) in cases {
            assert_eq!(element.to_fields_v1(), fields);
            assert_eq!(element.to_string(), text);
            assert_eq!(Element::of_fields_v1(fields).unwrap(), Some(element));
        }
        assert_eq!(Element::of_fields_v1("z:future").unwrap(), None);
        for bad in ["spec", "k:[1]", "v:", "i:x"] {
            assert!(Element::of_fields_v1(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_order_is_fields_then_keys_then_values_then_indices() {
        let mut elements = [
            Element::Index(0),
            Element::Value(json!("a")),
            Element::Value(json!(2)),
            Element::Key(Map::new()),
            Element::Field("z".into()),
            Element::Field("a".into()),
        ];
        elements.sort();
        let text: Vec<String> = elements.iter().map(ToString::to_string).collect();
        assert_eq!(text, [".a", ".z", "[]", "[=2]", "[=\"a\"]", "[0]"]);
    }

    #[test]
    fn integers_equal_floats_of_the_same_value() {
        assert!(is_same_value(&json!({"a": [1, 2.0]}), &json!({"a": [1.0, 2]})));
        assert!(!is_same_value(&json!(1), &json!("1")));
        assert!(!is_same_value(&json!({"a": 1}), &json!({"a": 1, "b": 2})));
    }
}
