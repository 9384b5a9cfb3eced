//! The values of expressions.
//!
//! This module owns the values and their construction from JSON. A list, map or object that has a schema borrows its
//! JSON: a rule on a large object converts only the fields that the rule uses.

mod compare;
mod message;

use std::net::IpAddr;
use std::rc::Rc;

use jiff::civil::DateTime;
use serde_json::{Map, Value};

use super::authorization::Authorization;
use super::declared_types::{DeclaredType, ListType, Shape};
use super::library::{cidr::Cidr, semver::Semver, time, url::Url};
use crate::schema::parse_quantity;

pub(super) use message::Message;

/// The reason why the evaluation of an expression fails.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Failure {
    /// An error of the expression, such as `no such key: a`.
    Error(Rc<str>),
    /// The cost limit of the evaluation is exceeded. This failure ends the evaluation even if an operand of `||` is
    /// true.
    CostExceeded,
}

impl Failure {
    pub(super) fn new(message: impl AsRef<str>) -> Self {
        Self::Error(message.as_ref().into())
    }

    /// The failure of a call whose arguments fit no overload of the operator or function.
    pub(super) fn no_such_overload() -> Self {
        Self::new("no such overload")
    }

    /// The error text of the API server.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Error(message) => message,
            Self::CostExceeded => "operation cancelled: actual cost limit exceeded",
        }
    }
}

/// The result of an evaluation.
pub(super) type Outcome<'a> = Result<Val<'a>, Failure>;

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Val<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Rc<str>),
    Bytes(Rc<[u8]>),
    /// A duration in nanoseconds.
    Duration(i64),
    /// A time in UTC.
    Timestamp(DateTime),
    List(List<'a>),
    Map(Mapping<'a>),
    Optional(Option<Rc<Val<'a>>>),
    Message(Rc<Message<'a>>),
    /// A type, by its name.
    Type(Rc<str>),
    /// A quantity in units of 10^-9.
    Quantity(i128),
    Url(Rc<Url>),
    Ip(IpAddr),
    Cidr(Cidr),
    Semver(Rc<Semver>),
    /// A named format, such as `dns1123Label`.
    Format(&'static str),
    Authorization(Rc<Authorization>),
}

/// A list.
#[derive(Clone, Debug)]
pub(super) enum List<'a> {
    /// A list that an expression has created.
    Owned(Rc<Vec<Val<'a>>>),
    /// A list that borrows its JSON. `item` is the declared type of the items.
    Data { items: &'a [Value], item: &'a DeclaredType, list_type: &'a ListType },
}

/// A map or an object.
#[derive(Clone, Debug)]
pub(super) enum Mapping<'a> {
    /// A map that an expression has created.
    Owned(Rc<Vec<(Val<'a>, Val<'a>)>>),
    /// A map or an object that borrows its JSON. `declared` is its declared type.
    Data { map: &'a Map<String, Value>, declared: &'a DeclaredType },
}

impl<'a> Val<'a> {
    /// Converts a JSON value to a value of the type `declared`.
    ///
    /// # Errors
    /// The JSON value does not have the type `declared`, or its text does not have the format of the type.
    pub(super) fn of(json: &'a Value, declared: &'a DeclaredType) -> Outcome<'a> {
        let invalid = |expected: &str| Err(Failure::new(format!("invalid data, expected {expected}")));
        match (&declared.shape, json) {
            (_, Value::Null) if declared.nullable => Ok(Self::Null),
            (_, Value::Null) => Err(Failure::new("invalid data, got null for schema with nullable=false")),
            (Shape::IntOrString, Value::Number(number)) => match number.as_i64() {
                Some(int) => Ok(Self::Int(int)),
                None => invalid("XIntOrString value to be either a string or integer"),
            },
            (Shape::IntOrString | Shape::String, Value::String(text)) => Ok(Self::text(text)),
            (Shape::Bool, Value::Bool(value)) => Ok(Self::Bool(*value)),
            (Shape::Int, Value::Number(number)) => match integer_of_json(number) {
                Some(int) => Ok(Self::Int(int)),
                None => invalid("int, got float64"),
            },
            (Shape::Double, Value::Number(number)) => Ok(Self::Double(number.as_f64().unwrap_or_default())),
            (Shape::Bytes, Value::String(text)) => {
                time::decode_base64(text).map(|bytes| Self::Bytes(bytes.into()))
            }
            (Shape::Duration, Value::String(text)) => {
                time::parse_duration_format(text).map(Self::Duration).ok_or_else(|| {
                    Failure::new(format!("Invalid duration {text}: unable to parse {text} as duration"))
                })
            }
            (Shape::Date, Value::String(text)) => time::parse_date(text)
                .map(Self::Timestamp)
                .ok_or_else(|| Failure::new(format!("Invalid date formatted string {text}"))),
            (Shape::DateTime, Value::String(text)) => time::parse_timestamp(text)
                .map(Self::Timestamp)
                .ok_or_else(|| Failure::new(format!("Invalid date-time formatted string {text}"))),
            (Shape::Quantity, Value::String(text)) => {
                parse_quantity(text).map(Self::Quantity).map_err(Failure::new)
            }
            (Shape::DeviceAttribute, json) => Ok(Self::of_untyped(json)),
            (Shape::List { items: item, keys }, Value::Array(items)) => {
                Ok(Self::List(List::Data { items, item, list_type: keys }))
            }
            (Shape::Map { .. } | Shape::Object(_), Value::Object(map)) => {
                Ok(Self::Map(Mapping::Data { map, declared }))
            }
            _ => invalid("another type for the provided schema"),
        }
    }

    /// Converts a JSON value that has no schema.
    pub(super) fn of_untyped(json: &Value) -> Val<'static> {
        match json {
            Value::Null => Val::Null,
            Value::Bool(value) => Val::Bool(*value),
            Value::Number(number) => match number.as_i64() {
                Some(int) => Val::Int(int),
                None => Val::Double(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => Val::text(text),
            Value::Array(items) => Val::list(items.iter().map(Val::of_untyped).collect()),
            Value::Object(map) => {
                Val::map(map.iter().map(|(key, value)| (Val::text(key), Val::of_untyped(value))).collect())
            }
        }
    }

    pub(super) fn text(text: impl AsRef<str>) -> Self {
        Self::String(text.as_ref().into())
    }

    pub(super) fn list(items: Vec<Val<'a>>) -> Self {
        Self::List(List::Owned(Rc::new(items)))
    }

    pub(super) fn map(entries: Vec<(Val<'a>, Val<'a>)>) -> Self {
        Self::Map(Mapping::Owned(Rc::new(entries)))
    }

    pub(super) fn some(value: Val<'a>) -> Self {
        Self::Optional(Some(Rc::new(value)))
    }

    /// The empty optional value.
    pub(super) const NONE: Val<'static> = Val::Optional(None);

    /// The name of the value's type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Optional(_) => "optional_type",
            Self::Message(message) if message.is_json_patch() => "JSONPatch",
            Self::Message(_) => "Object",
            Self::Type(_) => "type",
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::Url(_) => "kubernetes.URL",
            Self::Ip(_) => "net.IP",
            Self::Cidr(_) => "net.CIDR",
            Self::Semver(_) => "kubernetes.Semver",
            Self::Format(_) => "kubernetes.NamedFormat",
            Self::Authorization(value) => value.type_name(),
        }
    }

    /// The number of characters, bytes, items or entries in the value; 1 for a value without a size.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::String(text) => text.chars().count() as u64,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::List(list) => list.len() as u64,
            Self::Map(map) => map.len() as u64,
            Self::Optional(Some(value)) => value.size(),
            Self::Ip(IpAddr::V4(_)) => 4,
            Self::Ip(IpAddr::V6(_)) => 16,
            Self::Cidr(cidr) => {
                if cidr.address.is_ipv4() {
                    4
                } else {
                    16
                }
            }
            _ => 1,
        }
    }

    /// Whether the value is the zero value of its type, such as `""` or an empty list.
    pub(super) fn is_zero(&self) -> bool {
        match self {
            Self::Null | Self::Optional(None) => true,
            Self::Bool(value) => !value,
            Self::Int(value) | Self::Duration(value) => *value == 0,
            Self::Uint(value) => *value == 0,
            Self::Double(value) => *value == 0.0,
            Self::String(_) | Self::Bytes(_) | Self::List(_) | Self::Map(_) => self.size() == 0,
            _ => false,
        }
    }
}

