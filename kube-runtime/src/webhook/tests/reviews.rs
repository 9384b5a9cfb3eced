//! Tests of the answers to admission reviews and conversion reviews.

use super::super::Rejection;
use super::support::{RunningServer, config_map, review_of};
use json_patch::Patch;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::core::admission::{AdmissionRequest, AdmissionResponse};
use kube_client::core::conversion::Converter;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::convert::Infallible;

fn config_value(map: &ConfigMap) -> Option<&str> {
    map.data.as_ref()?.get("v").map(String::as_str)
}

async fn validate(request: AdmissionRequest<ConfigMap>) -> Result<Vec<String>, Rejection> {
    match request.object.as_ref().and_then(config_value) {
        Some("bad") => Err(Rejection::new("bad is not allowed")),
        Some("panic") => panic!("a handler's mistake"),
        Some("number") => Ok(vec![format!("not {}", "many".parse::<u16>()?)]),
        Some("old") => Ok(vec!["old is deprecated".to_owned()]),
        _ => Ok(vec![]),
    }
}

#[tokio::test]
async fn a_validating_webhook_allows_or_rejects_objects_and_returns_warnings() {
    let server = RunningServer::start(|server| server.validate("/validate", validate));
    let answer = async |value: &str| server.post_review("/validate", &review_of(&config_map(value))).await;
    let good = answer("good").await;
    assert_eq!((&good["allowed"], good.get("warnings")), (&json!(true), None));
    assert_eq!(answer("old").await["warnings"], json!(["old is deprecated"]));
    let bad = answer("bad").await;
    assert_eq!((&bad["allowed"], &bad["status"]["code"]), (&json!(false), &json!(403)));
    assert_eq!(bad["status"]["message"], "bad is not allowed");
    assert_eq!(answer("number").await["status"]["message"], "invalid digit found in string");
}

#[tokio::test]
async fn a_panic_of_a_handler_rejects_only_the_handled_request() {
    let server = RunningServer::start(|server| server.validate("/validate", validate));
    let (panicked, other) = (review_of(&config_map("panic")), review_of(&config_map("good")));
    let (panicked, other) = futures::future::join(
        server.post_review("/validate", &panicked),
        server.post_review("/validate", &other),
    )
    .await;
    assert_eq!((&panicked["allowed"], &panicked["status"]["code"]), (&json!(false), &json!(500)));
    assert_eq!(panicked["status"]["message"], "the handler of the webhook panicked");
    assert_eq!(other["allowed"], true);
    assert_eq!(server.post_review("/validate", &review_of(&config_map("good"))).await["allowed"], true);
}

#[tokio::test]
async fn the_rejection_of_an_undecodable_object_contains_no_value_of_the_object() {
    let server = RunningServer::start(|server| server.validate("/validate", validate));
    let secret = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}, "data": {"v": ["hunter2"]}, "immutable": "hunter2"});
    let answer = server.post_review("/validate", &review_of(&secret)).await;
    assert_eq!((&answer["allowed"], &answer["status"]["code"]), (&json!(false), &json!(400)));
    let message = answer["status"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("decode `object` of the admission request for ConfigMap \"settings\": "),
        "{message}"
    );
    assert!(!message.contains("hunter2"), "{message}");
}

/// Decodes the patch of an answer. Returns an empty patch if the answer has none.
fn decode_patch(answer: &Value) -> Patch {
    assert_eq!(answer["allowed"], true, "{answer}");
    let Some(encoded) = answer.get("patch") else { return Patch::default() };
    assert_eq!(answer["patchType"], "JSONPatch");
    let bytes: k8s_openapi::ByteString = serde_json::from_value(encoded.clone()).unwrap();
    serde_json::from_slice(&bytes.0).unwrap()
}

