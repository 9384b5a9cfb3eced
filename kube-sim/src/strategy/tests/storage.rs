//! Tests of the kinds in the API groups `storage.k8s.io` and `storagemigration.k8s.io`.

use serde_json::{Value, json};

use super::validation::{check_create, check_update};
use crate::store::selector::Labels;
use crate::strategy::{Strategy, SubresourceUpdate};

const GROUP: &str = "storage.k8s.io";

fn csi_node(driver: &Value) -> Value {
    json!({"metadata": {"name": "n"}, "spec": {"drivers": [driver]}})
}

#[test]
fn only_the_allocatable_count_of_an_existing_driver_may_change() {
    let with = |count: i64, id: &str| {
        csi_node(&json!({"name": "a.example.com", "nodeID": id, "allocatable": {"count": count}}))
    };
    check_update(GROUP, "csinodes", Some(with(1, "a")), with(2, "a"), &[]);
    let changed = r#"spec.drivers: Invalid value: {"name":"a.example.com","nodeID":"b","topologyKeys":null}: field is immutable"#;
    check_update(GROUP, "csinodes", Some(with(1, "a")), with(1, "b"), &[changed]);
    let renamed = csi_node(&json!({"name": "b.example.com", "nodeID": "b"}));
    check_update(GROUP, "csinodes", Some(with(1, "a")), renamed, &[]);
}

#[test]
fn invalid_names_node_ids_and_allocatable_counts_of_csi_drivers_are_rejected() {
    check_create(
        GROUP,
        "csinodes",
        csi_node(&json!({"name": "a".repeat(64), "nodeID": "", "allocatable": {"count": -1}})),
        &[
            "spec.drivers[0].name: Too long: may not be more than 63 bytes",
            "spec.drivers[0].nodeID: Required value",
            "spec.drivers[0].allocatable.count: Invalid value: -1: must be between 0 and 2147483647, inclusive",
        ],
    );
}

#[test]
fn parameters_of_a_volume_attributes_class_are_required_and_immutable() {
    let class = |parameters: Value| json!({"driverName": "a.example.com", "parameters": parameters});
    check_create(
        GROUP,
        "volumeattributesclasses",
        class(json!({})),
        &["parameters: Required value: must contain at least one key/value pair"],
    );
    check_update(
        GROUP,
        "volumeattributesclasses",
        Some(class(json!({"a": "b"}))),
        class(json!({"a": "c"})),
        &["parameters: Forbidden: updates to parameters are forbidden."],
    );
}

/// Validates the update of a migration's status from `old` to `new`, and returns the paths of the invalid fields.
fn invalid_migration_fields(old: &Value, new: &Value) -> Vec<String> {
    let strategy = Strategy::of("storagemigration.k8s.io", "v1", "StorageVersionMigration").unwrap();
    let old = json!({"status": old});
    let update = SubresourceUpdate {
        subresource: "status",
        old: &old,
        namespace_labels: &Labels::default,
        now: "2024-01-01T00:00:00Z",
    };
    let errors = strategy.subresource_errors(&update, &json!({"status": new}));
    errors.into_iter().map(|error| error.field).collect()
}

#[test]
fn a_migration_cannot_have_two_outcomes_or_change_its_outcome_or_resource_version() {
    let is_true = |kind: &str| json!({"type": kind, "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2024-01-01T00:00:00Z"});
    let both = json!({"conditions": [is_true("Succeeded"), is_true("Failed")]});
    assert_eq!(invalid_migration_fields(&json!({}), &both), ["status.conditions"]);
    let done = json!({"conditions": [is_true("Failed")]});
    assert_eq!(invalid_migration_fields(&done, &json!({"conditions": []})), ["status.conditions"]);
    assert_eq!(
        invalid_migration_fields(&json!({"resourceVersion": "7"}), &json!({"resourceVersion": "8"})),
        ["status.resourceVersion"]
    );
    assert_eq!(
        invalid_migration_fields(&json!({}), &json!({"resourceVersion": "07"})),
        ["status.resourceVersion"]
    );
}

#[test]
fn each_field_of_a_migration_condition_is_checked() {
    let wrong = json!({"type": "a b", "status": "Maybe", "reason": "a b", "observedGeneration": -1, "message": "m".repeat(40_000)});
    let fields = invalid_migration_fields(&json!({}), &json!({"conditions": [wrong, wrong]}));
    let of = |index: usize| {
        ["type", "status", "observedGeneration", "lastTransitionTime", "reason", "message"]
            .map(|field| format!("status.conditions[{index}].{field}"))
    };
    let mut expected = of(0).to_vec();
    expected.push("status.conditions[1]".to_owned());
    expected.extend(of(1));
    assert_eq!(fields, expected);
}
