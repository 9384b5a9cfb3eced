//! kube's shared store with subscribers, and functions that return `None` for features that kube lacks.

use std::sync::Arc;

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::reflector::{self, Store, store::Writer};
use kube::runtime::{Controller, WatchStreamExt, watcher};
use tokio::task::JoinHandle;

use crate::library::{Api, Client};
use crate::shared::PriorityQueue;

/// The capacity, in messages, of the channel from the store to its subscribers. Each message names one object. If the
/// channel is full, the watch waits for the slowest subscriber.
const CHANNEL_CAPACITY: usize = 1024;

/// A shared store of pods.
pub(crate) struct SharedPods {
    pods: Api<Pod>,
    config: watcher::Config,
    store: Store<Pod>,
    writer: Writer<Pod>,
}

impl SharedPods {
    /// A store without subscribers.
    pub(crate) fn new(pods: Api<Pod>, config: watcher::Config) -> Self {
        let (store, writer) = reflector::store_shared(CHANNEL_CAPACITY);
        Self { pods, config, store, writer }
    }

    /// A controller of the pods, over a new subscription.
    pub(crate) fn controller(&self) -> Controller<Pod> {
        Controller::for_shared_stream(self.subscribe_to_pods(), self.store.clone())
    }

    /// Opens a subscription. Returns the pods of the initial list, and later each pod that is added or modified.
    pub(crate) fn subscribe_to_pods(&self) -> impl Stream<Item = Arc<Pod>> + Send + use<> {
        self.writer.subscribe().expect("the store is shared")
    }

    /// Starts the watch. Returns the store and the task that feeds the store.
    pub(crate) fn into_running_store(self) -> (Store<Pod>, FeedTask) {
        let events = watcher(self.pods, self.config).default_backoff().reflect_shared(self.writer);
        let task = tokio::spawn(events.for_each(|event| {
            if let Err(error) = event {
                eprintln!("note: {error:?}");
            }
            std::future::ready(())
        }));
        (self.store, FeedTask(task))
    }
}

/// A handle of the task that feeds the store. Dropping this handle aborts the task.
pub(crate) struct FeedTask(JoinHandle<()>);

impl Drop for FeedTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// `None`: kube's stores have no indexes.
pub(crate) fn index_by_node(_: &Store<Pod>) -> Option<fn(&str) -> Vec<Arc<Pod>>> {
    None
}

/// `None`: kube's scheduler has no priorities.
pub(crate) fn priority_queue(_: &[(String, String)]) -> Option<Box<dyn PriorityQueue>> {
    None
}

/// `None`: kube has no manager.
pub(crate) fn start_manager(_: Client, _: usize) -> anyhow::Result<Option<JoinHandle<()>>> {
    Ok(None)
}
