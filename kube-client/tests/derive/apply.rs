//! Tests of `#[derive(ApplyConfiguration)]` and `#[kube(apply)]`: an apply sends only the fields that are set. The
//! companion of a type is its generated apply configuration, such as `LoadApply` for `Load`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use k8s_openapi::{api::core::v1::ResourceRequirements, apimachinery::pkg::apis::meta::v1::FieldsV1};
use kube_client::{Resource, core::extract_applied};
use kube_derive::{ApplyConfiguration, CustomResource};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

/// The load of a site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ApplyConfiguration)]
#[apply(derive(PartialEq))]
#[serde(rename_all = "camelCase")]
struct Load {
    /// Requests per second.
    requests_per_second: u32,
    #[serde(default)]
    peak: Option<u32>,
    #[serde(flatten)]
    labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ApplyConfiguration)]
#[serde(tag = "type")]
enum Storage {
    Disk { size: u32 },
    Memory,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ApplyConfiguration)]
struct Percent(u8);

/// Serializes numbers as strings, and deserializes numbers from strings.
mod as_text {
    use super::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference to the field")]
    pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        number.to_string().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A type without a companion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct WithoutCompanion {
    a: u8,
}

#[derive(CustomResource, ApplyConfiguration, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Site", namespaced, status = "SiteStatus", apply)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SiteSpec {
    host_name: String,
    load: Load,
    previous_loads: Vec<Load>,
    loads_by_zone: BTreeMap<String, Option<Load>>,
    storage: Storage,
    share: Option<Percent>,
    #[serde(with = "as_text")]
    #[schemars(with = "String")]
    bytes: u64,
    #[serde(rename = "type", alias = "kind")]
    kind: Option<Box<Load>>,
    zones: BTreeSet<String>,
    #[apply(whole)]
    resources: ResourceRequirements,
    #[apply(whole)]
    foreign: WithoutCompanion,
    #[serde(skip)]
    cached: u8,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ApplyConfiguration)]
struct SiteStatus {
    ready: bool,
    replicas: u32,
}

/// The type of the keys of a map. This type has no companion.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
enum Zone {
    North,
}

/// A type with special fields. `type` has a raw identifier and `#[serde(with = ..)]`. The keys of `by_zone` and the hasher
/// of `hashed` have types without a companion.
#[derive(Clone, Debug, Serialize, Deserialize, ApplyConfiguration)]
#[expect(dead_code, reason = "the test uses only its companion")]
struct SpecialFields {
    #[serde(with = "as_text")]
    r#type: u64,
    by_zone: BTreeMap<Zone, Load>,
    hashed: HashMap<String, Load, BuildHasherDefault<DefaultHasher>>,
}

/// The JSON of a site, or of its companion, with this spec.
fn site_json(spec: &Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Site", "metadata": {"name": "a"}, "spec": spec})
}

