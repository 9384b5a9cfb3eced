//! Tests of the conversion between the versions of a derived kind.

use kube_client::core::conversion::{ConversionError, ConversionReview, Converter};
use serde_json::{Value, json};

mod v1 {
    use kube_derive::CustomResource;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    #[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
    #[kube(group = "example.com", version = "v1", kind = "Disk")]
    pub(super) struct DiskSpec {
        pub(super) gigabytes: u32,
    }
}

mod v2 {
    use kube_derive::CustomResource;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    #[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
    #[kube(group = "example.com", version = "v2", kind = "Disk")]
    pub(super) struct DiskSpec {
        pub(super) bytes: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(super) class: Option<String>,
    }
}

mod v3 {
    use kube_derive::CustomResource;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    #[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
    #[kube(group = "example.com", version = "v3", kind = "Disk")]
    pub(super) struct DiskSpec {
        pub(super) bytes: u64,
        pub(super) class: String,
    }
}

const GIGABYTE: u64 = 1_000_000_000;
const CLASS_ANNOTATION: &str = "example.com/class";

impl From<v1::Disk> for v2::Disk {
    fn from(old: v1::Disk) -> Self {
        let mut metadata = old.metadata;
        let class =
            metadata.annotations.as_mut().and_then(|annotations| annotations.remove(CLASS_ANNOTATION));
        Self { metadata, spec: v2::DiskSpec { bytes: u64::from(old.spec.gigabytes) * GIGABYTE, class } }
    }
}

impl TryFrom<v2::Disk> for v1::Disk {
    type Error = &'static str;

    fn try_from(disk: v2::Disk) -> Result<Self, Self::Error> {
        if !disk.spec.bytes.is_multiple_of(GIGABYTE) {
            return Err("the size is not a multiple of a gigabyte");
        }
        let gigabytes = u32::try_from(disk.spec.bytes / GIGABYTE).map_err(|_| "the disk is too large")?;
        let mut metadata = disk.metadata;
        if let Some(class) = disk.spec.class {
            metadata.annotations.get_or_insert_default().insert(CLASS_ANNOTATION.to_owned(), class);
        }
        Ok(Self { metadata, spec: v1::DiskSpec { gigabytes } })
    }
}

/// Drops the metadata and the class.
impl From<v2::Disk> for v3::Disk {
    fn from(disk: v2::Disk) -> Self {
        Self {
            metadata: kube_client::core::ObjectMeta::default(),
            spec: v3::DiskSpec { bytes: disk.spec.bytes, class: "default".to_owned() },
        }
    }
}

impl From<v3::Disk> for v2::Disk {
    fn from(disk: v3::Disk) -> Self {
        let spec = v2::DiskSpec { bytes: disk.spec.bytes, class: Some(disk.spec.class) };
        Self { metadata: disk.metadata, spec }
    }
}

fn converter() -> Converter<v2::Disk> {
    Converter::new().with_version::<v1::Disk>()
}

fn disk_json(version: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("example.com/{version}"), "kind": "Disk",
        "metadata": { "name": "a", "uid": "1", "annotations": { "b": "c" } },
        "spec": spec,
    })
}

#[test]
fn spokes_are_converted_through_the_hub() {
    let converter = converter().with_version::<v3::Disk>();
    let old = disk_json("v1", &json!({ "gigabytes": 3 }));
    let new = converter.convert(&old, "example.com/v3").unwrap();
    assert_eq!(new["spec"], json!({ "bytes": 3 * GIGABYTE, "class": "default" }));
    assert_eq!((&new["apiVersion"], &new["kind"]), (&json!("example.com/v3"), &json!("Disk")));
    let back = converter.convert(&new, "example.com/v1").unwrap();
    assert_eq!(back["spec"], old["spec"]);
    assert_eq!(back["metadata"]["annotations"], json!({ CLASS_ANNOTATION: "default" }));
}

#[test]
fn an_object_of_the_desired_version_is_returned_as_it_is() {
    let unknown_field = disk_json("v2", &json!({ "bytes": 1, "unknown": 2 }));
    assert_eq!(converter().convert(&unknown_field, "example.com/v2").unwrap(), unknown_field);
}

