//! Starts the parts of a manager, waits for a reason to stop, and stops the parts in order.

use super::parts::{Candidacy, ManagedStore, Task, WatchHold, log_failures};
use super::server::{Endpoint, ServerState};
use super::{Error, Manager, metrics_recorder};
use crate::controller::wait_for_signal;
use crate::informer::InformerEnd;
use crate::leader::Leadership;
use crate::serving::{ConnectionLimits, ReadyServer, RunningServers};
use futures::future::{BoxFuture, Either, FutureExt, pending, select, select_all};
use metrics_exporter_prometheus::PrometheusHandle;
use std::{panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};
use tokio::sync::oneshot;
use tokio::task::{Id, JoinSet};
use tokio::time::timeout;

/// The time limit for cancelled tasks to end.
const TASKS_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// The limits for the connections of each listener.
const CONNECTION_LIMITS: ConnectionLimits =
    ConnectionLimits { connections: 64, idle: Duration::from_secs(5), drain: Duration::from_secs(5) };

/// The reason that a manager stops.
enum StopReason {
    Requested,
    LeadershipLost,
    ControllerEnded(String),
    InformerEnded(String, InformerEnd),
}

impl StopReason {
    /// The result of [`Manager::run`]. `lease` is the name of the lease.
    fn into_result(self, lease: String) -> Result<(), Error> {
        match self {
            Self::Requested => Ok(()),
            Self::LeadershipLost => Err(Error::LeadershipLost { lease }),
            Self::ControllerEnded(name) => Err(Error::ControllerEnded { name }),
            Self::InformerEnded(name, reason) => Err(Error::InformerEnded { name, reason }),
        }
    }
}

impl Manager {
    /// Runs until SIGINT or SIGTERM. If [`shutdown_on`](Manager::shutdown_on) has set a trigger, runs until the trigger
    /// completes instead. Then shuts down the parts of the manager in order.
    ///
    /// # Errors
    ///
    /// - The recorder of metrics cannot be installed, or a server cannot start.
    /// - The leadership is lost.
    /// - A controller ends, or the watch of a shared informer ends.
    /// - The lease cannot be released.
    ///
    /// Before the manager returns an error, it stops all parts that it has started.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future of `run` cancels in-flight reconciles and closes the servers at once. The lease is not
    /// released: it expires.
    pub async fn run(mut self) -> Result<(), Error> {
        // Install a recorder only if `/metrics` serves its samples. A needless recorder would keep its samples in
        // memory, and would prevent the program from installing its own recorder.
        let recorder = self.listeners.needs_recorder().then(metrics_recorder::get_or_install).transpose()?;
        let state = Arc::new(self.take_server_state(recorder.clone()));
        let mut server = Server::start(self.listeners, &state, recorder)?;
        let mut webhooks = std::mem::take(&mut self.webhooks).start()?;

        let mut shutdown = ShutdownListener::new(self.shutdown);
        let (mut holds, mut ready, mut informers) =
            (Vec::<WatchHold>::new(), Vec::new(), InformerTasks::default());
        for cache in self.caches {
            let Some(hold_watch) = cache.hold_watch else { continue };
            holds.push(hold_watch());
            ready.push(cache.ready);
            if let Some(health) = cache.health {
                informers.0.spawn(log_failures(cache.name, health));
            }
        }
        // `wait_for` fails if the informer's watch of the API server has ended. `informers` reports this end.
        let complete = ready.into_iter().map(async |mut ready| drop(ready.wait_for(|ready| *ready).await));
        let stop = {
            let complete = futures::future::join_all(complete).map(|_| None).boxed();
            let requested =
                shutdown.wait_for_shutdown_request().map(|()| Some(StopReason::Requested)).boxed();
            let ended = informers.wait_for_end().map(Some).boxed();
            select_all([complete, requested, ended]).await.0
        };
        if let Some(stop) = stop {
            drop(holds);
            webhooks.stop().await;
            server.endpoints.stop().await;
            return stop.into_result(String::new());
        }

        let mut tasks = JoinSet::new();
        for Task { name, future } in self.tasks {
            let ended = AssertUnwindSafe(future).catch_unwind();
            tasks.spawn(ended.map(move |ended| match ended {
                Ok(()) => tracing::debug!(task = name, "a task of the manager ended"),
                Err(_) => {
                    tracing::error!(task = name, "a task of the manager panicked, and does not run any more");
                }
            }));
        }
        let mut controllers = ControllerTasks::default();
        for controller in self.controllers {
            let name = controller.name().to_owned();
            controllers.start(name, controller.run);
        }
        let leadership = self.candidacy.map(Candidacy::begin);

        let lost = async || match &leadership {
            Some((leadership, _)) => leadership.lost().await,
            None => pending().await,
        };
        let mut stop = {
            let requested = shutdown.wait_for_shutdown_request().map(|()| StopReason::Requested).boxed();
            let lost = lost().map(|()| StopReason::LeadershipLost).boxed();
            let ended = controllers.wait_for_end().map(StopReason::ControllerEnded).boxed();
            let informer_ended = informers.wait_for_end().boxed();
            select_all([requested, lost, ended, informer_ended]).await.0
        };
        if !matches!(stop, StopReason::LeadershipLost) {
            let drained = async {
                end_tasks(&mut tasks).await;
                controllers.stop(shutdown.wait_for_second_signal()).await;
            };
            if let Either::Right(_) = select(pin!(drained), pin!(lost())).await {
                stop = StopReason::LeadershipLost;
            }
        }
        // If the leadership is lost, another process may already be the leader: cancel the controllers without delay.
        controllers.cancel().await;
        end_tasks(&mut tasks).await;
        drop(holds);
        webhooks.stop().await;
        server.endpoints.stop().await;
        let lease = leadership.as_ref().map(|(_, lease)| lease.clone()).unwrap_or_default();
        let released = release_lease(leadership).await;
        match stop {
            StopReason::Requested => released,
            stop => stop.into_result(lease),
        }
    }

