//! Applies the mutations of the policies that match a request: [`MutatingPolicies`].

use std::collections::BTreeSet;
use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::evaluation::{CompileResult, compile_variables, failure_text};
use super::{binding_params, bound_policies, match_policy, name_of, namespace_object};
use crate::apply;
use crate::cel::{AdmissionExpression, AdmissionInputs, Evaluation, PatchError, PatchType};
use crate::handler::plugins::attributes::{Attributes, Objects};
use crate::handler::plugins::authorizer::RequestAuthorizer;
use crate::handler::plugins::{conditions, patching, review};
use crate::registry::Resource;
use crate::schema;
use crate::shared_state::Inner;
use crate::status::SimError;

pub(in crate::handler::plugins) const MUTATING_POLICIES: &str =
    "admissionregistration.k8s.io/mutatingadmissionpolicies";
const MUTATING_BINDINGS: &str = "admissionregistration.k8s.io/mutatingadmissionpolicybindings";

/// One application of a policy to the request: the policy, one of its bindings, and one parameter of this binding.
struct Invocation {
    policy: Arc<Value>,
    /// The variables of the policy.
    variables: Arc<[(String, CompileResult)]>,
    binding: String,
    resource: Arc<Resource>,
    params: Option<Value>,
}

/// The identity of an invocation: the policy, the binding, and the namespace and name of the parameter.
type Key = [String; 4];

/// An error of a policy whose failure policy is `Fail`.
struct Denial {
    message: String,
    /// The reason in the response: true for `Invalid`, false for `Forbidden`. The value is false if the
    /// policy or the binding cannot be used, and true for every other error.
    is_invalid: bool,
}

/// The reason why a mutation is not applied.
enum Failure {
    /// An error of the policy. The failure policy decides about it.
    Policy(String),
    /// An error to which the failure policy does not apply. This error is the response to the request.
    Response(SimError),
}

/// Runs the mutating policies of one request, and remembers the invocations to repeat.
#[derive(Debug, Default)]
pub(in crate::handler::plugins) struct MutatingPolicies {
    /// The invocations that the second round repeats. They ran in the first round, and their policies have
    /// the reinvocation policy `IfNeeded`.
    reinvocable: BTreeSet<Key>,
}

impl MutatingPolicies {
    /// Applies the mutations of the policies that match the request. `again` is false in the first round, and
    /// true in the second round. The second round repeats only the policies with the reinvocation policy
    /// `IfNeeded`. Returns true if a mutation has been applied, even if the object is still the same.
    ///
    /// # Errors
    /// The response to a request that a policy with the failure policy `Fail` cannot mutate.
    pub(in crate::handler::plugins) async fn run(
        &mut self,
        inner: &Inner,
        attributes: &mut Attributes<'_>,
        again: bool,
    ) -> Result<bool, SimError> {
        let mut denials = Vec::new();
        let invocations = invocations(inner, attributes, &mut denials);
        let mut applied = false;
        if !invocations.is_empty() {
            let namespace = namespace_object(inner, attributes)?;
            for invocation in invocations {
                if again && !self.reinvocable.contains(&invocation.key()) {
                    continue;
                }
                applied |= invocation.run(inner, attributes, namespace.as_ref(), &mut denials).await?;
                if invocation.policy["spec"]["reinvocationPolicy"] == "IfNeeded" {
                    self.reinvocable.insert(invocation.key());
                }
            }
        }
        match denials.first() {
            None => Ok(applied),
            Some(first) => Err(refusal(attributes, first, &denials)),
        }
    }
}

