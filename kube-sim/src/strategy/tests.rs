//! Tests of the strategies. This file tests the list of strategies and the reset fields of strategies.

mod certificates;
mod defaults;
mod fields;
mod networking;
mod pods;
mod resource;
mod storage;
mod validation;

use super::*;
use crate::builtin;

#[test]
fn every_stored_kind_has_a_strategy() {
    for resource in builtin::resources().iter().filter(|resource| resource.verbs.contains(&"list")) {
        let found = Strategy::of(resource.group, resource.version, resource.kind);
        // The server computes component statuses and does not store them.
        assert_eq!(
            found.is_some(),
            resource.kind != "ComponentStatus",
            "{} {}",
            resource.group,
            resource.kind
        );
    }
}

#[test]
fn every_strategy_belongs_to_one_built_in_kind() {
    let mut seen = std::collections::HashSet::new();
    for strategy in STRATEGIES.iter().copied().flatten() {
        let is_kind = |r: &builtin::Resource| r.group == strategy.group && r.kind == strategy.kind;
        assert!(builtin::resources().iter().any(is_kind), "{} {}", strategy.group, strategy.kind);
        assert!(
            seen.insert((strategy.group, strategy.kind)),
            "{} {} is listed twice",
            strategy.group,
            strategy.kind
        );
    }
}

#[test]
fn reset_fields_depend_on_the_subresource() {
    let of = |group: &str, kind: &str| Strategy::of(group, "v1", kind).unwrap();
    assert_eq!(of("apps", "Deployment").reset_fields("", true), ["status"]);
    assert_eq!(of("apps", "Deployment").reset_fields("status", true), ["metadata.labels", "spec"]);
    assert_eq!(of("", "Node").reset_fields("status", true), ["spec"]);
    assert_eq!(of("", "ConfigMap").reset_fields("", false), Vec::<&str>::new());
    assert_eq!(Strategy::CUSTOM.reset_fields("", true), ["status"]);
    assert_eq!(Strategy::CUSTOM.reset_fields("status", true), ["metadata", "spec"]);
}
