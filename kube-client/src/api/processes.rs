//! Connections to the processes of pods: the subresources exec, attach and portforward.

use super::{Api, AttachParams, AttachedProcess, Portforwarder};
#[cfg(doc)]
use crate::Error;
use crate::{Result, streams::offered_protocols};
use http::{HeaderValue, header};
use k8s_openapi::api::core::v1::Pod;

/// Kinds whose containers can run further commands.
pub trait Execute {}
impl Execute for Pod {}

/// Kinds whose containers have a process to attach to.
pub trait Attach {}
impl Attach for Pod {}

/// Kinds with ports that can be forwarded.
pub trait Portforward {}
impl Portforward for Pod {}

impl<K: Execute> Api<K> {
    /// Runs a command in a container. Each call opens a WebSocket (KEP-4006). Needs the verbs `get` and, since Kubernetes
    /// 1.35, `create` on `pods/exec`.
    ///
    /// The command is a program and its arguments, and is not interpreted by a shell.
    ///
    /// # Errors
    /// [`Error::is_not_found`](crate::Error::is_not_found) if the pod does not exist.
    /// [`Error::is_bad_request`](crate::Error::is_bad_request) if the container does not exist, or if the pod has several
    /// containers and [`AttachParams::container`] is `None`. [`Error::Request`] if the server does not switch to a
    /// WebSocket. A command that cannot be run, or that fails, is reported by [`AttachedProcess::join`] and
    /// [`AttachedProcess::take_status`].
    ///
    /// # Cancel safety
    /// The command may run even if the future is dropped.
    pub async fn exec<I, T>(&self, name: &str, command: I, ap: &AttachParams) -> Result<AttachedProcess>
    where
        I: IntoIterator<Item = T>,
        T: Into<String>,
    {
        let request = self.request.exec(name, command, ap)?;
        Ok(AttachedProcess::new(self.client.connect(request).await?, ap))
    }
}

impl<K: Attach> Api<K> {
    /// Connects to the first process of a container. Each call opens a WebSocket. The server does not repeat earlier
    /// output: for this output, see [`logs`](Api::logs). Needs the verbs `get` and, since Kubernetes 1.35, `create` on
    /// `pods/attach`.
    ///
    /// # Errors
    /// As for [`exec`](Api::exec).
    ///
    /// # Cancel safety
    /// Cancel safe: the process continues.
    pub async fn attach(&self, name: &str, ap: &AttachParams) -> Result<AttachedProcess> {
        let request = self.request.attach(name, ap)?;
        Ok(AttachedProcess::new(self.client.connect(request).await?, ap))
    }
}

impl<K: Portforward> Api<K> {
    /// Forwards ports of a pod, over one WebSocket for all connections (KEP-4006). Needs the verbs `get` and, since
    /// Kubernetes 1.35, `create` on `pods/portforward`.
    ///
    /// [`Portforwarder::take_stream`] returns the first connection to a port of `ports`. [`Portforwarder::connect`] opens
    /// further connections to any port.
    ///
    /// # Errors
    /// [`Error::is_not_found`](crate::Error::is_not_found) if the pod does not exist.
    /// [`Error::is_bad_request`](crate::Error::is_bad_request) if the pod is not running. [`Error::Request`] if the
    /// server does not switch to a WebSocket. If no process listens on a port, the stream of the port fails.
    ///
    /// # Cancel safety
    /// Cancel safe: no connection to the pod is opened.
    pub async fn portforward(&self, name: &str, ports: &[u16]) -> Result<Portforwarder> {
        let mut request = self.request.portforward(name, ports)?;
        if let Ok(protocols) = HeaderValue::try_from(offered_protocols()) {
            request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocols);
        }
        Ok(Portforwarder::new(self.client.connect(request).await?, ports))
    }
}