/// The invocations of the policies that match the request, in the order of the names of the policies.
fn invocations(inner: &Inner, attributes: &Attributes<'_>, denials: &mut Vec<Denial>) -> Vec<Invocation> {
    let mut found = Vec::new();
    for (policy, bindings) in bound_policies(inner, MUTATING_POLICIES, MUTATING_BINDINGS) {
        let policy = Arc::new(policy);
        let (resource, param_resource) = match match_policy(inner, attributes, &policy) {
            Ok(None) => continue,
            Ok(Some(matched)) => matched,
            Err(why) => {
                let why = format!("failed to configure policy: {why}");
                denials.extend(Denial::new(&policy, None, &why, false));
                continue;
            }
        };
        let variables: Arc<[_]> = compile_variables(&policy["spec"]).into();
        for binding in bindings {
            let name = name_of(&binding);
            match binding_params(inner, attributes, &binding, param_resource.as_ref()) {
                Ok(params) => found.extend(params.into_iter().map(|params| Invocation {
                    policy: policy.clone(),
                    variables: variables.clone(),
                    binding: name.clone(),
                    resource: resource.clone(),
                    params,
                })),
                Err(why) => {
                    let why = format!("failed to configure binding: {why}");
                    denials.extend(Denial::new(&policy, Some(&name), &why, false));
                }
            }
        }
    }
    found
}

impl Invocation {
    fn key(&self) -> Key {
        let of_params = |field: &str| {
            let metadata = self.params.as_ref().map(|params| &params["metadata"]);
            metadata.and_then(|metadata| metadata[field].as_str()).unwrap_or_default().to_owned()
        };
        [name_of(&self.policy), self.binding.clone(), of_params("namespace"), of_params("name")]
    }

    /// Applies the mutations to the object of the request. Returns whether one has been applied.
    async fn run(
        &self,
        inner: &Inner,
        attributes: &mut Attributes<'_>,
        namespace: Option<&Value>,
        denials: &mut Vec<Denial>,
    ) -> Result<bool, SimError> {
        let mut objects = attributes.objects_in(inner, &self.resource).await?;
        let authorizer = RequestAuthorizer { inner, attributes };
        let applied = self.mutate(&authorizer, &mut objects, namespace, denials)?;
        if let Some(object) = objects.object.filter(|_| applied) {
            let resource = attributes.resource;
            attributes.object = Some(attributes.convert(inner, object, &self.resource, resource).await?);
        }
        Ok(applied)
    }

    /// Applies the mutations one after the other to the object in `objects`. The `objects` are in the
    /// version of `self.resource`. Returns whether at least one mutation has been applied.
    fn mutate(
        &self,
        authorizer: &RequestAuthorizer<'_>,
        objects: &mut Objects,
        namespace: Option<&Value>,
        denials: &mut Vec<Denial>,
    ) -> Result<bool, SimError> {
        let spec = &self.policy["spec"];
        let list = |field: &str| spec[field].as_array().map_or(&[][..], Vec::as_slice);
        let attributes = authorizer.attributes;
        let request = review::admission_request(attributes, &self.resource);
        let inputs = |objects: &Objects| self.evaluation(authorizer, objects, &request, namespace);
        match conditions::evaluate(list("matchConditions"), &mut inputs(objects)) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(why) => {
                denials.extend(Denial::new(&self.policy, Some(&self.binding), &why, true));
                return Ok(false);
            }
        }
        let mut applied = false;
        for mutation in list("mutations") {
            let Some(before) = &objects.object else { break };
            let outcome = evaluate_patch(mutation, &mut inputs(objects))
                .and_then(|(patch_type, patch)| self.apply(attributes, before, patch_type, patch));
            match outcome {
                Ok(after) => {
                    objects.object = Some(after);
                    applied = true;
                }
                Err(Failure::Policy(why)) => {
                    denials.extend(Denial::new(&self.policy, Some(&self.binding), &why, true));
                }
                Err(Failure::Response(error)) => return Err(error),
            }
        }
        Ok(applied)
    }

    fn evaluation<'e>(
        &'e self,
        authorizer: &'e RequestAuthorizer<'_>,
        objects: &Objects,
        request: &Value,
        namespace: Option<&Value>,
    ) -> Evaluation<'e> {
        let inputs = AdmissionInputs {
            object: objects.object.as_ref(),
            old_object: objects.old_object.as_ref(),
            request,
            params: self.params.as_ref(),
            namespace,
        };
        Evaluation::new(&inputs, authorizer).with_variables(&self.variables)
    }

    /// Applies a patch to the object, and sets the defaults of the result.
    fn apply(
        &self,
        attributes: &Attributes<'_>,
        before: &Value,
        patch_type: PatchType,
        patch: Value,
    ) -> Result<Value, Failure> {
        let mut after = match patch_type {
            PatchType::ApplyConfiguration if !attributes.has_resource_kind() => {
                let kind = attributes.kind().kind;
                return Err(Failure::Policy(format!("kube-sim applies no configuration to the kind {kind}")));
            }
            PatchType::ApplyConfiguration => merge(&self.resource, before, patch)?,
            PatchType::JsonPatch => match apply_operations(&self.resource, before, patch)? {
                Some(after) => after,
                None => return Ok(before.clone()),
            },
        };
        attributes.normalize(&self.resource, &mut after).map_err(Failure::Policy)?;
        Ok(after)
    }
}

