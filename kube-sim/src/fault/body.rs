//! Faults in the body of a response: replaced watch events and objects, and bodies that break, end early or stall.

use bytes::Bytes;
use serde_json::Value;

use super::{Action, AppliedFault};

/// The fault that stops a body before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyStop {
    /// The body ends with an error, as after a broken connection.
    Cut,
    /// The body ends as if it were complete.
    Close,
    /// The body stays open without further data.
    Hang,
}

/// The body faults of one response.
#[derive(Clone, Debug, Default)]
pub(crate) struct BodyFaults {
    cut_after_bytes: Option<usize>,
    stop_after_events: Option<(usize, BodyStop)>,
    /// The indexes of the watch events to replace, each with the bytes to send instead.
    replaced_events: Vec<(usize, Bytes)>,
    /// The names of the objects to replace, each with the bytes to send instead.
    replaced_objects: Vec<(String, Bytes)>,
    bytes_sent: usize,
    events_sent: usize,
}

impl BodyFaults {
    /// Collects the faults of a request that affect the body; `None` if there are none.
    pub(crate) fn of(applied: &[AppliedFault]) -> Option<Self> {
        let mut faults = Self::default();
        for fault in applied {
            match &fault.action {
                Action::Reset | Action::ResetAfterHandling => faults.cut_after_bytes = Some(0),
                Action::CutAfterBytes(n) => faults.cut_after_bytes = Some(*n),
                Action::CutAfterEvents(n) => faults.stop_after_events = Some((*n, BodyStop::Cut)),
                Action::CloseAfterEvents(n) => faults.stop_after_events = Some((*n, BodyStop::Close)),
                Action::HangAfterEvents(n) => faults.stop_after_events = Some((*n, BodyStop::Hang)),
                Action::ReplaceEvent { index, bytes } => faults.replaced_events.push((*index, bytes.clone())),
                Action::ReplaceObject { name, bytes } => {
                    faults.replaced_objects.push((name.clone(), bytes.clone()));
                }
                Action::Status { .. }
                | Action::Delay(_)
                | Action::Hang
                | Action::Compact
                | Action::Restart
                | Action::Rewind(_) => {}
            }
        }
        faults.is_active().then_some(faults)
    }

    /// Whether any fault is set.
    fn is_active(&self) -> bool {
        self.cut_after_bytes.is_some()
            || self.stop_after_events.is_some()
            || !self.replaced_events.is_empty()
            || !self.replaced_objects.is_empty()
    }

    /// Whether the faults replace objects. If so, the complete body must be in one buffer.
    pub(crate) fn replaces_objects(&self) -> bool {
        !self.replaced_objects.is_empty()
    }

    /// The fault that stops a watch before its next event; `None` if the event is sent.
    pub(crate) fn stop_before_event(&self) -> Option<BodyStop> {
        self.stop_after_events.filter(|(n, _)| self.events_sent >= *n).map(|(_, stop)| stop)
    }

    /// Applies the faults to one event of a watch. `frame` is the encoded event. Returns the bytes to send.
    pub(crate) fn apply_to_event(&mut self, frame: Bytes) -> Bytes {
        let index = self.events_sent;
        self.events_sent += 1;
        if let Some((_, bytes)) = self.replaced_events.iter().find(|(at, _)| *at == index) {
            return bytes.clone();
        }
        if self.replaced_objects.is_empty() {
            return frame;
        }
        let Ok(event) = serde_json::from_slice::<Value>(&frame) else { return frame };
        match self.replacement(&event["object"]) {
            Some(bytes) => {
                let text = String::from_utf8_lossy(bytes);
                Bytes::from(format!("{{\"type\":{},\"object\":{text}}}\n", event["type"]))
            }
            None => frame,
        }
    }

    /// The bytes that replace `object`; `None` if no fault selects the name of the object.
    fn replacement(&self, object: &Value) -> Option<&Bytes> {
        let name = object["metadata"]["name"].as_str()?;
        self.replaced_objects.iter().find(|(wanted, _)| wanted == name).map(|(_, bytes)| bytes)
    }

    /// Replaces objects in a complete body, which is an object or a list. Returns the body to send.
    pub(crate) fn apply_to_body(&self, body: Bytes) -> Bytes {
        let Ok(value) = serde_json::from_slice::<Value>(&body) else { return body };
        if let Some(bytes) = self.replacement(&value) {
            return bytes.clone();
        }
        let Some(items) = value["items"].as_array() else { return body };
        if items.iter().all(|i| self.replacement(i).is_none()) {
            return body;
        }
        let items: Vec<String> = items
            .iter()
            .map(|i| match self.replacement(i) {
                Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                None => i.to_string(),
            })
            .collect();
        Bytes::from(format!(
            "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{},\"items\":[{}]}}\n",
            value["kind"],
            value["apiVersion"],
            value["metadata"],
            items.join(",")
        ))
    }

    /// Applies the byte limit. Returns the part of `piece` to send, and whether the body ends with an error after this
    /// part.
    pub(crate) fn cut_at_limit(&mut self, piece: Bytes) -> (Bytes, bool) {
        let Some(limit) = self.cut_after_bytes else { return (piece, false) };
        let room = limit.saturating_sub(self.bytes_sent);
        self.bytes_sent += piece.len();
        if piece.len() > room { (piece.slice(..room), true) } else { (piece, false) }
    }

    /// Whether the body ends with an error before the first byte.
    pub(crate) fn is_cut_at_start(&self) -> bool {
        self.cut_after_bytes == Some(0)
    }
}
