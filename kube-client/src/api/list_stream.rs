//! `ListStream`: the items of a list as they arrive.

use super::PartialObjectMeta;
use super::body_decoder::BodyDecoder;
use super::filter::{self, PieceFilter, Verdict};
use super::pipeline::ValueSize;
use super::set_types::TypeMetaSetter;
use crate::Result;
use crate::client::Body;
use crate::core::{ListMeta, ObjectOrigin, TypeMeta};
use crate::wire::{FilterDepth, ListBodySplitter, ObjectDecoder, WireError};
use futures::Stream;
use serde::de::DeserializeOwned;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;

/// The time from the arrival of the response's head until the stream starts to read ahead. API servers abort
/// a response that takes longer than a minute to write: without reading ahead, a slow reader would never
/// receive the complete list.
const READ_AHEAD_AFTER: Duration = Duration::from_secs(20);

/// The items of a list, each decoded as soon as its text has arrived.
///
/// If an object does not decode, the stream emits an error that names the object
/// ([`Error::undecodable`](crate::Error::undecodable)), and continues. Any other error ends the stream. On a
/// multi-threaded runtime the worker threads decode items in parallel; the stream emits them in the order of the list.
///
/// The stream reads the body only while the program polls the stream or calls [`read_ahead`](Self::read_ahead). In the
/// first twenty seconds after the head of the response has arrived, the stream reads only as much text as the decoding
/// needs. Later, it reads all text that has arrived, until 16 MiB of text are buffered.
///
/// Dropping the stream cancels the request.
pub struct ListStream<K> {
    items: BodyDecoder<ListBodySplitter, K>,
    /// Reads the metadata of the items for a filter.
    decoder: ObjectDecoder,
}

impl<K: DeserializeOwned + Send + 'static> ListStream<K> {
    pub(super) fn new(
        body: Body,
        limit: usize,
        decoder: ObjectDecoder,
        set_types: TypeMetaSetter<K>,
    ) -> Self {
        let item_decoder = decoder.clone();
        let decode =
            move |piece: &[u8]| item_decoder.decode_item(piece, |item| set_types.set_if_missing(item));
        Self::with_decode(body, limit, decoder, decode, None)
    }

    /// Calls `filter` with the metadata of each item before the item is decoded, in the order of the list. Only items
    /// with the verdict [`Verdict::Keep`] are decoded; dropping an item takes far less time than decoding it.
    ///
    /// `depth` sets which metadata is read. An item whose metadata cannot be read bypasses the filter, and decoding it
    /// fails.
    #[must_use]
    pub fn filter_before_decode(
        mut self,
        depth: FilterDepth,
        filter: impl FnMut(ObjectOrigin, &PartialObjectMeta<K>) -> Verdict + Send + 'static,
    ) -> Self {
        self.items.filter_before_decode(filter::item_filter(self.decoder.clone(), depth, filter), None);
        self
    }
}

impl<T: Send + 'static> ListStream<T> {
    /// A stream that calls `decode` for each item that `filter` keeps, and emits the results. Without a filter, keeps all
    /// items of `body`.
    pub(super) fn with_decode(
        body: Body,
        limit: usize,
        decoder: ObjectDecoder,
        decode: impl Fn(&[u8]) -> Result<T, WireError> + Send + Sync + 'static,
        filter: Option<PieceFilter<T>>,
    ) -> Self {
        let splitter = ListBodySplitter::new(decoder.format(), limit);
        let mut items = BodyDecoder::new(body, splitter, decoder.expected_kind(), decode);
        items.read_ahead_from(Instant::now() + READ_AHEAD_AFTER);
        if let Some(filter) = filter {
            items.filter_before_decode(filter, None);
        }
        Self { items, decoder }
    }

    /// Sets how much memory an emitted item is expected to use: as much as a decoded object, which is the default, or as
    /// much as a compressed text.
    pub(super) fn with_value_size(mut self, value_size: ValueSize) -> Self {
        self.items.set_value_size(value_size);
        self
    }

    /// Reads text that has arrived, without taking an item. The limit on the buffered text is the same as when the program
    /// polls the stream: see [`ListStream`]. On a multi-threaded runtime, the worker threads decode this text. Wakes the
    /// waker of `cx` when more text arrives, unless the limit is reached. If the body fails, the stream emits the error
    /// after the items that precede the error.
    ///
    /// With this method, a program can request the next page of a list while it still decodes the current page.
    ///
    /// ```
    /// use futures::{TryStreamExt, future::poll_fn};
    /// use k8s_openapi::api::core::v1::Namespace;
    /// use kube_client::{Api, Client, api::ListParams};
    /// use std::task::Poll;
    ///
    /// # #[tokio::main(flavor = "multi_thread", worker_threads = 2)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let namespaces: Api<Namespace> = Api::all(Client::new(kube_sim::Sim::new().service(), "default"));
    /// let mut page = namespaces.list_stream(&ListParams::default()).await?;
    /// poll_fn(|cx| {
    ///     page.read_ahead(cx);
    ///     Poll::Ready(())
    /// })
    /// .await;
    /// // The stream still emits all items.
    /// assert!(!page.try_collect::<Vec<_>>().await?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn read_ahead(&mut self, cx: &mut Context<'_>) {
        self.items.fill_pipeline(cx);
    }
}

impl<K> ListStream<K> {
    /// The metadata of the list, such as its resource version and the token for the next page; `None` until the stream has
    /// read the whole body.
    pub fn metadata(&self) -> Option<&ListMeta> {
        self.items.end_data().map(|head| &head.metadata)
    }

    /// The token for the next page; `None` if it has not arrived, if there is no next page, or after an error that ends
    /// the stream. API servers send the token before the items, so the token is available before the end of the
    /// stream. The exception is a list of whole custom resources: API servers send its token after the items.
    pub fn continue_token(&self) -> Option<&str> {
        let head = self.items.end_data().or(self.items.splitter().map(ListBodySplitter::head))?;
        head.metadata.continue_.as_deref().filter(|token| !token.is_empty())
    }

    /// The number of bytes that the last emitted item had in the body of the response, after decompression. The item may
    /// be an error about an object that does not decode. The number is 0 before the first item.
    ///
    /// ```
    /// use futures::StreamExt;
    /// use k8s_openapi::api::core::v1::Namespace;
    /// use kube_client::{Api, Client, api::ListParams};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let namespaces: Api<Namespace> = Api::all(Client::new(kube_sim::Sim::new().service(), "default"));
    /// let mut page = namespaces.list_stream(&ListParams::default()).await?;
    /// let namespace = page.next().await.transpose()?;
    /// assert!(namespace.is_some() && page.last_item_bytes() > 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn last_item_bytes(&self) -> usize {
        self.items.last_item_bytes()
    }

    /// The [`TypeMeta`] and [`ListMeta`] of the list; `None` until the stream has read the whole body.
    pub(super) fn into_head(self) -> Option<(TypeMeta, ListMeta)> {
        self.items.into_end_data().map(|head| (head.types, head.metadata))
    }
}

impl<K: Send + 'static> Stream for ListStream<K> {
    type Item = Result<K>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.items.poll_item(cx)
    }
}

impl<K> fmt::Debug for ListStream<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListStream").field("kind", &self.items.kind()).finish_non_exhaustive()
    }
}
