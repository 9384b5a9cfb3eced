//! The recorder of metrics that all managers of the process share, with the histogram buckets of client-go and
//! controller-runtime.

use super::Error;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::Mutex as AsyncMutex;

/// The recorder, after a manager has installed it.
static INSTALLED: Mutex<Option<PrometheusHandle>> = Mutex::new(None);

/// The interval at which the recorder aggregates new samples.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// The lock of the task that performs the upkeep: only one manager of the process performs it at a time.
static UPKEEP: AsyncMutex<()> = AsyncMutex::const_new(());

/// The bucket bounds of each histogram of durations, in seconds.
const BUCKETS: [(&str, &[f64]); 6] = [
    ("workqueue_queue_duration_seconds", &QUEUE),
    ("workqueue_work_duration_seconds", &QUEUE),
    ("controller_runtime_reconcile_time_seconds", &RECONCILE),
    ("rest_client_request_duration_seconds", &REQUEST),
    ("reflector_list_duration_seconds", &REQUEST),
    ("reflector_watch_duration_seconds", &[1.0, 10.0, 60.0, 120.0, 300.0, 600.0]),
];
const QUEUE: [f64; 12] = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1000.0];
const RECONCILE: [f64; 35] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25,
    1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 30.0, 60.0,
];
const REQUEST: [f64; 11] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0];
/// The bucket bounds of the numbers of items of lists and watches.
const ITEMS: [f64; 6] = [1.0, 10.0, 100.0, 1000.0, 10_000.0, 100_000.0];

/// The recorder of the process. Installs it at the first call.
pub(super) fn installed() -> Result<PrometheusHandle, Error> {
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*installed {
        return Ok(handle.clone());
    }
    let mut builder = PrometheusBuilder::new();
    let items = [("reflector_items_per_list", &ITEMS[..]), ("reflector_items_per_watch", &ITEMS[..])];
    for (name, bounds) in BUCKETS.into_iter().chain(items) {
        // The only error is an empty list of bounds.
        builder = builder
            .set_buckets_for_metric(Matcher::Full(name.to_owned()), bounds)
            .map_err(|_| Error::Recorder)?;
    }
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|_| Error::Recorder)?;
    *installed = Some(handle.clone());
    Ok(handle)
}

/// Performs the upkeep of the recorder of the process. If another manager performs it, waits until that manager ends.
pub(super) async fn keep_up(recorder: PrometheusHandle) {
    let _only_one = UPKEEP.lock().await;
    loop {
        tokio::time::sleep(UPKEEP_INTERVAL).await;
        recorder.run_upkeep();
    }
}
