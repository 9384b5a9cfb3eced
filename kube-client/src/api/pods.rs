//! The subresources of pods, except exec, attach and port forwarding: logs, eviction, ephemeral containers and resize.

use super::{Api, EvictParams, LogParams, Patch, PatchParams, PostParams};
#[cfg(doc)]
use crate::Error;
use crate::Result;
use crate::core::Status;
use futures::AsyncBufRead;
use k8s_openapi::api::core::v1::Pod;
use serde::{Serialize, de::DeserializeOwned};

/// Kinds whose containers have logs.
pub trait Log {}
impl Log for Pod {}

/// Kinds that can be evicted.
pub trait Evict {}
impl Evict for Pod {}

/// Kinds with ephemeral containers.
pub trait Ephemeral {}
impl Ephemeral for Pod {}

/// Kinds with containers whose resource requests and limits can be changed in place (KEP-1287).
pub trait Resize {}
impl Resize for Pod {}

impl<K: Log> Api<K> {
    /// Reads the logs of a container.
    ///
    /// Bytes that are not UTF-8 become U+FFFD: a container may write any bytes.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_found`](crate::Error::is_not_found) if the pod does not exist.
    /// [`Error::is_bad_request`](crate::Error::is_bad_request) if the container does not exist or has not started, or
    /// if the pod has several containers and [`LogParams::container`] is `None`. [`Error::Decode`] if the logs are
    /// larger than `Config::max_object_bytes`; for such logs, use [`log_stream`](Api::log_stream), or set
    /// [`LogParams::tail_lines`] or [`LogParams::limit_bytes`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the request has no effect.
    pub async fn logs(&self, name: &str, lp: &LogParams) -> Result<String> {
        let bytes = self.client.request_bytes(self.request.logs(name, lp)?).await?;
        Ok(match String::from_utf8(bytes.into()) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        })
    }

    /// Reads the logs of a container as a stream of bytes. With [`LogParams::follow`], the stream stays open and emits
    /// new output of the container.
    ///
    /// The stream has no size limit. With `follow`, a pause in the output may have any length. Dropping the stream ends
    /// the request. The client reads from the connection only while the program polls the stream (back-pressure).
    ///
    /// ```
    /// use futures::{AsyncBufReadExt, TryStreamExt};
    /// use k8s_openapi::api::core::v1::Pod;
    /// use kube_client::{Api, Client, api::LogParams};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::new(kube_sim::Sim::new().service(), "default");
    /// let pods: Api<Pod> = Api::default_namespaced(client);
    /// # let pod = r#"{"metadata": {"name": "web"}, "spec": {"containers": [{"name": "main", "image": "web"}]}}"#;
    /// # pods.create(&Default::default(), &serde_json::from_str(pod)?).await?;
    /// let params = LogParams { tail_lines: Some(10), ..LogParams::default() };
    /// let mut lines = pods.log_stream("web", &params).await?.lines();
    /// while let Some(line) = lines.try_next().await? {
    ///     println!("{line}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`logs`](Api::logs), but logs of any size are read. The stream returns later errors as `std::io::Error`s with an
    /// [`Error`] inside.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the request has no effect.
    pub async fn log_stream(&self, name: &str, lp: &LogParams) -> Result<impl AsyncBufRead + Send + use<K>> {
        self.client.request_stream(self.request.logs(name, lp)?).await
    }
}

impl<K: Evict> Api<K> {
    /// Evicts a pod: deletes it unless a `PodDisruptionBudget` forbids that.
    ///
    /// # Errors
    ///
    /// [`Error::is_too_many_requests`](crate::Error::is_too_many_requests) if a budget does not allow the disruption
    /// now. Usually this response has no `Retry-After`, so the client does not retry the request.
    ///
    /// # Cancel safety
    /// Dropping the future ends the request. The server may already have performed it: see [`Api`].
    pub async fn evict(&self, name: &str, ep: &EvictParams) -> Result<Status> {
        self.client.request(self.request.evict(name, ep)?).await
    }
}

impl<K: DeserializeOwned + Ephemeral> Api<K> {
    /// Reads a pod with its ephemeral containers.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_found`](crate::Error::is_not_found) if the pod does not exist.
    ///
    /// # Cancel safety
    /// Cancel safe: the request ends, and has changed nothing.
    pub async fn get_ephemeral_containers(&self, name: &str) -> Result<K> {
        self.get_subresource("ephemeralcontainers", name).await
    }

    /// Patches the ephemeral containers of a pod. A strategic merge patch adds containers by name. Existing ephemeral
    /// containers cannot be changed or removed.
    ///
    /// # Errors
    ///
    /// As [`patch`](Api::patch).
    ///
    /// # Cancel safety
    /// Dropping the future ends the request. The server may already have performed it: see [`Api`].
    pub async fn patch_ephemeral_containers<P: Serialize>(
        &self,
        name: &str,
        pp: &PatchParams,
        patch: &Patch<P>,
    ) -> Result<K> {
        self.patch_subresource("ephemeralcontainers", name, pp, patch).await
    }

    /// Sends a pod with the complete list of its ephemeral containers. The server adds the new containers. The existing
    /// ones cannot be changed or removed.
    ///
    /// # Errors
    ///
    /// As [`replace`](Api::replace).
    ///
    /// # Cancel safety
    /// Dropping the future ends the request. The server may already have performed it: see [`Api`].
    pub async fn replace_ephemeral_containers(&self, name: &str, pp: &PostParams, data: &K) -> Result<K>
    where
        K: Serialize,
    {
        self.replace_subresource("ephemeralcontainers", name, pp, data).await
    }
}

impl<K: DeserializeOwned + Resize> Api<K> {
    /// Reads a pod through its resize subresource.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_found`](crate::Error::is_not_found) if the pod does not exist, or the server is older than
    /// Kubernetes 1.32.
    ///
    /// # Cancel safety
    /// Cancel safe: the request ends, and has changed nothing.
    pub async fn get_resize(&self, name: &str) -> Result<K> {
        self.get_subresource("resize", name).await
    }

    /// Patches the resources of a pod's containers in place. The server ignores changes of other fields.
    ///
    /// # Errors
    ///
    /// As [`patch`](Api::patch).
    ///
    /// # Cancel safety
    /// Dropping the future ends the request. The server may already have performed it: see [`Api`].
    pub async fn patch_resize<P: Serialize>(
        &self,
        name: &str,
        pp: &PatchParams,
        patch: &Patch<P>,
    ) -> Result<K> {
        self.patch_subresource("resize", name, pp, patch).await
    }

    /// Replaces the resources of a pod's containers in place. The server ignores changes of other fields.
    ///
    /// # Errors
    ///
    /// As [`replace`](Api::replace).
    ///
    /// # Cancel safety
    /// Dropping the future ends the request. The server may already have performed it: see [`Api`].
    pub async fn replace_resize(&self, name: &str, pp: &PostParams, data: &K) -> Result<K>
    where
        K: Serialize,
    {
        self.replace_subresource("resize", name, pp, data).await
    }
}
