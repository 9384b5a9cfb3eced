//! The Protobuf messages of the built-in kinds, as recorded by the example `record_protobuf`.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Text,
    Bytes,
    Flag,
    Double,
    Signed,
    Unsigned,
    /// The message of that number.
    Message(usize),
}

/// How often, and where, a field's value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    Once,
    Repeated,
    /// A map from texts.
    Map,
    /// A message whose fields JSON has in the outer object.
    Inline,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) number: u64,
    pub(super) name: &'static str,
    pub(super) label: Label,
    pub(super) holds: Holds,
    /// JSON shows the field also when it is zero.
    pub(super) shows_zero: bool,
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) name: &'static str,
    pub(super) fields: Vec<Field>,
}

static RECORDED: &str = include_str!("messages.txt");

static ALL: LazyLock<Vec<Message>> = LazyLock::new(|| {
    let mut all: Vec<Message> = Vec::new();
    for line in RECORDED.lines() {
        if let Some(name) = line.strip_prefix('=') {
            all.push(Message { name, fields: Vec::new() });
        } else if let (Some(message), Some(field)) = (all.last_mut(), field(line)) {
            message.fields.push(field);
        }
    }
    all
});

static BY_NAME: LazyLock<HashMap<&'static str, usize>> =
    LazyLock::new(|| ALL.iter().enumerate().map(|(i, m)| (m.name, i)).collect());

fn field(line: &'static str) -> Option<Field> {
    let mut parts = line.split(' ');
    let number = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let kind = parts.next()?;
    let shows_zero = kind.ends_with('!');
    let kind = kind.trim_end_matches('!');
    let (label, kind) = match kind.chars().next()? {
        '*' => (Label::Repeated, &kind[1..]),
        '%' => (Label::Map, &kind[1..]),
        '~' => (Label::Inline, &kind[1..]),
        _ => (Label::Once, kind),
    };
    let holds = match kind.split_at(1) {
        ("m", at) => Holds::Message(at.parse().ok()?),
        ("s", _) => Holds::Text,
        ("b", _) => Holds::Bytes,
        ("t", _) => Holds::Flag,
        ("d", _) => Holds::Double,
        ("u", _) => Holds::Unsigned,
        _ => Holds::Signed,
    };
    Some(Field { number, name, label, holds, shows_zero })
}

pub(super) fn message(at: usize) -> &'static Message {
    &ALL[at]
}

/// The message of a kind.
pub(super) fn of_kind(api_version: &str, kind: &str) -> Option<&'static Message> {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let package = match group {
        _ if kind == "DeleteOptions" => "k8s.io.apimachinery.pkg.apis.meta.v1".to_owned(),
        "" => format!("k8s.io.api.core.{version}"),
        "apiextensions.k8s.io" => format!("k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.{version}"),
        "apiregistration.k8s.io" => format!("k8s.io.kube_aggregator.pkg.apis.apiregistration.{version}"),
        group => {
            // `rbac.authorization.k8s.io` lies in `rbac`, and so on.
            let short = group.split('.').next().unwrap_or_default();
            format!("k8s.io.api.{short}.{version}")
        }
    };
    BY_NAME.get(format!("{package}.{kind}").as_str()).map(|at| &ALL[*at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_object_has_its_message() {
        for resource in crate::builtin::resources() {
            let known = of_kind(&resource.api_version(), resource.kind).is_some();
            assert!(known, "{} {}", resource.api_version(), resource.kind);
        }
        assert!(
            ALL.iter()
                .all(|m| m.fields.iter().all(|f| !matches!(f.holds, Holds::Message(at) if at >= ALL.len())))
        );
    }
}