/// Evaluates the expression of a mutation. Returns the type of the patch and the patch.
fn evaluate_patch(mutation: &Value, evaluation: &mut Evaluation<'_>) -> Result<(PatchType, Value), Failure> {
    let (patch_type, field) = match mutation["patchType"].as_str() {
        Some("JSONPatch") => (PatchType::JsonPatch, "jsonPatch"),
        _ => (PatchType::ApplyConfiguration, "applyConfiguration"),
    };
    let text = mutation[field]["expression"].as_str().unwrap_or_default();
    let compiled = AdmissionExpression::compile_patch(text).map_err(Failure::Policy)?;
    let patch = evaluation.evaluate_patch(&compiled, patch_type).map_err(|error| match error {
        PatchError::Evaluation(why) => Failure::Policy(failure_text(text, &why)),
        PatchError::Result(why) => Failure::Policy(why),
    })?;
    Ok((patch_type, patch))
}

/// Merges an apply configuration into the object.
fn merge(resource: &Resource, before: &Value, mut config: Value) -> Result<Value, Failure> {
    for field in ["apiVersion", "kind"] {
        config[field] = before[field].clone();
    }
    let merged = apply::merge_without_tracking(&resource.schema(), before, &config);
    merged.map_err(|why| Failure::Policy(format!("error applying patch: {why}")))
}

/// Applies the operations of a JSON patch to the object. Returns `None` if an operation `test` fails: the object must then
/// stay unchanged.
fn apply_operations(
    resource: &Resource,
    before: &Value,
    operations: Value,
) -> Result<Option<Value>, Failure> {
    let Value::Array(operations) = operations else { return Ok(None) };
    let after = match patching::apply(before, operations) {
        Ok(after) => after,
        Err(why) if why.ends_with(": test failed") => return Ok(None),
        Err(why) => return Err(Failure::Policy(format!("JSON Patch: {why}"))),
    };
    if resource.builtin_resource().is_some() {
        let unknown = schema::prune(&resource.schema(), &mut after.clone());
        if !unknown.is_empty() {
            return Err(Failure::Response(SimError::internal(schema::strict_decoding_error(&unknown))));
        }
    }
    Ok(Some(after))
}

impl Denial {
    /// The denial for an error of a policy; `None` if the policy ignores errors.
    fn new(policy: &Value, binding: Option<&str>, why: &str, is_invalid: bool) -> Option<Self> {
        let name = name_of(policy);
        let message = match binding {
            Some(binding) => format!("policy '{name}' with binding '{binding}' denied request: {why}"),
            None => format!("policy {name:?} denied request: {why}"),
        };
        (policy["spec"]["failurePolicy"] != "Ignore").then_some(Self { message, is_invalid })
    }
}

/// The response to a request that policies deny.
fn refusal(attributes: &Attributes<'_>, first: &Denial, denials: &[Denial]) -> SimError {
    let resource = attributes.resource;
    let reason = if first.is_invalid { "Invalid" } else { "Forbidden" };
    let causes = denials.iter().map(|denial| json!({"message": denial.message})).collect();
    SimError::new(StatusCode::FORBIDDEN, reason, first.message.as_str())
        .with_details(&attributes.name_in_errors(), &resource.group, &resource.plural)
        .with_causes(causes)
}
