//! The mutating phase: calls webhooks one after the other, and applies their patches.

use std::collections::BTreeSet;

use serde_json::Value;

use super::attributes::{Attributes, Objects};
use super::validating::{Failure, call};
use super::webhook::Webhook;
use super::{conditions, matching, patching, review};
use crate::registry::Resource;
use crate::shared_state::Inner;
use crate::status::SimError;

/// The calls of mutating webhooks for one request, and the webhooks to call again.
#[derive(Debug, Default)]
pub(super) struct WebhookCalls {
    /// The indexes of the webhooks with the reinvocation policy `IfNeeded` that have been called since the last change.
    invoked: BTreeSet<usize>,
    /// The indexes of the webhooks to call again in the second round, because the object has changed after their call.
    again: BTreeSet<usize>,
    /// The object after the first round.
    output: Option<Value>,
}

impl WebhookCalls {
    /// Calls the webhooks that match the request; in the second round (`again`), only the webhooks in [`Self::again`].
    /// Returns whether the object has changed.
    ///
    /// # Errors
    /// The response to a request that a webhook denies, or whose webhook fails.
    pub(super) async fn run(
        &mut self,
        inner: &Inner,
        webhooks: &[Webhook],
        attributes: &mut Attributes<'_>,
        again: bool,
        warnings: &mut Vec<String>,
    ) -> Result<bool, SimError> {
        let mut changed = false;
        if again && attributes.object != self.output {
            self.again.append(&mut self.invoked);
        }
        for (index, webhook) in webhooks.iter().enumerate() {
            let Some(resource) = matching::match_webhook(inner, webhook, attributes)? else { continue };
            if again && !self.again.contains(&index) {
                continue;
            }
            let objects = attributes.objects_in(inner, &resource).await?;
            if !conditions::all_match(inner, webhook, &resource, attributes, &objects)? {
                continue;
            }
            let response = match call(inner, webhook, &resource, attributes, &objects, true).await {
                Ok(response) => response,
                Err(failure) => {
                    failure.apply_failure_policy(webhook)?;
                    record_call(webhook, index, &mut self.invoked);
                    continue;
                }
            };
            warnings.extend(response.warnings.iter().cloned());
            match apply(inner, webhook, &resource, attributes, objects, response).await {
                Ok(true) => {
                    changed = true;
                    self.again.append(&mut self.invoked);
                }
                Ok(false) => {}
                Err(failure) => failure.apply_failure_policy(webhook)?,
            }
            record_call(webhook, index, &mut self.invoked);
        }
        if !again && !webhooks.is_empty() {
            self.output.clone_from(&attributes.object);
        }
        Ok(changed)
    }
}

/// Records the call of a webhook if the webhook may be called again.
fn record_call(webhook: &Webhook, index: usize, invoked: &mut BTreeSet<usize>) {
    if webhook.is_reinvocable() {
        invoked.insert(index);
    }
}

/// Applies the response of a webhook to the object of the request. Returns whether the object has changed.
async fn apply(
    inner: &Inner,
    webhook: &Webhook,
    resource: &Resource,
    attributes: &mut Attributes<'_>,
    objects: Objects,
    response: review::Response,
) -> Result<bool, Failure> {
    if let Some(denial) = response.denial {
        return Err(Failure::Denied(denial));
    }
    let Some(patch) = response.patch else { return Ok(false) };
    let internal = |why: String| Failure::Other(SimError::internal(why));
    let undecodable = |why| Failure::Call(format!("received undecodable patch in webhook response: {why}"));
    let operations = patching::parse(&patch).map_err(undecodable)?;
    if operations.is_empty() {
        return Ok(false);
    }
    let Some(before) = objects.object else {
        return Err(internal(format!(
            "admission webhook {:?} attempted to modify the object, which is not supported for this operation",
            webhook.name
        )));
    };
    if response.patch_type != "JSONPatch" {
        return Err(Failure::Call(format!("unsupported patch type {:?}", response.patch_type)));
    }
    let mut after = patching::apply(&before, operations).map_err(internal)?;
    attributes.normalize(resource, &mut after).map_err(internal)?;
    if after == before {
        return Ok(false);
    }
    let after = attributes.convert(inner, after, resource, attributes.resource).await;
    attributes.object = Some(after.map_err(Failure::Other)?);
    Ok(true)
}
