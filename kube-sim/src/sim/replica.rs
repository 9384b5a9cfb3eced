//! Further API servers on the store of a simulation.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Sim;
use crate::server::service::SimService;
use crate::server::{Security, ServeError, Server};
use crate::shared_state::Inner;
use crate::store::cache::Lag;

/// One of several API servers on one store. Its watch cache lags behind the store. Clones are handles to the same
/// server. See [`Sim::replica`].
#[derive(Clone, Debug)]
pub struct Replica {
    inner: Arc<Inner>,
    number: usize,
}

impl Sim {
    /// Starts a further API server on the store of this simulation. Its watch cache lags behind the store. `Sim` itself
    /// is the first API server, without a lag. All API servers share the journal, the fault rules and the controllers.
    ///
    /// Like kube-apiserver, a replica reads its cache for `get` and `list` with `resourceVersion=0`, and for watches: a
    /// watch receives a change only after the cache has it. A read at a resource version that the cache has not reached,
    /// and a list without a resource version, wait until the cache is fresh enough, for at most 3 seconds. After this
    /// time, a read at a version gets 504 (`Too large resource version`; the cause in the status tells clients to retry),
    /// and a list without a version is read from the store. Writes, and `get` without a resource version, use the store at
    /// once. All replicas serve a new CustomResourceDefinition at once.
    ///
    /// Only [`Sim::restore`] and [`Sim::rewind`] take a cache back to an earlier version. The cache lags at most by the
    /// number of changes in the history of a resource ([`SimBuilder::history`](crate::SimBuilder::history)).
    ///
    /// # Examples
    /// ```
    /// use http::Request;
    /// use http_body_util::{BodyExt as _, Full};
    /// use kube_sim::{Lag, Sim};
    /// use serde_json::{Value, json};
    /// use tower::ServiceExt as _;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
    /// let sim = Sim::new();
    /// let replica = sim.replica(Lag::Versions(1));
    /// sim.create(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new"}}))?;
    /// let list = Request::get("/api/v1/namespaces/default/configmaps?resourceVersion=0").body(Full::<bytes::Bytes>::default())?;
    /// let body = replica.service().oneshot(list).await?.into_body().collect().await?.to_bytes();
    /// assert_eq!(serde_json::from_slice::<Value>(&body)?["items"], json!([]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn replica(&self, lag: Lag) -> Replica {
        let number = self.inner.lock().add_cache(lag);
        Replica { inner: self.inner.clone(), number }
    }

    /// A service that distributes requests over API servers, as a load balancer does: `Sim` itself and the replicas get
    /// one request each, in turn.
    pub fn balanced(&self, replicas: &[Replica]) -> SimService {
        let numbers = std::iter::once(0).chain(replicas.iter().map(|replica| replica.number));
        SimService::new(self.inner.clone(), numbers.collect())
    }
}

impl Replica {
    /// The number of the API server, for [`Rule::replica`](crate::fault::Rule::replica) and in
    /// [`Entry::replica`](crate::Entry::replica).
    pub fn number(&self) -> usize {
        self.number
    }

    /// The API server as a tower service, for use as the transport of a client. It requires no credentials.
    pub fn service(&self) -> SimService {
        SimService::new(self.inner.clone(), Arc::from([self.number]))
    }

    /// Listens for plain HTTP, like [`Sim::serve_http`].
    ///
    /// # Errors
    /// When binding the address fails.
    ///
    /// # Cancel safety
    /// Dropping the future closes the listener.
    pub async fn serve_http(&self, addr: SocketAddr) -> Result<Server, ServeError> {
        Server::start(self.service(), addr, Security::Plain).await
    }

    /// Listens for HTTPS, like [`Sim::serve_https`]. The listener has its own certificates.
    ///
    /// # Errors
    /// When binding the address or generating the certificates fails.
    ///
    /// # Cancel safety
    /// Dropping the future closes the listener.
    pub async fn serve_https(&self, addr: SocketAddr) -> Result<Server, ServeError> {
        Server::start(self.service(), addr, Security::Generated).await
    }

    /// Changes the lag of the cache. With a longer lag, the cache stays at its version until the store is far enough
    /// ahead.
    pub fn set_lag(&self, lag: Lag) {
        self.inner.lock().set_lag(self.number, lag);
    }

    /// The resource version of the cache.
    pub fn cached_version(&self) -> u64 {
        self.inner.lock().cache_version(self.number)
    }

    /// Restarts the API server: ends its watches, and fills its cache with the current objects. A watch from an earlier
    /// version gets 410. Connections stay open.
    pub fn restart(&self) {
        self.inner.lock().restart_server(self.number);
    }
}
