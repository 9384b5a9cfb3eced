//! Tests that compare objects in Protobuf with the same objects in JSON, and tests of malformed bodies.

use super::ProtobufKind;
use super::encode::{bytes_field, encode_event, encode_message, encode_object, envelope, varint};
use crate::core::{DynamicObject, FieldSet, ObjectOrigin, PartialObjectMeta, WatchEvent};
use crate::wire::{
    BodyFormat, EventBodySplitter, FilterDepth, ListBodySplitter, ObjectDecoder, Split, WireError,
};
use bytes::Bytes;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};
use std::sync::Arc;

/// A pod with strings, numbers, booleans, a time, a quantity, lists, maps, embedded JSON, and ports that are numbers or
/// strings.
fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "a", "namespace": "ns", "uid": "u", "resourceVersion": "7", "generation": 3,
            "creationTimestamp": "2024-01-02T03:04:05Z", "deletionGracePeriodSeconds": 0,
            "labels": {"app": "web", "": "\"\\\n\u{1}é"}, "finalizers": ["x", "y"],
            "managedFields": [{"manager": "m", "operation": "Update", "fieldsV1": {"f:spec": {".": {}}}}],
        },
        "spec": {
            "containers": [
                {"name": "c", "resources": {"limits": {"cpu": "100m"}}, "ports": [{"containerPort": 80}],
                 "livenessProbe": {"httpGet": {"port": "http", "path": "/"}, "periodSeconds": 10},
                 "readinessProbe": {"tcpSocket": {"port": 8080}},
                 "env": [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
                {"name": "d", "resources": {}},
            ],
            "volumes": [{"name": "v", "configMap": {"name": "m"}}, {"name": "w", "emptyDir": {}}],
            "tolerations": [{"key": "t", "tolerationSeconds": -1}],
            "automountServiceAccountToken": false, "priority": 0,
        },
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

/// A decoder of Protobuf objects of the kind `kind`.
fn decoder(api_version: &str, kind: &str, skipped: &FieldSet) -> ObjectDecoder {
    let known = ProtobufKind::find(api_version, kind).unwrap();
    ObjectDecoder::new(kind, skipped).with_format(BodyFormat::Protobuf(Some(Arc::new(known))))
}

fn pod_decoder() -> ObjectDecoder {
    decoder("v1", "Pod", &FieldSet::none())
}

/// Encodes a list of pods in its envelope. Each item is an encoded pod.
fn encode_list(items: &[Vec<u8>]) -> Vec<u8> {
    let metadata = [bytes_field(2, b"10"), bytes_field(3, b"next"), vec![4 << 3, 5]].concat();
    let items: Vec<_> = items.iter().map(|item| bytes_field(2, item)).collect();
    envelope("v1", "PodList", &[bytes_field(1, &metadata), items.concat()].concat())
}

/// Passes a body to `splitter` in frames of `size` bytes. Returns the pieces and the result of `finish`, such as the
/// metadata of a list.
fn split<S: Split>(mut splitter: S, body: &[u8], size: usize) -> Result<(Vec<Bytes>, S::End), WireError> {
    let mut pieces = Vec::new();
    for frame in body.chunks(size) {
        splitter.push(Bytes::copy_from_slice(frame));
        while let Some(piece) = splitter.next() {
            pieces.push(piece?);
        }
    }
    let (last, end) = splitter.finish()?;
    pieces.extend(last);
    Ok((pieces, end))
}

fn list_splitter(limit: usize) -> ListBodySplitter {
    ListBodySplitter::new(pod_decoder().format(), limit)
}

fn event_splitter(limit: usize) -> EventBodySplitter {
    EventBodySplitter::new(pod_decoder().format(), limit)
}

/// The messages of an error and of its causes, in one text.
fn error_chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[test]
fn an_object_is_equal_in_protobuf_and_json() {
    let pod = pod();
    let body = encode_object(&pod).unwrap();
    assert_eq!(pod_decoder().decode_object::<Value>(&body).unwrap(), pod);
    assert_eq!(
        pod_decoder().decode_object::<Pod>(&body).unwrap(),
        serde_json::from_value::<Pod>(pod).unwrap()
    );
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "a"},
        "spec": {"group": "g", "scope": "Namespaced", "names": {"plural": "as", "kind": "A"}, "versions": [{
            "name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "minimum": 0.5, "maximum": 3, "default": {"a": [1, "b"]}, "enum": [1, "x", null],
                "properties": {"p": {"type": "array", "items": {"type": "string"}}}, "additionalProperties": false,
                "x-kubernetes-preserve-unknown-fields": true,
            }},
        }]},
    });
    let decoder = decoder("apiextensions.k8s.io/v1", "CustomResourceDefinition", &FieldSet::none());
    let body = encode_object(&crd).unwrap();
    assert_eq!(decoder.decode_object::<Value>(&body).unwrap(), crd);
    assert_eq!(
        decoder.decode_object::<CustomResourceDefinition>(&body).unwrap(),
        serde_json::from_value::<CustomResourceDefinition>(crd).unwrap()
    );
}

