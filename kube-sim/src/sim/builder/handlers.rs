//! Settings of the handlers that replace the containers of pods.

use bytes::Bytes;
use futures::Stream;

use super::SimBuilder;
use crate::containers::{
    AttachRequest, ContainerError, ExecRequest, LogRequest, PortConnection, PortForwardRequest, Streams,
};
use crate::status::SimError;

impl SimBuilder {
    /// Sets the handler that runs the commands of exec requests (`kubectl exec`, `kubectl cp`). The handler returns the
    /// exit code, which the client receives after all output. An error of the handler becomes a `Status` with the reason
    /// `InternalError`, as for a command that the container does not have. The default runs a few commands,
    /// such as `echo` and `cat`: [`containers::defaults`](crate::containers::defaults).
    ///
    /// If the client closes the connection, the future of the handler is dropped.
    ///
    /// # Examples
    /// A client runs `sh -c 'read name; echo hello $name'`; the handler answers in place of the shell:
    /// ```
    /// use kube_sim::Sim;
    /// use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    ///
    /// let sim = Sim::builder()
    ///     .nodes(1)
    ///     .on_exec(|request, mut streams| async move {
    ///         assert_eq!(request.command[0], "sh");
    ///         let mut name = String::new();
    ///         streams.stdin.read_to_string(&mut name).await?;
    ///         streams.stdout.write_all(format!("hello {name}").as_bytes()).await?;
    ///         Ok(0)
    ///     })
    ///     .build();
    /// ```
    pub fn on_exec<F, R>(mut self, handler: F) -> Self
    where
        F: Fn(ExecRequest, Streams) -> R + Send + Sync + 'static,
        R: Future<Output = Result<i32, ContainerError>> + Send + 'static,
    {
        self.handlers.set_exec(handler);
        self
    }

    /// Sets the handler that replaces the main process of a container in attach requests (`kubectl attach`,
    /// `kubectl run -it`). The default handler writes the input back to the output; without input, it writes the
    /// generated log.
    ///
    /// If the client closes the connection, the future of the handler is dropped.
    ///
    /// # Examples
    /// ```
    /// use kube_sim::Sim;
    /// use tokio::io::AsyncWriteExt as _;
    ///
    /// let sim = Sim::builder()
    ///     .on_attach(|request, mut streams| async move {
    ///         let line = format!("attached to {}\n", request.container);
    ///         streams.stdout.write_all(line.as_bytes()).await?;
    ///         Ok(())
    ///     })
    ///     .build();
    /// ```
    pub fn on_attach<F, R>(mut self, handler: F) -> Self
    where
        F: Fn(AttachRequest, Streams) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), ContainerError>> + Send + 'static,
    {
        self.handlers.set_attach(handler);
        self
    }

    /// Sets the handler that produces the logs of containers (`kubectl logs`). The server sends each item of the stream
    /// without buffering. With `follow`, the stream must end when the container ends. An error of the handler becomes
    /// the response of the server. The default is a generated log of three lines.
    ///
    /// # Examples
    /// ```
    /// use bytes::Bytes;
    /// use kube_sim::Sim;
    /// use serde_json::json;
    ///
    /// let sim = Sim::builder()
    ///     .on_logs(|request| Ok(futures::stream::iter([Bytes::from(format!("{} is up\n", request.pod))])))
    ///     .build();
    /// sim.create(&json!({
    ///     "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
    ///     "spec": {"containers": [{"name": "main", "image": "web:1"}]},
    /// }))?;
    /// let path = "/api/v1/namespaces/default/pods/web/log";
    /// assert_eq!(sim.request(&http::Method::GET, path, "", &json!(null))?, "web is up\n");
    /// # Ok::<(), kube_sim::SimError>(())
    /// ```
    pub fn on_logs<F, S>(mut self, handler: F) -> Self
    where
        F: Fn(LogRequest) -> Result<S, SimError> + Send + Sync + 'static,
        S: Stream<Item = Bytes> + Send + 'static,
    {
        self.handlers.set_logs(handler);
        self
    }

    /// Sets the handler of connections to ports of pods (`kubectl port-forward`). The handler runs once for each
    /// connection. The client receives the text of an error; a tunnel (`SPDY/3.1+portforward.k8s.io`) also resets the
    /// connection. The default handler echoes the received bytes.
    ///
    /// If the client closes the connection, the future of the handler is dropped.
    ///
    /// # Examples
    /// ```
    /// use kube_sim::Sim;
    /// use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    ///
    /// let sim = Sim::builder()
    ///     .nodes(1)
    ///     .on_port_forward(|request, mut connection| async move {
    ///         if request.port != 80 {
    ///             return Err("connection refused".into());
    ///         }
    ///         let mut text = Vec::new();
    ///         connection.read_to_end(&mut text).await?;
    ///         connection.write_all(b"thanks").await?;
    ///         Ok(())
    ///     })
    ///     .build();
    /// ```
    pub fn on_port_forward<F, R>(mut self, handler: F) -> Self
    where
        F: Fn(PortForwardRequest, PortConnection) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), ContainerError>> + Send + 'static,
    {
        self.handlers.set_port_forward(handler);
        self
    }
}
