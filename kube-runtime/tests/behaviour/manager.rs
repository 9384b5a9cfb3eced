//! Tests of the manager: the HTTP server, and the order in which the parts of the manager start and stop.

use crate::common::{client, maps, put_map};
use futures::stream;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::api::{Patch, PatchParams};
use kube_client::{Api, Client, ResourceExt};
use kube_runtime::controller::{self, Action, backoff_on_error};
use kube_runtime::informer::InformerEnd;
use kube_runtime::leader::LeaderElector;
use kube_runtime::manager::{Error, Manager};
use kube_runtime::{Controller, reflector, watcher};
use kube_sim::Sim;
use kube_sim::fault::{Action as Fault, Rule};
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    future::pending,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

/// The time limit of a wait. A test that would wait forever fails at this limit.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// Sends a GET request. Returns the head and the body of the answer, or `None` if the connection fails.
async fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

/// Requests `path` until the answer contains `text`. Returns the answer.
async fn get_until(address: SocketAddr, path: &str, text: &str) -> String {
    let mut last = None;
    let found = async {
        loop {
            last = get(address, path).await;
            if let Some(answer) = last.as_ref().filter(|answer| answer.contains(text)) {
                return answer.clone();
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let found = timeout(WAIT_LIMIT, found).await;
    found.unwrap_or_else(|_| panic!("{path} has no {text}: {last:?}"))
}

fn elector(sim: &Sim) -> LeaderElector {
    LeaderElector::new(client(sim), "default", "operator", "pod")
}

/// The holder in the lease, which is null if no process holds the lease. `None` if the lease does not exist.
fn lease_holder(sim: &Sim) -> Option<Value> {
    let lease = sim.get("coordination.k8s.io/v1", "Lease", "default", "operator").ok()?;
    Some(lease["spec"]["holderIdentity"].clone())
}

fn controller(sim: &Sim) -> Controller<ConfigMap> {
    Controller::new(maps(sim), watcher::Config::default())
}

#[tokio::test]
async fn the_manager_serves_metrics_and_probes_and_the_status_page() {
    let sim = Sim::new();
    put_map(&sim, "done", "1");
    put_map(&sim, "hangs", "1");
    let mut manager = Manager::elected(elector(&sim)).unwrap();
    manager = manager.listen("127.0.0.1:0").unwrap().listen_for_probes("127.0.0.1:0").unwrap();
    let (address, probes) = (manager.address().unwrap(), manager.probe_address().unwrap());
    let secrets = Api::<k8s_openapi::api::core::v1::Secret>::all(client(&sim));
    let informer = manager.informer(secrets, watcher::Config::default());
    let reconcile = async |map: Arc<ConfigMap>, _: Arc<()>| match map.name_any().as_str() {
        "hangs" => pending().await,
        _ => Ok::<_, Infallible>(Action::await_change()),
    };
    let config = controller::Config::default().drain_timeout(Duration::ZERO);
    let maps = controller(&sim).with_config(config).named("page-test");
    manager.controller(maps, reconcile, backoff_on_error, Arc::new(()));
    let is_healthy = Arc::new(AtomicBool::new(true));
    let health = is_healthy.clone();
    manager.health_check(
        "disk",
        move || {
            if health.load(Ordering::SeqCst) { Ok(()) } else { Err("full".to_owned()) }
        },
    );
    let (stop, stopped) = oneshot::channel();
    let running = tokio::spawn(manager.shutdown_on(async { drop(stopped.await) }).run());

    let ready = get_until(probes, "/readyz", "200 OK").await;
    assert!(ready.ends_with("\r\n\r\nok"), "{ready}");
    assert!(informer.store().is_ready());
    let page = get_until(address, "/", "default/hangs").await;
    for part in [
        "content-security-policy",
        "operator: <b class=ok>leader",
        "page-test",
        "/api/v1/secrets",
        "1 running",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let total = "controller_runtime_reconcile_total{controller=\"page-test\",result=\"success\"} ";
    let metrics = get_until(address, "/metrics", total).await;
    for part in [
        "# TYPE workqueue_depth gauge",
        "workqueue_queue_duration_seconds_bucket{name=\"page-test\",controller=\"page-test\",le=\"0.001\"}",
        "controller_runtime_active_workers{controller=\"page-test\"} 1",
        "reflector_lists_total{name=\"/api/v1/secrets\"} 1",
    ] {
        assert!(metrics.contains(part), "{part}: {metrics}");
    }
    assert!(get(probes, "/metrics").await.unwrap().contains("404 Not Found"));
    assert!(get(probes, "/").await.unwrap().contains("404 Not Found"));

    let verbose = get(probes, "/healthz?verbose").await.unwrap();
    assert!(verbose.contains("200 OK") && verbose.contains("[+]disk ok\n"), "{verbose}");
    is_healthy.store(false, Ordering::SeqCst);
    let failed = get(address, "/healthz").await.unwrap();
    assert!(
        failed.contains("503 Service Unavailable") && failed.contains("[-]disk failed: full\n"),
        "{failed}"
    );

    stop.send(()).unwrap();
    timeout(WAIT_LIMIT, running).await.unwrap().unwrap().unwrap();
    assert_eq!(get(address, "/healthz").await, None);
    assert_eq!(lease_holder(&sim), Some(Value::Null), "the lease is released");
}

#[tokio::test]
async fn the_manager_is_not_ready_before_the_caches_are_complete() {
    let sim = Sim::new();
    let fault = sim.faults().add(Rule::new(Fault::status(403)).resource("configmaps"));
    let mut manager = Manager::new(client(&sim)).listen("127.0.0.1:0").unwrap();
    let address = manager.address().unwrap();
    manager.informer(maps(&sim), watcher::Config::default());
    let (stop, stopped) = oneshot::channel();
    let running = tokio::spawn(manager.shutdown_on(async { drop(stopped.await) }).run());
    let failed = get_until(address, "/readyz", "503 Service Unavailable").await;
    let reason = "[-]cache /api/v1/namespaces/default/configmaps failed: the first list is not complete";
    assert!(failed.contains(reason), "{failed}");
    // After the first failure, the answer contains its cause.
    let cause = format!("{reason}: cannot ");
    let failed = get_until(address, "/readyz", &cause).await;
    assert!(failed.contains("configmaps") && failed.contains("[+]ping ok\n"), "{failed}");
    assert!(get(address, "/healthz").await.unwrap().contains("200 OK"));
    sim.faults().remove(fault);
    get_until(address, "/readyz", "200 OK").await;
    stop.send(()).unwrap();
    timeout(WAIT_LIMIT, running).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn the_manager_is_not_ready_while_reconciles_wait_for_an_owned_kind() {
    let sim = Sim::new();
    let fault = sim.faults().add(Rule::new(Fault::status(403)).resource("secrets"));
    let mut manager = Manager::new(client(&sim)).listen("127.0.0.1:0").unwrap();
    let address = manager.address().unwrap();
    let secrets = Api::<k8s_openapi::api::core::v1::Secret>::default_namespaced(client(&sim));
    let owner = controller(&sim).owns(secrets, watcher::Config::default());
    let reconcile = async |_, _| Ok::<_, Infallible>(Action::await_change());
    manager.controller(owner, reconcile, backoff_on_error, Arc::new(()));
    let (stop, stopped) = oneshot::channel();
    let running = tokio::spawn(manager.shutdown_on(async { drop(stopped.await) }).run());
    let failed = get_until(address, "/readyz", "[+]cache configmap ok\n").await;
    let reason = "[-]cache /api/v1/namespaces/default/secrets failed: the first list is not complete\n";
    assert!(failed.contains("503 Service Unavailable") && failed.contains(reason), "{failed}");
    sim.faults().remove(fault);
    let ready = get_until(address, "/readyz?verbose", "200 OK").await;
    let lines = "[+]cache configmap ok\n[+]cache /api/v1/namespaces/default/secrets ok\nreadyz check passed";
    assert!(ready.contains(lines), "{ready}");
    stop.send(()).unwrap();
    timeout(WAIT_LIMIT, running).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn the_probe_listener_closes_connections_without_a_complete_request() {
    let sim = Sim::new();
    let mut manager = Manager::new(client(&sim)).without_server();
    manager = manager.listen_for_probes("127.0.0.1:0").unwrap();
    let address = manager.probe_address().unwrap();
    let (stop, stopped) = oneshot::channel();
    let running = tokio::spawn(manager.shutdown_on(async { drop(stopped.await) }).run());
    // The server must close each connection within half of `WAIT_LIMIT`.
    let answer_to = async |request: &'static str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let closed = timeout(WAIT_LIMIT / 2, stream.read_to_string(&mut answer)).await;
        closed.unwrap_or_else(|_| panic!("the server keeps the connection after {request:?}")).ok();
        answer
    };
    let probe = answer_to("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(probe.contains("200 OK") && probe.contains("connection: close"), "{probe}");
    let answers = futures::join!(answer_to(""), answer_to("GET /healthz HTTP/1.1\r\nHost:"));
    assert_eq!(answers, (String::new(), String::new()));
    stop.send(()).unwrap();
    timeout(WAIT_LIMIT, running).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn an_address_in_use_is_an_error_that_names_the_address() {
    let sim = Sim::new();
    let manager = Manager::new(client(&sim)).listen("127.0.0.1:0").unwrap();
    let address = manager.address().unwrap().to_string();
    let error = Manager::new(client(&sim)).listen(&address).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {address}"));
}

#[tokio::test(start_paused = true)]
async fn tasks_and_the_election_start_when_the_informers_are_complete() {
    let sim = Sim::new();
    sim.faults().add(Rule::new(Fault::Delay(Duration::from_secs(20))).resource("configmaps").times(1));
    let mut manager = Manager::elected(elector(&sim)).unwrap().without_server();
    let informer = manager.informer(maps(&sim), watcher::Config::default());
    let store = informer.store();
    let (started, mut start) = oneshot::channel();
    let task_store = store.clone();
    manager.task("test", async move {
        started.send(task_store.is_ready()).unwrap();
        pending::<()>().await;
    });
    let running = tokio::spawn(manager.shutdown_on(sleep(Duration::from_secs(60))).run());
    sleep(Duration::from_secs(15)).await;
    assert!(!store.is_ready());
    assert_eq!((lease_holder(&sim), start.try_recv().ok()), (None, None));
    sleep(Duration::from_secs(30)).await;
    assert_eq!(start.try_recv(), Ok(true));
    assert!(lease_holder(&sim).is_some_and(|holder| holder.is_string()));
    running.await.unwrap().unwrap();
}

/// A reconciler that works for five seconds and then writes with the client of the manager.
async fn write_after_work(map: Arc<ConfigMap>, client: Arc<Client>) -> Result<Action, kube_client::Error> {
    if map.annotations().is_empty() {
        sleep(Duration::from_secs(5)).await;
        let patch = Patch::Merge(json!({"metadata": {"annotations": {"done": "yes"}}}));
        let maps = Api::<ConfigMap>::default_namespaced((*client).clone());
        maps.patch(&map.name_any(), &PatchParams::default(), &patch).await?;
    }
    Ok(Action::await_change())
}

/// Whether [`write_after_work`] has written to the config map `a`.
fn has_written(sim: &Sim) -> bool {
    sim.get("v1", "ConfigMap", "default", "a").unwrap()["metadata"]["annotations"]["done"] == "yes"
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_reconciles_and_then_releases_the_lease() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let mut manager = Manager::elected(elector(&sim)).unwrap().without_server();
    let context = Arc::new(manager.client());
    manager.controller(controller(&sim), write_after_work, backoff_on_error, context);
    manager.shutdown_on(sleep(Duration::from_secs(2))).run().await.unwrap();
    assert!(has_written(&sim), "the write precedes the release of the lease");
    assert_eq!(lease_holder(&sim), Some(Value::Null));
}

/// A reconciler that works for thirty seconds and then sets the flag.
async fn set_flag_after_work(_: Arc<ConfigMap>, is_done: Arc<AtomicBool>) -> Result<Action, Infallible> {
    sleep(Duration::from_secs(30)).await;
    is_done.store(true, Ordering::SeqCst);
    Ok(Action::await_change())
}

#[tokio::test(start_paused = true)]
async fn a_lost_leadership_cancels_reconciles_and_ends_the_manager() {
    // In the second run, the shutdown is requested before the leadership is lost, and waits for the reconcile.
    for shutdown_at in [3600, 2] {
        let sim = Sim::new();
        put_map(&sim, "a", "1");
        let mut manager = Manager::elected(elector(&sim)).unwrap().without_server();
        let is_done = Arc::new(AtomicBool::new(false));
        let config = controller::Config::default().drain_timeout(Duration::from_secs(600));
        let maps = controller(&sim).with_config(config);
        manager.controller(maps, set_flag_after_work, backoff_on_error, is_done.clone());
        let running = tokio::spawn(manager.shutdown_on(sleep(Duration::from_secs(shutdown_at))).run());
        sleep(Duration::from_secs(4)).await;
        let mut lease = sim.get("coordination.k8s.io/v1", "Lease", "default", "operator").unwrap();
        lease["spec"]["holderIdentity"] = "thief".into();
        sim.update(&lease).unwrap();
        let error = running.await.unwrap().unwrap_err();
        assert!(matches!(&error, Error::LeadershipLost { lease } if lease == "operator"), "{error}");
        sleep(Duration::from_secs(120)).await;
        assert!(!is_done.load(Ordering::SeqCst), "shutdown at {shutdown_at}");
        assert_eq!(lease_holder(&sim), Some("thief".into()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_task_that_blocks_its_thread_does_not_prevent_the_shutdown() {
    let sim = Sim::new();
    let mut manager = Manager::new(client(&sim)).without_server();
    let (unblock, blocked) = std::sync::mpsc::channel::<()>();
    let has_started = Arc::new(AtomicBool::new(false));
    let started = has_started.clone();
    manager.task("blocks", async move {
        started.store(true, Ordering::SeqCst);
        let _ = blocked.recv();
    });
    // The task must not wake the manager: tokio would run the manager next on the task's thread, which is blocked.
    let shutdown = async move {
        while !has_started.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let running = tokio::spawn(manager.shutdown_on(shutdown).run());
    let ended = timeout(WAIT_LIMIT, running).await;
    drop(unblock);
    ended.unwrap().unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_controller_ends_the_manager_with_an_error_that_names_the_controller() {
    let sim = Sim::new();
    let (reader, mut writer) = reflector::store::<ConfigMap>();
    writer.apply_watcher_event(watcher::Event::InitDone);
    let ends = Controller::for_stream(stream::empty::<watcher::Result<ConfigMap>>(), reader).named("finite");
    let mut manager = Manager::new(client(&sim)).without_server();
    let reconcile = async |_, _| Ok::<_, Infallible>(Action::await_change());
    manager.controller(ends, reconcile, backoff_on_error, Arc::new(()));
    let error = manager.run().await.unwrap_err();
    assert!(matches!(&error, Error::ControllerEnded { name } if name == "finite"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_watch_ends_the_manager_with_an_error_that_names_the_informer() {
    let sim = Sim::new();
    for at_once in [true, false] {
        let is_broken = Arc::new(AtomicBool::new(at_once));
        let (inner, panics) = (sim.service(), is_broken.clone());
        let service = tower::service_fn(move |request| {
            assert!(!panics.load(Ordering::SeqCst), "a test");
            inner.clone().oneshot(request)
        });
        let maps = Api::<ConfigMap>::default_namespaced(Client::new(service, "default"));
        let mut manager = Manager::new(client(&sim)).without_server();
        manager.informer(maps, watcher::Config::default().timeout(Duration::from_secs(60)));
        let running = tokio::spawn(manager.shutdown_on(pending()).run());
        sleep(Duration::from_secs(30)).await;
        is_broken.store(true, Ordering::SeqCst);
        let error = timeout(WAIT_LIMIT * 10, running).await.unwrap().unwrap().unwrap_err();
        let path = "/api/v1/namespaces/default/configmaps";
        assert_eq!(
            error.to_string(),
            format!("the watch of the shared informer {path} ended: its task panicked")
        );
    }
}

#[tokio::test]
async fn the_shutdown_of_the_runtime_of_an_informer_ends_the_manager() {
    let sim = Sim::new();
    let mut manager = Manager::new(client(&sim)).without_server();
    let informer = manager.informer(maps(&sim), watcher::Config::default());
    let other = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let subscription = {
        let _entered = other.enter();
        informer.subscribe()
    };
    let (start, started) = oneshot::channel();
    manager.task("started", async move { start.send(()).unwrap() });
    let running = tokio::spawn(manager.shutdown_on(pending()).run());
    started.await.unwrap();
    other.shutdown_background();
    let error = timeout(WAIT_LIMIT, running).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(&error, Error::InformerEnded { reason: InformerEnd::RuntimeShutDown, .. }), "{error}");
    drop(subscription);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_before_the_caches_are_complete_ends_the_manager() {
    let sim = Sim::new();
    sim.faults().add(Rule::new(Fault::status(403)).resource("configmaps"));
    let mut manager = Manager::elected(elector(&sim)).unwrap().without_server();
    manager.informer(maps(&sim), watcher::Config::default());
    manager.shutdown_on(sleep(Duration::from_secs(30))).run().await.unwrap();
    assert_eq!(lease_holder(&sim), None, "the election has not begun");
}