#[test]
fn a_companion_may_have_raw_identifiers_and_maps_with_custom_keys_or_hashers() {
    let load = LoadApply { peak: Some(7), ..LoadApply::default() };
    let fields = SpecialFieldsApply {
        r#type: Some(5),
        by_zone: Some([(Zone::North, load.clone())].into()),
        hashed: Some([("a".to_owned(), load)].into_iter().collect()),
    };
    let sent = json!({"type": "5", "by_zone": {"North": {"peak": 7}}, "hashed": {"a": {"peak": 7}}});
    assert_eq!(serde_json::to_value(&fields).unwrap(), sent);
    assert_eq!(serde_json::from_value::<SpecialFieldsApply>(sent).unwrap().r#type, Some(5));
    assert_eq!(serde_json::to_value(SpecialFieldsApply::default()).unwrap(), json!({}));
}

#[test]
fn an_empty_companion_serializes_only_api_version_kind_and_name() {
    let sent = serde_json::to_value(SiteApply::new("a")).unwrap();
    assert_eq!(sent, json!({"apiVersion": "example.com/v1", "kind": "Site", "metadata": {"name": "a"}}));
    assert_eq!(SiteApply::url_path(&(), Some("web")), Site::url_path(&(), Some("web")));
}

#[test]
fn serialization_of_a_companion_omits_unset_fields_and_uses_json_names() {
    let load = LoadApply { peak: Some(7), ..LoadApply::default() };
    let spec = SiteSpecApply {
        load: Some(load.clone()),
        previous_loads: Some(vec![LoadApply { requests_per_second: Some(1), ..LoadApply::default() }]),
        loads_by_zone: Some([("a".to_owned(), Some(load)), ("b".to_owned(), None)].into()),
        storage: Some(Storage::Disk { size: 3 }),
        share: Some(Percent(5)),
        bytes: Some(1 << 60),
        kind: Some(Box::new(LoadApply {
            labels: Some([("x".to_owned(), "y".to_owned())].into()),
            ..LoadApply::default()
        })),
        zones: Some(["a".to_owned()].into()),
        foreign: Some(WithoutCompanion { a: 1 }),
        ..SiteSpecApply::default()
    };
    let site = SiteApply { spec: Some(spec), ..SiteApply::new("a") };
    let expected = site_json(&json!({
        "load": {"peak": 7},
        "previousLoads": [{"requestsPerSecond": 1}],
        "loadsByZone": {"a": {"peak": 7}, "b": null},
        "storage": {"type": "Disk", "size": 3},
        "share": 5,
        "bytes": "1152921504606846976",
        "type": {"x": "y"},
        "zones": ["a"],
        "foreign": {"a": 1},
    }));
    let sent = serde_json::to_value(&site).unwrap();
    assert_eq!(sent, expected);
    let decoded: SiteApply = serde_json::from_value(sent).unwrap();
    assert_eq!(serde_json::to_value(decoded).unwrap(), expected);
}

#[test]
fn the_companion_decodes_an_object_of_its_kind_but_not_of_another_version() {
    let status = SiteStatus { ready: true, replicas: 2 };
    let site = Site {
        status: Some(status),
        ..Site::new(
            "a",
            SiteSpec {
                host_name: "a.example.com".into(),
                load: Load { requests_per_second: 1, peak: None, labels: BTreeMap::new() },
                previous_loads: vec![],
                loads_by_zone: BTreeMap::new(),
                storage: Storage::Memory,
                share: None,
                bytes: 3,
                kind: None,
                zones: BTreeSet::new(),
                resources: ResourceRequirements::default(),
                foreign: WithoutCompanion { a: 1 },
                cached: 9,
            },
        )
    };
    let decoded: SiteApply = serde_json::from_value(serde_json::to_value(&site).unwrap()).unwrap();
    let spec = decoded.spec.unwrap();
    assert_eq!((spec.host_name.as_deref(), spec.bytes, spec.share), (Some("a.example.com"), Some(3), None));
    assert_eq!(spec.load.unwrap().requests_per_second, Some(1));
    assert_eq!(decoded.status.unwrap().replicas, Some(2));
    let other = json!({"apiVersion": "example.com/v2", "kind": "Site", "metadata": {}});
    let error = serde_json::from_value::<SiteApply>(other).unwrap_err().to_string();
    assert!(error.contains("example.com/v2"), "{error}");
}

#[test]
fn extract_applied_returns_the_fields_that_a_manager_owns() {
    let mut site: SiteApply = serde_json::from_value(site_json(&json!({
        "hostName": "a", "load": {"requestsPerSecond": 1, "peak": 2}, "storage": {"type": "Memory"},
    })))
    .unwrap();
    site.status = Some(SiteStatusApply { ready: Some(true), replicas: Some(2) });
    let entry = |subresource: Option<&str>, fields: Value| ManagedFieldsEntry {
        manager: Some("m".into()),
        operation: Some("Apply".into()),
        subresource: subresource.map(Into::into),
        fields_v1: Some(FieldsV1(fields)),
        ..ManagedFieldsEntry::default()
    };
    site.metadata.managed_fields = Some(vec![
        entry(None, json!({"f:spec": {"f:load": {"f:peak": {}}}})),
        entry(Some("status"), json!({"f:status": {"f:ready": {}}})),
    ]);
    let extracted = |manager, subresource| {
        let applied: Option<SiteApply> = extract_applied(&site, manager, subresource).unwrap();
        applied.map(|applied| serde_json::to_value(applied).unwrap())
    };
    assert_eq!(extracted("m", None), Some(site_json(&json!({"load": {"peak": 2}}))));
    let status = json!({"apiVersion": "example.com/v1", "kind": "Site", "metadata": {"name": "a"}, "status": {"ready": true}});
    assert_eq!(extracted("m", Some("status")), Some(status));
    assert_eq!(extracted("other", None), None);
}

/// A kind without `spec`: its fields are siblings of `metadata`.
#[derive(CustomResource, ApplyConfiguration, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Setting", root = "SettingObject", no_spec, apply)]
struct SettingFields {
    value: String,
    load: Load,
}

#[test]
fn the_companion_of_a_kind_without_spec_has_its_fields_next_to_metadata() {
    let spec = SettingFieldsApply { value: Some("v".into()), ..SettingFieldsApply::default() };
    let sent = serde_json::to_value(SettingObjectApply { spec, ..SettingObjectApply::new("a") }).unwrap();
    let expected =
        json!({"apiVersion": "example.com/v1", "kind": "Setting", "metadata": {"name": "a"}, "value": "v"});
    assert_eq!(sent, expected);
    let decoded: SettingObjectApply = serde_json::from_value(sent).unwrap();
    assert_eq!(decoded.spec.value.as_deref(), Some("v"));
}

#[test]
fn a_companion_has_additional_derives_and_an_enum_is_its_own_companion() {
    let load = LoadApply { peak: Some(1), ..LoadApply::default() };
    assert_eq!(load, load.clone());
    let storage: StorageApply = Storage::Memory;
    assert_eq!(storage, Storage::Memory);
}
