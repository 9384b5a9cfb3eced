//! Messages that expressions create, such as `Object.spec{..}`, and the conversion of values to JSON for patches.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::{Failure, Val};
use crate::cel::library::convert;

/// A message that an expression has created.
#[derive(Clone, Debug)]
pub(in crate::cel) struct Message<'a> {
    /// The name of the type, such as `Object.spec`.
    pub(in crate::cel) name: Rc<str>,
    pub(in crate::cel) fields: Vec<(Rc<str>, Val<'a>)>,
}

impl<'a> Message<'a> {
    pub(in crate::cel) fn is_json_patch(&self) -> bool {
        &*self.name == "JSONPatch"
    }

    pub(in crate::cel) fn get(&self, field: &str) -> Option<&Val<'a>> {
        self.fields.iter().find(|(name, _)| &**name == field).map(|(_, value)| value)
    }

    /// The value of a field of a `JSONPatch`; `None` if the field is not set.
    ///
    /// # Errors
    /// If the message is an `Object`: expressions cannot read the fields of an `Object`. Also if `key` is not
    /// a string.
    pub(in crate::cel) fn field(&self, key: &Val<'a>) -> Result<Option<Val<'a>>, Failure> {
        match key {
            Val::String(name) if self.is_json_patch() => Ok(self.get(name).cloned()),
            _ => Err(Failure::no_such_overload()),
        }
    }

    pub(in crate::cel) fn equals(&self, other: &Message<'a>) -> bool {
        let has_equal =
            |(name, value): &(Rc<str>, Val<'a>)| other.get(name).is_some_and(|found| found.equals(value));
        self.name == other.name
            && self.fields.len() == other.fields.len()
            && self.fields.iter().all(has_equal)
    }

    /// Checks the type names of the messages in this message. Each name must be the path of the field that contains the
    /// message, such as `Object.spec`.
    ///
    /// # Errors
    /// A type name differs from the path of the field. The error contains one line for each wrong name.
    pub(in crate::cel) fn check_type_names(&self) -> Result<(), String> {
        let mut errors = Vec::new();
        self.collect_type_name_errors(&self.name, &mut errors);
        if errors.is_empty() { Ok(()) } else { Err(errors.join("\n")) }
    }

    fn collect_type_name_errors(&self, path: &str, errors: &mut Vec<String>) {
        if *self.name != *path {
            errors.push(format!(
                "unexpected type name {:?}, expected {path:?}, which matches field name path from root Object type",
                &*self.name
            ));
        }
        for (field, value) in &self.fields {
            collect_type_name_errors(value, &format!("{path}.{field}"), errors);
        }
    }
}

fn collect_type_name_errors(value: &Val<'_>, path: &str, errors: &mut Vec<String>) {
    match value {
        Val::Message(message) => message.collect_type_name_errors(path, errors),
        Val::List(list) => {
            list.iter().flatten().for_each(|item| collect_type_name_errors(&item, path, errors));
        }
        Val::Map(map) => {
            let values = map.keys().into_iter().filter_map(|key| map.get(&key)?.ok());
            values.for_each(|value| collect_type_name_errors(&value, path, errors));
        }
        _ => {}
    }
}

impl Val<'_> {
    /// Converts the value to JSON.
    ///
    /// # Errors
    /// If JSON cannot represent the value. For example, JSON cannot represent a map whose keys are not
    /// strings, or a CEL type.
    pub(in crate::cel) fn to_json(&self) -> Result<Value, Failure> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => (*value).into(),
            Self::Uint(value) => (*value).into(),
            // JSON has one type of numbers: an integral value is written without a fraction.
            Self::Double(value) => {
                super::integer_of_double(*value).map_or_else(|| (*value).into(), Into::into)
            }
            Self::String(text) => (**text).into(),
            Self::Bytes(bytes) => STANDARD.encode(bytes).into(),
            Self::Duration(_) | Self::Timestamp(_) => match convert::to_text(self) {
                Some(text) => text?.into(),
                None => return Err(self.json_conversion_error()),
            },
            Self::List(list) => {
                let items = list.items()?;
                Value::Array(items.iter().map(Val::to_json).collect::<Result<_, _>>()?)
            }
            Self::Map(map) => {
                let mut object = Map::new();
                for key in map.keys() {
                    let Val::String(name) = &key else { return Err(self.json_conversion_error()) };
                    let value = map.get(&key).unwrap_or(Ok(Val::Null))?;
                    object.insert((**name).to_owned(), value.to_json()?);
                }
                Value::Object(object)
            }
            Self::Message(message) => {
                let field = |(name, value): &(Rc<str>, Val<'_>)| Ok(((**name).to_owned(), value.to_json()?));
                Value::Object(message.fields.iter().map(field).collect::<Result<_, Failure>>()?)
            }
            Self::Optional(Some(value)) => value.to_json()?,
            _ => return Err(self.json_conversion_error()),
        })
    }

    fn json_conversion_error(&self) -> Failure {
        Failure::new(format!("a value of the type {} has no JSON", self.type_name()))
    }
}
