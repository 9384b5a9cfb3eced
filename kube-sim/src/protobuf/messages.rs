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

/// The Protobuf packages, without the version, of API groups. Groups that are not listed and have no dot in their name, such
/// as `apps`, have the package `k8s.io.api.<group>`.
const PACKAGES: [(&str, &str); 19] = [
    ("", "k8s.io.api.core"),
    ("admissionregistration.k8s.io", "k8s.io.api.admissionregistration"),
    ("apidiscovery.k8s.io", "k8s.io.api.apidiscovery"),
    ("apiextensions.k8s.io", "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions"),
    ("apiregistration.k8s.io", "k8s.io.kube_aggregator.pkg.apis.apiregistration"),
    ("authentication.k8s.io", "k8s.io.api.authentication"),
    ("authorization.k8s.io", "k8s.io.api.authorization"),
    ("certificates.k8s.io", "k8s.io.api.certificates"),
    ("coordination.k8s.io", "k8s.io.api.coordination"),
    ("discovery.k8s.io", "k8s.io.api.discovery"),
    ("events.k8s.io", "k8s.io.api.events"),
    ("flowcontrol.apiserver.k8s.io", "k8s.io.api.flowcontrol"),
    ("networking.k8s.io", "k8s.io.api.networking"),
    ("node.k8s.io", "k8s.io.api.node"),
    ("rbac.authorization.k8s.io", "k8s.io.api.rbac"),
    ("resource.k8s.io", "k8s.io.api.resource"),
    ("scheduling.k8s.io", "k8s.io.api.scheduling"),
    ("storage.k8s.io", "k8s.io.api.storage"),
    ("storagemigration.k8s.io", "k8s.io.api.storagemigration"),
];

/// The message of a kind; `None` if the kind is not built in.
pub(super) fn of_kind(api_version: &str, kind: &str) -> Option<&'static Message> {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let name = match (group, kind) {
        // Clients send `DeleteOptions` with the API version of the deleted object.
        (_, "DeleteOptions") | ("", "Status" | "ListMeta") | ("meta.k8s.io", _) => {
            format!("k8s.io.apimachinery.pkg.apis.meta.v1.{kind}")
        }
        _ => match PACKAGES.iter().find(|(name, _)| *name == group) {
            Some((_, package)) => format!("{package}.{version}.{kind}"),
            // The name of a group of custom resources contains a dot, so this is a built-in group, such as
            // `apps`.
            None if !group.contains('.') => format!("k8s.io.api.{group}.{version}.{kind}"),
            None => return None,
        },
    };
    INDEX_BY_NAME.get(name.as_str()).map(|at| &ALL_MESSAGES[*at])
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
    fn the_group_of_a_kind_selects_its_message() {
        let name = |api_version, kind| of_kind(api_version, kind).map(|message| message.name);
        for (api_version, kind, expected) in [
            ("v1", "Pod", "k8s.io.api.core.v1.Pod"),
            ("apps/v1", "Deployment", "k8s.io.api.apps.v1.Deployment"),
            ("rbac.authorization.k8s.io/v1", "Role", "k8s.io.api.rbac.v1.Role"),
            ("apps/v1", "DeleteOptions", "k8s.io.apimachinery.pkg.apis.meta.v1.DeleteOptions"),
            ("v1", "Status", "k8s.io.apimachinery.pkg.apis.meta.v1.Status"),
            (
                "meta.k8s.io/v1beta1",
                "PartialObjectMetadata",
                "k8s.io.apimachinery.pkg.apis.meta.v1.PartialObjectMetadata",
            ),
        ] {
            assert_eq!(name(api_version, kind), Some(expected));
        }
        for (api_version, kind) in [
            ("apps.example.com/v1", "Deployment"),
            ("batch.volcano.sh/v1", "Job"),
            ("apps.k8s.io/v1", "Deployment"),
            ("example.com/v1", "Status"),
        ] {
            assert_eq!(name(api_version, kind), None, "{api_version} {kind}");
        }
    }

    #[test]
    fn every_package_in_k8s_io_api_belongs_to_a_known_group() {
        for message in ALL_MESSAGES.iter() {
            let Some((package, _)) =
                message.name.strip_prefix("k8s.io.api.").and_then(|name| name.split_once('.'))
            else {
                continue;
            };
            let is_listed = PACKAGES.iter().any(|(_, listed)| *listed == format!("k8s.io.api.{package}"));
            let is_named_as_its_group = ["apps", "autoscaling", "batch", "policy"].contains(&package);
            assert!(is_listed || is_named_as_its_group, "{package}");
        }
    }

    #[test]
    fn fields_refer_to_recorded_messages() {
        assert!(ALL_MESSAGES.iter().all(|m| {
            m.fields
                .iter()
                .all(|f| !matches!(f.value_type, ValueType::Message(at) if at >= ALL_MESSAGES.len()))
        }));
    }
}
