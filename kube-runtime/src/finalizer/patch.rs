//! Adds and removes one finalizer with JSON patches. A patch fails if another client has changed the finalizers that the
//! patch depends on.

use super::{Error, has_finalizer};
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, TestOperation};
use kube_client::api::{Patch, PatchParams};
use kube_client::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;

/// The maximum number of patches to add or to remove a finalizer. If concurrent changes make all patches fail, the call
/// fails with a conflict.
const MAX_ATTEMPTS: usize = 5;

/// An object and the finalizer to add or remove.
pub(super) struct FinalizerTarget<'a, K> {
    pub(super) api: &'a Api<K>,
    pub(super) name: &'a str,
    /// The path of the object, for errors.
    pub(super) path: &'a str,
    pub(super) finalizer: &'a str,
}

impl<K> FinalizerTarget<'_, K>
where
    K: Resource + DeserializeOwned + Send + 'static,
{
    /// Adds the finalizer if the object neither has the finalizer nor is marked for deletion. Returns the object with the
    /// finalizer. Returns `None` if the object no longer exists, or is marked for deletion and does not have the finalizer.
    pub(super) async fn ensure_finalizer<E>(&self, mut object: Arc<K>) -> Result<Option<Arc<K>>, Error<E>> {
        for _ in 0..MAX_ATTEMPTS {
            if has_finalizer(&*object, self.finalizer) {
                return Ok(Some(object));
            }
            if object.meta().deletion_timestamp.is_some() {
                return Ok(None);
            }
            let patch = Patch::<()>::Json(json_patch::Patch(self.operations_to_add(&*object)));
            let error = match self.api.patch(self.name, &PatchParams::default(), &patch).await {
                Ok(patched) => return Ok(Some(Arc::new(patched))),
                Err(error) => error,
            };
            object = match self.reread_object(&object, error).await {
                Ok(Some(current)) => current,
                Ok(None) => return Ok(None),
                Err(source) => return Err(Error::AddFinalizer { object: self.path.to_owned(), source }),
            };
        }
        Err(self.conflict_error())
    }

    /// Removes the finalizer if the object exists and still has the finalizer.
    pub(super) async fn remove_finalizer<E>(&self, mut object: Arc<K>) -> Result<(), Error<E>> {
        for _ in 0..MAX_ATTEMPTS {
            if !has_finalizer(&*object, self.finalizer) {
                return Ok(());
            }
            let patch = Patch::<()>::Json(json_patch::Patch(self.operations_to_remove(&*object)));
            let patched = self.api.patch_metadata(self.name, &PatchParams::default(), &patch).await;
            let Err(error) = patched else { return Ok(()) };
            object = match self.reread_object(&object, error).await {
                Ok(Some(current)) => current,
                Ok(None) => return Ok(()),
                Err(source) => return Err(Error::RemoveFinalizer { object: self.path.to_owned(), source }),
            };
        }
        Err(self.conflict_error())
    }

    /// The error after [`MAX_ATTEMPTS`] failed patches.
    fn conflict_error<E>(&self) -> Error<E> {
        Error::Conflict { object: self.path.to_owned(), finalizer: self.finalizer.to_owned() }
    }

    /// Reads the object after a patch failed with `error`. Returns the current object if another patch may succeed, and
    /// `None` if the object no longer exists. Returns `error` if its cause is not a concurrent change.
    ///
    /// The server returns 422 both for a failed `test` operation and for an invalid finalizer name. If the object is
    /// unchanged, the cause is the invalid name.
    async fn reread_object(
        &self,
        previous: &K,
        error: kube_client::Error,
    ) -> Result<Option<Arc<K>>, kube_client::Error> {
        if error.is_not_found() {
            return Ok(None);
        }
        if !error.is_conflict() && !error.is_invalid() {
            return Err(error);
        }
        let Some(current) = self.api.get_opt(self.name).await? else { return Ok(None) };
        if previous.meta().uid.is_some() && current.meta().uid != previous.meta().uid {
            return Ok(None);
        }
        let unchanged = current.finalizers() == previous.finalizers()
            && current.meta().deletion_timestamp == previous.meta().deletion_timestamp;
        if unchanged && !error.is_conflict() {
            return Err(error);
        }
        Ok(Some(Arc::new(current)))
    }

    /// The operations that append the finalizer if the list of finalizers is unchanged.
    fn operations_to_add(&self, object: &K) -> Vec<PatchOperation> {
        let present = object.finalizers();
        let expected = if present.is_empty() { Value::Null } else { present.into() };
        let addition = if present.is_empty() {
            AddOperation { path: finalizers_path(None), value: vec![self.finalizer].into() }
        } else {
            AddOperation { path: finalizers_path(Some("-")), value: self.finalizer.into() }
        };
        let mut operations = uid_test_operations(object);
        operations.push(test_operation(finalizers_path(None), expected));
        operations.push(PatchOperation::Add(addition));
        operations
    }

    /// The operations that remove each occurrence of the finalizer. The list may contain the finalizer
    /// several times, because the server does not deduplicate the list.
    fn operations_to_remove(&self, object: &K) -> Vec<PatchOperation> {
        let mut operations = uid_test_operations(object);
        // Iterate in reverse, because a removal shifts the later indices.
        for (index, _) in object.finalizers().iter().enumerate().rev().filter(|(_, f)| *f == self.finalizer) {
            let path = finalizers_path(Some(&index.to_string()));
            operations.push(test_operation(path.clone(), self.finalizer.into()));
            operations.push(PatchOperation::Remove(RemoveOperation { path }));
        }
        operations
    }
}

/// A `test` operation, which fails if the object was deleted and another object of the same name was created; no operation
/// if `object` has no uid.
fn uid_test_operations<K: Resource>(object: &K) -> Vec<PatchOperation> {
    let uid = object.meta().uid.as_deref();
    uid.map(|uid| test_operation(PointerBuf::from_tokens(["metadata", "uid"]), uid.into()))
        .into_iter()
        .collect()
}

/// The `test` operation that fails if the value at `path` differs from `value`.
fn test_operation(path: PointerBuf, value: Value) -> PatchOperation {
    PatchOperation::Test(TestOperation { path, value })
}

/// The JSON pointer of the list of finalizers, or of one entry.
fn finalizers_path(entry: Option<&str>) -> PointerBuf {
    PointerBuf::from_tokens(["metadata", "finalizers"].into_iter().chain(entry))
}
