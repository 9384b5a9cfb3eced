//! The requests for discovery documents: one method for each kind of document.
//!
//! [`crate::discovery`] combines the documents.

use http::{Request, header};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroupList, APIResourceList, APIVersions};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Client;
use crate::{
    core::discovery::v2::{ACCEPT_AGGREGATED_DISCOVERY_V2, APIGroupDiscoveryList},
    error::{Error, Result},
};

/// Requests for single discovery documents. Prefer [`Discovery`](crate::discovery::Discovery), which reads and combines
/// all of them.
///
/// # Errors
/// As for [`request`](Client::request).
///
/// # Cancel safety
/// Cancel safe: the requests have no side effects.
impl Client {
    /// The groups below `/apis` with their versions; not the core group.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> kube_client::Result<()> {
    /// # let client = kube_client::Client::new(kube_sim::Sim::new().service(), "default");
    /// for group in client.list_api_groups().await?.groups {
    ///     for version in group.versions {
    ///         let list = client.list_api_group_resources(&version.group_version).await?;
    ///         println!("{} has {} resources", version.group_version, list.resources.len());
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`request`](Client::request).
    ///
    /// # Cancel safety
    /// Cancel safe: the request has no side effects.
    pub async fn list_api_groups(&self) -> Result<APIGroupList> {
        self.request_document("/apis", "application/json").await
    }

    /// The resources of a group version such as `apps/v1`. For the core group, use
    /// [`list_core_api_resources`](Client::list_core_api_resources).
    ///
    /// # Errors
    /// As for [`request`](Client::request), and [`Error::Request`] if `apiversion` cannot be part of a URL.
    ///
    /// # Cancel safety
    /// Cancel safe: the request has no side effects.
    pub async fn list_api_group_resources(&self, apiversion: &str) -> Result<APIResourceList> {
        self.request_document(&format!("/apis/{apiversion}"), "application/json").await
    }

    /// The versions of the core group.
    ///
    /// # Errors
    /// As for [`request`](Client::request).
    ///
    /// # Cancel safety
    /// Cancel safe: the request has no side effects.
    pub async fn list_core_api_versions(&self) -> Result<APIVersions> {
        self.request_document("/api", "application/json").await
    }

    /// The resources of a version of the core group, such as `v1`.
    ///
    /// # Errors
    /// As for [`request`](Client::request), and [`Error::Request`] if `version` cannot be part of a URL.
    ///
    /// # Cancel safety
    /// Cancel safe: the request has no side effects.
    pub async fn list_core_api_resources(&self, version: &str) -> Result<APIResourceList> {
        self.request_document(&format!("/api/{version}"), "application/json").await
    }

    /// The groups below `/apis` with all versions and resources, in one document (KEP-3352, Kubernetes 1.26).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> kube_client::Result<()> {
    /// # let client = kube_client::Client::new(kube_sim::Sim::new().service(), "default");
    /// let list = client.list_api_groups_aggregated().await?;
    /// let resources = list.items.iter().flat_map(|group| &group.versions).flat_map(|version| &version.resources);
    /// assert!(resources.into_iter().any(|resource| resource.resource.as_deref() == Some("deployments")));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`request`](Client::request), and [`Error::Request`] if the server has no aggregated discovery.
    ///
    /// # Cancel safety
    /// Cancel safe: the request has no side effects.
    pub async fn list_api_groups_aggregated(&self) -> Result<APIGroupDiscoveryList> {
        self.request_aggregated("/apis").await
    }

    /// The core group with all versions and resources, in one document (KEP-3352, Kubernetes 1.26).
    ///
    /// # Errors
    /// As for [`list_api_groups_aggregated`](Client::list_api_groups_aggregated).
    ///
    /// # Cancel safety
    /// Cancel safe: the request has no side effects.
    pub async fn list_core_api_versions_aggregated(&self) -> Result<APIGroupDiscoveryList> {
        self.request_aggregated("/api").await
    }

    /// Requests a discovery document in one of the formats that `accept` lists.
    pub(crate) async fn request_document<T: DeserializeOwned>(&self, path: &str, accept: &str) -> Result<T> {
        let request = Request::get(path).header(header::ACCEPT, accept).body(Vec::new());
        let request = request.map_err(|error| Error::Request {
            what: format!("{path:?} is not the path of a URL"),
            source: Some(error.into()),
        })?;
        self.request(request).await
    }

    /// Requests an aggregated document. A server without aggregated discovery sends an unaggregated document. This is an
    /// error, because an unaggregated document would decode as an empty list.
    async fn request_aggregated(&self, path: &str) -> Result<APIGroupDiscoveryList> {
        let document: Value = self.request_document(path, ACCEPT_AGGREGATED_DISCOVERY_V2).await?;
        if document["kind"] != "APIGroupDiscoveryList" {
            return Err(Error::Request {
                what: format!("the server has no aggregated discovery of {path}"),
                source: None,
            });
        }
        serde_json::from_value(document).map_err(|error| Error::Decode {
            what: format!("the response to GET {path}"),
            source: error.into(),
        })
    }
}
