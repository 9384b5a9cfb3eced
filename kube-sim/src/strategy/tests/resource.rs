//! Tests of the kinds in the API group `resource.k8s.io`.

use serde_json::{Value, json};

use super::validation::{check_create, check_update};
use crate::store::selector::Labels;
use crate::strategy::{Strategy, SubresourceUpdate};

const GROUP: &str = "resource.k8s.io";

/// A `ResourceClaim` with these device requests.
fn claim(requests: &Value) -> Value {
    json!({"spec": {"devices": {"requests": requests}}})
}

fn resource_slice(device: &Value) -> Value {
    json!({"spec": {
        "driver": "a.example.com",
        "pool": {"name": "p", "generation": 0, "resourceSliceCount": 1},
        "nodeName": "n",
        "devices": [device],
    }})
}

fn strategy(kind: &str) -> &'static Strategy {
    Strategy::of(GROUP, "v1", kind).unwrap()
}

#[test]
fn device_requests_get_a_default_allocation_mode_and_count() {
    let mut new = claim(&json!([
        {"name": "a", "exactly": {"deviceClassName": "c"}},
        {"name": "b", "firstAvailable": [{"name": "c", "deviceClassName": "c", "allocationMode": "All"}]},
    ]));
    (strategy("ResourceClaim").set_defaults)(None, &mut new);
    let requests = &new["spec"]["devices"]["requests"];
    assert_eq!(
        requests[0]["exactly"],
        json!({"deviceClassName": "c", "allocationMode": "ExactCount", "count": 1})
    );
    assert_eq!(requests[1]["firstAvailable"][0].get("count"), None);
    check_create(GROUP, "resourceclaims", new, &[]);
}

#[test]
fn a_constraint_must_refer_to_requests_of_its_claim() {
    let mut new = claim(&json!([{"name": "a", "firstAvailable": [{"name": "b", "deviceClassName": "c"}]}]));
    new["spec"]["devices"]["constraints"] =
        json!([{"requests": ["a", "a/b", "a/c"], "matchAttribute": "local"}, {"requests": ["a/b/c"]}]);
    let unknown = |field: &str, name: &str| {
        format!(
            "spec.devices.constraints{field}: Invalid value: \"{name}\": must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
        )
    };
    check_create(
        GROUP,
        "resourceclaims",
        new,
        &[
            &unknown("[0].requests[2]", "a/c"),
            "spec.devices.constraints[0].matchAttribute: Invalid value: \"local\": a fully qualified name must be a domain and a name separated by a slash",
            &unknown("[1].requests[0]", "a/b/c"),
            "spec.devices.constraints[1]: Required value: exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set",
        ],
    );
}

#[test]
fn a_device_selector_must_be_a_boolean_expression() {
    let class = |expression: &str| json!({"spec": {"selectors": [{"cel": {"expression": expression}}]}});
    for valid in [
        "device.driver == 'a'",
        "device.attributes['a.example.com'].model == 'x' && device.allowMultipleAllocations",
        "cel.bind(a, device.attributes['a'], a.b || a.c)",
        "device.attributes['a'].flag",
        "device.capacity['a'].memory.compareTo(quantity('1Gi')) >= 0",
        "device.capacity.exists(domain, device.capacity[domain].all(id, id != 'x'))",
    ] {
        check_create(GROUP, "deviceclasses", class(valid), &[]);
    }
    for (invalid, why) in [
        ("device.driver", "must evaluate to bool or the unknown type, not string"),
        ("device.attributes['a'].b.c", "must evaluate to bool or the unknown type, not dyn"),
        ("device.capacity['a'].b", "must evaluate to bool or the unknown type, not kubernetes.Quantity"),
        (
            "device.attributes",
            "must evaluate to bool or the unknown type, not map(string, map(string, google.protobuf.Any))",
        ),
        (
            "device.capacity['a'].b == 1",
            "compilation failed: ERROR: <input>:1:24: found no matching overload for '_==_' applied to '(kubernetes.Quantity, int)'\n | device.capacity['a'].b == 1\n | .......................^",
        ),
        (
            "device.attributes['a'].b.all(x, x)",
            "compilation failed: ERROR: <input>:1:23: expression of type 'any' cannot be range of a comprehension (must be list, map, or dynamic)\n | device.attributes['a'].b.all(x, x)\n | ......................^",
        ),
    ] {
        let error = format!("spec.selectors[0].cel.expression: Invalid value: {invalid:?}: {why}");
        check_create(GROUP, "deviceclasses", class(invalid), &[&error]);
    }
    let domains = "device.attributes.all(a, device.attributes.all(b, device.attributes.all(c, device.attributes.all(d, device.attributes.all(e, a == b && c == d && d == e)))))";
    check_create(
        GROUP,
        "deviceclasses",
        class(domains),
        &["spec.selectors[0].cel.expression: Forbidden: too complex, exceeds cost limit"],
    );
}

