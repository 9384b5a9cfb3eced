//! `Webhooks`: the webhook servers of a manager; always empty without the feature `webhook`.

use super::Error;
#[cfg(feature = "webhook")]
use futures::FutureExt;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// The webhook servers that the manager starts.
#[derive(Default)]
pub(super) struct Webhooks {
    #[cfg(feature = "webhook")]
    pub(super) servers: Vec<crate::webhook::Server>,
}

impl Webhooks {
    /// Starts all servers, or none.
    #[cfg_attr(
        not(feature = "webhook"),
        expect(unused_mut, clippy::unnecessary_wraps, clippy::unused_self, reason = "there are no servers")
    )]
    pub(super) fn start(self) -> Result<RunningWebhooks, Error> {
        let mut running = RunningWebhooks::default();
        #[cfg(feature = "webhook")]
        {
            let ready: Result<Vec<_>, _> =
                self.servers.into_iter().map(crate::webhook::Server::start).collect();
            for server in ready.map_err(|source| Error::Webhooks { source })? {
                let (stop, stopped) = oneshot::channel();
                running.stops.push(stop);
                running.tasks.spawn(server.run(stopped.map(drop)));
            }
        }
        Ok(running)
    }
}

/// The tasks of the servers. Dropping it aborts them.
#[derive(Default)]
pub(super) struct RunningWebhooks {
    tasks: JoinSet<()>,
    /// Requests the graceful shutdown of each server.
    stops: Vec<oneshot::Sender<()>>,
}

impl RunningWebhooks {
    /// Shuts the servers down. Each of them limits the time for its requests in flight.
    pub(super) async fn stop(&mut self) {
        self.stops.clear();
        while self.tasks.join_next().await.is_some() {}
    }
}
