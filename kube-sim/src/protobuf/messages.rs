//! The Protobuf messages of the built-in kinds, recorded by the example `record_protobuf`.

use std::collections::HashMap;
use std::sync::LazyLock;

/// The type of a field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueType {
    String,
    Bytes,
    Bool,
    Double,
    Int,
    Uint,
    /// The message at this index of `ALL_MESSAGES`.
    Message(usize),
}

/// The cardinality of a field, and the form of its value in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    Singular,
    Repeated,
    /// A map with string keys.
    Map,
    /// A message whose fields are part of the JSON object of the outer message.
    Inline,
}

/// A field of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) number: u64,
    pub(super) name: &'static str,
    pub(super) label: Label,
    pub(super) value_type: ValueType,
    /// Whether the JSON object contains the field even if its value is zero.
    pub(super) shows_zero: bool,
    /// Whether the field is a pointer in Go. Go's encoder omits a singular field only if its value is a nil pointer or a
    /// nil byte slice. The encoder writes all other zero values.
    pub(super) is_pointer: bool,
}

/// A Protobuf message type.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) name: &'static str,
    /// The fields, sorted by number. Go encodes the fields in this order.
    pub(super) fields: Vec<Field>,
}

/// The recorded messages: a line `=NAME` for each message, followed by one line for each of its fields.
static RECORDED_MESSAGES: &str = include_str!("messages.txt");

/// The parsed messages of [`RECORDED_MESSAGES`].
static ALL_MESSAGES: LazyLock<Vec<Message>> = LazyLock::new(|| {
    let mut all: Vec<Message> = Vec::new();
    for line in RECORDED_MESSAGES.lines() {
        if let Some(name) = line.strip_prefix('=') {
            all.push(Message { name, fields: Vec::new() });
        } else if let (Some(message), Some(field)) = (all.last_mut(), parse_field(line)) {
            message.fields.push(field);
        }
    }
    for message in &mut all {
        message.fields.sort_by_key(|field| field.number);
    }
    all
});

/// The index in [`ALL_MESSAGES`] of each message, by name.
static INDEX_BY_NAME: LazyLock<HashMap<&'static str, usize>> =
    LazyLock::new(|| ALL_MESSAGES.iter().enumerate().map(|(i, m)| (m.name, i)).collect());

/// Parses the line of one field in `messages.txt`.
fn parse_field(line: &'static str) -> Option<Field> {
    let mut parts = line.split(' ');
    let number = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let kind = parts.next()?;
    let (kind, is_pointer) = kind.strip_suffix('?').map_or((kind, false), |kind| (kind, true));
    let (kind, shows_zero) = kind.strip_suffix('!').map_or((kind, false), |kind| (kind, true));
    let (label, kind) = match kind.chars().next()? {
        '*' => (Label::Repeated, &kind[1..]),
        '%' => (Label::Map, &kind[1..]),
        '~' => (Label::Inline, &kind[1..]),
        _ => (Label::Singular, kind),
    };
    let value_type = match kind.split_at(1) {
        ("m", at) => ValueType::Message(at.parse().ok()?),
        ("s", _) => ValueType::String,
        ("b", _) => ValueType::Bytes,
        ("t", _) => ValueType::Bool,
        ("d", _) => ValueType::Double,
        ("u", _) => ValueType::Uint,
        _ => ValueType::Int,
    };
    Some(Field { number, name, label, value_type, shows_zero, is_pointer })
}

/// The message at an index of [`ALL_MESSAGES`].
pub(super) fn message_at(at: usize) -> &'static Message {
    &ALL_MESSAGES[at]
}

/// The message of a kind; `None` if the kind is not built in.
pub(super) fn of_kind(api_version: &str, kind: &str) -> Option<&'static Message> {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let package = match group {
        _ if matches!(kind, "DeleteOptions" | "Status" | "ListMeta" | "PartialObjectMetadata") => {
            "k8s.io.apimachinery.pkg.apis.meta.v1".to_owned()
        }
        "" => format!("k8s.io.api.core.{version}"),
        "apiextensions.k8s.io" => format!("k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.{version}"),
        "apiregistration.k8s.io" => format!("k8s.io.kube_aggregator.pkg.apis.apiregistration.{version}"),
        group => {
            // The package of `rbac.authorization.k8s.io` is `rbac`, etc.
            let short = group.split('.').next().unwrap_or_default();
            format!("k8s.io.api.{short}.{version}")
        }
    };
    INDEX_BY_NAME.get(format!("{package}.{kind}").as_str()).map(|at| &ALL_MESSAGES[*at])
}

/// Whether Go omits the scalar field `field` from the JSON object if the value of the field is zero. `component` is the
/// name of an OpenAPI component, such as `io.k8s.api.core.v1.PodSpec`.
pub(crate) fn omits_zero(component: &str, field: &str) -> bool {
    let Some(name) = component.strip_prefix("io.k8s.") else { return false };
    let name = format!("k8s.io.{}", name.replace('-', "_"));
    let found = INDEX_BY_NAME.get(name.as_str()).and_then(|at| find_field(&ALL_MESSAGES[*at], field));
    found.is_some_and(|field| !field.shows_zero && field.label == Label::Singular)
}

/// Searches a message and its inline messages for the field with this name. The JSON object of the message also
/// contains the fields of the inline messages.
fn find_field(message: &'static Message, name: &str) -> Option<&'static Field> {
    message.fields.iter().find_map(|field| match (field.label, field.value_type) {
        (Label::Inline, ValueType::Message(at)) => find_field(&ALL_MESSAGES[at], name),
        _ if field.name == name => Some(field),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_refer_to_recorded_messages() {
        assert!(ALL_MESSAGES.iter().all(|m| {
            m.fields
                .iter()
                .all(|f| !matches!(f.value_type, ValueType::Message(at) if at >= ALL_MESSAGES.len()))
        }));
    }
}