#[tokio::test]
async fn a_mutating_webhook_patches_what_its_handler_changes() {
    let server = RunningServer::start(|server| {
        server.mutate("/mutate", async |mut map: ConfigMap, request: AdmissionRequest<ConfigMap>| {
            assert!(request.object.is_none());
            match config_value(&map) {
                Some("bad") => return Err(Rejection::invalid("no default for bad")),
                Some("set") => {}
                _ => drop(map.data.insert([("v".to_owned(), "set".to_owned())].into())),
            }
            Ok(map)
        })
    });
    let mut received = config_map("");
    // A field of a newer version of the API.
    received["future"] = json!({"a": 1});
    received["metadata"]["creationTimestamp"] = Value::Null;
    let answer = server.post_review("/mutate", &review_of(&received)).await;
    let mut patched = received.clone();
    json_patch::patch(&mut patched, &decode_patch(&answer)).unwrap();
    received["data"]["v"] = json!("set");
    assert_eq!(patched, received);
    let unchanged = server.post_review("/mutate", &review_of(&patched)).await;
    assert_eq!(decode_patch(&unchanged), Patch::default());
    let rejected = server.post_review("/mutate", &review_of(&config_map("bad"))).await;
    assert_eq!((&rejected["allowed"], &rejected["status"]["code"]), (&json!(false), &json!(422)));
    let mut deletion = review_of(&Value::Null);
    (deletion["request"]["operation"], deletion["request"]["oldObject"]) =
        (json!("DELETE"), config_map("bad"));
    assert_eq!(decode_patch(&server.post_review("/mutate", &deletion).await), Patch::default());
}

#[tokio::test]
async fn an_answer_has_the_uid_of_its_request() {
    let server = RunningServer::start(|server| {
        server.admit("/admit", async |request: AdmissionRequest<ConfigMap>| {
            let other: AdmissionRequest<ConfigMap> = AdmissionRequest { uid: "other".into(), ..request };
            AdmissionResponse::from(&other).deny("no")
        })
    });
    assert_eq!(server.post_review("/admit", &review_of(&config_map(""))).await["allowed"], false);
}

#[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Site", root = "SiteV1")]
struct OldSpec {
    port: u16,
}

#[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[kube(group = "example.com", version = "v2", kind = "Site")]
struct SiteSpec {
    ports: Vec<u16>,
}

impl From<SiteV1> for Site {
    fn from(old: SiteV1) -> Self {
        Self { metadata: old.metadata, spec: SiteSpec { ports: vec![old.spec.port] } }
    }
}

impl TryFrom<Site> for SiteV1 {
    type Error = &'static str;

    fn try_from(site: Site) -> Result<Self, Self::Error> {
        match site.spec.ports.as_slice() {
            [port] => Ok(Self { metadata: site.metadata, spec: OldSpec { port: *port } }),
            [] => panic!("a conversion's mistake"),
            _ => Err("v1 has one port"),
        }
    }
}

const _: fn(Site) -> Result<Site, Infallible> = Site::try_from;

fn conversion_review(desired: &str, objects: &Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
        "request": {"uid": "1", "desiredAPIVersion": desired, "objects": objects},
    })
}

fn site(version: &str, spec: &Value) -> Value {
    json!({"apiVersion": format!("example.com/{version}"), "kind": "Site", "metadata": {"name": "a", "uid": "2"}, "spec": spec})
}

#[tokio::test]
async fn a_conversion_webhook_converts_objects_and_reports_errors_and_panics() {
    let converter = Converter::<Site>::new().with_version::<Site>().with_version::<SiteV1>();
    let server = RunningServer::start(|server| server.convert("/convert", converter));
    let objects = json!([site("v1", &json!({"port": 80})), site("v2", &json!({"ports": [1, 2]}))]);
    let answer = server.post_review("/convert", &conversion_review("example.com/v2", &objects)).await;
    assert_eq!(answer["result"]["status"], "Success", "{answer}");
    let expected = json!([site("v2", &json!({"ports": [80]})), objects[1]]);
    assert_eq!(answer["convertedObjects"], expected);
    for (spec, message) in [
        (json!({"ports": [1, 2]}), "v1 has one port"),
        (json!({"ports": []}), "the conversion panicked"),
        (json!({"ports": ["hunter2"]}), "as example.com/v2"),
    ] {
        let objects = json!([site("v2", &spec)]);
        let answer = server.post_review("/convert", &conversion_review("example.com/v1", &objects)).await;
        assert_eq!(answer["result"]["status"], "Failure", "{answer}");
        let text = answer["result"]["message"].as_str().unwrap();
        assert!(text.contains(message) && !text.contains("hunter2"), "{text}");
    }
}
