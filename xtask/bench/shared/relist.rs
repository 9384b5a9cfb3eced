//! A full store whose watch has become too old: the whole state comes again, a tenth of it changed.

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::mpsc;

use super::store::{Sight, Strategy, fill, read_back};
use super::{Control, Job, Measure, Outcome};
use crate::peer::Api;

/// From the request for the list, so that no wait before it counts, until the store has the new state.
pub(crate) async fn relist(job: &Job) -> anyhow::Result<Outcome> {
    let control = Control::of(job);
    let pods: Api<Pod> = Api::all(job.client()?);
    let (complete, mut completed) = mpsc::unbounded_channel();
    let filled = fill(pods, (), Strategy::List.config(), move |sight| {
        if matches!(sight, Sight::Complete) {
            // Whoever waits has gone only if the row has failed.
            let _ = complete.send(());
        }
    });
    let gone = || anyhow::anyhow!("the watcher has ended");
    completed.recv().await.ok_or_else(gone)?;
    control.held(1).await?;
    let running = Measure::start()?;
    control.send_gone()?;
    completed.recv().await.ok_or_else(gone)?;
    let mut measure = running.stop()?;
    measure.wall = control.since_relist()?;
    Ok(Outcome::new(filled.store.state().len(), &measure).digest(read_back(&filled.store)?))
}
