//! `BodyFormat`: the format of a response body, JSON or Protobuf. `FormatSplitter` splits a body of either format.

use super::list::ListHead;
use super::protobuf::{self, ProtobufKind};
use super::{EventSplitter, ListSplitter, Split, WireError};
use bytes::Bytes;
use std::sync::Arc;

#[derive(Debug, Clone)]
pub(crate) enum BodyFormat {
    Json,
    /// Protobuf. The value is the requested kind. If the value is `None`, single objects and watch events may have any
    /// kind in the Protobuf table, and a list is an error.
    Protobuf(Option<Arc<ProtobufKind>>),
}

/// A splitter for JSON or for Protobuf.
pub(crate) enum FormatSplitter<J, P> {
    Json(J),
    Protobuf(P),
}

/// Splits the body of a list into its items.
pub(crate) type ListBodySplitter = FormatSplitter<ListSplitter, protobuf::ListSplitter>;
/// Splits the body of a watch into its events.
pub(crate) type EventBodySplitter = FormatSplitter<EventSplitter, protobuf::EventSplitter>;

impl ListBodySplitter {
    /// A splitter for items of at most `limit` bytes. For Protobuf without a kind, returns the splitter for JSON, which
    /// reports that the body is not JSON.
    pub(crate) fn new(format: &BodyFormat, limit: usize) -> Self {
        match format {
            BodyFormat::Protobuf(Some(kind)) => {
                Self::Protobuf(protobuf::ListSplitter::new(limit, ProtobufKind::clone(kind)))
            }
            BodyFormat::Json | BodyFormat::Protobuf(None) => Self::Json(ListSplitter::new(limit)),
        }
    }

    /// The list's head as received so far. API servers send the head before the items, except in lists of
    /// whole custom resources: see [`ListSplitter::head`].
    pub(crate) fn head(&self) -> &ListHead {
        match self {
            Self::Json(splitter) => splitter.head(),
            Self::Protobuf(splitter) => splitter.head(),
        }
    }
}

impl EventBodySplitter {
    /// A splitter for events of at most `limit` bytes.
    pub(crate) fn new(format: &BodyFormat, limit: usize) -> Self {
        match format {
            BodyFormat::Json => Self::Json(EventSplitter::new(limit)),
            BodyFormat::Protobuf(_) => Self::Protobuf(protobuf::EventSplitter::new(limit)),
        }
    }

    /// The number of bytes that were pushed and have not been emitted.
    pub(crate) fn buffered_bytes(&self) -> usize {
        match self {
            Self::Json(splitter) => splitter.buffered_bytes(),
            Self::Protobuf(splitter) => splitter.buffered_bytes(),
        }
    }
}

impl<J: Split, P: Split<End = J::End>> Split for FormatSplitter<J, P> {
    type End = J::End;

    fn push(&mut self, frame: Bytes) {
        match self {
            Self::Json(splitter) => splitter.push(frame),
            Self::Protobuf(splitter) => splitter.push(frame),
        }
    }

    fn next(&mut self) -> Option<Result<Bytes, WireError>> {
        match self {
            Self::Json(splitter) => splitter.next(),
            Self::Protobuf(splitter) => splitter.next(),
        }
    }

    fn finish(self) -> Result<(Option<Bytes>, Self::End), WireError> {
        match self {
            Self::Json(splitter) => splitter.finish(),
            Self::Protobuf(splitter) => splitter.finish(),
        }
    }
}
