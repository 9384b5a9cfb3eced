//! Finds duplicate keys in JSON text. A parsed [`serde_json::Value`] does not contain them, because it keeps only the
//! last value of each key.
//!
//! This module reads the text once, as a stream. It must not use schemas.

use std::collections::HashSet;
use std::fmt::{self, Write as _};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Returns one message such as `duplicate field "spec.replicas"` for each duplicate key, in the order of the text.
///
/// Returns an empty list for malformed JSON, because the parser of the request body reports the error.
pub(crate) fn duplicate_field_messages(json: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let visitor = DuplicateKeyVisitor { path: &mut String::new(), found: &mut found };
    if visitor.deserialize(&mut deserializer).is_err() {
        return Vec::new();
    }
    found.iter().map(|path| format!("duplicate field \"{path}\"")).collect()
}

/// Visits the value at `path`, and adds the path of each duplicate key to `found`.
struct DuplicateKeyVisitor<'a> {
    path: &'a mut String,
    found: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for DuplicateKeyVisitor<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for DuplicateKeyVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        let length = self.path.len();
        while let Some(key) = map.next_key::<String>()? {
            if !self.path.is_empty() {
                self.path.push('.');
            }
            self.path.push_str(&key);
            if !seen.insert(key) && !self.found.contains(self.path) {
                self.found.push(self.path.clone());
            }
            map.next_value_seed(DuplicateKeyVisitor { path: self.path, found: self.found })?;
            self.path.truncate(length);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let length = self.path.len();
        for index in 0_usize.. {
            let _ = write!(self.path, "[{index}]");
            let item = seq.next_element_seed(DuplicateKeyVisitor { path: self.path, found: self.found })?;
            self.path.truncate(length);
            if item.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duplicate_field_is_reported_once() {
        let text =
            br#"{"a":1,"spec":{"replicas":3,"list":[{"x":1},{"x":1,"x":2,"x":3}],"replicas":4},"a":2}"#;
        assert_eq!(
            duplicate_field_messages(text),
            [
                "duplicate field \"spec.list[1].x\"",
                "duplicate field \"spec.replicas\"",
                "duplicate field \"a\""
            ]
        );
    }

    #[test]
    fn unique_fields_and_malformed_json_are_not_reported() {
        assert!(duplicate_field_messages(br#"{"a":{"b":[1,2,{"c":null}]},"d":"e"}"#).is_empty());
        assert!(duplicate_field_messages(b"{\"a\":1,\"a\":").is_empty());
        assert!(duplicate_field_messages("[".repeat(100_000).as_bytes()).is_empty());
    }
}
