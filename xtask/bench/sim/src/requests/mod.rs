//! Measures the rate of mixed requests to a running server while watches are open.

mod cycle;
mod watch;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::bail;
use http::{Method, Request};
use kube_client::config::{KubeConfigOptions, Kubeconfig};
use kube_client::{Client, Config};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use cycle::Worker;

/// The number of watches. Half of these watches are for all pods, and half are for all config maps.
const WATCHES: usize = 20;
/// The number of tasks that send requests. Each task sends one request at a time.
const WORKERS: usize = 32;
/// The number of namespaces over which the workers are distributed.
const NAMESPACES: usize = 8;
/// In each namespace, this number of pods and the same number of config maps exist during the whole run.
const OBJECTS_PER_KIND: usize = 20;
/// The time for which the workers send requests before the measurement.
const WARM_UP: Duration = Duration::from_secs(2);
/// The time limit for each call of [`wait_for_all_events`]: one call waits for the opening of the watches, the other for
/// the events of the last requests.
const EVENTS_TIMEOUT: Duration = Duration::from_secs(20);

/// The counters of a run, and the flag that ends the workers.
#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    /// The number of pods that [`create_namespace`] has created, plus the number of changes of pods by the workers.
    /// `config_maps` is the same sum for config maps.
    pods: AtomicU64,
    config_maps: AtomicU64,
    /// 1 if the workers must end, otherwise 0.
    stop: AtomicU64,
}

/// Measures for `duration` while the workers send requests. Returns the number and the rate of these requests, the measured
/// seconds, and the number of events that all watches have received since they were opened.
///
/// # Errors
/// When the server does not respond to a request as expected, the task of a watch ends, or a watch misses a change. The
/// task of a watch continues with a new watch if the server ends the watch.
pub(crate) async fn measure(kubeconfig: &Path, duration: Duration) -> anyhow::Result<Value> {
    let client = client(kubeconfig).await?;
    let run = format!("bench-{}", std::process::id());
    let counters = Arc::new(Counters::default());
    let namespaces: Vec<String> = (0..NAMESPACES).map(|index| format!("{run}-{index}")).collect();
    for namespace in &namespaces {
        create_namespace(&client, namespace, &counters).await?;
    }
    let mut watches = JoinSet::new();
    let mut seen = Vec::new();
    for index in 0..WATCHES {
        let kind = if index % 2 == 0 { "pods" } else { "configmaps" };
        let events = Arc::new(AtomicU64::new(0));
        watches.spawn(watch::count_events(client.clone(), kind, events.clone()));
        seen.push((kind, events));
    }
    // Wait until all watches are open: a watch that opens later receives one event for each object rather than for each
    // change.
    wait_for_all_events(&counters, &seen).await?;
    let mut workers = JoinSet::new();
    for index in 0..WORKERS {
        let namespace = namespaces[index % NAMESPACES].clone();
        workers.spawn(Worker::new(client.clone(), namespace, index, counters.clone()).run());
    }
    wait_while_tasks_run(&mut watches, &mut workers, WARM_UP).await?;
    let (begin, before) = (Instant::now(), counters.requests.load(Ordering::Relaxed));
    wait_while_tasks_run(&mut watches, &mut workers, duration).await?;
    let (seconds, requests) = (begin.elapsed(), counters.requests.load(Ordering::Relaxed) - before);
    counters.stop.store(1, Ordering::Relaxed);
    while let Some(ended) = workers.join_next().await {
        ended??;
    }
    let events = tokio::select! {
        events = wait_for_all_events(&counters, &seen) => events?,
        Some(ended) = watches.join_next() => bail!("a watch has ended: {ended:?}"),
    };
    for namespace in &namespaces {
        send_request(&client, Method::DELETE, &format!("/api/v1/namespaces/{namespace}"), "", Vec::new())
            .await?;
    }
    let rate = f64::from(u32::try_from(requests)?) / seconds.as_secs_f64();
    Ok(json!({"requests": requests, "seconds": seconds.as_secs_f64(), "rate": rate, "events": events}))
}

/// A client for the current context of a kubeconfig.
async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Creates a namespace with the objects that exist during the whole run, and counts these objects.
async fn create_namespace(client: &Client, namespace: &str, counters: &Counters) -> anyhow::Result<()> {
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    create_object(client, "/api/v1/namespaces", &object).await?;
    for index in 0..OBJECTS_PER_KIND {
        let name = format!("lasting-{index}");
        create_object(client, &format!("/api/v1/namespaces/{namespace}/pods"), &cycle::pod(&name)).await?;
        let path = format!("/api/v1/namespaces/{namespace}/configmaps");
        create_object(client, &path, &cycle::config_map(&name, "first")).await?;
        counters.pods.fetch_add(1, Ordering::Relaxed);
        counters.config_maps.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

async fn create_object(client: &Client, path: &str, object: &Value) -> anyhow::Result<()> {
    send_request(client, Method::POST, path, "application/json", object.to_string().into_bytes()).await
}

/// Sends a request, and reads the whole body of the successful response.
async fn send_request(
    client: &Client,
    method: Method,
    path: &str,
    content_type: &str,
    body: Vec<u8>,
) -> anyhow::Result<()> {
    let mut request = Request::builder().method(method).uri(path);
    if !content_type.is_empty() {
        request = request.header("content-type", content_type);
    }
    let response = client.open(request.body(body)?).await?;
    response.into_body().collect_bytes().await?;
    Ok(())
}

/// Waits for `time`.
///
/// # Errors
/// If the task of a watch or of a worker ends before `time` has passed.
async fn wait_while_tasks_run(
    watches: &mut JoinSet<anyhow::Result<()>>,
    workers: &mut JoinSet<anyhow::Result<()>>,
    time: Duration,
) -> anyhow::Result<()> {
    tokio::select! {
        () = sleep(time) => Ok(()),
        Some(ended) = watches.join_next() => bail!("a watch has ended: {ended:?}"),
        Some(ended) = workers.join_next() => bail!("a worker has ended: {ended:?}"),
    }
}

/// Waits until the number of events of each watch reaches the counter of its kind. Returns the number of events of all
/// watches.
///
/// # Errors
/// If the number of events of a watch is still below the counter after [`EVENTS_TIMEOUT`].
async fn wait_for_all_events(counters: &Counters, seen: &[(&str, Arc<AtomicU64>)]) -> anyhow::Result<u64> {
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let expected = |kind: &str| count(if kind == "pods" { &counters.pods } else { &counters.config_maps });
    let deadline = Instant::now() + EVENTS_TIMEOUT;
    while let Some((kind, events)) = seen.iter().find(|(kind, events)| count(events) < expected(kind)) {
        if Instant::now() > deadline {
            bail!("a watch of {kind} has received {} events of {}", count(events), expected(kind));
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(seen.iter().map(|(_, events)| count(events)).sum())
}
