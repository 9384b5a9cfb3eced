//! The mock API server of `cargo xtask bench`: a server that sends prepared bytes, over plain HTTP/1.1 and over TLS.
//!
//! This crate uses none of the measured crates: a defect in one of them could change the expected digest and the
//! contender's digest in the same way. This crate is a library so that tests can start it in-process; the bench runs it
//! as a separate process.

mod dataset;
#[path = "../../shared/digest.rs"]
mod digest;
mod exec;
mod format;
mod http;
mod non_pod_objects;
mod object_set;
mod pod_changes;
mod pods;
#[expect(dead_code, unused_imports, reason = "the codec of kube-sim also decodes the bodies of requests")]
#[path = "../../../../kube-sim/src/protobuf/mod.rs"]
mod protobuf;
mod serve;
mod session;
#[path = "../../shared/stream_data.rs"]
mod stream_data;
mod template;
mod tls;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use serde::Deserialize;

/// The parameters of the served data.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Plan {
    /// The number of pods, at least two. The last pod is the sentinel: its modification is the last watch
    /// event, and marks the end of a measurement.
    pub pods: usize,
    /// The seed of the generated data. The same plan gives the same bytes.
    pub seed: u64,
}

/// A mock API server. [`new`](Self::new) generates the initial list of pods. The server generates all other data when a
/// request first needs the data.
#[derive(Debug)]
pub struct MockServer(Arc<serve::Server>);

impl MockServer {
    /// Creates a server, and generates its initial list of pods.
    ///
    /// # Errors
    /// If the plan has fewer than two pods.
    pub fn new(plan: Plan) -> io::Result<Self> {
        if plan.pods < 2 {
            let problem = format!("at least 2 pods are needed, not {}", plan.pods);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let dataset = dataset::Dataset::new(plan.pods, plan.seed);
        dataset.pods();
        Ok(Self(Arc::new(serve::Server::new(dataset))))
    }

    /// Serves all connections forever, each in its own thread.
    ///
    /// # Errors
    /// If a thread cannot be spawned.
    pub fn serve(&self, listener: &TcpListener) -> io::Result<()> {
        self.0.serve(listener)
    }

    /// Serves all TLS connections forever, over HTTP/2 and HTTP/1.1. The certificate is self-signed.
    ///
    /// # Errors
    /// If the certificate or the runtime cannot be created, or a connection cannot be accepted.
    pub fn serve_tls(&self, listener: TcpListener) -> io::Result<()> {
        tls::serve(&self.0, listener)
    }
}
