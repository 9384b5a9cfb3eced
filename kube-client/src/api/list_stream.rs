//! `ListStream`: the items of a list as they arrive.

use crate::client::Body;
use crate::core::{ListMeta, TypeMeta};
use crate::wire::{ListDecoder, ListHead, WireError};
use crate::{Error, Result};
use futures::Stream;
use http_body::Body as _;
use serde::de::DeserializeOwned;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// The items of a list, each decoded as soon as its text has arrived.
///
/// An object that does not decode comes out as an error that names it ([`Error::undecodable`]), and the next item follows.
/// Any other error ends the stream. The list's own metadata is known when the stream has ended.
///
/// Dropping the stream cancels the request.
pub struct ListStream<K> {
    body: Body,
    kind: String,
    decoder: Option<ListDecoder<K>>,
    head: Option<ListHead>,
}

impl<K: DeserializeOwned> ListStream<K> {
    pub(super) fn new(body: Body, kind: &str) -> Self {
        Self { body, kind: kind.to_owned(), decoder: Some(ListDecoder::new(kind)), head: None }
    }
}

impl<K> ListStream<K> {
    /// The collection's resource version and the token for the next page; `None` until the stream has ended well.
    pub fn metadata(&self) -> Option<&ListMeta> {
        self.head.as_ref().map(|head| &head.metadata)
    }

    pub(super) fn into_head(self) -> Option<(TypeMeta, ListMeta)> {
        self.head.map(|head| (head.types, head.metadata))
    }

    /// Ends the stream with an error, unless it concerns a single object.
    fn fail(&mut self, error: WireError) -> Error {
        if !matches!(error, WireError::Object(_)) {
            self.decoder = None;
        }
        from_wire(error, &self.kind)
    }
}

impl<K: DeserializeOwned> Stream for ListStream<K> {
    type Item = Result<K>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            let Some(decoder) = &mut this.decoder else { return Poll::Ready(None) };
            match decoder.next() {
                Some(Ok(item)) => return Poll::Ready(Some(Ok(item))),
                Some(Err(error)) => return Poll::Ready(Some(Err(this.fail(error)))),
                None => {}
            }
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        decoder.push(data);
                    }
                }
                Some(Err(error)) => {
                    this.decoder = None;
                    return Poll::Ready(Some(Err(Error::from_box(error.into()))));
                }
                None => {
                    return match this.decoder.take().map(ListDecoder::finish) {
                        Some(Ok(head)) => {
                            this.head = Some(head);
                            Poll::Ready(None)
                        }
                        Some(Err(error)) => Poll::Ready(Some(Err(this.fail(error)))),
                        None => Poll::Ready(None),
                    };
                }
            }
        }
    }
}

impl<K> fmt::Debug for ListStream<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListStream")
            .field("kind", &self.kind)
            .field("ended", &self.decoder.is_none())
            .finish_non_exhaustive()
    }
}

/// What went wrong with a body, as an error of the crate.
pub(super) fn from_wire(error: WireError, kind: &str) -> Error {
    match error {
        WireError::Object(object) => Error::Object(object),
        other => Error::Decode { what: format!("an answer about {kind} objects"), source: other.into() },
    }
}
