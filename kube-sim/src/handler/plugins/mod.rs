//! The admission plugins that users configure: webhooks.
//!
//! The mutating plugins run before an object is prepared, the validating plugins before it is committed. Both run while
//! the lock of the state is free, and must not change the storage. `handler::admission` has the built-in plugin.

mod attributes;
mod calls;
mod conditions;
mod matching;
mod mutating;
mod patching;
mod review;
mod validating;
mod webhook;

use crate::shared::Inner;
use crate::status::SimError;

use super::reply::Request;
pub(crate) use attributes::Attributes;
use webhook::Webhook;

/// The webhooks of one phase, in the order in which the API server calls them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Mutating,
    Validating,
}

impl Phase {
    fn table(self) -> &'static str {
        match self {
            Self::Mutating => "admissionregistration.k8s.io/mutatingwebhookconfigurations",
            Self::Validating => "admissionregistration.k8s.io/validatingwebhookconfigurations",
        }
    }
}

/// Whether the plugins of a phase have to run for a request. If not, the caller saves the copies of the object.
pub(crate) fn is_active(inner: &Inner, request: &Request, phase: Phase) -> bool {
    request.calls_webhooks && inner.lock().table(phase.table()).is_some_and(|table| !table.is_empty())
}

/// The webhooks of a phase, sorted by the names of their configurations.
fn webhooks(inner: &Inner, phase: Phase) -> Vec<Webhook> {
    let configurations = inner.lock().table(phase.table()).map(|table| table.objects("")).unwrap_or_default();
    configurations.iter().flat_map(|configuration| Webhook::all_of(configuration)).collect()
}

/// Runs the mutating plugins, which may change the object of the request. Returns whether they have changed it.
///
/// # Errors
/// The response to a request that a plugin refuses, or whose webhook fails.
pub(crate) async fn mutate(
    inner: &Inner,
    attributes: &mut Attributes<'_>,
    warnings: &mut Vec<String>,
) -> Result<bool, SimError> {
    if attributes.is_exempt() {
        return Ok(false);
    }
    mutating::dispatch(inner, &webhooks(inner, Phase::Mutating), attributes, warnings).await
}

/// Runs the validating plugins.
///
/// # Errors
/// The response to a request that a plugin refuses, or whose webhook fails.
pub(crate) async fn validate(
    inner: &Inner,
    attributes: &Attributes<'_>,
    warnings: &mut Vec<String>,
) -> Result<(), SimError> {
    if attributes.is_exempt() {
        return Ok(());
    }
    validating::dispatch(inner, &webhooks(inner, Phase::Validating), attributes, warnings).await
}
