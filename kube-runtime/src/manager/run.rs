//! Starts the parts of a manager, waits, and stops them in order.

use super::parts::{Candidacy, Hold, ManagedStore, Task, log_failures};
use super::server::{Endpoint, ServerState};
use super::{Error, Manager, recorder};
use crate::controller::wait_for_signal;
use crate::informer::InformerEnd;
use crate::leader::Leadership;
use crate::serving::{ConnectionLimits, Connections, RunningServers};
use futures::future::{BoxFuture, Either, FutureExt, pending, select, select_all};
use metrics_exporter_prometheus::PrometheusHandle;
use std::{panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};
use tokio::sync::oneshot;
use tokio::task::{Id, JoinSet};
use tokio::time::timeout;

/// The time limit for cancelled tasks to end.
const TASKS_SHUTDOWN: Duration = Duration::from_secs(5);
/// The bounds of the connections of each listener.
const CONNECTION_LIMITS: ConnectionLimits =
    ConnectionLimits { connections: 64, idle: Duration::from_secs(5), drain: Duration::from_secs(5) };

/// The reason that a manager stops.
enum Stop {
    Requested,
    LeadershipLost,
    ControllerEnded(String),
    InformerEnded(String, InformerEnd),
}

impl Stop {
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
    /// Runs until SIGINT or SIGTERM, or until the trigger of [`shutdown_on`](Manager::shutdown_on); then shuts down in
    /// order.
    ///
    /// # Errors
    ///
    /// If the recorder of metrics cannot be installed, a server cannot start, the leadership is lost, a controller or
    /// the watch of a shared informer ends, or the lease cannot be released. In all cases, the other parts are stopped
    /// first.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels in-flight reconciles and closes the server at once; the lease expires.
    pub async fn run(mut self) -> Result<(), Error> {
        // A recorder is installed only if `/metrics` serves its samples. Otherwise, it would prevent the program from
        // installing a recorder of its own, and the samples would stay in memory.
        let recorder = self.listeners.needs_recorder().then(recorder::installed).transpose()?;
        let state = Arc::new(self.server_state(recorder.clone()));
        let mut server = Server::start(self.listeners, &state, recorder)?;
        let mut webhooks = std::mem::take(&mut self.webhooks).start()?;

        let mut shutdown = Shutdown::new(self.shutdown);
        let (mut holds, mut ready, mut informers) = (Vec::<Hold>::new(), Vec::new(), Informers::default());
        for cache in self.caches {
            let Some(hold) = cache.hold else { continue };
            holds.push(hold());
            ready.push(cache.ready);
            if let Some(health) = cache.health {
                informers.0.spawn(log_failures(cache.name, health));
            }
        }
        // An error means that the watch has ended, which `informers` reports.
        let complete = ready.into_iter().map(async |mut ready| drop(ready.wait_for(|ready| *ready).await));
        let stop = {
            let complete = futures::future::join_all(complete).map(|_| None).boxed();
            let requested = shutdown.requested().map(|()| Some(Stop::Requested)).boxed();
            let ended = informers.ended().map(Some).boxed();
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
        let mut controllers = Controllers::default();
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
            let requested = shutdown.requested().map(|()| Stop::Requested).boxed();
            let lost = lost().map(|()| Stop::LeadershipLost).boxed();
            let ended = controllers.ended().map(Stop::ControllerEnded).boxed();
            let feed_ended = informers.ended().boxed();
            select_all([requested, lost, ended, feed_ended]).await.0
        };
        if !matches!(stop, Stop::LeadershipLost) {
            let drained = async {
                end_tasks(&mut tasks).await;
                controllers.stop(shutdown.forced()).await;
            };
            if let Either::Right(_) = select(pin!(drained), pin!(lost())).await {
                stop = Stop::LeadershipLost;
            }
        }
        // After a lost leadership, the next leader may already work: nothing may delay the cancellation.
        controllers.cancel().await;
        end_tasks(&mut tasks).await;
        drop(holds);
        webhooks.stop().await;
        server.endpoints.stop().await;
        let lease = leadership.as_ref().map(|(_, lease)| lease.clone()).unwrap_or_default();
        let released = release(leadership).await;
        match stop {
            Stop::Requested => released,
            stop => stop.into_result(lease),
        }
    }