#[test]
fn metadata_other_than_labels_and_annotations_is_kept() {
    let mut old = disk_json("v2", &json!({ "bytes": GIGABYTE }));
    old["metadata"]["newField"] = json!(1);
    let new =
        Converter::<v2::Disk>::new().with_version::<v3::Disk>().convert(&old, "example.com/v3").unwrap();
    assert_eq!(new["metadata"], json!({ "name": "a", "uid": "1", "newField": 1 }));
}

#[test]
fn an_error_contains_the_object_name_and_both_versions_but_no_value() {
    #[track_caller]
    fn assert_error(object: &Value, desired: &str, expected: &str) {
        let error = converter().convert(object, desired).unwrap_err();
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        assert_eq!(format!("{error}{cause}"), expected);
    }
    let disk = disk_json("v2", &json!({ "bytes": 7 }));
    assert_error(
        &disk,
        "example.com/v1",
        "convert Disk \"a\" from example.com/v2 to example.com/v1: the size is not a multiple of a gigabyte",
    );
    assert_error(
        &disk,
        "example.com/v9",
        "convert Disk \"a\" to \"example.com/v9\": \"example.com/v9\" is no version of Disk; the versions are \
         example.com/v2, example.com/v1",
    );
    let mut other = disk.clone();
    other["kind"] = json!("Volume");
    assert_error(
        &other,
        "example.com/v1",
        "convert Volume \"a\" to \"example.com/v1\": \"Volume\" is no version of Disk; the versions are \
         example.com/v2, example.com/v1",
    );
    let error =
        converter().convert(&disk_json("v2", &json!({ "bytes": "secret" })), "example.com/v1").unwrap_err();
    assert!(matches!(error, ConversionError::Codec { action: "decode", .. }));
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[test]
fn check_round_trip_reports_the_first_field_that_has_changed() {
    assert!(
        converter().check_round_trip(&disk_json("v2", &json!({ "bytes": GIGABYTE, "class": "ssd" }))).is_ok()
    );
    assert!(converter().check_round_trip(&disk_json("v1", &json!({ "gigabytes": 4 }))).is_ok());
    let lossy = Converter::<v2::Disk>::new().with_version::<v3::Disk>();
    let mut disk = disk_json("v2", &json!({ "bytes": 1, "class": "ssd" }));
    disk["metadata"]["annotations"] = Value::Null;
    let error = lossy.check_round_trip(&disk).unwrap_err();
    assert_eq!(error.to_string(), "convert Disk \"a\" to example.com/v3 and back: .spec.class has changed");
}

/// The response to a review of these objects.
fn respond_to_review(objects: &[Value]) -> Value {
    let review = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
        "request": { "uid": "u", "desiredAPIVersion": "example.com/v2", "objects": objects },
    });
    let review: ConversionReview = serde_json::from_value(review).unwrap();
    serde_json::to_value(converter().respond(review)).unwrap()["response"].take()
}

#[test]
fn a_review_is_answered_with_all_objects_or_the_first_error() {
    let (old, new) = (disk_json("v1", &json!({ "gigabytes": 1 })), disk_json("v2", &json!({ "bytes": 2 })));
    let response = respond_to_review(&[old.clone(), new.clone()]);
    assert_eq!((&response["uid"], &response["result"]["status"]), (&json!("u"), &json!("Success")));
    assert_eq!(response["convertedObjects"][0]["spec"], json!({ "bytes": GIGABYTE }));
    assert_eq!(response["convertedObjects"][1], new);

    let response = respond_to_review(&[old, disk_json("v1", &json!({ "gigabytes": -1 }))]);
    assert_eq!(
        (&response["result"]["status"], &response["convertedObjects"]),
        (&json!("Failure"), &json!([]))
    );
    let message = response["result"]["message"].as_str().unwrap();
    assert!(message.starts_with("decode Disk \"a\" as example.com/v1: "), "{message}");

    let empty = ConversionReview {
        request: None,
        ..serde_json::from_value(json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
        }))
        .unwrap()
    };
    assert!(converter().respond(empty).response.unwrap().result.is_failure());
}
