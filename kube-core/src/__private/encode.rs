//! Serializes an object whose kind has `#[derive(CustomResource)]`. The output contains `apiVersion` and `kind`.
//!
//! This module must not depend on the fields of a spec.

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::Definition;
use crate::ObjectMeta;

/// Serializes an object. Omits `spec` and `status` if they are `None`.
///
/// # Errors
///
/// If metadata, spec or status does not serialize.
pub fn encode<Z, S, T>(
    serializer: Z,
    definition: &'static Definition,
    metadata: &ObjectMeta,
    spec: Option<&S>,
    status: Option<&T>,
) -> Result<Z::Ok, Z::Error>
where
    Z: Serializer,
    S: Serialize,
    T: Serialize,
{
    let fields = 3 + usize::from(spec.is_some()) + usize::from(status.is_some());
    let mut object = serializer.serialize_struct(definition.kind, fields)?;
    object.serialize_field("apiVersion", definition.api_version)?;
    object.serialize_field("kind", definition.kind)?;
    object.serialize_field("metadata", metadata)?;
    match spec {
        Some(spec) => object.serialize_field("spec", spec)?,
        None => object.skip_field("spec")?,
    }
    match status {
        Some(status) => object.serialize_field("status", status)?,
        None => object.skip_field("status")?,
    }
    object.end()
}
