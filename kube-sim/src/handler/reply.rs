//! The request and response types of the handlers. This module must not use sockets or streamed request bodies.

use std::hash::{Hash as _, Hasher as _};

use bytes::Bytes;
use futures::stream::BoxStream;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use super::accept::{Encoding, status_encoding};
use super::render;
use crate::protobuf;
use crate::status::SimError;
use crate::store::cache::Arrival;
use crate::streams::{Offer, Upgrade};
use crate::user::User;
use crate::watch::Watch;

/// A request with its complete body.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) accept: String,
    /// The media type of the body without parameters, in lower case.
    pub(crate) content_type: String,
    pub(crate) user_agent: String,
    pub(crate) user: User,
    /// The header `If-None-Match`.
    pub(crate) if_none_match: String,
    /// Whether kube-sim calls webhooks for the request. False if a test sends the request through a method of `Sim`.
    pub(crate) calls_webhooks: bool,
    /// The subprotocols that a WebSocket upgrade request offers, and whether the request has the header `Origin`.
    /// `None` for any other request.
    pub(crate) upgrade: Option<Offer>,
    pub(crate) body: Bytes,
    pub(crate) arrival: Arrival,
}

impl Request {
    /// The default field manager: the user agent up to the first slash.
    pub(crate) fn default_manager(&self) -> &str {
        match self.user_agent.split('/').next() {
            Some(name) if !name.is_empty() => name,
            _ => "unknown",
        }
    }
}

/// The entity tag of a document: a hash, in quotation marks.
fn etag_of(document: &[u8]) -> String {
    let mut hasher = std::hash::DefaultHasher::new();
    document.hash(&mut hasher);
    format!("\"{:016X}\"", hasher.finish())
}

/// The body of a response.
pub(crate) enum Content {
    Whole(Bytes),
    /// Pieces that are serialized when they are read, and their approximate total size in bytes.
    Pieces(Box<dyn Iterator<Item = Bytes> + Send>, usize),
    Watch(Box<Watch>),
    /// The parts of a container log. The log handler of the simulation produces them: the handler that a test has set, or
    /// the default handler.
    Stream(BoxStream<'static, Bytes>),
    /// No body: the connection changes to WebSocket.
    Upgrade(Upgrade),
}

/// The response of a handler.
pub(crate) struct Reply {
    pub(crate) code: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) warnings: Vec<String>,
    /// The header `Retry-After`, in seconds.
    pub(crate) retry_after: Option<u32>,
    /// Further headers.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) content: Content,
}

impl Reply {
    /// A response with a complete body.
    pub(crate) fn whole(code: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let content = Content::Whole(body.into());
        Self { code, content_type, warnings: Vec::new(), retry_after: None, headers: Vec::new(), content }
    }

    /// A response with the code 200 and a JSON body.
    pub(crate) fn json(value: &Value) -> Self {
        Self::whole(StatusCode::OK, "application/json", value.to_string())
    }

    /// A response with a plain text body.
    pub(crate) fn text(code: StatusCode, text: impl Into<String>) -> Self {
        Self::whole(code, "text/plain; charset=utf-8", text.into())
    }

    /// The response for a path that is not served.
    pub(crate) fn page_not_found() -> Self {
        Self::text(StatusCode::NOT_FOUND, "404 page not found\n")
    }

    /// A response without a body and without `Content-Type`.
    pub(crate) fn empty(code: StatusCode) -> Self {
        Self::whole(code, "", "")
    }

    /// A response with a document, or with the code 304 if the client has the document.
    pub(crate) fn cacheable(request: &Request, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let etag = etag_of(&body);
        let mut reply = if request.if_none_match == etag {
            Self::empty(StatusCode::NOT_MODIFIED)
        } else {
            Self::whole(StatusCode::OK, content_type, body)
        };
        reply.headers.extend(HeaderValue::from_str(&etag).map(|value| (header::ETAG, value)));
        reply
    }

    /// A response with the `Status` of an error, in YAML or Protobuf if the client prefers one of them.
    pub(crate) fn negotiated_error(error: &SimError, accept: &str) -> Self {
        let mut reply = Self::error(error);
        reply.content_type = match status_encoding(accept) {
            Encoding::Json => return reply,
            Encoding::Yaml => "application/yaml",
            Encoding::Protobuf => protobuf::MEDIA_TYPE,
        };
        reply.content = Content::Whole(render::encode(error.status(), status_encoding(accept)));
        reply
    }

    /// A response with the `Status` of an error.
    pub(crate) fn error(error: &SimError) -> Self {
        let mut reply = Self::whole(error.code(), "application/json", format!("{}\n", error.status()));
        reply.retry_after = error.retry_after();
        reply.warnings = error.warnings().to_vec();
        reply
    }
}
