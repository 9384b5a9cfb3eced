//! The load source of `cargo xtask bench`: an HTTP/1.1 server that sends bytes which it has prepared once.
//!
//! It shares no code with what is measured, so that no defect can hide itself. This is a library so that a test can serve
//! a small world to a contender; the bench runs it as a process of its own.

mod changes;
#[path = "../../shared/digest.rs"]
mod digest;
mod http;
mod others;
mod pods;
mod serve;
mod session;
mod set;
mod template;
mod world;

use std::io;
use std::net::TcpListener;

use serde::Deserialize;

/// What to serve.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Plan {
    /// How many pods, at least two: the last one is special.
    pub pods: usize,
    /// The same seed gives the same bytes.
    pub seed: u64,
}

/// A load source that has prepared the state that is listed first; the rest follows when it is asked for.
#[derive(Debug)]
pub struct Source(serve::Source);

impl Source {
    /// Prepares what is to be served.
    ///
    /// # Errors
    /// When there are fewer than two pods.
    pub fn new(plan: Plan) -> io::Result<Self> {
        if plan.pods < 2 {
            let problem = format!("at least 2 pods are needed, not {}", plan.pods);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let world = world::World::new(plan.pods, plan.seed);
        world.pods();
        Ok(Self(serve::Source::new(world)))
    }

    /// Serves every connection, for good.
    ///
    /// # Errors
    /// When no thread can be started for one.
    pub fn serve(self, listener: &TcpListener) -> io::Result<()> {
        self.0.serve(listener)
    }
}
