//! Decides whether the rules and selectors of a webhook or a policy match a request.

use std::sync::Arc;

use serde_json::Value;

use super::attributes::{Attributes, Operation};
use super::webhook::Webhook;
use crate::handler::admission::NAMESPACES;
use crate::registry::Resource;
use crate::shared_state::Inner;
use crate::status::SimError;
use crate::store::selector::{LabelSelector, Labels};

/// Returns the resource of the request if the webhook matches the request, and `None` otherwise. The webhook
/// receives objects in the API version of the returned resource. This version may differ from the API version
/// of the request.
///
/// # Errors
/// The response to a request whose namespace does not exist.
pub(super) fn match_webhook(
    inner: &Inner,
    webhook: &Webhook,
    attributes: &Attributes<'_>,
) -> Result<Option<Arc<Resource>>, SimError> {
    let namespace = namespace_matches(inner, &webhook.namespace_selector, attributes);
    if matches!(namespace, Ok(false)) || !object_matches(&webhook.object_selector, attributes) {
        return Ok(None);
    }
    let rules = webhook.list_field("rules");
    let Some(resource) = match_rules(inner, rules, webhook.matches_equivalents(), attributes) else {
        return Ok(None);
    };
    namespace?;
    Ok(Some(resource))
}

/// Returns the resource of the request if a rule matches it. If no rule does and `equivalents` is set, returns another
/// version of the resource that a rule matches.
pub(super) fn match_rules(
    inner: &Inner,
    rules: &[Value],
    equivalents: bool,
    attributes: &Attributes<'_>,
) -> Option<Arc<Resource>> {
    if rules.iter().any(|rule| rule_matches(rule, attributes, attributes.resource)) {
        return Some(attributes.resource.clone());
    }
    if !equivalents {
        return None;
    }
    let own = attributes.resource;
    let others: Vec<Arc<Resource>> = inner
        .lock()
        .registry
        .all_resources()
        .filter(|r| r.storage == own.storage && r.api_version != own.api_version)
        .filter(|r| attributes.subresource.is_empty() || r.subresource(attributes.subresource).is_some())
        .cloned()
        .collect();
    let matching = |rule: &Value| others.iter().find(|other| rule_matches(rule, attributes, other)).cloned();
    rules.iter().find_map(matching)
}

/// Whether a rule matches the request. The groups, versions and resources of the rule are compared with `resource`, which
/// is the resource of the request or another version of this resource.
fn rule_matches(rule: &Value, attributes: &Attributes<'_>, resource: &Resource) -> bool {
    let lists = |field: &str, wanted: &str| {
        let mut items = rule[field].as_array().into_iter().flatten();
        items.any(|item| item == "*" || item == wanted)
    };
    let is_namespace = is_namespace_resource(resource);
    let in_scope = match rule["scope"].as_str() {
        Some("Namespaced") => !attributes.namespace.is_empty() && !is_namespace,
        Some("Cluster") => attributes.namespace.is_empty() || is_namespace,
        _ => true,
    };
    let mut resources = crate::json::texts(&rule["resources"]);
    let names = rule["resourceNames"].as_array().map_or(&[][..], Vec::as_slice);
    let is_named = names.is_empty() || names.iter().any(|name| *name == *attributes.name);
    in_scope
        && is_named
        && lists("operations", attributes.operation.name())
        && lists("apiGroups", &resource.group)
        && lists("apiVersions", &resource.version)
        && resources.any(|text| {
            let (name, subresource) = text.split_once('/').unwrap_or((text, ""));
            (name == "*" || name == resource.plural)
                && (subresource == "*" || subresource == attributes.subresource)
        })
}

fn is_namespace_resource(resource: &Resource) -> bool {
    resource.group.is_empty() && resource.plural == "namespaces"
}

/// Whether the selector matches the namespace of the request. If the object is a `Namespace`, the selector applies to the
/// labels of the object. For any other cluster-scoped object, the result is true for every selector.
///
/// # Errors
/// 404 if the namespace does not exist.
pub(super) fn namespace_matches(
    inner: &Inner,
    selector: &LabelSelector,
    attributes: &Attributes<'_>,
) -> Result<bool, SimError> {
    let is_namespace = is_namespace_resource(attributes.resource);
    if selector.is_empty() || (attributes.namespace.is_empty() && !is_namespace) {
        return Ok(true);
    }
    let writes_namespace = is_namespace
        && attributes.subresource.is_empty()
        && matches!(attributes.operation, Operation::Create | Operation::Update);
    if writes_namespace && let Some(object) = &attributes.object {
        return Ok(selector.matches(&Labels::of(&object["metadata"])));
    }
    match inner.lock().get(NAMESPACES, &attributes.namespace) {
        Some(namespace) => Ok(selector.matches(&namespace.labels)),
        None => Err(SimError::not_found("", "namespaces", &attributes.namespace)),
    }
}

/// Whether the selector matches the new or the old object.
pub(super) fn object_matches(selector: &LabelSelector, attributes: &Attributes<'_>) -> bool {
    let matches = |object: &Option<Value>| {
        object.as_ref().is_some_and(|object| {
            object["metadata"].is_object() && selector.matches(&Labels::of(&object["metadata"]))
        })
    };
    selector.is_empty() || matches(&attributes.object) || matches(&attributes.old_object)
}
