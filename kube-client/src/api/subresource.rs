//! Subresources: status, scale, and any other by name.

use super::{Api, Patch, PatchParams, PostParams, Scale};
use crate::Result;
use serde::{Serialize, de::DeserializeOwned};

impl<K: DeserializeOwned> Api<K> {
    /// Reads an object through its status subresource. Requires only the permission `get` on `<plural>/status`.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_found`](crate::Error::is_not_found) if the object does not exist, or the kind has no status
    /// subresource.
    ///
    /// # Cancel safety
    /// Cancel safe: the request ends, and has changed nothing.
    pub async fn get_status(&self, name: &str) -> Result<K> {
        self.get_subresource("status", name).await
    }

    /// Patches the status of an object. The server ignores changes of other fields, except some metadata.
    ///
    /// # Errors
    ///
    /// As [`patch`](Api::patch).
    ///
    /// # Cancel safety
    /// Dropping the future ends the request. The server may already have performed it: see [`Api`].
    pub async fn patch_status<P: Serialize>(
        &self,
        name: &str,
        pp: &PatchParams,
        patch: &Patch<P>,
    ) -> Result<K> {
        self.patch_subresource("status", name, pp, patch).await
    }

    /// Replaces the status of an object. The server ignores changes of other fields, except some metadata.
    ///
    /// # Errors
    ///
    /// [`Error::is_conflict`](crate::Error::is_conflict) if the object has changed since it was read.
    ///
    /// # Cancel safety
    /// Dropping the future ends the request. The server may already have performed it: see [`Api`].
    pub async fn replace_status(&self, name: &str, pp: &PostParams, data: &K) -> Result<K>
    where
        K: Serialize,
    {
        self.replace_subresource("status", name, pp, data).await
    }

    /// Reads a subresource whose representation is the object itself, such as `ephemeralcontainers`.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_found`](crate::Error::is_not_found) if the object or the subresource does not exist.
    ///
    /// # Cancel safety
    /// Cancel safe: the request ends, and has changed nothing.
    pub async fn get_subresource(&self, subresource_name: &str, name: &str) -> Result<K> {
        self.client.request(self.request.get_subresource(subresource_name, name)?).await
    }

    /// Patches a subresource whose representation is the object itself.
    ///
    /// # Errors
    ///
    /// As [`patch`](Api::patch).
    ///
    /// # Cancel safety
    /// Dropping the future ends the request. The server may already have performed it: see [`Api`].
    pub async fn patch_subresource<P: Serialize>(
        &self,
        subresource_name: &str,
        name: &str,
        pp: &PatchParams,
        patch: &Patch<P>,
    ) -> Result<K> {
        self.client.request(self.request.patch_subresource(subresource_name, name, pp, patch)?).await
    }

    /// Replaces a subresource whose representation is the object itself.
    ///
    /// # Errors
    ///
    /// As [`replace`](Api::replace).
    ///
    /// # Cancel safety
    /// Dropping the future ends the request. The server may already have performed it: see [`Api`].
    pub async fn replace_subresource<I: Serialize>(
        &self,
        subresource_name: &str,
        name: &str,
        pp: &PostParams,
        data: &I,
    ) -> Result<K> {
        let body = self.serialize_body(data)?;
        self.client.request(self.request.replace_subresource(subresource_name, name, pp, body)?).await
    }
}

impl<K> Api<K> {
    /// Posts an object to a subresource, such as a `TokenRequest` to `token` or an `Eviction` to `eviction`.
    ///
    /// # Errors
    ///
    /// [`Error::is_too_many_requests`](crate::Error::is_too_many_requests) for an eviction that a `PodDisruptionBudget`
    /// rejects.
    ///
    /// # Cancel safety
    /// Dropping the future ends the request. The server may already have performed it: see [`Api`].
    pub async fn create_subresource<I: Serialize, T: DeserializeOwned>(
        &self,
        subresource_name: &str,
        name: &str,
        pp: &PostParams,
        data: &I,
    ) -> Result<T> {
        let body = self.serialize_body(data)?;
        self.client.request(self.request.create_subresource(subresource_name, name, pp, body)?).await
    }

    /// Reads the scale subresource of an object.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_found`](crate::Error::is_not_found) if the object does not exist, or the kind has no scale
    /// subresource.
    ///
    /// # Cancel safety
    /// Cancel safe: the request ends, and has changed nothing.
    pub async fn get_scale(&self, name: &str) -> Result<Scale> {
        self.client.request(self.request.get_subresource("scale", name)?).await
    }

    /// Patches the scale subresource of an object.
    ///
    /// # Errors
    ///
    /// As [`patch`](Api::patch).
    ///
    /// # Cancel safety
    /// Dropping the future ends the request. The server may already have performed it: see [`Api`].
    pub async fn patch_scale<P: Serialize>(
        &self,
        name: &str,
        pp: &PatchParams,
        patch: &Patch<P>,
    ) -> Result<Scale> {
        self.client.request(self.request.patch_subresource("scale", name, pp, patch)?).await
    }

    /// Replaces the scale subresource of an object.
    ///
    /// # Errors
    ///
    /// [`Error::is_conflict`](crate::Error::is_conflict) if the object has changed since the scale was read.
    ///
    /// # Cancel safety
    /// Dropping the future ends the request. The server may already have performed it: see [`Api`].
    pub async fn replace_scale(&self, name: &str, pp: &PostParams, data: &Scale) -> Result<Scale> {
        let body = self.serialize_body(data)?;
        self.client.request(self.request.replace_subresource("scale", name, pp, body)?).await
    }
}
