//! The values that a caller passes to a `Recorder`, and their conversion to an `events.k8s.io/v1` Event.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use std::hash::{Hash, Hasher};

/// The server's limit of `reason`, `action` and `reportingInstance`, in bytes.
const FIELD_LIMIT: usize = 128;

/// The server's limit of `note`, in bytes.
const NOTE_LIMIT: usize = 1024;

/// The limit of `metadata.name`, in bytes (RFC 1123 subdomain).
const NAME_LIMIT: usize = 253;

/// An event to [publish](super::Recorder::publish).
///
/// Fields that exceed a limit of the server are truncated at a character boundary.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The severity; `Type` in `kubectl describe`.
    pub type_: EventType,
    /// The reason for the action, as a short `PascalCase` word of at most 128 bytes. The server rejects an empty
    /// reason.
    pub reason: String,
    /// A description for humans, at most 1024 bytes; `Message` in `kubectl describe`.
    pub note: Option<String>,
    /// The action that was taken or failed, as a short `PascalCase` word of at most 128 bytes. The server rejects an
    /// empty action.
    pub action: String,
    /// Another object that the event concerns (`related` in the API), such as the created Pod in an event of a
    /// ReplicaSet.
    pub secondary: Option<ObjectReference>,
}

/// The severity of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    /// Information; no problem.
    Normal,
    /// A problem.
    Warning,
}

impl EventType {
    /// The value of the field `type` of an Event.
    fn name(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// The controller that publishes events.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reporter {
    /// The name of the controller, a qualified name such as `example.com/widget-controller`.
    pub controller: String,
    /// The name of the instance, usually the name of its pod; `None` to use the name of the controller.
    pub instance: Option<String>,
}

impl From<String> for Reporter {
    fn from(controller: String) -> Self {
        Self { controller, instance: None }
    }
}

impl From<&str> for Reporter {
    fn from(controller: &str) -> Self {
        controller.to_owned().into()
    }
}

/// An [`ObjectReference`] that can be a key of a map. Equality ignores the resource version, which changes with each
/// write of the object.
#[derive(Clone, Debug)]
pub struct Reference(ObjectReference);

impl Reference {
    /// The fields that identify the object.
    fn identity(&self) -> [Option<&String>; 6] {
        let ObjectReference { api_version, kind, name, namespace, uid, field_path, .. } = &self.0;
        [api_version, kind, name, namespace, uid, field_path].map(Option::as_ref)
    }
}

impl From<ObjectReference> for Reference {
    fn from(reference: ObjectReference) -> Self {
        Self(reference)
    }
}

impl PartialEq for Reference {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Reference {}

impl Hash for Reference {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

/// The key of a series: events with the same key belong to one series. As in client-go, the key does not contain the
/// note: a series keeps the note of its first event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SeriesKey {
    type_: EventType,
    action: String,
    reason: String,
    /// The object that the event is about.
    pub(super) regarding: Reference,
    /// The secondary object.
    related: Option<Reference>,
}

impl SeriesKey {
    pub(super) fn new(event: &Event, regarding: &ObjectReference) -> Self {
        Self {
            type_: event.type_,
            action: event.action.clone(),
            reason: event.reason.clone(),
            regarding: regarding.clone().into(),
            related: event.secondary.clone().map(Reference),
        }
    }
}

impl Event {
    /// The API object of the event. `nanos` becomes the suffix of the event's name, and must be unique.
    pub(super) fn to_api_object(
        &self,
        reporter: &Reporter,
        regarding: &ObjectReference,
        now: Timestamp,
        nanos: i128,
    ) -> v1::Event {
        let instance = reporter.instance.as_ref().unwrap_or(&reporter.controller);
        // The server requires the namespace `default` for events about cluster-scoped objects.
        let namespace = regarding.namespace.as_deref().filter(|namespace| !namespace.is_empty());
        v1::Event {
            metadata: ObjectMeta {
                name: Some(event_name(regarding.name.as_deref().unwrap_or_default(), nanos)),
                namespace: Some(namespace.unwrap_or("default").to_owned()),
                ..ObjectMeta::default()
            },
            action: Some(longest_prefix(&self.action, FIELD_LIMIT)),
            reason: Some(longest_prefix(&self.reason, FIELD_LIMIT)),
            note: self.note.as_deref().map(|note| longest_prefix(note, NOTE_LIMIT)),
            type_: Some(self.type_.name().to_owned()),
            event_time: Some(MicroTime(now)),
            regarding: Some(regarding.clone()),
            related: self.secondary.clone(),
            reporting_controller: Some(reporter.controller.clone()),
            reporting_instance: Some(longest_prefix(instance, FIELD_LIMIT)),
            ..v1::Event::default()
        }
    }
}

/// A valid name for an event about the object with the name `object`. The name ends with `nanos`, in hexadecimal.
fn event_name(object: &str, nanos: i128) -> String {
    let suffix = format!("{nanos:x}");
    let prefix = longest_prefix(object, NAME_LIMIT - 1 - suffix.len());
    let prefix = prefix.trim_end_matches(['.', '-']);
    let label = |label: &str| {
        let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    // Some names of objects, such as the ClusterRole name `system:node`, are not valid in the name of an event.
    if prefix.split('.').all(label) { format!("{prefix}.{suffix}") } else { format!("event.{suffix}") }
}

/// The longest prefix of `text` that is at most `limit` bytes long and splits no character.
fn longest_prefix(text: &str, limit: usize) -> String {
    let end = (0..=limit.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_names_are_valid_and_within_the_limit() {
        let long = format!("{}.x", "a".repeat(235));
        let cases = [
            ("web-0", "web-0.ff".to_owned()),
            ("system:node", "event.ff".to_owned()),
            ("", "event.ff".to_owned()),
            (&"a".repeat(300), format!("{}.ff", "a".repeat(250))),
        ];
        for (object, expected) in cases {
            assert_eq!(event_name(object, 255), expected);
        }
        // The prefix loses the dot at its end: the name does not contain two consecutive dots.
        assert_eq!(event_name(&long, i128::from(u64::MAX)), format!("{}.ffffffffffffffff", "a".repeat(235)));
    }

    #[test]
    fn the_longest_prefix_ends_at_a_character_boundary() {
        assert_eq!(longest_prefix("aé", 2), "a");
        assert_eq!(longest_prefix("aé", 3), "aé");
        assert_eq!(longest_prefix("aé", 9), "aé");
    }

    #[test]
    fn references_with_different_resource_versions_are_equal() {
        let at = |version: &str, uid: &str| {
            let (resource_version, uid) = (Some(version.to_owned()), Some(uid.to_owned()));
            Reference::from(ObjectReference { resource_version, uid, ..ObjectReference::default() })
        };
        assert_eq!(at("1", "u"), at("2", "u"));
        assert_ne!(at("1", "u"), at("1", "v"));
    }
}
