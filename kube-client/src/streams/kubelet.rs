//! Processes, ports and logs of a pod, requested from the kubelet of its node instead of the API server.

use futures::AsyncBufRead;
use http::{HeaderValue, header};

use super::{AttachedProcess, Portforwarder, offered_protocols};
use crate::{
    Client,
    core::{AttachParams, LogParams, Request, kubelet_debug::KubeletDebugParams},
    error::Result,
};

/// Requests to a kubelet, for a client whose [`Config::cluster_url`](crate::Config::cluster_url) is the address of the
/// kubelet, such as `https://NODE:10250`. The requests work while the API server is unavailable. They need credentials
/// that the kubelet accepts, for example a client certificate with the permission `nodes/proxy`.
impl Client {
    /// Runs a command in a container: see [`Api::exec`](crate::Api::exec).
    ///
    /// A kubelet speaks `v4.channel.k8s.io`, which cannot close the standard input without closing the connection.
    ///
    /// # Errors
    /// [`Error::is_not_found`](crate::Error::is_not_found) if the pod is not on the node. Other errors are as for
    /// [`Api::exec`](crate::Api::exec).
    ///
    /// # Cancel safety
    /// The command may run even if this call is cancelled.
    pub async fn kubelet_node_exec<I, T>(
        &self,
        kubelet_params: &KubeletDebugParams<'_>,
        container: &str,
        command: I,
        ap: &AttachParams,
    ) -> Result<AttachedProcess>
    where
        I: IntoIterator<Item = T>,
        T: Into<String>,
    {
        let request = Request::kubelet_node_exec(kubelet_params, container, command, ap)?;
        Ok(AttachedProcess::new(self.connect(request).await?, ap))
    }

    /// Connects to the first process of a container: see [`Api::attach`](crate::Api::attach).
    ///
    /// # Errors
    /// As for [`kubelet_node_exec`](Self::kubelet_node_exec).
    ///
    /// # Cancel safety
    /// Cancel safe: the process continues.
    pub async fn kubelet_node_attach(
        &self,
        kubelet_params: &KubeletDebugParams<'_>,
        container: &str,
        ap: &AttachParams,
    ) -> Result<AttachedProcess> {
        let request = Request::kubelet_node_attach(kubelet_params, container, ap)?;
        Ok(AttachedProcess::new(self.connect(request).await?, ap))
    }

    /// Forwards ports of a pod, with one connection for each port: see [`Api::portforward`](crate::Api::portforward).
    ///
    /// # Errors
    /// As for [`kubelet_node_exec`](Self::kubelet_node_exec).
    ///
    /// # Cancel safety
    /// Cancelling closes the connections.
    pub async fn kubelet_node_portforward(
        &self,
        kubelet_params: &KubeletDebugParams<'_>,
        ports: &[u16],
    ) -> Result<Portforwarder> {
        let mut request = Request::kubelet_node_portforward(kubelet_params, ports)?;
        if let Ok(protocols) = HeaderValue::try_from(offered_protocols()) {
            request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocols);
        }
        Ok(Portforwarder::new(self.connect(request).await?, ports))
    }

    /// Reads the logs of a container: see [`Api::log_stream`](crate::Api::log_stream).
    ///
    /// ```
    /// use futures::AsyncReadExt;
    /// use kube_client::{Client, api::LogParams, core::kubelet_debug::KubeletDebugParams};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::new(kube_sim::Sim::new().service(), "default");
    /// let pod = KubeletDebugParams { name: "web", namespace: "default", pod_uid: None };
    /// let mut text = String::new();
    /// match client.kubelet_node_logs(&pod, "main", &LogParams::default()).await {
    ///     Ok(mut logs) => drop(logs.read_to_string(&mut text).await?),
    ///     Err(error) if error.is_not_found() => println!("no such pod is on the node"),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Api::log_stream`](crate::Api::log_stream).
    ///
    /// # Cancel safety
    /// Cancel safe: the request changes nothing.
    pub async fn kubelet_node_logs(
        &self,
        kubelet_params: &KubeletDebugParams<'_>,
        container: &str,
        lp: &LogParams,
    ) -> Result<impl AsyncBufRead + Send + use<>> {
        self.request_stream(Request::kubelet_node_logs(kubelet_params, container, lp)?).await
    }
}
