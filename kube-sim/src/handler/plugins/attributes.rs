//! The attributes of a request. Admission plugins match their rules against the attributes, and send the attributes to
//! webhooks.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::handler::conversion_webhooks::Converter;
use crate::handler::convert;
use crate::handler::options::{FieldValidation, Options};
use crate::handler::reply::Request;
use crate::handler::target::Target;
use crate::registry::Resource;
use crate::schema;
use crate::shared_state::Inner;
use crate::status::SimError;
use crate::user::User;

/// The operation of a request, as in the rules of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

impl Operation {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// The group, version and kind of the objects in requests for a resource or subresource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ObjectKind {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
}

impl ObjectKind {
    pub(super) fn of(resource: &Resource, subresource: &str) -> Self {
        let (group, version, kind) = match resource.subresource(subresource) {
            Some(sub) => (&sub.group, &sub.version, &sub.kind),
            None => (&resource.group, &resource.version, &resource.kind),
        };
        Self { group: group.clone(), version: version.clone(), kind: kind.clone() }
    }

    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({"group": self.group, "version": self.version, "kind": self.kind})
    }
}

/// The new and the old object of a request, in the version that a webhook or a policy receives.
#[derive(Debug)]
pub(super) struct Objects {
    pub(super) object: Option<Value>,
    pub(super) old_object: Option<Value>,
}

/// The attributes of a request.
#[derive(Debug)]
pub(crate) struct Attributes<'a> {
    pub(crate) operation: Operation,
    pub(crate) resource: &'a Arc<Resource>,
    pub(crate) subresource: &'a str,
    /// The namespace of the object. If the object is a `Namespace`: the name of the object.
    pub(crate) namespace: String,
    /// The name of the object. The name is empty if the server has not generated it yet, or if the request
    /// deletes a collection.
    pub(crate) name: String,
    /// The new object. For `CONNECT`: the options of the connection. For `DELETE`: `None`.
    pub(crate) object: Option<Value>,
    /// The stored object that the request updates or deletes. For `CREATE` and `CONNECT`: `None`.
    pub(crate) old_object: Option<Value>,
    /// The options of the request as an object of `meta.k8s.io/v1`; null for `CONNECT`.
    pub(crate) options: Value,
    pub(crate) dry_run: bool,
    pub(crate) user: User,
    /// Whether kube-sim calls webhooks for the request. False if a test sends the request through a method of `Sim`.
    pub(crate) calls_webhooks: bool,
}

impl<'a> Attributes<'a> {
    /// The attributes of a create or an update.
    pub(crate) fn of_write(
        request: &Request,
        target: &'a Target,
        options: &Options,
        name: &str,
        object: Value,
        old_object: Option<Value>,
    ) -> Self {
        let operation = if old_object.is_some() { Operation::Update } else { Operation::Create };
        Self {
            operation,
            resource: &target.resource,
            subresource: &target.subresource,
            namespace: namespace_of(target, name),
            name: name.to_owned(),
            object: Some(object),
            old_object,
            options: options_of_write(operation, options),
            dry_run: options.dry_run,
            user: request.user.clone(),
            calls_webhooks: request.calls_webhooks,
        }
    }

    /// The attributes of the deletion of one object. If the request deletes a collection, `name` is empty.
    pub(crate) fn of_deletion(
        request: &Request,
        target: &'a Target,
        name: &str,
        old_object: Value,
        options: Value,
        dry_run: bool,
    ) -> Self {
        Self {
            operation: Operation::Delete,
            resource: &target.resource,
            subresource: "",
            namespace: namespace_of(target, &target.name),
            name: name.to_owned(),
            object: None,
            old_object: Some(old_object),
            options,
            dry_run,
            user: request.user.clone(),
            calls_webhooks: request.calls_webhooks,
        }
    }

    /// The attributes of a request that connects to the target; `object` contains the options of the connection, such
    /// as `PodExecOptions`.
    pub(crate) fn of_connection(request: &Request, target: &'a Target, object: Value) -> Self {
        Self {
            operation: Operation::Connect,
            resource: &target.resource,
            subresource: &target.subresource,
            namespace: target.namespace.clone(),
            name: target.name.clone(),
            object: Some(object),
            old_object: None,
            options: Value::Null,
            dry_run: false,
            user: request.user.clone(),
            calls_webhooks: request.calls_webhooks,
        }
    }

