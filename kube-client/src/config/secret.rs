//! Serde and `Debug` support for secrets: they are serialized in full, and never shown by `Debug` or in an error.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserializer, Serializer, de};
use std::{collections::BTreeMap, fmt};

/// Serializes the secret in full, so that reading and writing a kubeconfig is lossless.
#[expect(clippy::ref_option, reason = "serde hands serialize_with a reference to the field")]
pub(super) fn serialize<S: Serializer>(
    secret: &Option<SecretString>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => serializer.serialize_str(secret.expose_secret()),
        None => serializer.serialize_none(),
    }
}

/// Deserializes a string or `null`. The error for another type does not contain the value.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    deserializer.deserialize_any(SecretVisitor)
}

/// Accepts a string or `null`.
struct SecretVisitor;

impl<'de> de::Visitor<'de> for SecretVisitor {
    type Value = Option<SecretString>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(SecretString::from(text)))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Self::Value, E> {
        Ok(Some(SecretString::from(text)))
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(Self)
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> {
        Err(not_a_string_error())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Self::Value, E> {
        Err(not_a_string_error())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Self::Value, E> {
        Err(not_a_string_error())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self::Value, E> {
        Err(not_a_string_error())
    }
}

fn not_a_string_error<E: de::Error>() -> E {
    E::custom("a secret must be a string: put it into quotes")
}

/// Shows `[REDACTED]` in place of a secret.
pub(super) struct Redacted;

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// Shows the keys of a map and hides its values.
pub(super) struct KeysOnly<'a, K, V>(pub(super) &'a BTreeMap<K, V>);

impl<K: fmt::Debug, V> fmt::Debug for KeysOnly<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.keys().map(|key| (key, Redacted))).finish()
    }
}

/// Returns a value for `Debug` output: `Some([REDACTED])` if the secret is set, otherwise `None`.
pub(super) fn redacted_if_set<T>(value: Option<&T>) -> Option<Redacted> {
    value.map(|_| Redacted)
}
