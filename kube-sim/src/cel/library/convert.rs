//! Conversions between types, and the functions `size`, `type` and `dyn`.

use std::net::IpAddr;

use super::time;
use crate::cel::value::{Failure, Outcome, Val};
use crate::schema::format_go_float;

/// Calls a function of this library; see [`Library`](super::Library).
pub(super) fn call<'a>(name: &str, arguments: &[Val<'a>]) -> Option<Outcome<'a>> {
    let [value] = arguments else { return None };
    Some(match name {
        "size" => match value {
            Val::String(_) | Val::Bytes(_) | Val::List(_) | Val::Map(_) => {
                Ok(Val::Int(i64::try_from(value.size()).unwrap_or(i64::MAX)))
            }
            _ => return None,
        },
        "type" => Ok(Val::Type(value.type_name().into())),
        "dyn" => Ok(value.clone()),
        "bool" => to_bool(value)?,
        "bytes" => match value {
            Val::Bytes(_) => Ok(value.clone()),
            Val::String(text) => Ok(Val::Bytes(text.as_bytes().into())),
            _ => return None,
        },
        "double" => to_double(value)?,
        "int" => to_int(value)?,
        "uint" => to_uint(value)?,
        "string" => to_text(value)?.map(Val::text),
        _ => return None,
    })
}

fn conversion_error<'a>(value: &Val<'_>, to: &str) -> Outcome<'a> {
    Err(Failure::new(format!("type conversion error from '{}' to '{to}'", value.type_name())))
}

fn to_bool<'a>(value: &Val<'a>) -> Option<Outcome<'a>> {
    Some(match value {
        Val::Bool(_) => Ok(value.clone()),
        Val::String(text) => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Val::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Val::Bool(false)),
            _ => conversion_error(value, "bool"),
        },
        _ => return None,
    })
}

#[expect(clippy::cast_precision_loss, reason = "as the conversion of CEL")]
fn to_double<'a>(value: &Val<'a>) -> Option<Outcome<'a>> {
    Some(match value {
        Val::Double(_) => Ok(value.clone()),
        Val::Int(int) => Ok(Val::Double(*int as f64)),
        Val::Uint(int) => Ok(Val::Double(*int as f64)),
        Val::String(text) => match text.parse::<f64>() {
            Ok(double) => Ok(Val::Double(double)),
            Err(_) => conversion_error(value, "double"),
        },
        _ => return None,
    })
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn to_int<'a>(value: &Val<'a>) -> Option<Outcome<'a>> {
    let overflow = || Err(Failure::new("integer overflow"));
    Some(match value {
        Val::Int(_) => Ok(value.clone()),
        Val::Uint(int) => i64::try_from(*int).map(Val::Int).or_else(|_| overflow()),
        Val::Double(double)
            if double.is_finite()
                && *double > -9.223_372_036_854_776e18
                && *double < 9.223_372_036_854_776e18 =>
        {
            Ok(Val::Int(*double as i64))
        }
        Val::Double(_) => overflow(),
        Val::Duration(nanos) => Ok(Val::Int(*nanos)),
        Val::Timestamp(at) => Ok(Val::Int(time::unix_seconds(*at))),
        Val::String(text) => match text.parse::<i64>() {
            Ok(int) => Ok(Val::Int(int)),
            Err(_) => conversion_error(value, "int"),
        },
        _ => return None,
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
fn to_uint<'a>(value: &Val<'a>) -> Option<Outcome<'a>> {
    let overflow = || Err(Failure::new("unsigned integer overflow"));
    Some(match value {
        Val::Uint(_) => Ok(value.clone()),
        Val::Int(int) => u64::try_from(*int).map(Val::Uint).or_else(|_| overflow()),
        Val::Double(double) if *double >= 0.0 && *double < 1.844_674_407_370_955_2e19 => {
            Ok(Val::Uint(*double as u64))
        }
        Val::Double(_) => overflow(),
        Val::String(text) => match text.parse::<u64>() {
            Ok(int) => Ok(Val::Uint(int)),
            Err(_) => conversion_error(value, "uint"),
        },
        _ => return None,
    })
}

/// Converts a value as the CEL function `string` does; `None` if this function cannot convert values of this type.
pub(in crate::cel) fn to_text(value: &Val<'_>) -> Option<Result<String, Failure>> {
    Some(match value {
        Val::String(text) => Ok(text.to_string()),
        Val::Bool(value) => Ok(value.to_string()),
        Val::Int(value) => Ok(value.to_string()),
        Val::Uint(value) => Ok(value.to_string()),
        Val::Double(value) => Ok(format_go_float(*value)),
        Val::Bytes(bytes) => String::from_utf8(bytes.to_vec())
            .map_err(|_| Failure::new("invalid UTF-8 in bytes, cannot convert to string")),
        Val::Duration(nanos) => Ok(time::duration_text(*nanos)),
        Val::Timestamp(at) => Ok(time::timestamp_text(*at)),
        Val::Ip(address) => Ok(address.to_string()),
        Val::Cidr(cidr) => Ok(format!("{}/{}", cidr.address, cidr.prefix)),
        Val::Type(name) => Ok(name.to_string()),
        _ => return None,
    })
}

/// Formats a value for an error text.
pub(in crate::cel) fn format_for_error(value: &Val<'_>) -> String {
    match value {
        Val::Null => "null".to_owned(),
        Val::Ip(IpAddr::V4(address)) => address.to_string(),
        other => match to_text(other) {
            Some(Ok(text)) => text,
            _ => other.type_name().to_owned(),
        },
    }
}