/// The integer that equals a JSON number, such as 1 for `1.0`; `None` if the number has a fraction or is out of range.
fn integer_of_json(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().or_else(|| integer_of_double(number.as_f64()?))
}

/// The integer that equals a float; `None` if the float has a fraction or is out of range.
fn integer_of_double(value: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    (value.fract() == 0.0 && value.abs() < 9.2e18).then_some(value as i64)
}

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Owned(items) => items.len(),
            Self::Data { items, .. } => items.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Outcome<'a>> {
        match self {
            Self::Owned(items) => items.get(index).cloned().map(Ok),
            Self::Data { items, item, .. } => items.get(index).map(|json| Val::of(json, item)),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Outcome<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// All items.
    ///
    /// # Errors
    /// An item does not have the type that the schema declares.
    pub(super) fn items(&self) -> Result<Vec<Val<'a>>, Failure> {
        self.iter().collect()
    }

    /// Whether an item of the list equals `value`.
    pub(super) fn contains(&self, value: &Val<'a>) -> bool {
        self.iter().any(|item| item.is_ok_and(|item| item.equals(value)))
    }
}

impl<'a> Mapping<'a> {
    /// The number of entries, including the fields that the schema does not declare.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Owned(entries) => entries.len(),
            Self::Data { map, .. } => map.len(),
        }
    }

    /// The value of a key. In an object, a field that is null counts as absent.
    pub(super) fn get(&self, key: &Val<'a>) -> Option<Outcome<'a>> {
        match self {
            Self::Owned(entries) => {
                let found = entries.iter().find(|(known, _)| known.equals(key));
                found.map(|(_, value)| Ok(value.clone()))
            }
            Self::Data { map, declared } => {
                let Val::String(name) = key else { return Some(Err(Failure::no_such_overload())) };
                match &declared.shape {
                    Shape::Object(_) => {
                        let field = declared.field(name)?;
                        let json = map.get(&field.name).filter(|json| !json.is_null())?;
                        Some(Val::of(json, &field.declared))
                    }
                    Shape::Map { entry, .. } => map.get(&**name).map(|json| Val::of(json, entry)),
                    _ => None,
                }
            }
        }
    }

    /// The keys of the entries. In an object, only declared fields count, and a field that is null counts as present.
    pub(super) fn keys(&self) -> Vec<Val<'a>> {
        match self {
            Self::Owned(entries) => entries.iter().map(|(key, _)| key.clone()).collect(),
            Self::Data { map, declared } => match &declared.shape {
                Shape::Object(fields) => {
                    let present = fields.iter().filter(|(_, field)| map.contains_key(&field.name));
                    present.map(|(name, _)| Val::text(name)).collect()
                }
                _ => map.keys().map(Val::text).collect(),
            },
        }
    }
}
