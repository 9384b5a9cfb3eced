//! The admission plugins that users configure: webhooks and policies.
//!
//! The mutating plugins run before `prepare_for_create` and `prepare_for_update`, and the validating plugins run before
//! the object is committed. Plugins run while the state is not locked, and they must not change the storage.
//! `handler::admission` has the built-in plugins.

mod attributes;
mod authorizer;
mod calls;
mod conditions;
mod matching;
mod mutating;
mod patching;
mod policy;
mod review;
mod validating;
mod webhook;

use serde_json::Value;

use crate::admission_plugin::AdmissionPlugin;
use crate::shared_state::Inner;
use crate::status::SimError;

use super::reply::Request;
pub(crate) use attributes::Attributes;
use webhook::Webhook;

/// The admission phases, in the order in which the API server runs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Mutating,
    Validating,
}

impl Phase {
    /// The plugin that calls the webhooks of the phase.
    fn webhook_plugin(self) -> AdmissionPlugin {
        match self {
            Self::Mutating => AdmissionPlugin::MutatingAdmissionWebhook,
            Self::Validating => AdmissionPlugin::ValidatingAdmissionWebhook,
        }
    }

    fn configuration_table(self) -> &'static str {
        match self {
            Self::Mutating => "admissionregistration.k8s.io/mutatingwebhookconfigurations",
            Self::Validating => "admissionregistration.k8s.io/validatingwebhookconfigurations",
        }
    }
}

/// Whether the plugins of a phase have to run for a request. If not, the caller need not copy the object.
pub(crate) fn has_plugins_to_run(inner: &Inner, request: &Request, phase: Phase) -> bool {
    let state = inner.lock();
    let has_objects = |plugin: AdmissionPlugin, table: &str| {
        state.has_plugin(plugin) && state.table(table).is_some_and(|table| !table.is_empty())
    };
    (request.calls_webhooks && has_objects(phase.webhook_plugin(), phase.configuration_table()))
        || match phase {
            Phase::Mutating => {
                has_objects(AdmissionPlugin::MutatingAdmissionPolicy, policy::MUTATING_POLICIES)
            }
            Phase::Validating => {
                has_objects(AdmissionPlugin::ValidatingAdmissionPolicy, policy::VALIDATING_POLICIES)
            }
        }
}

/// The webhooks of a phase, sorted by the names of their configurations; none if the plugin is disabled.
fn webhooks(inner: &Inner, phase: Phase) -> Vec<Webhook> {
    let state = inner.lock();
    let table = state.table(phase.configuration_table()).filter(|_| state.has_plugin(phase.webhook_plugin()));
    let configurations = table.map(|table| table.objects("")).unwrap_or_default();
    drop(state);
    configurations.iter().flat_map(|configuration| Webhook::all_of(configuration)).collect()
}

/// Runs the mutating plugins, which may change the object of the request. Returns whether the object has changed.
///
/// If a policy has been applied or a webhook has changed the object, there is a second round: `built_in` runs the built-in
/// plugins on the object, and then policies and webhooks with the reinvocation policy `IfNeeded` run again. A webhook runs
/// again only if the object has changed after the call of the webhook.
///
/// # Errors
/// The response to a request that a plugin refuses, or whose webhook fails.
pub(crate) async fn mutate(
    inner: &Inner,
    attributes: &mut Attributes<'_>,
    built_in: impl Fn(&mut Value) -> Result<(), SimError>,
    warnings: &mut Vec<String>,
) -> Result<bool, SimError> {
    if attributes.configures_admission() {
        return Ok(false);
    }
    let webhooks = if attributes.calls_webhooks { webhooks(inner, Phase::Mutating) } else { Vec::new() };
    let before = attributes.object.clone();
    let (mut policies, mut calls) = (policy::MutatingPolicies::default(), mutating::WebhookCalls::default());
    for again in [false, true] {
        if again && let Some(object) = &mut attributes.object {
            built_in(object)?;
        }
        let applied = policies.run(inner, attributes, again).await?;
        let changed = calls.run(inner, &webhooks, attributes, again, warnings).await?;
        if !applied && !changed {
            break;
        }
    }
    Ok(attributes.object != before)
}

/// Runs the validating plugins.
///
/// # Errors
/// The response to the request, if a plugin refuses the request, or if a webhook with the failure policy
/// `Fail` fails.
pub(crate) async fn validate(
    inner: &Inner,
    attributes: &Attributes<'_>,
    warnings: &mut Vec<String>,
) -> Result<(), SimError> {
    if attributes.configures_admission() {
        return Ok(());
    }
    policy::evaluate_policies(inner, attributes, warnings).await?;
    if !attributes.calls_webhooks {
        return Ok(());
    }
    validating::call_webhooks(inner, &webhooks(inner, Phase::Validating), attributes, warnings).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Sim;

    #[test]
    fn methods_of_sim_evaluate_policies_but_call_no_webhook() {
        let sim = Sim::new();
        let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["*"]});
        for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
            sim.create(&json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "a"},
                "webhooks": [{
                    "name": "a.example.com", "rules": [rule], "clientConfig": {"url": "https://127.0.0.1:1/"},
                    "sideEffects": "None", "admissionReviewVersions": ["v1"],
                }],
            }))
            .unwrap();
        }
        let map = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        sim.create(&map("a")).unwrap();
        let policy = json!({
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "object.metadata.name != 'b'"}],
        });
        let binding = json!({"policyName": "p", "validationActions": ["Deny"]});
        for (kind, spec) in
            [("ValidatingAdmissionPolicy", policy), ("ValidatingAdmissionPolicyBinding", binding)]
        {
            sim.create(&json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "p"}, "spec": spec,
            }))
            .unwrap();
        }
        let denied = sim.create(&map("b")).unwrap_err();
        assert_eq!((denied.code().as_u16(), denied.reason()), (422, "Invalid"));
        sim.create(&map("c")).unwrap();
    }
}
