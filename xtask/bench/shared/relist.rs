//! The row `relist`: the watch of a full store expires (410), and the watcher relists. A tenth of the objects has
//! changed.

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::mpsc;

use super::store::{ListStrategy, StoreEvent, digest_of_store, start_filling_new_store};
use super::{Control, Job, Measure, Outcome};
use crate::library::Api;

/// Measures the wall time from the relist's first request until the store holds the relisted objects. The backoff before
/// this request is not included.
pub(crate) async fn measure_relist(job: &Job) -> anyhow::Result<Outcome> {
    let control = Control::for_job(job);
    let pods: Api<Pod> = Api::all(job.client()?);
    let (complete, mut completed) = mpsc::unbounded_channel();
    let filled = start_filling_new_store(pods, (), ListStrategy::List.config(), move |event| {
        if matches!(event, StoreEvent::Complete) {
            // An error means that this function has returned, which drops the receiver.
            let _ = complete.send(());
        }
    });
    let ended = || anyhow::anyhow!("the watcher has ended");
    completed.recv().await.ok_or_else(ended)?;
    control.wait_for_watches(1).await?;
    let running = Measure::start()?;
    control.expire_watches()?;
    completed.recv().await.ok_or_else(ended)?;
    let mut measure = running.stop()?;
    measure.wall = control.time_since_relist()?;
    Ok(Outcome::new(filled.store.state().len(), &measure).digest(digest_of_store(&filled.store)?))
}
