//! Installs the recorder of metrics, which all managers of the process share. For queues, reconciles and requests, the
//! histogram buckets are similar to those of client-go and controller-runtime.

use super::Error;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::Mutex as AsyncMutex;

/// A handle to the recorder; `None` until a manager installs the recorder.
static INSTALLED_RECORDER: Mutex<Option<PrometheusHandle>> = Mutex::new(None);

/// The interval at which the recorder aggregates new samples.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// The task that performs the upkeep holds this lock, so that only one manager of the process performs the upkeep.
static UPKEEP_LOCK: AsyncMutex<()> = AsyncMutex::const_new(());

/// The bucket bounds, in seconds, of the histograms of durations.
const DURATION_BUCKETS: [(&str, &[f64]); 7] = [
    ("workqueue_queue_duration_seconds", &QUEUE_BUCKETS),
    ("workqueue_work_duration_seconds", &QUEUE_BUCKETS),
    ("controller_runtime_reconcile_time_seconds", &RECONCILE_BUCKETS),
    ("controller_runtime_webhook_latency_seconds", &WEBHOOK_BUCKETS),
    ("rest_client_request_duration_seconds", &REQUEST_BUCKETS),
    ("reflector_list_duration_seconds", &REQUEST_BUCKETS),
    ("reflector_watch_duration_seconds", &[1.0, 10.0, 60.0, 120.0, 300.0, 600.0]),
];
const QUEUE_BUCKETS: [f64; 12] = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1000.0];
const RECONCILE_BUCKETS: [f64; 40] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25,
    1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0,
    50.0, 60.0,
];
const WEBHOOK_BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const REQUEST_BUCKETS: [f64; 12] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0];
/// The bucket bounds of the histograms that count the items of a list or a watch.
const ITEM_BUCKETS: [f64; 6] = [1.0, 10.0, 100.0, 1000.0, 10_000.0, 100_000.0];

/// Returns a handle to the recorder of the process. The first call installs the recorder.
pub(super) fn get_or_install() -> Result<PrometheusHandle, Error> {
    let mut installed = INSTALLED_RECORDER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*installed {
        return Ok(handle.clone());
    }
    let mut builder = PrometheusBuilder::new();
    let items =
        [("reflector_items_per_list", &ITEM_BUCKETS[..]), ("reflector_items_per_watch", &ITEM_BUCKETS[..])];
    for (name, bounds) in DURATION_BUCKETS.into_iter().chain(items) {
        // This call fails only if `bounds` is empty.
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

/// Performs the upkeep of the recorder, and never returns. If another manager of the process performs the upkeep, first
/// waits until that manager ends.
pub(super) async fn run_upkeep(recorder: PrometheusHandle) {
    let _only_one = UPKEEP_LOCK.lock().await;
    loop {
        tokio::time::sleep(UPKEEP_INTERVAL).await;
        recorder.run_upkeep();
    }
}
