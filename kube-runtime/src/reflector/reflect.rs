//! `reflector`: applies a stream of events to a store, and emits the events.

use super::{Delta, DeltaKind, Writer};
use crate::watcher::{Error, Event, Result};
use futures::Stream;
use kube_client::Resource;
use pin_project_lite::pin_project;
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// Applies the events of `stream` to the store of `writer`, and emits the events. The emitted objects are shared with
/// the store, unless the store is [compact](super::Storage::compact).
///
/// After a relist, an [`Event::Delete`] follows [`Event::InitDone`] for each object of the store that the list does not
/// contain. Each deletion of an object is emitted once, even if the server reported the deletion during the relist. For
/// an object that was created again under the same name, the deletion of the previous object is emitted first. For an
/// undecodable object the error is emitted, and the store keeps the last state of the object until its deletion. The
/// store changes only while the stream is polled.
///
/// To receive the changes of the store itself, use [`deltas`](super::deltas()).
///
/// ```
/// use futures::{StreamExt, TryStreamExt};
/// use k8s_openapi::api::core::v1::Namespace;
/// use kube_client::{Api, Client};
/// use kube_runtime::{reflector, watcher, WatchStreamExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(kube_sim::Sim::new().service(), "default");
/// let namespaces: Api<Namespace> = Api::all(client);
/// let (reader, writer) = reflector::store();
/// let stream = reflector(writer, watcher(namespaces, watcher::Config::default()));
/// let task = tokio::spawn(stream.for_each(|_| std::future::ready(())));
/// reader.wait_until_ready().await?;
/// assert!(reader.find(|namespace| namespace.metadata.name.as_deref() == Some("default")).is_some());
/// task.abort();
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
///
/// The stream may be polled inside `select!`: no event is lost when another branch completes first.
pub fn reflector<K, W>(writer: Writer<K>, stream: W) -> Reflect<W, K>
where
    K: Resource,
    W: Stream<Item = Result<Event<K>>>,
{
    Reflect { stream, writer: writer.record_only_deletions(), pending: VecDeque::new() }
}

pin_project! {
    /// The stream that [`reflector`] returns.
    #[derive(Debug)]
    #[must_use = "a store changes only while its stream is polled"]
    pub struct Reflect<W, K> {
        #[pin]
        stream: W,
        writer: Writer<K>,
        // The remaining events of the last item.
        pending: VecDeque<Event<Arc<K>>>,
    }
}

/// Returns an event for each deletion in `deltas`, except for the deletions whose events were emitted before.
fn deletion_events<K: Resource>(
    deltas: impl Iterator<Item = Delta<K>>,
) -> impl Iterator<Item = Event<Arc<K>>> {
    let deletions = deltas.filter(|delta| delta.kind() == DeltaKind::Deleted && !delta.was_emitted);
    deletions.filter_map(|delta| delta.last()).map(Event::Delete)
}

impl<W, K> Stream for Reflect<W, K>
where
    K: Resource,
    W: Stream<Item = Result<Event<K>>>,
{
    type Item = Result<Event<Arc<K>>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        loop {
            if let Some(event) = this.pending.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            let Poll::Ready(mut item) = this.stream.as_mut().poll_next(cx) else {
                // No event is available: store the packed batches.
                let _ = this.writer.poll_packing(cx);
                return Poll::Pending;
            };
            if let Some(item) = &mut item {
                this.writer.modify(item);
            }
            return Poll::Ready(match item {
                Some(Ok(event)) => {
                    let mut change = this.writer.apply(event);
                    if change.is_unknown {
                        continue;
                    }
                    if let Some(replaced) = change.replaced.take() {
                        this.pending.push_back(change.event);
                        return Poll::Ready(Some(Ok(Event::Delete(replaced))));
                    }
                    let (event, deltas) = change.into_parts();
                    if matches!(event, Event::InitDone) {
                        this.pending.extend(deletion_events(deltas));
                    }
                    Some(Ok(event))
                }
                Some(Err(Error::Object(object))) => {
                    let change = this.writer.apply_undecodable(&object);
                    this.pending.extend(change.map(|change| change.event));
                    Some(Err(Error::Object(object)))
                }
                other => other.map(|item| item.map(|event| event.map(Arc::new))),
            });
        }
    }
}
