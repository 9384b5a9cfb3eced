//! Serializes objects and lists in the negotiated representation.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};

use super::accept::{Accept, Encoding, Shape};
use super::convert;
use crate::protobuf;
use crate::registry::{Conversion, Resource};
use crate::status::SimError;
use crate::store::object::Stored;
use crate::table::{self, partial_object_metadata};

/// The approximate size of one piece of a list body, in bytes.
const PIECE_SIZE: usize = 64 * 1024;

/// Serializes one object in the negotiated representation.
pub(crate) fn object(resource: &Resource, stored: &Stored, accept: Accept, now: jiff::Timestamp) -> Bytes {
    match (accept.shape, accept.encoding) {
        (Shape::Plain, Encoding::Json) => plain(resource, stored),
        (Shape::Plain, Encoding::Yaml) => yaml(&convert::view(resource, stored)),
        (Shape::Table(row_object), _) => {
            let meta = json!({"resourceVersion": stored.version.to_string()});
            Bytes::from(
                table::of(resource, &[convert::view(resource, stored)], row_object, &meta, true, now)
                    .to_string(),
            )
        }
        (Shape::Plain, Encoding::Protobuf) => protobuf_bytes(&convert::view(resource, stored)),
        (Shape::Partial, Encoding::Protobuf) => protobuf_bytes(&partial_object_metadata(&stored.value())),
        (Shape::Partial, _) => Bytes::from(partial_object_metadata(&stored.value()).to_string()),
    }
}

/// Serializes the whole object as JSON.
pub(crate) fn plain(resource: &Resource, stored: &Stored) -> Bytes {
    if resource.conversion == Conversion::None {
        stored.typed(&resource.api_version, &resource.kind)
    } else {
        Bytes::from(convert::view(resource, stored).to_string())
    }
}

/// Encodes an object as Protobuf. If a value does not fit its field, encodes the `Status` of an internal error.
pub(crate) fn protobuf_bytes(value: &Value) -> Bytes {
    protobuf::encode(value).unwrap_or_else(|problem| {
        let error = SimError::internal(format!("encoding the response: {problem}"));
        protobuf::encode(error.status()).unwrap_or_default()
    })
}

pub(crate) fn yaml(value: &Value) -> Bytes {
    // Every JSON value can be written as YAML, so this cannot fail.
    Bytes::from(yaml_serde::to_string(value).unwrap_or_default())
}

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Arc<Stored>>,
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
pub(crate) fn list(resource: &Arc<Resource>, page: Page, accept: Accept, now: jiff::Timestamp) -> ListBody {
    let metadata = page.metadata();
    match (accept.shape, accept.encoding) {
        (Shape::Plain, Encoding::Json) => plain_list(resource.clone(), page, &metadata),
        (Shape::Plain, encoding @ (Encoding::Yaml | Encoding::Protobuf)) => {
            let items: Vec<Value> = page.objects.iter().map(|o| convert::view(resource, o)).collect();
            let list = json!({
                "kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata, "items": items,
            });
            ListBody::Whole(if encoding == Encoding::Yaml { yaml(&list) } else { protobuf_bytes(&list) })
        }
        (Shape::Table(row_object), _) => {
            let rows: Vec<Value> = page.objects.iter().map(|o| convert::view(resource, o)).collect();
            ListBody::Whole(Bytes::from(
                table::of(resource, &rows, row_object, &metadata, true, now).to_string(),
            ))
        }
        (Shape::Partial, encoding) => {
            let items: Vec<Value> =
                page.objects.iter().map(|o| partial_object_metadata(&o.value())).collect();
            let list = json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                "metadata": metadata, "items": items,
            });
            ListBody::Whole(match encoding {
                Encoding::Protobuf => protobuf_bytes(&list),
                _ => Bytes::from(list.to_string()),
            })
        }
    }
}

/// Serializes a list of whole objects as JSON, in pieces.
fn plain_list(resource: Arc<Resource>, page: Page, metadata: &Value) -> ListBody {
    let size = page.approximate_bytes();
    let mut metadata = metadata.clone();
    if resource.custom().is_some() && metadata.get("continue").is_none() {
        // A list of custom resources is a map in Go, so no `omitempty` drops an empty continue token.
        metadata["continue"] = "".into();
    }
    let head = if resource.custom().is_some() {
        // Go writes the keys of a map in alphabetical order.
        format!("{{\"apiVersion\":\"{}\",\"items\":[", resource.api_version)
    } else {
        let (kind, version) = (&resource.list_kind, &resource.api_version);
        format!("{{\"kind\":\"{kind}\",\"apiVersion\":\"{version}\",\"metadata\":{metadata},\"items\":[")
    };
    let tail = if resource.custom().is_some() {
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
fn write_item(resource: &Resource, object: &Stored, out: &mut BytesMut) {
    if resource.custom().is_some() {
        object.write_typed(&resource.api_version, &resource.kind, out);
    } else if resource.conversion == Conversion::None {
        out.put_slice(object.bare());
    } else {
        let mut value = convert::view(resource, object);
        if let Some(map) = value.as_object_mut() {
            map.remove("apiVersion");
            map.remove("kind");
        }
        out.put_slice(value.to_string().as_bytes());
    }
}
