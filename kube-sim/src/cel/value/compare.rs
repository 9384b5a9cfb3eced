//! Equality and order of values, and the operator `+` for lists.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Failure, List, Mapping, Val};
use crate::cel::declared_types::{ListType, Shape};

impl<'a> Val<'a> {
    /// Whether the values are equal. Numbers of different types are compared by value. Other values of different types
    /// are not equal.
    pub(in crate::cel) fn equals(&self, other: &Val<'a>) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::String(a), Self::String(b)) | (Self::Type(a), Self::Type(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Duration(a), Self::Duration(b)) => a == b,
            (Self::Timestamp(a), Self::Timestamp(b)) => a == b,
            (Self::List(a), Self::List(b)) => a.equals(b),
            (Self::Map(a), Self::Map(b)) => a.equals(b),
            (Self::Optional(a), Self::Optional(b)) => match (a, b) {
                (Some(a), Some(b)) => a.equals(b),
                (a, b) => a.is_none() && b.is_none(),
            },
            (Self::Message(a), Self::Message(b)) => a.equals(b),
            (Self::Quantity(a), Self::Quantity(b)) => a == b,
            (Self::Url(a), Self::Url(b)) => a.text == b.text,
            (Self::Ip(a), Self::Ip(b)) => a == b,
            (Self::Cidr(a), Self::Cidr(b)) => a == b,
            (Self::Semver(a), Self::Semver(b)) => a.compare(b) == Ordering::Equal,
            (Self::Format(a), Self::Format(b)) => a == b,
            (
                Self::Int(_) | Self::Uint(_) | Self::Double(_),
                Self::Int(_) | Self::Uint(_) | Self::Double(_),
            ) => compare_numbers(self, other) == Some(Ordering::Equal),
            _ => false,
        }
    }

    /// The order of two values.
    ///
    /// # Errors
    /// The types of the two values cannot be compared with each other, or both values are numbers and one of them is NaN.
    pub(in crate::cel) fn compare(&self, other: &Val<'a>) -> Result<Ordering, Failure> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Ok(a.cmp(b)),
            (Self::String(a), Self::String(b)) => Ok(a.cmp(b)),
            (Self::Bytes(a), Self::Bytes(b)) => Ok(a.cmp(b)),
            (Self::Duration(a), Self::Duration(b)) => Ok(a.cmp(b)),
            (Self::Timestamp(a), Self::Timestamp(b)) => Ok(a.cmp(b)),
            (
                Self::Int(_) | Self::Uint(_) | Self::Double(_),
                Self::Int(_) | Self::Uint(_) | Self::Double(_),
            ) => compare_numbers(self, other).ok_or_else(|| Failure::new("NaN values cannot be ordered")),
            _ => Err(Failure::no_such_overload()),
        }
    }
}

/// The order of two numbers; `None` if one is NaN.
fn compare_numbers(a: &Val<'_>, b: &Val<'_>) -> Option<Ordering> {
    match (a, b) {
        (Val::Int(a), Val::Int(b)) => Some(a.cmp(b)),
        (Val::Uint(a), Val::Uint(b)) => Some(a.cmp(b)),
        (Val::Int(a), Val::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Val::Uint(a), Val::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Val::Double(a), Val::Double(b)) => a.partial_cmp(b),
        (Val::Double(a), b) => compare_double_with_integer(*a, b),
        (a, Val::Double(b)) => compare_double_with_integer(*b, a).map(Ordering::reverse),
        _ => None,
    }
}

/// The order of a float and an integer; `None` if the float is NaN.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked before")]
fn compare_double_with_integer(double: f64, int: &Val<'_>) -> Option<Ordering> {
    let int = match int {
        Val::Int(int) => i128::from(*int),
        Val::Uint(int) => i128::from(*int),
        _ => return None,
    };
    if double.is_nan() {
        return None;
    }
    if double.abs() > 1e20 {
        return double.partial_cmp(&0.0);
    }
    let whole = double.trunc();
    Some(
        (whole as i128).cmp(&int).then_with(|| (double - whole).partial_cmp(&0.0).unwrap_or(Ordering::Equal)),
    )
}

impl<'a> List<'a> {
    /// Whether the lists are equal. If `self` is a list of type `set` or `map`, the order of the items does not matter.
    fn equals(&self, other: &List<'a>) -> bool {
        if self.len() != other.len() {
            return false;
        }
        match self {
            Self::Data { list_type: ListType::Set, .. } => {
                let mine: Vec<_> = self.iter().flatten().collect();
                other.iter().all(|item| item.is_ok_and(|item| mine.iter().any(|mine| mine.equals(&item))))
                    && mine.iter().all(|item| other.contains(item))
            }
            Self::Data { list_type: ListType::Map(keys), items, item } => other.iter().all(|theirs| {
                let Ok(theirs) = theirs else { return false };
                let mine = items.iter().filter_map(|json| Val::of(json, item).ok());
                let mut same = mine.filter(|mine| map_key(mine, keys) == map_key(&theirs, keys));
                same.next().is_some_and(|mine| mine.equals(&theirs))
            }),
            _ => self.iter().zip(other.iter()).all(|pair| match pair {
                (Ok(a), Ok(b)) => a.equals(&b),
                _ => false,
            }),
        }
    }

    /// Evaluates the operator `+`. Returns the union if `self` is a list of type `set`. If `self` is a list of type `map`,
    /// an item of `other` replaces the item of `self` with the same key. For other lists, returns the concatenation.
    ///
    /// # Errors
    /// An item does not have the type that the schema declares.
    pub(in crate::cel) fn plus(&self, other: &List<'a>) -> Result<Val<'a>, Failure> {
        let mut items = self.items()?;
        for theirs in other.items()? {
            let position = match self {
                Self::Data { list_type: ListType::Set, .. } => {
                    items.iter().position(|mine| mine.equals(&theirs))
                }
                Self::Data { list_type: ListType::Map(keys), .. } => {
                    let key = map_key(&theirs, keys);
                    items.iter().position(|mine| map_key(mine, keys) == key)
                }
                _ => None,
            };
            match position {
                Some(position) => items[position] = theirs,
                None => items.push(theirs),
            }
        }
        Ok(Val::list(items))
    }
}

/// The values of the key fields of an item; empty if an expression has created the item.
fn map_key<'a>(item: &Val<'a>, keys: &[String]) -> Vec<Option<&'a Value>> {
    match item {
        Val::Map(Mapping::Data { map, .. }) => keys.iter().map(|key| map.get(key)).collect(),
        _ => Vec::new(),
    }
}

impl<'a> Mapping<'a> {
    fn equals(&self, other: &Mapping<'a>) -> bool {
        if self.len() != other.len() {
            return false;
        }
        let same = self.keys().iter().all(|key| match (self.get(key), other.get(key)) {
            (Some(Ok(a)), Some(Ok(b))) => a.equals(&b),
            (None, None) => true,
            _ => false,
        });
        same && self.has_equal_undeclared_fields(other)
    }

    /// Whether the fields without a declared type are equal. Ignores a field that only one of the objects contains.
    fn has_equal_undeclared_fields(&self, other: &Mapping<'a>) -> bool {
        let (Self::Data { map: a, declared }, Self::Data { map: b, .. }) = (self, other) else { return true };
        let Shape::Object(fields) = &declared.shape else { return true };
        let known = |name: &str| fields.values().any(|field| field.name == name);
        let mut unknown = a.iter().filter(|(name, _)| !known(name));
        unknown.all(|(name, value)| b.get(name).is_none_or(|other| other == value))
    }
}
