//! The admission plugins ValidatingAdmissionPolicy and MutatingAdmissionPolicy: policies whose bindings select requests, and
//! whose validations and mutations are CEL expressions.

mod evaluation;
mod mutation;
mod params;

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::attributes::Attributes;
use super::matching::{match_rules, namespace_matches, object_matches};
use crate::admission_plugin::AdmissionPlugin;
use crate::handler::admission::NAMESPACES;
use crate::registry::Resource;
use crate::shared_state::Inner;
use crate::status::SimError;
use crate::store::selector::LabelSelector;
use evaluation::{Decision, Policy};
pub(super) use mutation::{MUTATING_POLICIES, MutatingPolicies};

pub(super) const VALIDATING_POLICIES: &str = "admissionregistration.k8s.io/validatingadmissionpolicies";
const VALIDATING_BINDINGS: &str = "admissionregistration.k8s.io/validatingadmissionpolicybindings";

/// A failed validation that denies the request, or an error of a policy or a binding.
struct Denial {
    policy: String,
    /// The name of the binding; `None` for an error of the policy itself.
    binding: Option<String>,
    message: String,
    /// The reason of the validation; empty for an error.
    reason: String,
}

/// Evaluates the validating policies that match the request.
///
/// # Errors
/// The response for the first denial; 404 if the namespace of the request does not exist; 500 if a conversion webhook
/// fails.
pub(super) async fn evaluate_policies(
    inner: &Inner,
    attributes: &Attributes<'_>,
    warnings: &mut Vec<String>,
) -> Result<(), SimError> {
    let mut denials = Vec::new();
    for (policy, bindings) in bound_policies(inner, VALIDATING_POLICIES, VALIDATING_BINDINGS) {
        check_policy(inner, attributes, &policy, &bindings, &mut denials, warnings).await?;
    }
    match denials.into_iter().next() {
        Some(denial) => Err(denial.into_error(attributes)),
        None => Ok(()),
    }
}

/// The objects of the table `table`, sorted by name.
fn objects(inner: &Inner, table: &str) -> Vec<Value> {
    let stored = inner.lock().objects(table, "");
    stored.iter().map(|object| object.value()).collect()
}

/// Returns the policies that have bindings, sorted by name, each with its bindings. `policies` and `bindings` are the names
/// of two tables. If the plugin of the policies is disabled, returns no policy.
fn bound_policies(inner: &Inner, policies: &str, bindings: &str) -> Vec<(Value, Vec<Value>)> {
    let plugin = match policies {
        VALIDATING_POLICIES => AdmissionPlugin::ValidatingAdmissionPolicy,
        _ => AdmissionPlugin::MutatingAdmissionPolicy,
    };
    if !inner.lock().has_plugin(plugin) {
        return Vec::new();
    }
    let bindings = objects(inner, bindings);
    let mut bound = Vec::new();
    for policy in objects(inner, policies) {
        let is_own = |binding: &&Value| binding["spec"]["policyName"] == policy["metadata"]["name"];
        let own: Vec<Value> = bindings.iter().filter(is_own).cloned().collect();
        if !own.is_empty() {
            bound.push((policy, own));
        }
    }
    bound
}

/// Evaluates one policy with each of its bindings, and appends the results to `denials` and `warnings`.
async fn check_policy(
    inner: &Inner,
    attributes: &Attributes<'_>,
    policy: &Value,
    bindings: &[Value],
    denials: &mut Vec<Denial>,
    warnings: &mut Vec<String>,
) -> Result<(), SimError> {
    let (resource, param_resource) = match match_policy(inner, attributes, policy) {
        Ok(None) => return Ok(()),
        Ok(Some(matched)) => matched,
        Err(why) => {
            denials.extend(Denial::of_configuration_error(policy, None, &why));
            return Ok(());
        }
    };
    let objects = attributes.objects_in(inner, &resource).await?;
    let namespace = namespace_object(inner, attributes)?;
    let compiled = Policy::compile(&policy["spec"]);
    for binding in bindings {
        let params = match binding_params(inner, attributes, binding, param_resource.as_ref()) {
            Ok(params) => params,
            Err(why) => {
                denials.extend(Denial::of_configuration_error(policy, Some(binding), &why));
                continue;
            }
        };
        for param in params {
            let found =
                compiled.evaluate(inner, attributes, &resource, &objects, param.as_ref(), namespace.as_ref());
            for decision in found {
                take_actions(policy, binding, &decision, denials, warnings);
            }
        }
    }
    Ok(())
}

/// The first value is the resource of the request, in the version that the policy matches. The policy
/// receives the objects of the request in this version. The second value is the resource of the policy's
/// parameters. It is `None` if the policy has no parameters.
type MatchedPolicy = (Arc<Resource>, Option<Arc<Resource>>);

/// Matches a policy with the request. Returns `None` if the policy does not match.
///
/// # Errors
/// The error text for a policy that cannot be used.
fn match_policy(
    inner: &Inner,
    attributes: &Attributes<'_>,
    policy: &Value,
) -> Result<Option<MatchedPolicy>, String> {
    let spec = &policy["spec"];
    match match_resources(inner, &spec["matchConstraints"], attributes).map_err(|error| error.to_string())? {
        None => Ok(None),
        Some(resource) => Ok(Some((resource, params::resource(inner, &spec["paramKind"])?))),
    }
}