    /// The name in error texts: the name of the object, its `generateName`, or `Unknown`.
    pub(super) fn name_in_errors(&self) -> String {
        let of_object =
            |field: &str| self.object.as_ref().and_then(|object| object["metadata"][field].as_str());
        let names = [Some(self.name.as_str()), of_object("name"), of_object("generateName"), Some("Unknown")];
        names.into_iter().flatten().find(|name| !name.is_empty()).unwrap_or_default().to_owned()
    }

    pub(super) fn kind(&self) -> ObjectKind {
        ObjectKind::of(self.resource, self.subresource)
    }

    /// Whether the object of the request has the kind of the resource. The object of a subresource can have another
    /// kind, such as `Scale`.
    pub(super) fn has_resource_kind(&self) -> bool {
        self.kind().kind == self.resource.kind
    }

    /// Whether the request is for a resource that configures webhooks or policies. No webhook or policy sees such a
    /// request.
    pub(super) fn configures_admission(&self) -> bool {
        self.resource.group == "admissionregistration.k8s.io"
    }

    /// The objects of the request, converted to `to`, which is a version of the resource.
    ///
    /// # Errors
    /// 500 if a conversion webhook fails.
    pub(super) async fn objects_in(&self, inner: &Inner, to: &Resource) -> Result<Objects, SimError> {
        let mut objects = [self.object.clone(), self.old_object.clone()];
        for object in objects.iter_mut().flatten() {
            *object = self.convert(inner, object.take(), self.resource, to).await?;
        }
        let [object, old_object] = objects;
        Ok(Objects { object, old_object })
    }

    /// Converts an object of the request from one version of the resource to another.
    ///
    /// # Errors
    /// 500 if a conversion webhook fails.
    pub(super) async fn convert(
        &self,
        inner: &Inner,
        object: Value,
        from: &Resource,
        to: &Resource,
    ) -> Result<Value, SimError> {
        if from.api_version == to.api_version || !self.has_resource_kind() {
            return Ok(object);
        }
        let converter = Converter { inner, resource: from, calls_webhooks: self.calls_webhooks };
        if converter.uses_webhook() {
            return converter.to_version(object, &to.api_version).await;
        }
        Ok(convert::between_versions(from, to, object))
    }

    /// Decodes an object that a plugin has changed, and sets its defaults. The decoding is the same as for the body of a
    /// request. `resource` is the resource in the API version of the object. Does nothing if the object has
    /// another kind than the resource, such as `Scale`.
    ///
    /// # Errors
    /// The error text for an object that does not decode into its kind.
    pub(super) fn normalize(&self, resource: &Resource, object: &mut Value) -> Result<(), String> {
        if !self.has_resource_kind() {
            return Ok(());
        }
        let schema = resource.schema();
        let _ = schema::prune(&schema, object);
        if resource.builtin_resource().is_some() {
            schema::decode(&schema, object, crate::protobuf::omits_zero)?;
        }
        schema::apply_defaults(&schema, object);
        (resource.strategy.set_defaults)(self.old_object.as_ref(), object);
        Ok(())
    }
}

/// The namespace of the object of a request. If the object is a `Namespace`: its name.
fn namespace_of(target: &Target, name: &str) -> String {
    let is_namespace = target.resource.group.is_empty() && target.resource.plural == "namespaces";
    if is_namespace { name.to_owned() } else { target.namespace.clone() }
}

fn options_of_write(operation: Operation, options: &Options) -> Value {
    let kind = if operation == Operation::Create { "CreateOptions" } else { "UpdateOptions" };
    let mut value = json!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
    if options.dry_run {
        value["dryRun"] = json!(["All"]);
    }
    if let Some(manager) = &options.manager {
        value["fieldManager"] = manager.as_str().into();
    }
    match options.validation {
        FieldValidation::Strict => value["fieldValidation"] = "Strict".into(),
        FieldValidation::Ignore => value["fieldValidation"] = "Ignore".into(),
        // `Warn` is the default of the API server. The options do not contain the default.
        FieldValidation::Warn => {}
    }
    value
}