    /// The data for the answers of the HTTP server.
    fn server_state(&mut self, recorder: Option<PrometheusHandle>) -> ServerState {
        let lease = self.candidacy.as_ref().map(|candidacy| {
            (candidacy.lease.clone(), candidacy.leadership.identity().to_owned(), candidacy.gate())
        });
        let mut cache_checks: Vec<_> = self.caches.iter().map(ManagedStore::check).collect();
        for check in self.controllers.iter_mut().flat_map(|controller| controller.awaited.drain(..)) {
            if !cache_checks.iter().any(|known| known.is_same_as(&check)) {
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

/// Cancels tasks. A task that blocks its thread does not end: returns after at most [`TASKS_SHUTDOWN`].
async fn end_tasks(tasks: &mut JoinSet<()>) {
    if timeout(TASKS_SHUTDOWN, tasks.shutdown()).await.is_err() {
        tracing::warn!(limit = ?TASKS_SHUTDOWN, "a task of the manager does not end: it blocks its thread");
        tasks.detach_all();
    }
}

/// Releases the lease, if there is an election.
async fn release(leadership: Option<(Leadership, String)>) -> Result<(), Error> {
    let Some((leadership, lease)) = leadership else { return Ok(()) };
    leadership.release().await.map_err(|source| Error::Release { lease, source })
}

/// The request to shut down.
struct Shutdown {
    trigger: BoxFuture<'static, ()>,
    /// Waits for the second signal; never completes if a trigger replaces the signals. It is polled together with
    /// `trigger`, so that no signal is missed.
    second: BoxFuture<'static, ()>,
}

impl Shutdown {
    /// `trigger` replaces the signals.
    fn new(trigger: Option<BoxFuture<'static, ()>>) -> Self {
        match trigger {
            Some(trigger) => Self { trigger, second: pending().boxed() },
            None => Self {
                trigger: wait_for_signal().boxed(),
                second: wait_for_signal().then(|()| wait_for_signal()).boxed(),
            },
        }
    }

    /// Waits for `trigger`, which is the caller's trigger or the first signal. Also polls `second`, which must count
    /// this signal. Must not be called again after it has completed.
    async fn requested(&mut self) {
        select(&mut self.trigger, &mut self.second).await;
    }

    /// Waits for the second signal.
    async fn forced(&mut self) {
        (&mut self.second).await;
    }
}

/// The tasks that log the failures of the informers.
#[derive(Default)]
struct Informers(JoinSet<(String, InformerEnd)>);

impl Informers {
    /// Waits until the watch of an informer ends.
    async fn ended(&mut self) -> Stop {
        match self.0.join_next().await {
            Some(Ok((name, reason))) => Stop::InformerEnded(name, reason),
            Some(Err(_)) | None => pending().await,
        }
    }
}

/// The tasks of the controllers.
#[derive(Default)]
struct Controllers {
    tasks: JoinSet<()>,
    names: Vec<(Id, String)>,
    /// Requests the graceful shutdown of each controller.
    stops: Vec<oneshot::Sender<()>>,
}

impl Controllers {
    fn start(&mut self, name: String, run: impl FnOnce(oneshot::Receiver<()>) -> BoxFuture<'static, ()>) {
        let (stop, stopped) = oneshot::channel();
        self.stops.push(stop);
        self.names.push((self.tasks.spawn(run(stopped)).id(), name));
    }

    /// Waits until a controller ends. Returns its name.
    async fn ended(&mut self) -> String {
        let id = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => error.id(),
            None => return pending().await,
        };
        let name = self.names.iter().find(|(known, _)| *known == id);
        name.map(|(_, name)| name.clone()).unwrap_or_default()
    }

    /// Shuts all controllers down gracefully; cancels them at `forced`.
    async fn stop(&mut self, forced: impl Future<Output = ()>) {
        for stop in self.stops.drain(..) {
            // The error means that the controller has ended.
            let _ = stop.send(());
        }
        let drained = async { while self.tasks.join_next().await.is_some() {} };
        select(pin!(drained), pin!(forced)).await;
        self.cancel().await;
    }

    /// Cancels all controllers with their in-flight reconciles.
    async fn cancel(&mut self) {
        self.tasks.shutdown().await;
    }
}

/// The HTTP server. Dropping it aborts its tasks.
struct Server {
    endpoints: RunningServers,
    /// The task of the recorder.
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
            let connections = Connections::new(listener, tls, router, CONNECTION_LIMITS)
                .map_err(|source| Error::Listen { address: address.clone(), source })?;
            tracing::info!(address, tls = has_tls, "serving");
            endpoints.start(connections);
        }
        if let Some(recorder) = recorder {
            upkeep.spawn(recorder::keep_up(recorder));
        }
        Ok(Self { endpoints, _upkeep: upkeep })
    }
}