#[test]
fn an_absent_required_list_is_null_and_omitempty_omits_only_zeros_of_non_pointers() {
    let role =
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "a"}});
    let decoder = decoder("rbac.authorization.k8s.io/v1", "Role", &FieldSet::none());
    let found: Value = decoder.decode_object(&encode_object(&role).unwrap()).unwrap();
    assert_eq!(found["rules"], Value::Null);
    assert!(found.as_object().unwrap().contains_key("rules"));
    // Both fields have `omitempty` and the value zero. JSON omits the zero of `hostNetwork`, which is not a pointer in Go.
    // JSON contains the zero of `priority`, which is a pointer.
    let spec = [vec![11 << 3, 0], vec![0xc8, 0x01, 0]].concat();
    let found: Value = pod_decoder().decode_object(&envelope("v1", "Pod", &bytes_field(2, &spec))).unwrap();
    assert_eq!(found["spec"], json!({"priority": 0, "containers": null}));
}

#[test]
fn a_list_in_frames_of_any_size_is_split_into_its_items() {
    let item = encode_message(&pod()).unwrap();
    let body = encode_list(&[item.clone(), Vec::new(), item]);
    for size in [1, 2, 3, 7, 64, body.len()] {
        let (pieces, head) = split(list_splitter(usize::MAX), &body, size).unwrap();
        assert_eq!(pieces.len(), 3, "in frames of {size} bytes");
        assert_eq!((head.types.kind.as_str(), head.types.api_version.as_str()), ("PodList", "v1"));
        assert_eq!(head.metadata.continue_.as_deref(), Some("next"));
        assert_eq!(
            (head.metadata.resource_version.as_deref(), head.metadata.remaining_item_count),
            (Some("10"), Some(5))
        );
        let first: Pod = pod_decoder().decode_item(&pieces[0], |_| {}).unwrap();
        assert_eq!(first, serde_json::from_value::<Pod>(pod()).unwrap());
    }
    // The last 4 bytes of the envelope are an empty content encoding and an empty content type. A body that ends before
    // the end of the list is an error.
    for end in 0..body.len() - 4 {
        assert!(split(list_splitter(usize::MAX), &body[..end], 5).is_err(), "{end}");
    }
}

#[test]
fn skipped_fields_are_absent() {
    let paths = ["metadata.managedFields", "spec.containers[*].env", "status", "metadata.labels.app"];
    let skipped: FieldSet = paths.into_iter().map(str::parse).collect::<Result<_, _>>().unwrap();
    let found: Value =
        decoder("v1", "Pod", &skipped).decode_item(&encode_message(&pod()).unwrap(), |_| {}).unwrap();
    let mut expected: Value =
        ObjectDecoder::new("Pod", &skipped).decode_object(pod().to_string().as_bytes()).unwrap();
    expected.as_object_mut().unwrap().retain(|key, _| key != "apiVersion" && key != "kind");
    assert_eq!(found, expected);
}

