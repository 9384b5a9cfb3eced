//! Decodes `null` in JSON, which Go writes for a nil slice, map or pointer.

use serde::{Deserialize, Deserializer};

/// Decodes `null` as the default value, and any other value as a `T`.
///
/// # Errors
/// If the value is not null and cannot be deserialized as `T`.
pub fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
