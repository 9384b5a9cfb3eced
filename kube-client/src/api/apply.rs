//! Server-side apply of whole objects, and retries after conflicts.

use super::{Api, Patch, PatchParams};
use crate::core::{Resource, ResourceExt};
use crate::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

impl<K: Resource + Serialize + DeserializeOwned> Api<K> {
    /// Applies an object with server-side apply. `object` must have a `metadata.name`. The server creates the object if
    /// the object does not exist. Returns the object that the server has stored.
    ///
    /// The field manager `pp.field_manager` then owns the fields that `object` sets. If an earlier apply of the manager
    /// set a field and `object` does not, the manager no longer owns the field. The server then removes the field if
    /// the field has no other owner. Set only the fields that the program wants to own. Leave out `managedFields`,
    /// because the server refuses them. Leave out an old `resourceVersion`, because it causes a conflict. Leave
    /// out the status; to apply it, use [`apply_status`](Api::apply_status).
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::ConfigMap;
    /// use kube_client::{Api, Client, api::PatchParams};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::new(kube_sim::Sim::new().service(), "default");
    /// let maps: Api<ConfigMap> = Api::default_namespaced(client);
    /// let mut map = ConfigMap::default();
    /// map.metadata.name = Some("settings".into());
    /// map.data = Some([("level".into(), "3".into())].into());
    /// let stored = maps.apply(&PatchParams::apply("docs"), &map).await?;
    /// assert!(stored.metadata.uid.is_some());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Request`] if the object has no name or `pp` has no field manager.
    /// [`Error::is_conflict`](crate::Error::is_conflict) if another field manager owns one of the fields with another
    /// value; [`PatchParams::force`] makes `pp.field_manager` the owner of these fields.
    ///
    /// # Cancel safety
    ///
    /// A write that is cancelled may or may not have taken effect. Repeating it is harmless.
    pub async fn apply(&self, pp: &PatchParams, object: &K) -> Result<K> {
        self.patch(name_of(object)?, pp, &Patch::Apply(object)).await
    }

    /// Applies the status of an object with server-side apply. `object` must have a `metadata.name`.
    ///
    /// The server ignores the other fields of `object`, except some metadata.
    ///
    /// # Errors
    ///
    /// As [`apply`](Api::apply), and [`Error::is_not_found`](crate::Error::is_not_found) if the object does not exist.
    ///
    /// # Cancel safety
    ///
    /// As [`apply`](Api::apply).
    pub async fn apply_status(&self, pp: &PatchParams, object: &K) -> Result<K> {
        self.patch_status(name_of(object)?, pp, &Patch::Apply(object)).await
    }
}

fn name_of<K: Resource>(object: &K) -> Result<&str> {
    object.meta().name.as_deref().ok_or_else(|| Error::Request {
        what: match object.namespace() {
            Some(namespace) => {
                format!("an apply needs a name: metadata.name of an object in {namespace} is not set")
            }
            None => "an apply needs a name: metadata.name is not set".to_owned(),
        },
        source: None,
    })
}

/// The maximum number of attempts of [`retry_on_conflict`].
const MAX_ATTEMPTS: usize = 5;
/// The pause before the second attempt. The pause doubles before each further attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// Runs `attempt` up to five times, while it fails with a conflict (409). The pause after the first failure is 10 ms.
/// The pause doubles after each further failure. A random time of up to half the pause is added to each pause.
///
/// Each attempt must read the object again: the resource version of the failed write stays outdated.
///
/// ```
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kube_client::{Api, Client, ResourceExt, api::{PostParams, retry_on_conflict}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = Client::new(kube_sim::Sim::new().service(), "default");
/// let maps: Api<ConfigMap> = Api::default_namespaced(client);
/// # maps.entry("settings").await?.or_insert(ConfigMap::default).commit(&PostParams::default()).await?;
/// let map = retry_on_conflict(async || {
///     let mut map = maps.get("settings").await?;
///     map.labels_mut().insert("app".into(), "web".into());
///     maps.replace("settings", &PostParams::default(), &map).await
/// })
/// .await?;
/// assert_eq!(map.labels()["app"], "web");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Returns the error of the last attempt. An error other than a conflict ends the attempts.
///
/// # Cancel safety
///
/// As cancel safe as `attempt`.
pub async fn retry_on_conflict<T>(mut attempt: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..MAX_ATTEMPTS {
        match attempt().await {
            Err(error) if error.is_conflict() => {}
            outcome => return outcome,
        }
        tokio::time::sleep(pause + pause.mul_f64(fastrand::f64() / 2.0)).await;
        pause *= 2;
    }
    attempt().await
}