#[test]
fn filters_read_the_same_metadata_in_protobuf_and_json() {
    let (item, text) = (encode_message(&pod()).unwrap(), pod().to_string());
    let json = ObjectDecoder::new("Pod", &FieldSet::none());
    for depth in [FilterDepth::Labels, FilterDepth::Metadata] {
        let found: PartialObjectMeta<Pod> = pod_decoder().peek_item(&item, depth).unwrap();
        let expected: PartialObjectMeta<Pod> = json.peek_item(text.as_bytes(), depth).unwrap();
        assert_eq!(found.metadata, expected.metadata);
        let frame = encode_event("MODIFIED", &encode_object(&pod()).unwrap());
        let (origin, found) = pod_decoder().peek_event::<Pod>(&frame[4..], depth).unwrap();
        assert_eq!((origin, found.metadata), (ObjectOrigin::Modified, expected.metadata));
    }
    assert!(pod_decoder().peek_item::<Pod>(&[], FilterDepth::Labels).is_none());
}

#[test]
fn a_watch_body_is_split_into_its_events_for_any_frame_size() {
    let bookmark = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"resourceVersion": "9"}});
    let status =
        json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 410, "reason": "Expired"});
    let body = [
        encode_event("ADDED", &encode_object(&pod()).unwrap()),
        encode_event("BOOKMARK", &encode_object(&bookmark).unwrap()),
        encode_event("ERROR", &encode_object(&status).unwrap()),
    ]
    .concat();
    for size in [1, 3, 5, 100, body.len()] {
        let (pieces, ()) = split(event_splitter(usize::MAX), &body, size).unwrap();
        let events: Vec<_> =
            pieces.iter().map(|piece| pod_decoder().decode_event::<Pod>(piece).unwrap()).collect();
        let [WatchEvent::Added(pod), WatchEvent::Bookmark(bookmark), WatchEvent::Error(status)] =
            events.as_slice()
        else {
            panic!("{events:?}")
        };
        assert_eq!(
            (pod.metadata.name.as_deref(), bookmark.metadata.resource_version.as_str()),
            (Some("a"), "9")
        );
        assert_eq!(status.code, 410);
    }
    assert!(matches!(
        split(event_splitter(usize::MAX), &body[..50], 7),
        Err(WireError::Truncated { after: 50 })
    ));
}

#[test]
fn partial_objects_in_a_list_have_an_api_version_and_a_kind() {
    let kind = ProtobufKind::partial_object().map(Arc::new);
    let decoder = ObjectDecoder::new("Widget", &FieldSet::none()).with_format(BodyFormat::Protobuf(kind));
    let item = bytes_field(1, &bytes_field(1, b"a"));
    let found: DynamicObject = decoder.decode_item(&item, |_| {}).unwrap();
    let types = found.types.unwrap();
    assert_eq!(
        (types.kind.as_str(), types.api_version.as_str()),
        ("PartialObjectMetadata", "meta.k8s.io/v1")
    );
    let list = envelope("meta.k8s.io/v1", "PartialObjectMetadataList", &bytes_field(2, &item));
    assert_eq!(split(ListBodySplitter::new(decoder.format(), 100), &list, 4).unwrap().0, [item]);
}

