//! `ListStream`: the items of a list as they arrive.

use super::PartialObjectMeta;
use super::complete::Complete;
use super::filter::{self, Verdict};
use super::items::Items;
use crate::Result;
use crate::client::Body;
use crate::core::{ListMeta, ObjectOrigin, TypeMeta};
use crate::wire::{FilterDepth, ListSplitter, Shape};
use futures::Stream;
use serde::de::DeserializeOwned;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;

/// For how long a server may have to wait until the next items are wanted. API servers break off an answer to which they are
/// still writing after a minute, and a list that is read too slowly would never be complete.
const UNHURRIED: Duration = Duration::from_secs(20);

/// The items of a list, each decoded as soon as its text has arrived.
///
/// An object that does not decode comes out as an error that names it ([`Error::undecodable`](crate::Error::undecodable)), and the next item follows.
/// Any other error ends the stream. On a runtime with several threads items are decoded on all of them; they come out in
/// the order of the list all the same.
///
/// It is read as its items are taken; what is left of it after twenty seconds is read without delay, as far as 16 MiB of text.
///
/// Dropping the stream cancels the request.
pub struct ListStream<K> {
    items: Items<ListSplitter, K>,
}

impl<K: DeserializeOwned + Send + 'static> ListStream<K> {
    pub(super) fn new(body: Body, shape: Shape, complete: Complete<K>) -> Self {
        let kind = shape.expected().to_owned();
        let mut items = Items::new(body, ListSplitter::default(), &kind, move |text| {
            shape.item(text, |item| complete.object(item))
        });
        items.hurry_from(Instant::now() + UNHURRIED);
        Self { items }
    }

    /// Shows the metadata of each item to `look` before the item is decoded, in the order of the list. What is not kept is
    /// never decoded, which costs a small part of decoding it.
    ///
    /// `depth` says what there is to look at. An item whose metadata cannot be read is not shown; decoding it fails.
    #[must_use]
    pub fn filter_before_decode(
        mut self,
        depth: FilterDepth,
        filter: impl FnMut(ObjectOrigin, &PartialObjectMeta<K>) -> Verdict + Send + 'static,
    ) -> Self {
        self.items.filter_before_decode(filter::of_items(depth, filter), None);
        self
    }

    /// Reads and decodes as much as is kept for later, so that items are there when they are asked for. `cx` is woken when more
    /// has arrived, but not while as much is kept as may be. What goes wrong meanwhile comes out of the stream, in its turn.
    ///
    /// For whoever asks for the next page of a list while the one before is still being decoded.
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
    /// // Whatever was read is still there.
    /// assert!(!page.try_collect::<Vec<_>>().await?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn read_ahead(&mut self, cx: &mut Context<'_>) {
        self.items.fill(cx);
    }
}

impl<K> ListStream<K> {
    /// The collection's resource version and the token for the next page; `None` until the stream has ended well.
    pub fn metadata(&self) -> Option<&ListMeta> {
        self.items.end().map(|head| &head.metadata)
    }

    /// The token for the next page, as soon as it is known: servers send it before the items.
    pub fn continue_token(&self) -> Option<&str> {
        let head = self.items.end().or(self.items.splitter().map(ListSplitter::head))?;
        head.metadata.continue_.as_deref().filter(|token| !token.is_empty())
    }

    pub(super) fn into_head(self) -> Option<(TypeMeta, ListMeta)> {
        self.items.into_end().map(|head| (head.types, head.metadata))
    }
}

impl<K: DeserializeOwned + Send + 'static> Stream for ListStream<K> {
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
