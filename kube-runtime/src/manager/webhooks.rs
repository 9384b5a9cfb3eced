//! `Webhooks`: the webhook servers of a manager; always empty without the feature `webhook`.

use super::Error;
use crate::serving::RunningServers;

/// The webhook servers that the manager starts.
#[derive(Default)]
pub(super) struct Webhooks {
    #[cfg(feature = "webhook")]
    pub(super) servers: Vec<crate::webhook::Server>,
}

impl Webhooks {
    /// Starts all servers. If one of them cannot start, starts none.
    #[cfg_attr(
        not(feature = "webhook"),
        expect(unused_mut, clippy::unnecessary_wraps, clippy::unused_self, reason = "there are no servers")
    )]
    pub(super) fn start(self) -> Result<RunningServers, Error> {
        let mut running = RunningServers::default();
        #[cfg(feature = "webhook")]
        {
            let ready: Result<Vec<_>, _> =
                self.servers.into_iter().map(crate::webhook::Server::start).collect();
            for server in ready.map_err(|source| Error::Webhooks { source })? {
                running.start(server);
            }
        }
        Ok(running)
    }
}