#[test]
fn the_error_for_a_malformed_object_contains_its_name_and_the_field_path() {
    let metadata = bytes_field(1, &[bytes_field(1, b"a"), bytes_field(3, b"ns")].concat());
    let spec = |field: &[u8]| bytes_field(2, field);
    let container = |field: &[u8]| spec(&bytes_field(2, field));
    for (case, field, expected) in [
        ("truncated", vec![0x12, 0x7f, 1], "in the middle of a field"),
        ("4 GiB", [vec![0x12], varint(u64::from(u32::MAX)), vec![1]].concat(), "in the middle of a field"),
        ("varint", [vec![0x10], vec![0xff; 11]].concat(), "longer than 64 bits"),
        ("group", vec![0x13, 0x14], "groups"),
        ("wire type", vec![0x10, 1], "spec: the value has a wire type"),
        ("deep wire type", spec(&[5 << 3, 1, 2 << 3, 1]), "spec.containers[0]: the value has a wire type"),
        ("UTF-8", container(&bytes_field(1, b"\xff")), "spec.containers[0].name: bytes that are not UTF-8"),
        ("twice", [spec(b""), spec(b"")].concat(), "spec: the field occurs twice"),
        (
            "two parts",
            spec(&[bytes_field(2, b""), bytes_field(3, b"Always"), bytes_field(2, b"")].concat()),
            "spec.containers: the field occurs twice",
        ),
        (
            "time",
            bytes_field(3, &bytes_field(7, &[8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])),
            "status.startTime: a time",
        ),
    ] {
        let item = [metadata.clone(), field].concat();
        let error = pod_decoder().decode_item::<Pod>(&item, |_| {}).unwrap_err();
        let text = error_chain(&error);
        assert!(text.starts_with("decode Pod ns/a of a list") && text.contains(expected), "{case}: {text}");
        let body = envelope("v1", "Pod", &item);
        let error = pod_decoder().decode_event::<Pod>(&encode_event("MODIFIED", &body)[4..]).unwrap_err();
        let text = error_chain(&error);
        assert!(
            text.starts_with("decode Pod ns/a of a MODIFIED event") && text.contains(expected),
            "{case}: {text}"
        );
        assert!(
            pod_decoder().decode_object::<Pod>(&body).unwrap_err().to_string().contains(expected),
            "{case}"
        );
    }
}

#[test]
fn nested_messages_have_a_depth_limit() {
    // The field `not` of a schema is a schema.
    let (mut schema, not) = (Vec::new(), 28);
    for depth in 1..300 {
        schema = bytes_field(not, &schema);
        let version = bytes_field(7, &bytes_field(4, &bytes_field(1, &schema)));
        let (api_version, kind) = ("apiextensions.k8s.io/v1", "CustomResourceDefinition");
        let body = envelope(api_version, kind, &bytes_field(2, &version));
        let found = decoder(api_version, kind, &FieldSet::none()).decode_object::<Value>(&body);
        match found {
            Ok(_) => assert!(depth < 100),
            Err(error) => {
                assert!(depth > 50 && error.to_string().contains("nested too deeply"), "{depth}: {error}");
            }
        }
    }
}

