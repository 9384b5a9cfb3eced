//! Actions on particular kinds: restart, cordon, token requests and the approval of certificate signing requests.

use super::{Api, PartialObjectMeta, Patch, PatchParams, PostParams};
use crate::Result;
use crate::core::Restart;
use jiff::Timestamp;
use k8s_openapi::api::{
    authentication::v1::TokenRequest,
    certificates::v1::CertificateSigningRequest,
    core::v1::{Node, ServiceAccount},
};
use serde::{Serialize, de::DeserializeOwned};

impl<K: Restart + DeserializeOwned> Api<K> {
    /// Restarts the pods of a workload: sets an annotation of its pod template to the current time, as
    /// `kubectl rollout restart` does. The controller of the workload then replaces the pods.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_found`](crate::Error::is_not_found) if the workload does not exist.
    ///
    /// # Cancel safety
    /// Dropping the future ends the request. The server may already have performed it: see [`Api`].
    pub async fn restart(&self, name: &str) -> Result<K> {
        self.client.request(self.request.restart(name, Timestamp::now())?).await
    }
}

/// Kinds that can be marked as unschedulable.
pub trait Cordon {}
impl Cordon for Node {}
impl Cordon for PartialObjectMeta<Node> {}

impl<K: Cordon + DeserializeOwned> Api<K> {
    /// Marks a node as unschedulable: the scheduler assigns no more pods to the node, except pods that tolerate the taint
    /// `node.kubernetes.io/unschedulable`, such as the pods of a daemon set.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_found`](crate::Error::is_not_found) if the node does not exist.
    ///
    /// # Cancel safety
    /// Dropping the future ends the request. The server may already have performed it: see [`Api`].
    pub async fn cordon(&self, name: &str) -> Result<K> {
        self.client.request(self.request.cordon(name)?).await
    }

    /// Marks a node as schedulable.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_found`](crate::Error::is_not_found) if the node does not exist.
    ///
    /// # Cancel safety
    /// Dropping the future ends the request. The server may already have performed it: see [`Api`].
    pub async fn uncordon(&self, name: &str) -> Result<K> {
        self.client.request(self.request.uncordon(name)?).await
    }
}

impl Api<ServiceAccount> {
    /// Requests a token of the service account `name`. The response's `status.token` is the token.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_found`](crate::Error::is_not_found) if the service account does not exist.
    ///
    /// # Cancel safety
    /// Dropping the future ends the request. The server may already have performed it: see [`Api`].
    pub async fn create_token_request(
        &self,
        name: &str,
        pp: &PostParams,
        token_request: &TokenRequest,
    ) -> Result<TokenRequest> {
        self.create_subresource("token", name, pp, token_request).await
    }
}

impl Api<CertificateSigningRequest> {
    /// Reads a certificate signing request through its approval subresource.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_found`](crate::Error::is_not_found) if the object does not exist.
    ///
    /// # Cancel safety
    /// Cancel safe: the request ends, and has changed nothing.
    pub async fn get_approval(&self, name: &str) -> Result<CertificateSigningRequest> {
        self.get_subresource("approval", name).await
    }

    /// Approves or denies a certificate signing request. The patch must add the condition `Approved` or `Denied` to
    /// `status.conditions`.
    ///
    /// # Errors
    ///
    /// The same errors as [`patch`](Api::patch).
    ///
    /// # Cancel safety
    /// Dropping the future ends the request. The server may already have performed it: see [`Api`].
    pub async fn patch_approval<P: Serialize>(
        &self,
        name: &str,
        pp: &PatchParams,
        patch: &Patch<P>,
    ) -> Result<CertificateSigningRequest> {
        self.patch_subresource("approval", name, pp, patch).await
    }
}
