//! The handlers that answer requests to containers: `exec`, `attach`, `logs` and `port-forward`.
//!
//! A simulation runs no containers. [`SimBuilder::on_exec`](crate::SimBuilder::on_exec) and similar methods set
//! functions that answer in place of the containers. If a test sets no function, a function of [`defaults`] answers.
//!
//! As in Kubernetes, `exec`, `attach` and `port-forward` need a pod on a node that exists (`spec.nodeName`). `logs`
//! works for every pod.
//!
//! ```
//! use kube_sim::Sim;
//! use tokio::io::AsyncWriteExt as _;
//!
//! let sim = Sim::builder()
//!     .nodes(1)
//!     .on_exec(|request, mut streams| async move {
//!         streams.stdout.write_all(request.command.join(" ").as_bytes()).await?;
//!         Ok(3) // the exit code
//!     })
//!     .build();
//! ```

pub mod defaults;
mod io;
mod shell;

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

pub use io::{Input, Output, PortConnection, Streams, TerminalSize, TerminalSizes};
pub(crate) use io::{new_port_connection, new_streams};

use crate::status::SimError;

/// The error of a handler for `exec`, `attach` or `port-forward`, for example if a command does not exist. A command
/// that exits with a code other than 0 is not an error.
pub type ContainerError = Box<dyn Error + Send + Sync>;

/// A request to run a command in a container (`PodExecOptions`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExecRequest {
    /// The namespace of the pod.
    pub namespace: String,
    /// The name of the pod.
    pub pod: String,
    /// The name of the container. If the client names none, this is the only container of the pod.
    pub container: String,
    /// The command and its arguments; never empty.
    pub command: Vec<String>,
    /// Whether the command runs in a terminal. In a terminal, its standard error is part of its standard output.
    pub tty: bool,
}

/// A request to attach to the main process of a container (`PodAttachOptions`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttachRequest {
    /// The namespace of the pod.
    pub namespace: String,
    /// The name of the pod.
    pub pod: String,
    /// The name of the container. If the client names none, this is the only container of the pod.
    pub container: String,
    /// Whether the process runs in a terminal. In a terminal, its standard error is part of its standard output.
    pub tty: bool,
}

/// A request for the log of a container (`PodLogOptions`). The server applies `limitBytes`; the handler applies the
/// other options.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogRequest {
    /// The namespace of the pod.
    pub namespace: String,
    /// The name of the pod.
    pub pod: String,
    /// The name of the container. If the client names none, this is the only container of the pod.
    pub container: String,
    /// Whether the response continues with new lines until the container ends.
    pub follow: bool,
    /// Whether the client requests the log of the previous instance of the container.
    pub previous: bool,
    /// Whether each line begins with its time.
    pub timestamps: bool,
    /// The maximum age of the lines in seconds.
    pub since_seconds: Option<i64>,
    /// The earliest time of the lines (RFC 3339).
    pub since_time: Option<String>,
    /// The maximum number of lines, counted from the end of the log.
    pub tail_lines: Option<u64>,
    /// The `creationTimestamp` of the pod.
    pub created: String,
}

/// A request to forward one connection to a port of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PortForwardRequest {
    /// The namespace of the pod.
    pub namespace: String,
    /// The name of the pod.
    pub pod: String,
    /// The port; not necessarily a port that the pod declares.
    pub port: u16,
}

type ExecHandler =
    dyn Fn(ExecRequest, Streams) -> BoxFuture<'static, Result<i32, ContainerError>> + Send + Sync;
type AttachHandler =
    dyn Fn(AttachRequest, Streams) -> BoxFuture<'static, Result<(), ContainerError>> + Send + Sync;
type LogHandler = dyn Fn(LogRequest) -> Result<BoxStream<'static, Bytes>, SimError> + Send + Sync;
type PortForwardHandler = dyn Fn(PortForwardRequest, PortConnection) -> BoxFuture<'static, Result<(), ContainerError>>
    + Send
    + Sync;

/// The handlers of a simulation.
#[derive(Clone)]
pub(crate) struct Handlers {
    pub(crate) exec: Arc<ExecHandler>,
    pub(crate) attach: Arc<AttachHandler>,
    pub(crate) logs: Arc<LogHandler>,
    pub(crate) port_forward: Arc<PortForwardHandler>,
}

impl Handlers {
    pub(crate) fn set_exec<F, R>(&mut self, handler: F)
    where
        F: Fn(ExecRequest, Streams) -> R + Send + Sync + 'static,
        R: Future<Output = Result<i32, ContainerError>> + Send + 'static,
    {
        self.exec = Arc::new(move |request, streams| Box::pin(handler(request, streams)));
    }

    pub(crate) fn set_attach<F, R>(&mut self, handler: F)
    where
        F: Fn(AttachRequest, Streams) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), ContainerError>> + Send + 'static,
    {
        self.attach = Arc::new(move |request, streams| Box::pin(handler(request, streams)));
    }

    pub(crate) fn set_logs<F, S>(&mut self, handler: F)
    where
        F: Fn(LogRequest) -> Result<S, SimError> + Send + Sync + 'static,
        S: Stream<Item = Bytes> + Send + 'static,
    {
        self.logs = Arc::new(move |request| Ok(Box::pin(handler(request)?)));
    }

    pub(crate) fn set_port_forward<F, R>(&mut self, handler: F)
    where
        F: Fn(PortForwardRequest, PortConnection) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), ContainerError>> + Send + 'static,
    {
        self.port_forward = Arc::new(move |request, connection| Box::pin(handler(request, connection)));
    }
}

impl Default for Handlers {
    fn default() -> Self {
        Self {
            exec: Arc::new(|request, streams| Box::pin(defaults::exec(request, streams))),
            attach: Arc::new(|request, streams| Box::pin(defaults::attach(request, streams))),
            logs: Arc::new(|request| Ok(Box::pin(defaults::logs(&request)))),
            port_forward: Arc::new(|_, connection| Box::pin(defaults::port_forward(connection))),
        }
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handlers")
    }
}
