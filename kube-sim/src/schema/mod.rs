//! Schemas of objects, and the functions that apply a schema to an object: defaulting, pruning, decoding and value
//! validation.
//!
//! This module owns these functions, the parsed form of schemas, and the validation of CRDs. This module works on raw
//! JSON values, does no IO, and must not know about requests, stores or versions of objects.
//!
//! Objects of built-in kinds pass through the modules [`mod@prune`], [`mod@decode`] and [`mod@default`], and then
//! through the defaulting and validation that Kubernetes implements in Go (`crate::strategy`). Custom resources pass
//! through [`mod@coerce`], [`mod@prune`], [`mod@default`] and [`mod@validate`]. `crate::cel` compiles and evaluates the
//! CEL rules in the schema of a custom resource (`x-kubernetes-validations`).

mod coerce;
mod components;
mod crd;
mod decode;
mod default;
mod duplicates;
mod enumerations;
mod field_error;
mod field_path;
mod format;
mod go_float;
mod go_regex;
mod node;
mod prune;
mod quantity;
mod ratchet;
mod stored_number;
mod structural_schema;
mod time;
mod validate;
mod zero;

pub(crate) use self::coerce::coerce_metadata;
pub(crate) use self::components::{component, component_names, component_source};
pub(crate) use self::crd::{Approval, DefinitionChecks, approval, validate_crd, validate_crd_status};
pub(crate) use self::decode::{decode, strict_decoding_error, undecodable_body_message};
pub(crate) use self::default::{apply_defaults, drop_nulls};
pub(crate) use self::duplicates::duplicate_field_messages;
pub(crate) use self::enumerations::enum_errors;
pub(crate) use self::field_error::{FieldError, FieldErrorKind, invalid_message, quote};
pub(crate) use self::field_path::field_path;
pub(crate) use self::format::accepts as is_format;
pub(crate) use self::go_float::format_go_float;
pub(crate) use self::go_regex::compile as compile_regex;
pub(crate) use self::node::{AdditionalFields, Kind, ListType, Schema};
pub(crate) use self::prune::prune;
pub(crate) use self::quantity::{
    NANOS_PER_MILLI, NANOS_PER_UNIT, divide_rounding_up, exceeds as quantity_exceeds,
    format_like as format_quantity_like, parse as parse_quantity,
};
pub(crate) use self::ratchet::Correlation;
pub(crate) use self::stored_number::normalize_numbers;
pub(crate) use self::validate::{validate, validate_update};
pub(crate) use self::zero::zero_struct;
