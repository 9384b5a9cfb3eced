//! Tests of the kinds `IPAddress` and `ServiceCIDR`.

use serde_json::{Value, json};

use super::validation::{check_create, check_update};
use crate::strategy::Strategy;

const GROUP: &str = "networking.k8s.io";

/// A `ServiceCIDR` with these CIDRs.
fn service_cidr(cidrs: &[&str]) -> Value {
    json!({"metadata": {"name": "c"}, "spec": {"cidrs": cidrs}})
}

#[test]
fn a_service_cidr_has_at_most_one_cidr_of_each_family() {
    let check = |cidrs: &[&str], expected: &[&str]| {
        check_create(GROUP, "servicecidrs", service_cidr(cidrs), expected);
    };
    check(&["192.0.2.0/24", "2001:db8::/64"], &[]);
    check(&[], &["spec.cidrs: Required value: at least one CIDR required"]);
    check(
        &["192.0.2.0/24", "198.51.100.0/24"],
        &[
            r#"spec.cidrs: Invalid value: ["192.0.2.0/24","198.51.100.0/24"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"#,
        ],
    );
    check(
        &["192.0.2.1/24", "2001:DB8::/64"],
        &[
            r#"spec.cidrs[0]: Invalid value: "192.0.2.1/24": must not have bits set beyond the prefix length"#,
            r#"spec.cidrs[1]: Invalid value: "2001:DB8::/64": must be in canonical form ("2001:db8::/64")"#,
        ],
    );
    check(
        &["192.0.2.0/24", "2001:db8::/64", "2001:db8:1::/64"],
        &[
            r#"spec.cidrs: Invalid value: {"cidrs":["192.0.2.0/24","2001:db8::/64","2001:db8:1::/64"]}: may only hold up to 2 values"#,
        ],
    );
}

#[test]
fn an_update_may_only_add_a_cidr_of_the_other_family() {
    let check = |old: &[&str], new: &[&str], expected: &[&str]| {
        check_update(GROUP, "servicecidrs", Some(service_cidr(old)), service_cidr(new), expected);
    };
    let (four, six) = ("192.0.2.0/24", "2001:db8::/64");
    check(&[four], &[four, six], &[]);
    check(&[four], &[six], &[r#"spec.cidrs[0]: Invalid value: "2001:db8::/64": field is immutable"#]);
    check(&[four, six], &[four], &[r#"spec.cidrs: Invalid value: ["192.0.2.0/24"]: field is immutable"#]);
    check(&[four], &[six, four], &[r#"spec.cidrs[0]: Invalid value: "2001:db8::/64": field is immutable"#]);
}

#[test]
fn the_name_of_an_ip_address_must_be_canonical() {
    let problem = Strategy::of(GROUP, "v1", "IPAddress").unwrap().name_problem;
    assert_eq!(problem("192.0.2.1"), None);
    assert_eq!(problem("2001:db8::1"), None);
    assert_eq!(problem("2001:DB8::1").as_deref(), Some(r#"must be in canonical form ("2001:db8::1")"#));
    assert_eq!(problem("010.0.0.1").as_deref(), Some("must not have leading 0s"));
    assert!(problem("a").is_some());
}

#[test]
fn the_parent_of_an_ip_address_is_required_and_immutable() {
    let address = |parent: Value| json!({"metadata": {"name": "192.0.2.1"}, "spec": {"parentRef": parent}});
    let parent = json!({"resource": "services", "namespace": "n", "name": "s"});
    check_create(GROUP, "ipaddresses", address(parent.clone()), &[]);
    check_create(
        GROUP,
        "ipaddresses",
        json!({"metadata": {"name": "192.0.2.1"}, "spec": {}}),
        &["spec.parentRef: Required value"],
    );
    check_create(
        GROUP,
        "ipaddresses",
        address(json!({"group": "A", "resource": "a/b", "namespace": ".."})),
        &[
            &format!(
                r#"spec.parentRef.group: Invalid value: "A": {}"#,
                crate::names::subdomain_problem("A").unwrap()
            ),
            r#"spec.parentRef.resource: Invalid value: "a/b": may not contain '/'"#,
            "spec.parentRef.name: Required value",
            r#"spec.parentRef.namespace: Invalid value: "..": may not be '..'"#,
        ],
    );
    let other = json!({"resource": "services", "namespace": "n", "name": "other"});
    check_update(
        GROUP,
        "ipaddresses",
        Some(address(parent)),
        address(other),
        &["spec.parentRef: Invalid value: null: field is immutable"],
    );
}