#[test]
fn the_spec_of_a_claim_is_immutable() {
    let of = |class: &str| claim(&json!([{"name": "a", "exactly": {"deviceClassName": class}}]));
    let strategy = strategy("ResourceClaim");
    let mut found = crate::strategy::Errors::default();
    strategy.validate_update.unwrap()(&of("a"), &of("B"), &mut found);
    let fields: Vec<_> = found.0.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["spec"]);
}

#[test]
fn the_valid_range_of_a_request_policy_is_checked() {
    let with = |value: &str, default: &str, min: &str, max: &str, step: &str| {
        resource_slice(&json!({"name": "d", "allowMultipleAllocations": true, "capacity": {"memory": {
            "value": value,
            "requestPolicy": {"default": default, "validRange": {"min": min, "max": max, "step": step}},
        }}}))
    };
    let path = "spec.devices[0].capacity[memory].requestPolicy.validRange";
    let check = |object: Value, expected: &[&str]| {
        let expected: Vec<_> = expected.iter().map(|text| format!("{path}.{text}")).collect();
        check_create(
            GROUP,
            "resourceslices",
            object,
            &expected.iter().map(String::as_str).collect::<Vec<_>>(),
        );
    };
    check(with("16Gi", "2Gi", "1Gi", "8Gi", "1Gi"), &[]);
    check(with("1", "500m", "100m", "1", "100m"), &[]);
    // In units of 10^-9, the difference between maximum and minimum does not fit into an `i128`.
    check(
        with("1e29", "1e29", "-1e29", "1e29", "500m"),
        &["step: Invalid value: \"100000000000e18\": value is not a multiple of a given step (500m) from (-100000000000e18)";
            2],
    );
    check(
        with("16Gi", "1500Mi", "1Gi", "8Gi", "1Gi"),
        &["step: Invalid value: \"1500Mi\": value is not a multiple of a given step (1Gi) from (1Gi)"],
    );
    check(
        with("4", "9", "5", "8", "0"),
        &[
            "min: Invalid value: \"5\": min is larger than capacity value: 4",
            "max: Invalid value: \"8\": max is larger than capacity value: 4",
            "default: Invalid value: \"9\": default is more than max: 8",
            "step: Invalid value: \"0\": must be greater than zero",
        ],
    );
    check(
        with("1", "500u", "100m", "1", "100m"),
        &[
            "default: Invalid value: \"500u\": default is less than min: 100m",
            "default: Invalid value: \"500u\": value cannot be represented as a milli value",
        ],
    );
}

#[test]
fn a_request_policy_requires_that_multiple_allocations_are_allowed() {
    let device = json!({"name": "d", "capacity": {"m": {"value": "1", "requestPolicy": {"default": "1"}}}});
    check_create(
        GROUP,
        "resourceslices",
        resource_slice(&device),
        &["spec.devices[0].capacity[m].requestPolicy: Forbidden: allowMultipleAllocations must be true"],
    );
}

#[test]
fn the_pool_name_and_the_driver_of_a_slice_are_immutable() {
    let old = resource_slice(&json!({"name": "d"}));
    let mut new = old.clone();
    new["spec"]["driver"] = "b.example.com".into();
    new["spec"]["pool"] = json!({"name": "q", "generation": 1, "resourceSliceCount": 1});
    check_update(
        GROUP,
        "resourceslices",
        Some(old),
        new,
        &[
            "spec.pool.name: Invalid value: \"q\": field is immutable",
            "spec.driver: Invalid value: \"b.example.com\": field is immutable",
        ],
    );
}

#[test]
fn fields_of_disabled_features_are_dropped() {
    let mut new = resource_slice(&json!({
        "name": "d",
        "attributes": {"a": {"ints": [1]}},
        "nodeAllocatableResources": {"cpu": {}},
        "consumesCounters": [{"counterSet": "c", "counters": {}, "compatibilityGroups": ["g"]}],
    }));
    let expected = resource_slice(&json!({
        "name": "d",
        "attributes": {"a": {}},
        "consumesCounters": [{"counterSet": "c", "counters": {}}],
    }));
    new["spec"]["skipNodeOperations"] = json!(["*"]);
    (strategy("ResourceSlice").prepare_for_update)(&expected, &mut new);
    assert_eq!(new, expected);
}

#[test]
fn a_taint_keeps_its_time_until_its_effect_changes() {
    let strategy = strategy("DeviceTaintRule");
    let set_times = strategy.set_times.unwrap();
    let mut rule = json!({"spec": {"taint": {"key": "a", "effect": "None"}}});
    set_times(None, &mut rule, "first");
    let old = rule.clone();
    set_times(Some(&old), &mut rule, "second");
    assert_eq!(rule["spec"]["taint"]["timeAdded"], "first");
    rule["spec"]["taint"]["effect"] = "NoExecute".into();
    set_times(Some(&old), &mut rule, "second");
    assert_eq!(rule["spec"]["taint"]["timeAdded"], "second");
}

