//! Measures a client that holds many watches open while it sends calls at a constant rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use super::get::{get_pod, pod_names};
use super::{Job, Measure, Outcome};
use crate::library::{Api, Client, WatchParams};

/// The number of watches that are open at the same time.
const WATCHES: usize = 1000;
/// The number of calls (gets of pods) per second.
const RATE: usize = 1000;
/// The number of tasks that send the calls.
const CALLERS: usize = 50;
/// The number of equal parts of the run. The measurement begins after the first part: until then, the client opens further
/// connections and enlarges its buffers.
const PARTS: u32 = 6;
/// The time limit for opening the watches.
const OPEN_TIMEOUT: Duration = Duration::from_secs(120);

/// Measures the calls while the watches are open. The units of the outcome are the calls in the measured parts of the
/// run, and the retained memory is the growth in these parts. It is an error if a call fails, or if a watch fails, ends
/// or receives no event.
pub(crate) async fn measure_calls_with_watches(job: &Job) -> anyhow::Result<Outcome> {
    let names = Arc::new(pod_names(job)?);
    let client = job.client()?;
    let (open, calls) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut tasks = JoinSet::new();
    for _ in 0..WATCHES {
        tasks.spawn(keep_watch_open(client.clone(), open.clone()));
    }
    let opening = async {
        while open.load(Ordering::Relaxed) < WATCHES {
            sleep(Duration::from_millis(5)).await;
        }
    };
    run_tasks_until(&mut tasks, timeout(OPEN_TIMEOUT, opening))
        .await?
        .context("not all watches were opened")?;

    let pause = Duration::from_secs(1) * u32::try_from(CALLERS)? / u32::try_from(RATE)?;
    let start = Instant::now();
    for number in 0..CALLERS {
        let first = start + pause * u32::try_from(number)? / u32::try_from(CALLERS)?;
        tasks.spawn(send_calls(client.clone(), names.clone(), first, pause, calls.clone()));
    }
    let whole = Duration::from_secs(1) * u32::try_from(job.calls)? / u32::try_from(RATE)?;
    let part = whole / PARTS;
    run_tasks_until(&mut tasks, sleep(part)).await?;
    let (before, running) = (calls.load(Ordering::Relaxed), Measure::start()?);
    run_tasks_until(&mut tasks, sleep(part * (PARTS - 1))).await?;
    let measure = running.stop()?;
    Ok(Outcome::new(calls.load(Ordering::Relaxed) - before, &measure))
}

/// Waits for the future `until`. It is an error if a task ends before this future.
async fn run_tasks_until<T>(
    tasks: &mut JoinSet<anyhow::Result<()>>,
    until: impl Future<Output = T>,
) -> anyhow::Result<T> {
    tokio::select! {
        done = until => Ok(done),
        ended = tasks.join_next() => {
            ended.context("there are no tasks")???;
            anyhow::bail!("a watch has ended")
        }
    }
}

/// Opens a watch, counts it as open at its first event, and reads it until it ends.
async fn keep_watch_open(client: Client, open: Arc<AtomicUsize>) -> anyhow::Result<()> {
    let pods: Api<Pod> = Api::all(client);
    let mut events = pods.watch(&WatchParams::default(), "0").await.context("a watch")?.boxed();
    let mut is_open = false;
    while let Some(event) = events.next().await {
        event.context("an event of a watch")?;
        if !std::mem::replace(&mut is_open, true) {
            open.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Sends gets of pods, one at each tick of an interval. After a delay, the missed gets follow without a pause, so that the
/// rate remains the same.
async fn send_calls(
    client: Client,
    names: Arc<Vec<(String, String)>>,
    first: Instant,
    pause: Duration,
    calls: Arc<AtomicUsize>,
) -> anyhow::Result<()> {
    let mut ticks = interval_at(first, pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for (namespace, name) in names.iter().cycle() {
        ticks.tick().await;
        get_pod(&client, namespace, name).await?;
        calls.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
