//! The verbs create, update (replace) and patch.

use super::{Api, PartialObjectMeta, Patch, PatchParams, PostParams};
use crate::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};

impl<K: DeserializeOwned> Api<K> {
    /// Creates an object and returns it as the server stored it.
    ///
    /// # Errors
    ///
    /// [`Error::is_already_exists`](crate::Error::is_already_exists) if an object of this name exists,
    /// [`Error::is_invalid`](crate::Error::is_invalid) if the server's validation rejects `data`.
    ///
    /// # Cancel safety
    /// Dropping the future ends the request. The server may already have performed it: see [`Api`].
    pub async fn create(&self, pp: &PostParams, data: &K) -> Result<K>
    where
        K: Serialize,
    {
        let body = self.serialize_body(data)?;
        self.client.request(self.request.create(pp, body)?).await
    }

    /// Replaces an object and returns it as the server stored it.
    ///
    /// The server compares the resource version in `data` with the stored one (optimistic concurrency). Without a
    /// resource version, the server overwrites the stored object; for kinds that require a resource version, such as
    /// custom resources, it rejects the request.
    ///
    /// ```
    /// # use k8s_openapi::api::core::v1::ConfigMap;
    /// # use kube_client::{Api, Client, ResourceExt, api::PostParams};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::new(kube_sim::Sim::new().service(), "default");
    /// # let maps: Api<ConfigMap> = Api::default_namespaced(client);
    /// # let mut map = ConfigMap::default();
    /// # map.metadata.name = Some("settings".into());
    /// # maps.create(&PostParams::default(), &map).await?;
    /// let mut map = maps.get("settings").await?;
    /// let outdated = map.clone();
    /// map.labels_mut().insert("app".into(), "web".into());
    /// maps.replace("settings", &PostParams::default(), &map).await?;
    /// assert!(maps.replace("settings", &PostParams::default(), &outdated).await.unwrap_err().is_conflict());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::is_conflict`](crate::Error::is_conflict) if the object has changed since it was read.
    ///
    /// # Cancel safety
    /// Dropping the future ends the request. The server may already have performed it: see [`Api`].
    pub async fn replace(&self, name: &str, pp: &PostParams, data: &K) -> Result<K>
    where
        K: Serialize,
    {
        let body = self.serialize_body(data)?;
        self.client.request(self.request.replace(name, pp, body)?).await
    }

    /// Patches an object and returns it as the server stored it.
    ///
    /// ```
    /// # use k8s_openapi::api::core::v1::ConfigMap;
    /// # use kube_client::{Api, Client, api::{Patch, PatchParams}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::new(kube_sim::Sim::new().service(), "default");
    /// # let maps: Api<ConfigMap> = Api::default_namespaced(client);
    /// let patch = serde_json::json!({
    ///     "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"level": "3"},
    /// });
    /// let map = maps.patch("settings", &PatchParams::apply("docs"), &Patch::Apply(patch)).await?;
    /// assert_eq!(map.data.unwrap()["level"], "3");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::is_conflict`](crate::Error::is_conflict) if a server-side apply sets fields that another field
    /// manager owns.
    ///
    /// # Cancel safety
    /// Dropping the future ends the request. The server may already have performed it: see [`Api`].
    pub async fn patch<P: Serialize>(&self, name: &str, pp: &PatchParams, patch: &Patch<P>) -> Result<K> {
        self.client.request(self.request.patch(name, pp, patch)?).await
    }
}

impl<K> Api<K> {
    /// Serializes the body of a request.
    pub(super) fn serialize_body<T: Serialize>(&self, data: &T) -> Result<Vec<u8>> {
        serde_json::to_vec(data).map_err(|source| Error::Request {
            what: format!("the request body for {} cannot be serialized as JSON", self.resource_url()),
            source: Some(source.into()),
        })
    }

    /// Patches an object and returns its metadata.
    ///
    /// # Errors
    ///
    /// As [`patch`](Api::patch).
    ///
    /// # Cancel safety
    /// Dropping the future ends the request. The server may already have performed it: see [`Api`].
    pub async fn patch_metadata<P: Serialize>(
        &self,
        name: &str,
        pp: &PatchParams,
        patch: &Patch<P>,
    ) -> Result<PartialObjectMeta<K>> {
        self.client.request(self.metadata_request().patch(name, pp, patch)?).await
    }
}
