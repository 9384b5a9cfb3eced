//! The pod reflector. The reflector updates its store only during a call of `poll`.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube_client::{Api, Client};
use kube_runtime::Reflector;
use kube_runtime::reflector::Store;
use tokio::task::JoinSet;

use super::tally::Tally;

/// Starts a reflector for all pods, and returns the reflector's store.
pub(super) fn start_reflector(tasks: &mut JoinSet<()>, client: Client, tally: Arc<Tally>) -> Store<Pod> {
    let mut reflector = Reflector::new(Api::<Pod>::all(client));
    let store = reflector.store();
    tasks.spawn(async move {
        loop {
            // The next poll resumes the watch, after the reflector's own backoff.
            if let Err(error) = reflector.poll().await {
                tally.record_watch_error("pods", error);
            }
        }
    });
    store
}
