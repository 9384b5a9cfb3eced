//! The rows that measure one shared informer of pods: with four controllers, and with a hundred subscribers.

use std::pin::pin;

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::controller::CountingController;
use super::events::SENTINEL;
use super::store::{ListStrategy, digest_of_store};
use super::{Control, Job, Measure, Outcome};
use crate::library::{Api, ResourceExt, SharedPods};

/// The number of controllers that share the informer.
const CONTROLLERS: usize = 4;
/// The number of subscribers of the informer.
const SUBSCRIBERS: usize = 100;

/// Measures from the start of the informer and its controllers until each controller has reconciled every pod.
pub(crate) async fn measure_four_controllers(job: &Job) -> anyhow::Result<Outcome> {
    let pods: Api<Pod> = Api::all(job.client()?);
    let measured = Measure::start()?;
    let informer = SharedPods::new(pods, ListStrategy::List.config());
    let controllers: Vec<_> =
        (0..CONTROLLERS).map(|_| CountingController::start(informer.controller())).collect();
    let (store, _feed) = informer.into_running_store();
    for controller in &controllers {
        controller.counter.wait_for(job.calls).await;
    }
    let measure = measured.stop()?;
    Ok(Outcome::new(job.calls, &measure).digest(digest_of_store(&store)?))
}

/// Measures from the first watch event until all subscribers have received the last event, which modifies the pod
/// [`SENTINEL`]. All subscribers receive the initial list before the measurement.
pub(crate) async fn measure_subscribers(job: &Job) -> anyhow::Result<Outcome> {
    let control = Control::for_job(job);
    let informer = SharedPods::new(Api::all(job.client()?), ListStrategy::List.config());
    let (milestones, mut reached) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    for _ in 0..SUBSCRIBERS {
        tasks.spawn(run_subscriber(informer.subscribe_to_pods(), job.calls, milestones.clone()));
    }
    let (store, _feed) = informer.into_running_store();
    wait_for_subscribers(&mut reached).await?;
    control.wait_for_watches(1).await?;
    let measured = Measure::start()?;
    control.send_events()?;
    wait_for_subscribers(&mut reached).await?;
    let measure = measured.stop()?;
    Ok(Outcome::new(job.calls, &measure).digest(digest_of_store(&store)?))
}

/// The message of a subscriber that has received the initial list or the last event.
struct Milestone;

/// Waits until each subscriber has sent its next milestone.
async fn wait_for_subscribers(reached: &mut mpsc::UnboundedReceiver<Milestone>) -> anyhow::Result<()> {
    for _ in 0..SUBSCRIBERS {
        let Some(Milestone) = reached.recv().await else { anyhow::bail!("the subscribers have ended") };
    }
    Ok(())
}

/// Receives the objects of a subscription, and sends a milestone after the initial list and after the last event. The
/// initial list has `initial` objects.
async fn run_subscriber(
    objects: impl Stream<Item = std::sync::Arc<Pod>>,
    initial: usize,
    milestones: mpsc::UnboundedSender<Milestone>,
) {
    let mut objects = pin!(objects);
    let mut received = 0;
    while let Some(pod) = objects.next().await {
        received += 1;
        let is_last = || pod.name_any() == SENTINEL && pod.metadata.generation > Some(1);
        if (received == initial || (received > initial && is_last())) && milestones.send(Milestone).is_err() {
            break;
        }
    }
}
