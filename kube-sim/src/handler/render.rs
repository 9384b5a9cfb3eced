//! Serializes objects and lists in the negotiated representation.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};

use super::accept::{Accept, Encoding, Shape};
use super::convert;
use crate::protobuf;
use crate::registry::{Conversion, Resource};
use crate::status::SimError;
use crate::store::object::StoredObject;
use crate::table::{self, Objects, partial_object_metadata};

/// The approximate size of one piece of a list body, in bytes.
const PIECE_SIZE: usize = 64 * 1024;

/// Serializes one stored object in the negotiated representation.
pub(crate) fn encode_object(
    resource: &Resource,
    stored: &StoredObject,
    accept: Accept,
    now: jiff::Timestamp,
) -> Bytes {
    match (accept.shape, accept.encoding) {
        (Shape::Plain, Encoding::Json) => encode_plain_object(resource, stored),
        _ => encode_value(resource, &convert::from_stored(resource, stored), accept, now),
    }
}

/// Serializes one object in the negotiated representation.
pub(crate) fn encode_value(
    resource: &Resource,
    object: &Value,
    accept: Accept,
    now: jiff::Timestamp,
) -> Bytes {
    let version = accept.version.api_version();
    let shown = match accept.shape {
        Shape::Plain => return encode(object, accept.encoding),
        Shape::Table(row_object) => {
            let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
            let options = table::Options { row_object, version, with_columns: true };
            table::build(resource, Objects::One(object), options, &metadata, now)
        }
        Shape::Partial => partial_object_metadata(object, version),
    };
    encode(&shown, accept.encoding)
}

/// Serializes a document.
pub(crate) fn encode(value: &Value, encoding: Encoding) -> Bytes {
    match encoding {
        Encoding::Json => Bytes::from(value.to_string()),
        Encoding::Yaml => encode_yaml(value),
        Encoding::Protobuf => encode_protobuf(value),
    }
}

/// Serializes the whole object as JSON.
pub(crate) fn encode_plain_object(resource: &Resource, stored: &StoredObject) -> Bytes {
    if resource.conversion == Conversion::None {
        stored.typed_json(&resource.api_version, &resource.kind)
    } else {
        Bytes::from(convert::from_stored(resource, stored).to_string())
    }
}

/// Encodes an object as Protobuf. If a value does not fit its field, encodes the `Status` of an internal error.
pub(crate) fn encode_protobuf(value: &Value) -> Bytes {
    protobuf::encode(value).unwrap_or_else(|problem| {
        let error = SimError::internal(format!("encoding the response: {problem}"));
        protobuf::encode(error.status()).unwrap_or_default()
    })
}

pub(crate) fn encode_yaml(value: &Value) -> Bytes {
    // `to_string` cannot fail, because YAML can represent every JSON value.
    Bytes::from(yaml_serde::to_string(value).unwrap_or_default())
}

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Arc<StoredObject>>,
    pub(crate) version: u64,
    /// The continue token for the next page.
    pub(crate) next: Option<String>,
    /// The number of objects after this page, if it is known.
    pub(crate) remaining: Option<usize>,
}

impl Page {
    /// The `ListMeta` of the page.
    pub(crate) fn metadata(&self) -> Value {
        let mut metadata = json!({"resourceVersion": self.version.to_string()});
        if let Some(next) = &self.next {
            metadata["continue"] = next.as_str().into();
        }
        if let Some(remaining) = self.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
        metadata
    }

    /// The approximate size of the serialized objects, in bytes.
    fn approximate_bytes(&self) -> usize {
        self.objects.iter().map(|o| o.len() + 1).sum()
    }
}

/// The serialized list, in one buffer or as an iterator of pieces.
pub(crate) enum ListBody {
    Whole(Bytes),
    /// The pieces, and their approximate total size in bytes.
    Pieces(Box<dyn Iterator<Item = Bytes> + Send>, usize),
}

