//! The pod reflector: a cache that is brought up to date poll by poll.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube_client::{Api, Client};
use kube_runtime::Reflector;
use kube_runtime::reflector::Store;
use tokio::task::JoinSet;

use super::tally::Tally;

/// Starts to mirror all pods, and gives the cache to look at.
pub(super) fn start(tasks: &mut JoinSet<()>, client: Client, tally: Arc<Tally>) -> Store<Pod> {
    let mut reflector = Reflector::new(Api::<Pod>::all(client));
    let store = reflector.store();
    tasks.spawn(async move {
        loop {
            // The next poll goes on where this one ended, after a wait of its own.
            if let Err(error) = reflector.poll().await {
                tally.watch_failed("pods", error);
            }
        }
    });
    store
}