#[test]
fn embedded_json_must_be_empty_or_one_json_value() {
    for (raw, valid) in [(r#"{"a":1}"#, true), (r#"{},"x":{}"#, false), ("{", false), ("", true)] {
        let managed = bytes_field(17, &bytes_field(7, &bytes_field(1, raw.as_bytes())));
        let found = pod_decoder().decode_item::<Value>(&bytes_field(1, &managed), |_| {});
        assert_eq!(found.is_ok(), valid, "{raw}: {found:?}");
    }
}

#[test]
fn unknown_fields_are_ignored() {
    let unknown = [bytes_field(200, b"x"), vec![0xc0, 0x3e, 1], vec![0xc5, 0x3e, 0, 0, 0, 0]].concat();
    let item = [encode_message(&pod()).unwrap(), unknown].concat();
    let found: Pod = pod_decoder().decode_item(&item, |_| {}).unwrap();
    assert_eq!(found.metadata.name.as_deref(), Some("a"));
}

#[test]
fn an_envelope_of_an_unexpected_kind_is_an_error() {
    let service = envelope("v1", "Service", &[]);
    let error = pod_decoder().decode_object::<DynamicObject>(&service).unwrap_err().to_string();
    assert!(error.contains("v1 Service instead of v1 Pod"), "{error}");
    let error =
        pod_decoder().decode_event::<DynamicObject>(&encode_event("ADDED", &service)[4..]).unwrap_err();
    assert!(error_chain(&error).contains("v1 Service instead of v1 Pod"), "{}", error_chain(&error));
    let services = envelope("v1", "ServiceList", &bytes_field(2, b""));
    let error = split(list_splitter(100), &services, 100).err().unwrap().to_string();
    assert!(error.contains("v1 ServiceList instead of v1 PodList"), "{error}");
    let unknown = ObjectDecoder::new("Widget", &FieldSet::none()).with_format(BodyFormat::Protobuf(None));
    let error =
        unknown.decode_object::<Value>(&envelope("example.com/v1", "Widget", &[])).unwrap_err().to_string();
    assert!(error.contains("example.com/v1 Widget has no Protobuf table"), "{error}");
}

#[test]
fn malformed_bodies_are_errors() {
    let error = |body: &[u8]| {
        split(list_splitter(100), body, 3).err().map(|error| error_chain(&error)).unwrap_or_default()
    };
    for (body, expected) in [
        (&b"{\"items\":[]}"[..], "does not begin with the magic number"),
        (b"k8s", "ended early, after 3 bytes"),
        (b"k8s\0", "has no list"),
        (b"k8s\0\x12\x00", "instead of v1 PodList"),
        (b"k8s\0\x0b", "groups"),
        (&[b"k8s\0\x0a".as_slice(), &varint(1 << 32)].concat(), "larger than 100 bytes"),
        (&[b"k8s\0".as_slice(), &bytes_field(4, b"application/json")].concat(), "not Protobuf"),
    ] {
        let found = error(body);
        assert!(found.contains(expected), "{:?}: {found}", String::from_utf8_lossy(body));
    }
    let mut large = encode_list(&[]);
    large.truncate(large.len() - 4);
    let head =
        [b"k8s\0".to_vec(), bytes_field(1, &[bytes_field(1, b"v1"), bytes_field(2, b"PodList")].concat())]
            .concat();
    let endless = [head.clone(), vec![0x12], varint(u64::MAX), vec![0x12], varint(1 << 40)].concat();
    assert!(error(&endless).contains("larger than 100 bytes"));
    let unbounded = [b"k8s\0\x0a".as_slice(), &varint(u64::MAX)].concat();
    let error_without_limit = split(list_splitter(usize::MAX), &unbounded, 100).err().unwrap();
    assert!(matches!(error_without_limit, WireError::Truncated { .. }), "{error_without_limit}");
    let overlong = [head, vec![0x12, 3, 0x12, 50]].concat();
    assert!(error(&overlong).contains("longer than its list"));
    let frame = [0xff, 0xff, 0xff, 0xff, 1];
    let error = split(event_splitter(100), &frame, 2).unwrap_err();
    assert!(matches!(error, WireError::TooLarge { limit: 100 }), "{error}");
    let garbage = pod_decoder().decode_event::<Pod>(b"\x0a\x05ADDED").unwrap_err();
    assert!(error_chain(&garbage).contains("no object"), "{}", error_chain(&garbage));
}

#[test]
fn messages_with_many_empty_elements_are_decoded() {
    // An empty element takes two bytes in Protobuf and three bytes in JSON: `{}` and a comma.
    let elements = [2 << 3 | 2, 0].repeat(200_000);
    for (field, pointer) in [(2, "/spec/containers"), (3, "/status/conditions")] {
        let pod = pod_decoder().decode_item::<Value>(&bytes_field(field, &elements), |_| {}).unwrap();
        assert_eq!(pod.pointer(pointer).and_then(Value::as_array).map(Vec::len), Some(200_000), "{pointer}");
    }
}

#[test]
fn randomly_changed_bodies_never_cause_a_panic() {
    let mut random = fastrand::Rng::with_seed(4);
    let body = encode_object(&pod()).unwrap();
    let listed = encode_list(&[encode_message(&pod()).unwrap()]);
    for _ in 0..5_000 {
        let mut changed = if random.bool() { body.clone() } else { listed.clone() };
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..changed.len());
            changed[at] = random.u8(..);
        }
        changed.truncate(random.usize(..=changed.len() * 4).min(changed.len()));
        let _ = pod_decoder().decode_object::<Pod>(&changed);
        if let Ok((pieces, _)) = split(list_splitter(1 << 20), &changed, random.usize(1..200)) {
            for piece in pieces {
                let _ = pod_decoder().decode_item::<Pod>(&piece, |_| {});
                let _ = pod_decoder().peek_item::<Pod>(&piece, FilterDepth::Metadata);
            }
        }
    }
}
