//! The effects of fault rules. This module describes them; `server` applies them.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::encoding;

/// The effect of a fault rule on a request.
///
/// In JSON, an action without values is a text (`"reset"`), and any other action is an object with one field:
/// `{"delay": "1.5s"}`, `{"status": {"code": 429, "retryAfter": 5}}`, `{"cutAfterEvents": 3}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Action {
    /// The response is a `Status` with this code. The request is not handled.
    Status {
        /// The HTTP code, 400 to 599.
        #[serde(deserialize_with = "deserialize_error_code")]
        code: u16,
        /// The message; `None` for the default message of the code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// The `Retry-After` header in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u32>,
    },
    /// The request is handled after this duration, measured by tokio's clock.
    Delay(#[serde(with = "encoding::duration")] Duration),
    /// The request is not handled and never gets a response.
    Hang,
    /// The connection breaks and the request is not handled. Over HTTP/2, only the stream of the request is reset.
    /// [`SimService`](crate::SimService) has no connection: it returns a response whose body ends with an error before
    /// the first byte.
    Reset,
    /// The request is handled, but the connection, or the HTTP/2 stream, breaks before the response is sent.
    ResetAfterHandling,
    /// The body of the response ends with an error after this many bytes. A body of this length or less is
    /// not affected. If the number is 0, however, every body ends with an error, even an empty one.
    CutAfterBytes(usize),
    /// A watch ends with an error after this many events.
    CutAfterEvents(usize),
    /// A watch ends without an error after this many events.
    CloseAfterEvents(usize),
    /// A watch stalls after this many events: it stays open, but sends no further data.
    HangAfterEvents(usize),
    /// These bytes replace one event of a watch. No line feed is added to the bytes.
    ReplaceEvent {
        /// The index of the event, from 0.
        index: usize,
        /// The bytes to send instead. In JSON, a text or `{"base64": ".."}`.
        #[serde(with = "encoding::bytes")]
        bytes: Bytes,
    },
    /// These bytes replace each object with this name in a response in JSON: a single object, an item of a list, or the
    /// object of a watch event. The rows of a table, and responses in Protobuf or YAML, are not affected.
    ReplaceObject {
        /// `metadata.name` of the object.
        name: String,
        /// The bytes to send instead of the object. In JSON, a text or `{"base64": ".."}`.
        #[serde(with = "encoding::bytes")]
        bytes: Bytes,
    },
    /// The store is compacted before the request is handled, as with [`Sim::compact_all`](crate::Sim::compact_all).
    Compact,
    /// The API server restarts before the request is handled, as with [`Sim::restart`](crate::Sim::restart).
    Restart,
    /// The store loses this many of its latest changes before the request is handled, as with
    /// [`Sim::rewind`](crate::Sim::rewind). If the history of the store has fewer changes, the response is 500.
    Rewind(u64),
}

impl Action {
    /// A `Status` with this code and the default message of the code.
    pub fn status(code: u16) -> Self {
        Self::Status { code, message: None, retry_after: None }
    }

    /// A `Status` with this code and a `Retry-After` header in seconds.
    pub fn status_retry_after(code: u16, seconds: u32) -> Self {
        Self::Status { code, message: None, retry_after: Some(seconds) }
    }
}

fn deserialize_error_code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let code = u16::deserialize(deserializer)?;
    let is_error = |code: &StatusCode| code.is_client_error() || code.is_server_error();
    match StatusCode::from_u16(code).ok().filter(is_error) {
        Some(_) => Ok(code),
        None => Err(D::Error::custom(format!("{code} is not the code of an error, 400 to 599"))),
    }
}