    /// Collects the data for the answers of the HTTP server. Moves the checks and the renderer out of the manager.
    fn take_server_state(&mut self, recorder: Option<PrometheusHandle>) -> ServerState {
        let lease = self.candidacy.as_ref().map(|candidacy| {
            (candidacy.lease.clone(), candidacy.leadership.identity().to_owned(), candidacy.gate())
        });
        let mut cache_checks: Vec<_> = self.caches.iter().map(ManagedStore::ready_check).collect();
        for check in self.controllers.iter_mut().flat_map(|controller| controller.awaited.drain(..)) {
            if !cache_checks.iter().any(|known| known.has_same_store_as(&check)) {
                cache_checks.push(check);
            }
        }
        let controllers = self.controllers.iter();
        ServerState {
            checks: std::mem::take(&mut self.checks),
            cache_checks,
            caches: self.caches.iter().map(|cache| (cache.name.clone(), cache.overview.clone())).collect(),
            controllers: controllers
                .map(|known| (known.name().to_owned(), known.inspector.clone()))
                .collect(),
            lease,
            render: self.listeners.render.take().unwrap_or_else(|| {
                Arc::new(move || recorder.as_ref().map(PrometheusHandle::render).unwrap_or_default())
            }),
        }
    }
}

/// Cancels tasks, and waits until all of them have ended. Waits at most for [`TASKS_SHUTDOWN_TIMEOUT`], because a task
/// that blocks its thread does not end.
async fn end_tasks(tasks: &mut JoinSet<()>) {
    if timeout(TASKS_SHUTDOWN_TIMEOUT, tasks.shutdown()).await.is_err() {
        tracing::warn!(limit = ?TASKS_SHUTDOWN_TIMEOUT, "a task of the manager does not end: it blocks its thread");
        tasks.detach_all();
    }
}

/// Releases the lease, if there is an election.
async fn release_lease(leadership: Option<(Leadership, String)>) -> Result<(), Error> {
    let Some((leadership, lease)) = leadership else { return Ok(()) };
    leadership.release().await.map_err(|source| Error::Release { lease, source })
}