/// Validates the update of a claim's status from `old` to `new`, and returns the paths of the invalid fields. The claim
/// has the request `gpu`.
fn invalid_status_fields(old: &Value, new: &Value) -> Vec<String> {
    invalid_status_fields_in_namespace(&Labels::default(), old, new)
}

/// Like [`invalid_status_fields`], but in a namespace with these labels.
fn invalid_status_fields_in_namespace(namespace_labels: &Labels, old: &Value, new: &Value) -> Vec<String> {
    let mut claims = [old, new].map(|status| {
        let mut claim = claim(&json!([{"name": "gpu", "exactly": {"deviceClassName": "c"}}]));
        claim["status"] = status.clone();
        claim
    });
    let strategy = strategy("ResourceClaim");
    let [old, new] = &mut claims;
    let namespace_labels = || namespace_labels.clone();
    let update = SubresourceUpdate {
        subresource: "status",
        old,
        namespace_labels: &namespace_labels,
        now: "2024-01-01T00:00:00Z",
    };
    (strategy.prepare_status)(&update, new);
    strategy.subresource_errors(&update, new).into_iter().map(|error| error.field).collect()
}

#[test]
fn a_new_allocation_is_validated_and_then_immutable() {
    let allocation = |request: &str, device: &str| json!({"devices": {"results": [{"request": request, "driver": "a.example.com", "pool": "p", "device": device}]}});
    let of = |allocation: Value| json!({"allocation": allocation});
    assert!(invalid_status_fields(&json!({}), &of(allocation("gpu", "d"))).is_empty());
    assert_eq!(
        invalid_status_fields(&json!({}), &of(allocation("x", "D"))),
        ["status.allocation.devices.results[0].request", "status.allocation.devices.results[0].device"]
    );
    assert_eq!(
        invalid_status_fields(&of(allocation("gpu", "d")), &of(allocation("gpu", "e"))),
        ["status.allocation"]
    );
}

#[test]
fn device_statuses_and_reservations_require_an_allocation() {
    let allocation = json!({"devices": {"results": [{"request": "gpu", "driver": "a.example.com", "pool": "p", "device": "d"}]}});
    let device = |name: &str| json!({"driver": "a.example.com", "pool": "p", "device": name});
    let allocated = json!({"allocation": allocation, "devices": [device("d")]});
    assert!(invalid_status_fields(&json!({"allocation": allocation}), &allocated).is_empty());
    let other = json!({"allocation": allocation, "devices": [device("d"), device("d"), device("e")]});
    assert_eq!(
        invalid_status_fields(&json!({"allocation": allocation}), &other),
        ["status.devices[2]", "status.devices[1]"]
    );
    // If a write removes the allocation, the status of the device is also dropped.
    assert!(invalid_status_fields(&allocated, &json!({"devices": [device("d")]})).is_empty());
    assert_eq!(
        invalid_status_fields(&json!({}), &json!({"reservedFor": [{"uid": "u", "name": "p"}]})),
        ["status.reservedFor[0].resource", "status.reservedFor"]
    );
}

#[test]
fn a_request_for_admin_access_requires_the_namespace_label() {
    let claim = claim(&json!([
        {"name": "a", "exactly": {"deviceClassName": "c"}},
        {"name": "b", "exactly": {"deviceClassName": "c", "adminAccess": true}},
    ]));
    let strategy = strategy("ResourceClaim");
    let fields = |labels: &Labels| -> Vec<String> {
        strategy.errors_in_namespace(&claim, labels).into_iter().map(|error| error.field).collect()
    };
    let with_label = Labels::of(&json!({"labels": {"resource.kubernetes.io/admin-access": "true"}}));
    assert_eq!(fields(&Labels::default()), ["spec.devices.requests[1].adminAccess"]);
    assert!(fields(&with_label).is_empty());
}

#[test]
fn an_allocation_with_admin_access_requires_the_namespace_label() {
    let with_access = |requests: &[&str]| {
        let device = |request: &&str| json!({"request": request, "driver": "a.example.com", "pool": "p", "device": "d", "adminAccess": true});
        json!({"allocation": {"devices": {"results": requests.iter().map(device).collect::<Vec<_>>()}}})
    };
    let expected = ["status.allocation.devices.results[0].adminAccess"];
    assert_eq!(invalid_status_fields(&json!({}), &with_access(&["gpu"])), expected);
    let with_label = Labels::of(&json!({"labels": {"resource.kubernetes.io/admin-access": "true"}}));
    assert!(invalid_status_fields_in_namespace(&with_label, &json!({}), &with_access(&["gpu"])).is_empty());
    // A write that keeps the allocation needs no label.
    assert!(invalid_status_fields(&with_access(&["gpu"]), &with_access(&["gpu"])).is_empty());
}
