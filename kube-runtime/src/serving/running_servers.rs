//! `RunningServers`: the tasks of servers that start and stop together.

use super::connections::{Handler, ReadyServer};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The tasks of servers. Dropping this value aborts the tasks.
#[derive(Debug)]
pub(crate) struct RunningServers {
    tasks: JoinSet<()>,
    /// Dropping the sender requests the graceful shutdown of all servers.
    stop: Option<watch::Sender<()>>,
}

impl Default for RunningServers {
    fn default() -> Self {
        Self { tasks: JoinSet::new(), stop: Some(watch::Sender::new(())) }
    }
}

impl RunningServers {
    /// Starts a server. Does nothing after [`stop`](Self::stop).
    pub(crate) fn start<H: Handler>(&mut self, server: ReadyServer<H>) {
        let Some(stop) = &self.stop else { return };
        let mut stopped = stop.subscribe();
        self.tasks.spawn(server.run(async move { drop(stopped.changed().await) }));
    }

    /// Shuts down the servers gracefully, and waits until they have ended. Each server limits the time for its requests in
    /// flight.
    pub(crate) async fn stop(&mut self) {
        self.stop = None;
        while self.tasks.join_next().await.is_some() {}
    }
}
