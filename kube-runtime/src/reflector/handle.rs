//! `ReflectHandle`: a subscription to the objects of a store. Has the interface of kube's `ReflectHandle`.

use super::{Store, StoreEvent, Subscription, Writer, store};
use futures::{Stream, StreamExt};
use kube_client::Resource;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// An empty store and its writer, like those of [`store()`]. In kube, only the stores of this function can have
/// subscribers; here every store can have them.
///
/// `buf_size` is ignored: in kube, it limits the events that wait for the slowest subscriber. Here no subscriber delays
/// another subscriber, and the backlog of each subscriber is coalesced; see [`Subscription`].
///
/// ```
/// use futures::StreamExt;
/// use k8s_openapi::api::core::v1::Namespace;
/// use kube_client::{Api, Client};
/// use kube_runtime::controller::{self, Action};
/// use kube_runtime::{Controller, WatchStreamExt, reflector, watcher};
/// use std::{convert::Infallible, sync::Arc};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let client = Client::new(kube_sim::Sim::new().service(), "default");
/// let (reader, writer) = reflector::store_shared(1024);
/// let objects = writer.subscribe().expect("every writer has subscribers");
/// let watch = watcher(Api::<Namespace>::all(client), watcher::Config::default()).reflect_shared(writer);
/// let feed = tokio::spawn(watch.for_each(|_| std::future::ready(())));
/// let reconcile = async |_, _| Ok::<_, Infallible>(Action::await_change());
/// let controller = Controller::for_shared_stream(objects, reader);
/// let mut results = controller.run(reconcile, controller::backoff_on_error, Arc::new(())).boxed();
/// assert!(results.next().await.is_some_and(|result| result.is_ok()));
/// # feed.abort();
/// # }
/// ```
pub fn store_shared<K>(buf_size: usize) -> (Store<K>, Writer<K>) {
    let _ = buf_size;
    store()
}

impl<K: Resource> Writer<K> {
    /// Subscribes to the objects that are added or modified. The stream begins with the objects that the store
    /// contains. Always returns `Some`: the return type is the same as in kube. See [`store_shared`] for an example,
    /// and [`Store::subscribe`] for deletions and causes.
    pub fn subscribe(&self) -> Option<ReflectHandle<K>> {
        Some(ReflectHandle::new(&self.as_reader()))
    }
}

/// A stream of the added and modified objects of a store, for one subscriber; see [`store_shared`].
///
/// Unlike the stream of kube's handle, the stream begins with the objects that the store contains. The writer stores
/// each object before the stream emits the object. The backlog is coalesced as in a [`Subscription`]. A clone is a
/// further subscription.
///
/// # Cancel safety
///
/// The stream may be polled inside `select!`: no change is lost.
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct ReflectHandle<K> {
    changes: Subscription<K>,
}

impl<K: Resource> ReflectHandle<K> {
    fn new(store: &Store<K>) -> Self {
        Self { changes: store.subscribe() }
    }
}

impl<K> ReflectHandle<K> {
    /// The store whose objects the stream emits.
    pub fn reader(&self) -> Store<K> {
        self.changes.store()
    }
}

impl<K: Resource> Clone for ReflectHandle<K> {
    fn clone(&self) -> Self {
        Self::new(&self.changes.store())
    }
}

impl<K: Resource> Stream for ReflectHandle<K> {
    type Item = Arc<K>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match ready!(self.changes.poll_next_unpin(cx)) {
                None => return Poll::Ready(None),
                Some(Ok(StoreEvent::Delta(delta))) => {
                    if let Some(object) = delta.current() {
                        return Poll::Ready(Some(object));
                    }
                }
                Some(Ok(StoreEvent::Synced(_)) | Err(_)) => {}
            }
        }
    }
}
