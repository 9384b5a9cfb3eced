//! The rows that measure watch events. One row applies the events to a store that holds the initial list. The other rows
//! filter the events; each filter keeps about one event in a hundred. The measurement starts after the watch is open and
//! ends with the last event, which modifies the pod `sentinel`.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::Stream;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{mpsc, oneshot};

use super::store::{ListStrategy, StoreEvent, digest_of_store, next_ok, start_filling_new_store};
use super::{Control, Digest, Job, Measure, Outcome};
use crate::library::{self, Api, ResourceExt};

/// The name of the pod that the last event modifies.
pub(crate) const SENTINEL: &str = "sentinel";

/// Measures how a store processes all events. The store already contains the initial list.
pub(crate) async fn apply_to_store(job: &Job) -> anyhow::Result<Outcome> {
    let control = Control::for_job(job);
    let pods: Api<Pod> = Api::all(job.client()?);
    let (done, seen) = oneshot::channel();
    let mut done = Some(done);
    let filled = start_filling_new_store(pods, (), ListStrategy::List.config(), move |event| {
        if let StoreEvent::Applied(pod) = event
            && pod.name_any() == SENTINEL
            && let Some(done) = done.take()
        {
            // An error means that this function has returned, which drops the receiver.
            let _ = done.send(());
        }
    });
    filled.store.wait_until_ready().await?;
    control.wait_for_watches(1).await?;
    let running = Measure::start()?;
    control.send_events()?;
    seen.await?;
    let measure = running.stop()?;
    Ok(Outcome::new(job.calls, &measure).digest(digest_of_store(&filled.store)?))
}

/// Measures a filter that keeps each event with a new pod or a new generation of a pod.
pub(crate) async fn filter_by_generation(job: &Job) -> anyhow::Result<Outcome> {
    let pods: Api<Pod> = Api::all(job.client()?);
    measure_filter(job, library::pods_with_new_generation(pods, ListStrategy::List.config())).await
}

/// Measures a filter that keeps the events of pods whose labels match a selector. The client evaluates the
/// selector.
pub(crate) async fn filter_by_labels(job: &Job) -> anyhow::Result<Outcome> {
    let pods: Api<Pod> = Api::all(job.client()?);
    measure_filter(
        job,
        library::pods_with_label(pods, ListStrategy::List.config(), ("bench.example/shard", "17")),
    )
    .await
}

/// Measures a filter. The measurement begins with the request for the watch events. It ends when `stream`
/// yields the sentinel. `stream` contains only the pods that pass the filter.
async fn measure_filter<E>(
    job: &Job,
    stream: impl Stream<Item = Result<Pod, E>> + Send + 'static,
) -> anyhow::Result<Outcome>
where
    E: std::fmt::Debug + Send + 'static,
{
    let control = Control::for_job(job);
    let (passed, mut receiver) = mpsc::unbounded_channel();
    // Objects of the initial list are neither measured nor collected.
    let measuring = Arc::new(AtomicBool::new(false));
    let task = tokio::spawn({
        let measuring = measuring.clone();
        async move {
            let mut stream = pin!(stream);
            while let Some(pod) = next_ok(&mut stream).await {
                if measuring.load(Ordering::SeqCst) && passed.send(pod).is_err() {
                    break;
                }
            }
        }
    });
    control.wait_for_watches(1).await?;
    measuring.store(true, Ordering::SeqCst);
    let running = Measure::start()?;
    control.send_events()?;
    let mut kept = Vec::new();
    while let Some(pod) = receiver.recv().await {
        let last = pod.name_any() == SENTINEL;
        kept.push(pod);
        if last {
            break;
        }
    }
    let measure = running.stop()?;
    task.abort();
    let mut digest = Digest::default();
    for pod in &kept {
        digest.add_object(serde_json::to_value(pod)?);
    }
    Ok(Outcome::new(job.calls, &measure).digest(digest))
}
