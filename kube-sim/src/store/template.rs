//! Templates of objects. A template contains a whole object except for the values that a server assigns. Storing an object
//! from a template parses no JSON, so that a new simulation starts fast.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::State;
use super::object::{StoredObject, key};
use super::selector::Labels;
use crate::clock::{Random, format_micros, format_seconds};
use crate::registry::Resource;

/// A value that the server assigns when it stores an object from a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// The uid of the object.
    Uid,
    /// The resource version of the object.
    Version,
    /// A random UUID, different from the uid.
    Uuid,
    /// The current time as `metav1.Time`.
    Time,
    /// The current time as `metav1.MicroTime`.
    MicroTime,
    /// The current date.
    Date,
}

/// The placeholders in the text of a template. No placeholder begins with another placeholder.
const SLOTS: [(&str, Slot); 6] = [
    ("$UID", Slot::Uid),
    ("$VERSION", Slot::Version),
    ("$UUID", Slot::Uuid),
    ("$NOW", Slot::Time),
    ("$MICRO_NOW", Slot::MicroTime),
    ("$DATE", Slot::Date),
];

/// An object without the values that the server assigns. Simulations share it.
#[derive(Debug)]
pub(crate) struct Template {
    storage: Arc<str>,
    key: Arc<str>,
    labels: Labels,
    /// The values of the selectable fields, in the order of `Resource::fields`.
    fields: Arc<[Box<str>]>,
    /// The JSON without `apiVersion` and `kind`, split at the placeholders. Each item is the text before a
    /// placeholder, and the [`Slot`] of this placeholder.
    parts: Vec<(Box<str>, Slot)>,
    /// The text after the last placeholder.
    end: Box<str>,
}

impl Template {
    /// The template of an object of a built-in kind. The object must be in the storage version of its kind. In the strings
    /// of the object, `$NOW`, `$MICRO_NOW` and `$DATE` stand for the time at which the object is stored, and `$UUID` for a
    /// random UUID.
    pub(crate) fn new(resource: &Resource, mut object: Value) -> Self {
        if let Some(map) = object.as_object_mut() {
            map.remove("apiVersion");
            map.remove("kind");
        }
        object["metadata"]["uid"] = "$UID".into();
        object["metadata"]["resourceVersion"] = "$VERSION".into();
        let metadata = &object["metadata"];
        let text = |field: &str| metadata[field].as_str().unwrap_or_default();
        let (parts, end) = split_at_placeholders(&object.to_string());
        Self {
            storage: resource.storage.clone(),
            key: key(text("namespace"), text("name")),
            labels: Labels::of(metadata),
            fields: resource.field_values(&object),
            parts,
            end,
        }
    }

    /// The object of the template, with the values that the server assigns.
    fn instantiate(&self, version: u64, now: &FormattedTime, random: &mut Random) -> StoredObject {
        let uid = random.uid();
        let mut body = String::with_capacity(self.parts.iter().map(|(text, _)| text.len() + 40).sum());
        for (text, slot) in &self.parts {
            body.push_str(text);
            match slot {
                Slot::Uid => body.push_str(&uid),
                Slot::Version => body.push_str(&version.to_string()),
                Slot::Uuid => body.push_str(&random.uid()),
                Slot::Time => body.push_str(&now.seconds),
                Slot::MicroTime => body.push_str(&now.micros),
                Slot::Date => body.push_str(&now.seconds[..DATE_LENGTH]),
            }
        }
        body.push_str(&self.end);
        StoredObject::from_text(self.key.clone(), version, &uid, body)
            .with_labels_and_fields(self.labels.clone(), self.fields.clone())
    }
}

/// The length of a date such as `2026-01-01`.
const DATE_LENGTH: usize = 10;

/// The current time in two formats.
struct FormattedTime {
    seconds: String,
    micros: String,
}

impl FormattedTime {
    fn of(now: Timestamp) -> Self {
        Self { seconds: format_seconds(now), micros: format_micros(now) }
    }
}

/// Splits a text at the placeholders. Returns the texts, each with the slot after it, and the rest.
fn split_at_placeholders(text: &str) -> (Vec<(Box<str>, Slot)>, Box<str>) {
    let mut parts = Vec::new();
    let mut rest = text;
    let mut from = 0;
    while let Some(found) = rest[from..].find('$') {
        let at = from + found;
        let slot = SLOTS.iter().find(|(name, _)| rest[at..].starts_with(name));
        match slot {
            Some((name, slot)) => {
                parts.push((Box::from(&rest[..at]), *slot));
                rest = &rest[at + name.len()..];
                from = 0;
            }
            None => from = at + 1,
        }
    }
    (parts, Box::from(rest))
}

impl State {
    /// Creates the objects of the templates, in the order of the templates, with the next resource versions and random
    /// uids.
    pub(crate) fn create_from_templates(&mut self, templates: &[Template], random: &mut Random) {
        let now = FormattedTime::of(self.clock.now());
        for template in templates {
            let object = Arc::new(template.instantiate(self.version + 1, &now, random));
            self.insert(template.storage.clone(), object, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_text_is_split_at_placeholders_only() {
        let (parts, end) = split_at_placeholders(r#"{"a":"$UUID_$","b":"$5 $MICRO_NOW$NOW"}"#);
        let parts: Vec<(&str, Slot)> = parts.iter().map(|(text, slot)| (&**text, *slot)).collect();
        assert_eq!(
            parts,
            [(r#"{"a":""#, Slot::Uuid), (r#"_$","b":"$5 "#, Slot::MicroTime), ("", Slot::Time)]
        );
        assert_eq!(&*end, r#""}"#);
    }

    #[tokio::test(start_paused = true)]
    async fn the_stored_object_has_the_assigned_values() {
        let mut state = State::new(Clock::starting_at("2026-01-02T03:04:05.678901Z".parse().unwrap()), 100);
        let maps = state.registry.find("", "v1", "configmaps").unwrap().clone();
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"since": "$DATE", "at": "$MICRO_NOW", "id": "a_$UUID"},
            "metadata": {"name": "m", "namespace": "n", "creationTimestamp": "$NOW", "labels": {"a": "b"}},
        });
        let before = state.version();
        state.create_from_templates(&[Template::new(&maps, map)], &mut Random::seeded(1));
        let stored = state.get(&maps.storage, "n/m").unwrap();
        let value = stored.value();
        assert_eq!((state.version(), stored.version), (before + 1, before + 1));
        assert_eq!(value["metadata"]["resourceVersion"], (before + 1).to_string());
        assert_eq!(value["metadata"]["uid"], *stored.uid);
        assert_eq!(value["metadata"]["creationTimestamp"], "2026-01-02T03:04:05Z");
        assert_eq!(value["data"]["since"], "2026-01-02");
        assert_eq!(value["data"]["at"], "2026-01-02T03:04:05.678901Z");
        assert_eq!(value["data"]["id"].as_str().map(str::len), Some(38));
        assert_eq!((value.get("kind"), stored.labels.get("a")), (None, Some("b")));
        assert_eq!(state.storage_key_of(&stored.uid).map(|(_, key)| &**key), Some("n/m"));
    }
}
