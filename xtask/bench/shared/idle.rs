//! The row `idle-manager`: a manager with four controllers that receive no events.

use std::time::Duration;

use tokio::time::sleep;

use super::{Control, Job, Measure, Outcome, Report};
use crate::library::start_manager;

/// The number of controllers. They share the informer of a collection without objects.
const CONTROLLERS: usize = 4;
/// The pause between the start of the watch and the measurement. The manager becomes idle during this pause.
const SETTLING_PAUSE: Duration = Duration::from_millis(500);

/// Measures `job.calls` milliseconds of idle time. The growth of memory includes the start of the manager.
pub(crate) async fn measure_idle_manager(job: &Job) -> anyhow::Result<Report> {
    let client = job.client()?;
    let starting = Measure::start()?;
    let Some(manager) = start_manager(client, CONTROLLERS)? else {
        return Ok(Report::Absent { reason: "kube has no manager".to_owned() });
    };
    Control::for_job(job).wait_for_watches(1).await?;
    sleep(SETTLING_PAUSE).await;
    let running = starting.restart_except_memory()?;
    sleep(Duration::from_millis(u64::try_from(job.calls)?)).await;
    let measure = running.stop()?;
    anyhow::ensure!(!manager.is_finished(), "the manager has ended");
    manager.abort();
    Ok(Report::Done(Outcome::new(job.calls, &measure)))
}
