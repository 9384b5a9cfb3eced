//! Encodes the events of watches.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::handler::accept::{Accept, Encoding, Shape};
use crate::handler::convert;
use crate::handler::render;
use crate::protobuf;
use crate::registry::{Conversion, Resource};
use crate::status::SimError;
use crate::store::object::StoredObject;
use crate::store::table::{self, Change, Event};
use crate::table::Objects;

/// Encodes the events of one watch in the negotiated representation (object, `PartialObjectMetadata` or `Table`).
#[derive(Debug)]
pub(crate) struct EventEncoder {
    resource: Arc<Resource>,
    accept: Accept,
    clock: Clock,
    /// Whether a `Table` with column definitions was sent. Only the first `Table` of a watch has column definitions.
    columns_sent: bool,
}

impl EventEncoder {
    pub(crate) fn new(resource: Arc<Resource>, accept: Accept, clock: Clock) -> Self {
        Self { resource, accept, clock, columns_sent: false }
    }

    /// Whether this encoder writes complete objects as JSON, and changes at most their `apiVersion`. This can
    /// also be true for a resource with a conversion webhook: the webhook converts the objects before this
    /// encoder receives them.
    fn is_plain(&self) -> bool {
        let accept = self.accept;
        let is_json = accept.encoding != Encoding::Protobuf;
        is_json && accept.shape == Shape::Plain && self.resource.conversion == Conversion::None
    }

    /// Encodes `event` as a watch event of the type `event_type`. This type differs from `event.change` if a modified
    /// object starts to match the selector of the watch. If the types are equal and the watch sends plain objects, the
    /// frame is the shared frame of the event.
    pub(crate) fn encode_event(&mut self, event: &Event, event_type: Change) -> Bytes {
        if self.is_plain() && event_type == event.change {
            return event.frame(&self.resource.api_version, &self.resource.kind);
        }
        self.encode_object(event_type, &event.object)
    }

    /// Encodes an event about this state of an object. The event has the resource version of the state.
    pub(crate) fn encode_object(&mut self, change: Change, object: &StoredObject) -> Bytes {
        if self.is_plain() {
            return table::watch_frame(change, object, &self.resource.api_version, &self.resource.kind);
        }
        let value = convert::from_stored(&self.resource, object);
        self.encode_value(change.event_type(), &value)
    }

    /// Encodes an event about this state of an object. The event has the resource version `version` instead of the
    /// resource version of the state.
    pub(crate) fn encode_object_at(&mut self, change: Change, object: &StoredObject, version: u64) -> Bytes {
        let mut value = convert::from_stored(&self.resource, object);
        value["metadata"]["resourceVersion"] = version.to_string().into();
        self.encode_value(change.event_type(), &value)
    }

    fn encode_value(&mut self, name: &str, object: &Value) -> Bytes {
        let version = self.accept.version.api_version();
        let shown = match self.accept.shape {
            Shape::Plain => object.clone(),
            Shape::Partial => crate::table::partial_object_metadata(object, version),
            Shape::Table(row_object) => {
                let with_columns = !std::mem::replace(&mut self.columns_sent, true);
                let meta = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
                let options = crate::table::Options { row_object, version, with_columns };
                crate::table::build(&self.resource, Objects::One(object), options, &meta, self.clock.now())
            }
        };
        self.encode_frame(name, &shown)
    }

    /// Encodes a `BOOKMARK` event.
    pub(crate) fn encode_bookmark(&mut self, version: u64, annotations: Option<Value>) -> Bytes {
        let mut object = json!({
            "kind": self.resource.kind,
            "apiVersion": self.resource.api_version,
            "metadata": {"resourceVersion": version.to_string()},
        });
        if let Some(annotations) = annotations {
            object["metadata"]["annotations"] = annotations;
        }
        // The object of a bookmark is the zero value of a Go struct. Its JSON has the fields without `omitempty`.
        if let Some(zero_value) = self.resource.strategy.zero_value {
            let (spec, status) = zero_value();
            object["spec"] = spec;
            object["status"] = status;
        }
        self.encode_value("BOOKMARK", &object)
    }

    /// Encodes the `ERROR` event that ends a watch.
    pub(crate) fn encode_error(&self, error: &SimError) -> Bytes {
        self.encode_frame("ERROR", error.status())
    }

    /// One watch event in the encoding of the watch.
    fn encode_frame(&self, name: &str, object: &Value) -> Bytes {
        match self.accept.encoding {
            Encoding::Protobuf => protobuf::encode_event(name, &render::encode_protobuf(object)),
            _ => event_line(name, object),
        }
    }
}

/// One watch event as a line of JSON.
fn event_line(name: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{{\"type\":\"{name}\",\"object\":{object}}}\n"))
}