/// Serializes a list in the negotiated representation.
pub(crate) fn encode_list(
    resource: &Arc<Resource>,
    page: Page,
    accept: Accept,
    now: jiff::Timestamp,
) -> ListBody {
    let metadata = page.metadata();
    let version = accept.version.api_version();
    match (accept.shape, accept.encoding) {
        (Shape::Plain, Encoding::Json) => encode_plain_list(resource.clone(), page, &metadata),
        (Shape::Plain, encoding) => {
            let items: Vec<Value> = page.objects.iter().map(|o| convert::from_stored(resource, o)).collect();
            let list = json!({
                "kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata, "items": items,
            });
            ListBody::Whole(encode(&list, encoding))
        }
        (Shape::Table(row_object), encoding) => {
            let rows: Vec<Value> = page.objects.iter().map(|o| convert::from_stored(resource, o)).collect();
            let options = table::Options { row_object, version, with_columns: true };
            let table = table::build(resource, Objects::List(&rows), options, &metadata, now);
            ListBody::Whole(encode(&table, encoding))
        }
        (Shape::Partial, encoding) => {
            let items: Vec<Value> = page
                .objects
                .iter()
                .map(|o| {
                    partial_object_metadata(&o.typed_value(&resource.api_version, &resource.kind), version)
                })
                .collect();
            // The API server appends to a nil slice, so `items` of an empty list is null.
            let items = if items.is_empty() { Value::Null } else { items.into() };
            let list = json!({
                "kind": "PartialObjectMetadataList", "apiVersion": version, "metadata": metadata, "items": items,
            });
            ListBody::Whole(encode(&list, encoding))
        }
    }
}

/// Serializes a list of whole objects as JSON, in pieces.
fn encode_plain_list(resource: Arc<Resource>, page: Page, metadata: &Value) -> ListBody {
    let size = page.approximate_bytes();
    let mut metadata = metadata.clone();
    if resource.custom_properties().is_some() && metadata.get("continue").is_none() {
        // In Go, a list of custom resources is a map, for which `omitempty` has no effect: an empty token is written.
        metadata["continue"] = "".into();
    }
    let head = if resource.custom_properties().is_some() {
        // Go writes the keys of a map in alphabetical order.
        format!("{{\"apiVersion\":\"{}\",\"items\":[", resource.api_version)
    } else {
        let (kind, version) = (&resource.list_kind, &resource.api_version);
        format!("{{\"kind\":\"{kind}\",\"apiVersion\":\"{version}\",\"metadata\":{metadata},\"items\":[")
    };
    let tail = if resource.custom_properties().is_some() {
        format!("],\"kind\":\"{}\",\"metadata\":{metadata}}}\n", resource.list_kind)
    } else {
        "]}\n".to_owned()
    };
    let mut objects = page.objects.into_iter();
    let mut head = Some(head);
    let mut tail = Some(tail);
    let mut first = true;
    ListBody::Pieces(
        Box::new(std::iter::from_fn(move || {
            let mut piece = BytesMut::new();
            if let Some(head) = head.take() {
                piece.put_slice(head.as_bytes());
            }
            while piece.len() < PIECE_SIZE {
                let Some(object) = objects.next() else { break };
                if !first {
                    piece.put_u8(b',');
                }
                first = false;
                write_item(&resource, &object, &mut piece);
            }
            if piece.len() < PIECE_SIZE
                && let Some(tail) = tail.take()
            {
                piece.put_slice(tail.as_bytes());
            }
            (!piece.is_empty()).then(|| piece.freeze())
        })),
        size,
    )
}

/// Writes one item of a list. Items of built-in kinds have no `kind` and `apiVersion`; custom resources have both.
fn write_item(resource: &Resource, object: &StoredObject, out: &mut BytesMut) {
    match (resource.custom_properties().is_some(), resource.conversion) {
        (true, Conversion::None) => object.write_typed(&resource.api_version, &resource.kind, out),
        (false, Conversion::None) => out.put_slice(object.bare_json()),
        (is_custom, _) => {
            let mut value = convert::from_stored(resource, object);
            if let Some(map) = value.as_object_mut().filter(|_| !is_custom) {
                map.remove("apiVersion");
                map.remove("kind");
            }
            out.put_slice(value.to_string().as_bytes());
        }
    }
}
