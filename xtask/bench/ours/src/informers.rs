//! This project's shared informers, indexes and managers for the rows that kube implements in another way or not at
//! all.

use std::convert::Infallible;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube_runtime::controller::{Action, Changes, own};
use kube_runtime::reflector::{Store, StoreEvent};
use kube_runtime::{Controller, Manager, SharedInformer, watcher};
use tokio::task::JoinHandle;

use crate::library::{Api, Client};

/// A shared informer of pods.
pub(crate) struct SharedPods(SharedInformer<Pod>);

impl SharedPods {
    /// An informer without subscriptions.
    pub(crate) fn new(pods: Api<Pod>, config: watcher::Config) -> Self {
        Self(SharedInformer::with_config(pods, config))
    }

    /// A controller of the pods, over a new subscription.
    pub(crate) fn controller(&self) -> Controller<Pod> {
        let (store, changes) = Changes::shared(&self.0);
        Controller::from_source(store, changes.handle(own()))
    }

    /// Opens a subscription. Returns each pod that is added or modified, beginning with the pods of the initial list.
    pub(crate) fn subscribe_to_pods(&self) -> impl Stream<Item = Arc<Pod>> + Send + use<> {
        self.0.subscribe().filter_map(|event| async move {
            match event {
                Ok(StoreEvent::Delta(delta)) => delta.current(),
                Ok(_) => None,
                Err(error) => {
                    eprintln!("note: {error:?}");
                    None
                }
            }
        })
    }

    /// Returns the store. The first subscription has started the task that feeds the store, so this function
    /// returns `()` in place of a task. In kube's contender, this function starts and returns the task.
    pub(crate) fn into_running_store(self) -> (Store<Pod>, ()) {
        (self.0.store(), ())
    }
}

/// Adds an index to `store`. Returns a function that looks up the pods of a node in this index.
#[expect(clippy::unnecessary_wraps, reason = "kube's contender returns None")]
pub(crate) fn index_by_node(store: &Store<Pod>) -> Option<impl Fn(&str) -> Vec<Arc<Pod>> + use<>> {
    let node = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).into_iter().collect();
    let index = store.index_by(node);
    Some(move |node: &str| index.get(node))
}

/// Starts a manager with an HTTP server and `controllers` controllers. The controllers reconcile secrets and share one
/// informer.
pub(crate) fn start_manager(
    client: Client,
    controllers: usize,
) -> anyhow::Result<Option<JoinHandle<Result<(), kube_runtime::manager::Error>>>> {
    let secrets: Api<Secret> = Api::all(client.clone());
    let mut manager = Manager::new(client).listen("127.0.0.1:0")?;
    let informer = manager.informer(secrets, crate::library::list_config());
    for number in 0..controllers {
        let (store, changes) = Changes::shared(&informer);
        let controller =
            Controller::from_source(store, changes.handle(own())).named(format!("secret-{number}"));
        let reconcile = async |_, _| Ok::<_, Infallible>(Action::await_change());
        manager.controller(controller, reconcile, |_, never: &Infallible, _| match *never {}, Arc::new(()));
    }
    Ok(Some(tokio::spawn(manager.run())))
}
