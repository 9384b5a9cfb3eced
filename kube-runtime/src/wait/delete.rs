//! `delete_and_finalize`: deletes an object and waits until it is removed from the API.

use super::conditions;
use crate::wait;
use kube_client::api::DeleteParams;
use kube_client::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::{error::Error as StdError, fmt, time::Duration};

/// The error of a deletion that failed or was not observed.
///
/// Its `Display` text includes the text of the cause. `source()` therefore skips the cause and returns the source of
/// the cause, so that a printed chain of errors repeats no message.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The server returned the deleted object without a uid. Without a uid, the object cannot be distinguished from a new
    /// object of the same name.
    NoUid,
    /// The delete request failed.
    Delete {
        /// The path of the object.
        object: String,
        /// The error of the delete request.
        source: kube_client::Error,
    },
    /// The object was marked for deletion, but the wait for its removal failed.
    Await(wait::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoUid => f.write_str("cannot wait for the deletion: the deleted object has no uid"),
            Self::Delete { object, source } => write!(f, "cannot delete {object}: {source}"),
            Self::Await(error) => write!(f, "cannot observe the deletion: {error}"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::NoUid => None,
            Self::Delete { source, .. } => source.source(),
            Self::Await(error) => error.source(),
        }
    }
}

/// Deletes an object and waits until it is removed: until its finalizers are removed and its grace period ends.
///
/// An object of the same name that is created afterwards has another uid and does not prolong the wait. With
/// [`DeleteParams::dry_run`] nothing is deleted, and the function returns after the request. The wait has no time
/// limit; [`delete_and_finalize_within`] has one. The function watches only metadata, and needs the permissions
/// `delete`, `list` and `watch`.
///
/// ```
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kube_client::{Api, Client, api::{DeleteParams, PostParams}};
/// use kube_runtime::wait::delete::delete_and_finalize;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = Client::new(kube_sim::Sim::new().service(), "default");
/// let maps: Api<ConfigMap> = Api::default_namespaced(client);
/// let mut map = ConfigMap::default();
/// map.metadata.name = Some("settings".into());
/// maps.create(&PostParams::default(), &map).await?;
///
/// delete_and_finalize(maps.clone(), "settings", &DeleteParams::default()).await?;
/// assert!(maps.get_opt("settings").await?.is_none());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`Error::Delete`] if the request fails, for instance because the object does not exist; [`Error::NoUid`] if the
/// server returns the object without a uid; [`Error::Await`] if the wait fails, with an error of
/// [`await_condition`](super::await_condition).
///
/// # Cancel safety
///
/// Not cancel safe: the object may already be marked for deletion when the future is dropped.
pub async fn delete_and_finalize<K>(
    api: Api<K>,
    name: &str,
    delete_params: &DeleteParams,
) -> Result<(), Error>
where
    K: Resource + DeserializeOwned + Send + 'static,
{
    let Some(uid) = delete(&api, name, delete_params).await? else { return Ok(()) };
    let deleted = conditions::is_deleted(&uid);
    wait::await_condition(api.into_metadata(), name, deleted).await.map(drop).map_err(Error::Await)
}

/// Like [`delete_and_finalize`], but the wait for the removal fails after `limit`.
///
/// The limit does not include the delete request, which has the time limits of the client.
///
/// ```
/// use k8s_openapi::api::core::v1::Namespace;
/// use kube_client::{Api, Client, api::DeleteParams};
/// use kube_runtime::wait::delete::{Error, delete_and_finalize_within};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let client = Client::new(kube_sim::Sim::new().service(), "default");
/// let namespaces: Api<Namespace> = Api::all(client);
/// let limit = Duration::from_secs(10);
/// let error = delete_and_finalize_within(namespaces, "absent", &DeleteParams::default(), limit).await.unwrap_err();
/// assert!(matches!(error, Error::Delete { source, .. } if source.is_not_found()));
/// # }
/// ```
///
/// # Errors
///
/// The errors of [`delete_and_finalize`]; [`Error::Await`] with [`wait::Error::TimedOut`] if the object still exists
/// after `limit`. The object remains marked for deletion.
///
/// # Cancel safety
///
/// Not cancel safe: the object may already be marked for deletion when the future is dropped.
pub async fn delete_and_finalize_within<K>(
    api: Api<K>,
    name: &str,
    delete_params: &DeleteParams,
    limit: Duration,
) -> Result<(), Error>
where
    K: Resource + DeserializeOwned + Send + 'static,
{
    let Some(uid) = delete(&api, name, delete_params).await? else { return Ok(()) };
    let deleted = conditions::is_deleted(&uid);
    let wait = wait::await_condition_within(api.into_metadata(), name, deleted, limit);
    wait.await.map(drop).map_err(Error::Await)
}

/// Deletes the object. Returns the uid of the object if the caller must wait for the removal; otherwise `None`.
async fn delete<K>(api: &Api<K>, name: &str, dp: &DeleteParams) -> Result<Option<String>, Error>
where
    K: Resource + DeserializeOwned,
{
    let object = || format!("{}/{name}", api.resource_url());
    let deleted = api.delete(name, dp).await;
    let deleted = deleted.map_err(|source| Error::Delete { object: object(), source })?;
    if dp.dry_run {
        return Ok(None);
    }
    deleted.either(
        |object| object.uid().map(Some).ok_or(Error::NoUid),
        // A status without a uid means that the object is deleted. Some servers send a status with the uid before the
        // object is deleted.
        |status| Ok(status.details.map(|details| details.uid).filter(|uid| !uid.is_empty())),
    )
}