/// Waits for the signals, or the trigger, that request the shutdown of the manager.
struct ShutdownListener {
    trigger: BoxFuture<'static, ()>,
    /// Completes at the second signal. Never completes if the caller's trigger replaces the signals. Must be polled
    /// together with `trigger`, because it must count the first signal.
    second: BoxFuture<'static, ()>,
}

impl ShutdownListener {
    /// If `trigger` is not `None`, it replaces the signals.
    fn new(trigger: Option<BoxFuture<'static, ()>>) -> Self {
        match trigger {
            Some(trigger) => Self { trigger, second: pending().boxed() },
            None => Self {
                trigger: wait_for_signal().boxed(),
                second: wait_for_signal().then(|()| wait_for_signal()).boxed(),
            },
        }
    }

    /// Waits for the caller's trigger, or for the first signal if the caller has set no trigger. Also polls
    /// `second`, so that `second` counts the first signal. Must not be called again after it has completed.
    async fn wait_for_shutdown_request(&mut self) {
        select(&mut self.trigger, &mut self.second).await;
    }

    /// Waits for the second signal.
    async fn wait_for_second_signal(&mut self) {
        (&mut self.second).await;
    }
}

/// The tasks that log the failures of the informers. A task ends when the watch of its informer ends.
#[derive(Default)]
struct InformerTasks(JoinSet<(String, InformerEnd)>);

impl InformerTasks {
    /// Waits until the watch of an informer ends.
    async fn wait_for_end(&mut self) -> StopReason {
        match self.0.join_next().await {
            Some(Ok((name, reason))) => StopReason::InformerEnded(name, reason),
            Some(Err(_)) | None => pending().await,
        }
    }
}

/// The tasks of the controllers.
#[derive(Default)]
struct ControllerTasks {
    tasks: JoinSet<()>,
    names: Vec<(Id, String)>,
    /// Each sender requests the graceful shutdown of one controller.
    stop_senders: Vec<oneshot::Sender<()>>,
}

impl ControllerTasks {
    fn start(&mut self, name: String, run: impl FnOnce(oneshot::Receiver<()>) -> BoxFuture<'static, ()>) {
        let (stop, stopped) = oneshot::channel();
        self.stop_senders.push(stop);
        self.names.push((self.tasks.spawn(run(stopped)).id(), name));
    }

    /// Waits until a controller ends. Returns its name.
    async fn wait_for_end(&mut self) -> String {
        let id = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => error.id(),
            None => return pending().await,
        };
        let name = self.names.iter().find(|(known, _)| *known == id);
        name.map(|(_, name)| name.clone()).unwrap_or_default()
    }

    /// Shuts all controllers down gracefully. When `forced` completes, cancels the controllers that still run.
    async fn stop(&mut self, forced: impl Future<Output = ()>) {
        for stop in self.stop_senders.drain(..) {
            // An error means that the controller has ended.
            let _ = stop.send(());
        }
        let drained = async { while self.tasks.join_next().await.is_some() {} };
        select(pin!(drained), pin!(forced)).await;
        self.cancel().await;
    }

    /// Cancels all controllers and their in-flight reconciles.
    async fn cancel(&mut self) {
        self.tasks.shutdown().await;
    }
}

/// The HTTP server. Dropping it aborts its tasks.
struct Server {
    endpoints: RunningServers,
    /// The task that performs the upkeep of the recorder.
    _upkeep: JoinSet<()>,
}

impl Server {
    fn start(
        listeners: super::Listeners,
        state: &Arc<ServerState>,
        recorder: Option<PrometheusHandle>,
    ) -> Result<Self, Error> {
        let (mut endpoints, mut upkeep) = (RunningServers::default(), JoinSet::new());
        for Endpoint { listener, router, tls } in listeners.into_endpoints(state)? {
            let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
            let has_tls = tls.is_some();
            let server = ReadyServer::new(listener, tls, router, CONNECTION_LIMITS)
                .map_err(|source| Error::Listen { address: address.clone(), source })?;
            tracing::info!(address, tls = has_tls, "serving");
            endpoints.start(server);
        }
        if let Some(recorder) = recorder {
            upkeep.spawn(metrics_recorder::run_upkeep(recorder));
        }
        Ok(Self { endpoints, _upkeep: upkeep })
    }
}