/// The parameters for which a binding evaluates the policy; none if the binding does not match the request.
///
/// # Errors
/// The error text for a binding that cannot be used.
fn binding_params(
    inner: &Inner,
    attributes: &Attributes<'_>,
    binding: &Value,
    resource: Option<&Arc<Resource>>,
) -> Result<Vec<Option<Value>>, String> {
    match match_resources(inner, &binding["spec"]["matchResources"], attributes) {
        Ok(None) => Ok(Vec::new()),
        Ok(Some(_)) => params::collect(inner, resource, binding, &attributes.namespace),
        Err(error) => Err(error.to_string()),
    }
}

/// Denies the request or adds a warning, as the actions of the binding require. If `decision` always denies,
/// denies the request regardless of the actions. The action `Audit` has no effect, because the simulation
/// writes no audit log.
fn take_actions(
    policy: &Value,
    binding: &Value,
    decision: &Decision,
    denials: &mut Vec<Denial>,
    warnings: &mut Vec<String>,
) {
    let (policy, binding_name) = (name_of(policy), name_of(binding));
    let Decision { message, reason, .. } = decision;
    let mut actions = binding["spec"]["validationActions"].as_array().into_iter().flatten();
    if actions.clone().any(|action| action == "Warn") && !decision.always_denies {
        warnings.push(format!(
            "Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{binding_name}': {message}"
        ));
    }
    if decision.always_denies || actions.any(|action| action == "Deny") {
        let (message, reason) = (message.clone(), reason.clone());
        denials.push(Denial { policy, binding: Some(binding_name), message, reason });
    }
}

fn name_of(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

/// Matches the request against `resources`, an object of the type `MatchResources`. Returns the resource of
/// the request if `resources` selects it. If `resources` selects only another version of this resource,
/// returns that version, unless the `matchPolicy` is `Exact`. Returns `None` if `resources` does not select
/// the request. If `resources` is null, it selects all requests.
fn match_resources(
    inner: &Inner,
    resources: &Value,
    attributes: &Attributes<'_>,
) -> Result<Option<Arc<Resource>>, SimError> {
    let selector = |field: &str| LabelSelector::from_json(&resources[field]);
    let namespace = namespace_matches(inner, &selector("namespaceSelector"), attributes);
    if matches!(namespace, Ok(false)) || !object_matches(&selector("objectSelector"), attributes) {
        return Ok(None);
    }
    let rules = |field: &str| resources[field].as_array().map_or(&[][..], Vec::as_slice);
    let equivalents = resources["matchPolicy"] != "Exact";
    if match_rules(inner, rules("excludeResourceRules"), equivalents, attributes).is_some() {
        return Ok(None);
    }
    let found = match rules("resourceRules") {
        [] => Some(attributes.resource.clone()),
        included => match_rules(inner, included, equivalents, attributes),
    };
    namespace.map(|_| found)
}

/// The `Namespace` of the request, which is the variable `namespaceObject`; `None` for a cluster-scoped object.
///
/// # Errors
/// 404 if the namespace does not exist.
fn namespace_object(inner: &Inner, attributes: &Attributes<'_>) -> Result<Option<Value>, SimError> {
    let name = attributes.namespace.as_str();
    if name.is_empty() || !attributes.resource.namespaced {
        return Ok(None);
    }
    let found = inner.lock().get(NAMESPACES, name).cloned();
    let found = found.ok_or_else(|| SimError::not_found("", "namespaces", name))?;
    let mut namespace = found.typed_value("v1", "Namespace");
    if let Some(metadata) = namespace["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    Ok(Some(namespace))
}

impl Denial {
    /// The denial for a policy or a binding that cannot be used; `None` if the policy ignores failures.
    fn of_configuration_error(policy: &Value, binding: Option<&Value>, why: &str) -> Option<Self> {
        let what = if binding.is_some() { "binding" } else { "policy" };
        let denial = Self {
            policy: name_of(policy),
            binding: binding.map(name_of),
            message: format!("failed to configure {what}: {why}"),
            reason: String::new(),
        };
        (policy["spec"]["failurePolicy"] != "Ignore").then_some(denial)
    }

    fn into_error(self, attributes: &Attributes<'_>) -> SimError {
        let Self { policy, binding, message, reason } = self;
        let message = match binding {
            Some(binding) => {
                format!(
                    "ValidatingAdmissionPolicy '{policy}' with binding '{binding}' denied request: {message}"
                )
            }
            None => format!("ValidatingAdmissionPolicy '{policy}' denied request: {message}"),
        };
        let (code, reason) = match reason.as_str() {
            "Forbidden" => (StatusCode::FORBIDDEN, "Forbidden"),
            "Unauthorized" => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            "RequestEntityTooLarge" => (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge"),
            _ => (StatusCode::UNPROCESSABLE_ENTITY, "Invalid"),
        };
        let resource = attributes.resource;
        let name = attributes.name_in_errors();
        let forbidden = SimError::forbidden(&resource.group, &resource.plural, &name, &message);
        SimError::new(code, reason, forbidden.message())
            .with_details(&name, &resource.group, &resource.plural)
            .with_causes(vec![json!({"message": message})])
    }
}
