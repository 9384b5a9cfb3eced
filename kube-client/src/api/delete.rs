//! The verbs delete and deletecollection.

use super::{Api, DeleteParams, ListParams, ObjectList};
use crate::Result;
use crate::core::Status;
use either::Either;
use serde::de::DeserializeOwned;

impl<K: DeserializeOwned> Api<K> {
    /// Deletes an object.
    ///
    /// Returns `Left(object)` if the server responds with the object. Usually the object is then only marked for deletion:
    /// it exists until its finalizers are removed and its grace period ends. For some kinds, such as `Pod`, the server may
    /// also respond with an object that it has deleted. Returns `Right(status)` if the server responds with a [`Status`]:
    /// the object has been deleted.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_found`](crate::Error::is_not_found) if no object has this name,
    /// [`Error::is_conflict`](crate::Error::is_conflict) if a precondition of `dp` fails.
    ///
    /// # Cancel safety
    /// Dropping the future ends the request. The server may already have performed it: see [`Api`].
    pub async fn delete(&self, name: &str, dp: &DeleteParams) -> Result<Either<K, Status>> {
        self.client.request_status(self.request.delete(name, dp)?).await
    }

    /// Deletes every object that a list with `lp` would return.
    ///
    /// Returns `Left(objects)` if the server responds with the objects: each of them is deleted or marked for deletion.
    /// Returns `Right(status)` if the server responds with a [`Status`]: all objects have been deleted.
    ///
    /// # Errors
    ///
    /// If the request fails. The server may have deleted some objects before the failure.
    ///
    /// # Cancel safety
    /// Dropping the future ends the request. The server may already have performed it: see [`Api`].
    pub async fn delete_collection(
        &self,
        dp: &DeleteParams,
        lp: &ListParams,
    ) -> Result<Either<ObjectList<K>, Status>> {
        self.client.request_status(self.request.delete_collection(dp, lp)?).await
    }
}
