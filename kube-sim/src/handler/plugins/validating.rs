//! The validating phase: calls all matching webhooks concurrently. [`call`], which both phases use, calls one
//! webhook.

use futures::future::join_all;
use serde_json::Value;

use super::attributes::{Attributes, Objects};
use super::webhook::Webhook;
use super::{conditions, matching, review};
use crate::handler::service_endpoint;
use crate::registry::Resource;
use crate::shared_state::Inner;
use crate::status::SimError;

/// Calls all validating webhooks that match the request, even if one denies the request.
///
/// # Errors
/// The response for the first webhook that denies the request or fails.
pub(super) async fn call_webhooks(
    inner: &Inner,
    webhooks: &[Webhook],
    attributes: &Attributes<'_>,
    warnings: &mut Vec<String>,
) -> Result<(), SimError> {
    let mut matching = Vec::new();
    for webhook in webhooks {
        let Some(resource) = matching::match_webhook(inner, webhook, attributes)? else { continue };
        let objects = attributes.objects_in(inner, &resource).await?;
        if conditions::all_match(inner, webhook, &resource, attributes, &objects)? {
            matching.push((webhook, resource, objects));
        }
    }
    let calls = matching
        .iter()
        .map(|(webhook, resource, objects)| call(inner, webhook, resource, attributes, objects, false));
    let responses = join_all(calls).await;
    let mut outcome = Ok(());
    for ((webhook, ..), response) in matching.iter().zip(responses) {
        let result = match response {
            Ok(response) => {
                warnings.extend(response.warnings);
                response.denial.map_or(Ok(()), |denial| Failure::Denied(denial).apply_failure_policy(webhook))
            }
            Err(failure) => failure.apply_failure_policy(webhook),
        };
        outcome = outcome.and(result);
    }
    outcome
}

/// The reason why a webhook does not admit a request.
#[derive(Debug)]
pub(super) enum Failure {
    /// The call fails, or the response is invalid. The failure policy of the webhook applies.
    Call(String),
    /// The webhook denies the request.
    Denied(SimError),
    /// An error to which the failure policy does not apply.
    Other(SimError),
}

impl Failure {
    /// Applies the failure policy of the webhook.
    ///
    /// # Errors
    /// The response to the request, unless the webhook ignores the failure.
    pub(super) fn apply_failure_policy(self, webhook: &Webhook) -> Result<(), SimError> {
        match self {
            Self::Call(why) if webhook.ignores_failures() => {
                tracing::debug!(webhook = webhook.name, why, "the failed call of a webhook is ignored");
                Ok(())
            }
            Self::Call(why) => {
                Err(SimError::internal(format!("failed calling webhook {:?}: {why}", webhook.name)))
            }
            Self::Denied(error) | Self::Other(error) => Err(error),
        }
    }
}

/// Calls a webhook. `resource` is the version of the resource in which the webhook receives the `objects`.
pub(super) async fn call(
    inner: &Inner,
    webhook: &Webhook,
    resource: &Resource,
    attributes: &Attributes<'_>,
    objects: &Objects,
    mutating: bool,
) -> Result<review::Response, Failure> {
    let side_effects = webhook.spec["sideEffects"].as_str().unwrap_or_default();
    if attributes.dry_run && !matches!(side_effects, "None" | "NoneOnDryRun") {
        let why = format!("admission webhook {:?} does not support dry run", webhook.name);
        return Err(Failure::Other(SimError::bad_request(why)));
    }
    let versions = webhook.list_field("admissionReviewVersions");
    if !versions.iter().any(|version| version == "v1") {
        let listed: Vec<_> = versions.iter().filter_map(Value::as_str).collect();
        return Err(Failure::Call(format!(
            "could not create admission objects: this server sends only AdmissionReview v1, and the webhook accepts {}",
            listed.join(", ")
        )));
    }
    let failed = |why: String| Failure::Call(format!("failed to call webhook: {why}"));
    let uid = inner.lock_random().uid();
    let review = review::admission_review(attributes, resource, objects, &uid);
    let endpoint = service_endpoint::endpoint(inner, &webhook.spec["clientConfig"], webhook.timeout())
        .map_err(failed)?;
    let response = endpoint.post(&review, webhook.timeout()).await.map_err(failed)?;
    review::verify(webhook, &uid, &response, mutating).map_err(Failure::Call)
}
