//! Deleting, one object or many.

use super::{Api, DeleteParams, ListParams, ObjectList};
use crate::Result;
use crate::core::Status;
use either::Either;
use serde::de::DeserializeOwned;

impl<K: DeserializeOwned> Api<K> {
    /// Deletes an object.
    ///
    /// `Left(object)`: the deletion has begun, and the object stays until its finalizers are done or its grace period is
    /// over. `Right(status)`: it is gone.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_found`](crate::Error::is_not_found) if there is none of that name,
    /// [`Error::is_conflict`](crate::Error::is_conflict) if a precondition does not hold.
    pub async fn delete(&self, name: &str, dp: &DeleteParams) -> Result<Either<K, Status>> {
        self.client.request_status(self.request.delete(name, dp)?).await
    }

    /// Deletes every object that a list with the same parameters would give.
    ///
    /// `Left(objects)`: these were deleted, some of which may stay for a while as [`delete`](Api::delete) says.
    /// `Right(status)`: all are gone.
    ///
    /// # Errors
    ///
    /// If the request fails; some objects may be deleted by then.
    pub async fn delete_collection(
        &self,
        dp: &DeleteParams,
        lp: &ListParams,
    ) -> Result<Either<ObjectList<K>, Status>> {
        self.client.request_status(self.request.delete_collection(dp, lp)?).await
    }
}
