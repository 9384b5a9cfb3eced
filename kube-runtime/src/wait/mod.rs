//! `wait`: waits until the state of one object satisfies a condition.
//!
//! This module watches the object with [`watch_object`], which recovers from failures. It must not poll with get
//! requests: polls would miss a state between two requests.

pub mod conditions;
pub mod delete;
mod error;

pub use error::Error;

use crate::watcher::{self, watch_object};
use futures::StreamExt;
use kube_client::{Api, Resource};
use serde::de::DeserializeOwned;
use std::{pin::pin, time::Duration};

/// A condition on the state of one object.
///
/// Closures `Fn(Option<&K>) -> bool` are conditions; [`conditions`] has conditions for built-in kinds. The argument is
/// `None` if the object does not exist.
///
/// ```
/// use k8s_openapi::api::core::v1::{Pod, PodStatus};
/// use kube_runtime::wait::{Condition, conditions};
///
/// let finished = |pod: Option<&Pod>| {
///     pod.and_then(|pod| pod.status.as_ref()).is_some_and(|status| status.phase.as_deref() == Some("Succeeded"))
/// };
/// let running_or_finished = conditions::is_pod_running().or(finished);
/// let status = PodStatus { phase: Some("Running".into()), ..PodStatus::default() };
/// let pod = Pod { status: Some(status), ..Pod::default() };
/// assert!(running_or_finished.matches_object(Some(&pod)));
/// assert!(!running_or_finished.matches_object(None));
/// ```
pub trait Condition<K> {
    /// Whether the condition is true for the state `obj`, which is `None` if the object does not exist.
    fn matches_object(&self, obj: Option<&K>) -> bool;

    /// The negation of this condition.
    fn not(self) -> conditions::Not<Self>
    where
        Self: Sized,
    {
        conditions::Not(self)
    }

    /// A condition that is true for a state if both conditions are true for this state.
    fn and<Other: Condition<K>>(self, other: Other) -> conditions::And<Self, Other>
    where
        Self: Sized,
    {
        conditions::And(self, other)
    }

    /// A condition that is true for a state if at least one of the two conditions is true for this state.
    fn or<Other: Condition<K>>(self, other: Other) -> conditions::Or<Self, Other>
    where
        Self: Sized,
    {
        conditions::Or(self, other)
    }
}

impl<K, F: Fn(Option<&K>) -> bool> Condition<K> for F {
    fn matches_object(&self, obj: Option<&K>) -> bool {
        self(obj)
    }
}

/// Waits until `cond` is true for the state of the object called `name`, and returns that state: `None` if the object
/// does not exist.
///
/// The condition is evaluated on the current state first, then on the state after each change. A state that is
/// replaced while the watch is interrupted is not evaluated. The wait has no time limit;
/// [`await_condition_within`] has one. After a failed list or watch, the function logs a warning, and the wait continues
/// with the backoff of a [`watcher`](crate::watcher()). The wait also continues while the kind does not exist on the
/// server (404).
///
/// ```
/// use k8s_openapi::api::core::v1::Namespace;
/// use kube_client::{Api, Client};
/// use kube_runtime::wait::{await_condition, conditions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = Client::new(kube_sim::Sim::new().service(), "default");
/// let namespaces: Api<Namespace> = Api::all(client);
/// let default = await_condition(namespaces, "default", conditions::is_created()).await?;
/// assert!(default.is_some());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`Error::ProbeFailed`] for a failure that waiting does not repair: the server rejects the credentials (401), the
/// list or watch is forbidden (403) or invalid, the client cannot send the request, or the object does not decode as
/// `K`.
///
/// # Cancel safety
///
/// Dropping the future ends the watch and has no other effect.
pub async fn await_condition<K>(api: Api<K>, name: &str, cond: impl Condition<K>) -> Result<Option<K>, Error>
where
    K: Resource + DeserializeOwned + Send + 'static,
{
    wait_for_condition(api, name, cond, &mut None).await
}

/// Like [`await_condition`], but fails after `limit`, which is measured by tokio's clock.
///
/// ```
/// use k8s_openapi::api::core::v1::Namespace;
/// use kube_client::{Api, Client};
/// use kube_runtime::wait::{Error, await_condition_within, conditions};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let client = Client::new(kube_sim::Sim::new().service(), "default");
/// let namespaces: Api<Namespace> = Api::all(client);
/// let limit = Duration::from_millis(50);
/// let absent = await_condition_within(namespaces, "absent", conditions::is_created(), limit).await;
/// assert!(matches!(absent, Err(Error::TimedOut { .. })));
/// # }
/// ```
///
/// # Errors
///
/// The errors of [`await_condition`]; [`Error::TimedOut`] if the condition is not true within `limit`. `TimedOut` contains
/// the last failure of the watch, unless the watch has returned a state of the object after that failure.
///
/// # Cancel safety
///
/// Dropping the future ends the watch and has no other effect.
pub async fn await_condition_within<K>(
    api: Api<K>,
    name: &str,
    cond: impl Condition<K>,
    limit: Duration,
) -> Result<Option<K>, Error>
where
    K: Resource + DeserializeOwned + Send + 'static,
{
    let object = format!("{}/{name}", api.resource_url());
    let mut last = None;
    match tokio::time::timeout(limit, wait_for_condition(api, name, cond, &mut last)).await {
        Ok(result) => result,
        Err(_) => Err(Error::TimedOut { object, after: limit, last: last.map(Box::new) }),
    }
}

/// Waits until the condition is true. If the watch fails but may recover, stores the error in `last` and
/// continues. Any other error ends the wait. When the watch emits a state of the object, sets `last` to
/// `None`.
async fn wait_for_condition<K>(
    api: Api<K>,
    name: &str,
    cond: impl Condition<K>,
    last: &mut Option<watcher::Error>,
) -> Result<Option<K>, Error>
where
    K: Resource + DeserializeOwned + Send + 'static,
{
    let mut states = pin!(watch_object(api, name));
    loop {
        match states.next().await {
            Some(Ok(state)) => {
                *last = None;
                if cond.matches_object(state.as_ref()) {
                    return Ok(state);
                }
            }
            Some(Err(error)) if may_recover(&error, name) => {
                tracing::warn!(name, "the wait for a condition continues: {error}");
                *last = Some(error);
            }
            Some(Err(error)) => return Err(Error::ProbeFailed(error)),
            // The stream of a watcher never ends.
            None => std::future::pending().await,
        }
    }
}

/// Whether the watch may succeed later without a change of the program or of its permissions.
fn may_recover(error: &watcher::Error, name: &str) -> bool {
    if let Some(object) = error.undecodable() {
        // A server that ignores the field selector also sends other objects.
        return object.name.as_deref().is_some_and(|other| other != name);
    }
    if let watcher::Error::InitialListFailed { source, .. }
    | watcher::Error::WatchStartFailed { source, .. }
    | watcher::Error::WatchFailed { source, .. } = error
        && matches!(source, kube_client::Error::Request { .. } | kube_client::Error::Config(_))
    {
        return false;
    }
    !error.status().is_some_and(|status| {
        status.is_forbidden() || status.is_unauthorized() || status.is_invalid() || status.code == 400
    })
}
