//! The steps that create, update and patch share.
//!
//! The object of a write is decoded, defaulted, prepared by the strategy, tracked in `managedFields`, validated and
//! committed. The steps must have the same order as in the API server, because the order determines which errors a
//! client receives.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::convert;
use super::options::{FieldValidation, Options};
use super::target::Target;
use super::{gc, object_meta};
use crate::apply;
use crate::builtin;
use crate::patch;
use crate::protobuf;
use crate::registry::Resource;
use crate::schema::{self, FieldError};
use crate::status::SimError;
use crate::store::State;
use crate::store::object::{Stored, key};

/// The request context of a write.
pub(crate) struct WriteContext<'a> {
    pub(crate) target: &'a Target,
    pub(crate) options: &'a Options,
    /// The field manager: `fieldManager`, or the default from the user agent.
    pub(crate) manager: &'a str,
    /// Whether the write is a server-side apply, which has set `managedFields` already.
    pub(crate) applying: bool,
    /// Whether the object is the result of a patch.
    pub(crate) patching: bool,
    /// The texts of the `Warning` headers.
    pub(crate) warnings: Vec<String>,
}

/// The part of the object that a write changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WrittenPart {
    Object,
    Status,
    /// Another subresource that changes the object (`scale`, `resize`, ...).
    Other,
}

/// The result of a write.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) object: Arc<Stored>,
    pub(crate) created: bool,
}

/// Parses a request body.
///
/// # Errors
/// 400 for a body that does not parse, 415 for an unsupported media type.
pub(crate) fn parse_body(body: &Bytes, content_type: &str) -> Result<Value, SimError> {
    match content_type {
        "" | "application/json" | "*/*" => serde_json::from_slice(body).map_err(|e| {
            SimError::bad_request(format!(
                "the object provided is unrecognized: couldn't get version/kind; json parse error: {e}"
            ))
        }),
        "application/yaml" | "application/apply-patch+yaml" => parse_yaml(body),
        protobuf::MEDIA_TYPE => {
            let refused = |e| SimError::bad_request(format!("the object provided is unrecognized: {e}"));
            protobuf::decode(body).map_err(refused)
        }
        _ => Err(SimError::unsupported_media_type(&format!(
            "application/json, application/yaml, {}",
            protobuf::MEDIA_TYPE
        ))),
    }
}

/// Parses YAML, which includes JSON.
pub(crate) fn parse_yaml(body: &Bytes) -> Result<Value, SimError> {
    if body.first() == Some(&b'{')
        && let Ok(value) = serde_json::from_slice(body)
    {
        return Ok(value);
    }
    yaml_serde::from_slice(body).map_err(|e| SimError::bad_request(format!("error decoding YAML: {e}")))
}

impl<'a> WriteContext<'a> {
    fn resource(&self) -> &'a Resource {
        &self.target.resource
    }

    /// Checks the kind of the body; drops or refuses unknown and duplicate fields, as `fieldValidation` requests.
    pub(crate) fn decode(&mut self, object: &mut Value, duplicates: Vec<String>) -> Result<(), SimError> {
        let resource = self.resource();
        check_kind(resource, object)?;
        if resource.custom().is_some() {
            object_meta::metadata_mut(object)?;
        }
        let schema = resource.schema();
        let mut problems = duplicates;
        let mut unknown = object.clone();
        problems.extend(schema::prune(&schema, &mut unknown));
        *object = unknown;
        if resource.builtin().is_some() {
            schema::decode(&schema, object).map_err(|problem| self.decoding_error(object, &problem))?;
            object_meta::metadata_mut(object)?;
        }
        if problems.is_empty() {
            return Ok(());
        }
        match self.options.validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => self.warnings.extend(problems),
            FieldValidation::Strict => {
                return Err(self.decoding_error(object, &schema::strict_problem(&problems)));
            }
        }
        Ok(())
    }

    /// The error for an object that does not decode into its kind: 400 for a request body, 422 for the result of a
    /// patch.
    fn decoding_error(&self, object: &Value, problem: &str) -> SimError {
        let resource = self.resource();
        if self.patching {
            return SimError::invalid("", "", "", &[patch::undecodable_result_error(object, problem)]);
        }
        SimError::bad_request(schema::undecodable(&resource.kind, &resource.version, problem))
    }

    /// Adds the deprecation warning of a custom resource version.
    pub(crate) fn warn_of_deprecation(&mut self) {
        if let Some(text) = self.resource().custom().and_then(|c| c.deprecation.clone()) {
            self.warnings.push(text);
        }
    }

    /// Calls `run` with the context of server-side apply and of `managedFields`.
    pub(crate) fn with_apply_context<T>(
        &self,
        state: &State,
        run: impl FnOnce(&apply::Context<'_>) -> T,
    ) -> T {
        let resource = self.resource();
        let schema = resource.schema();
        let subresource = self.target.subresource.as_str();
        let now = state.clock.stamp();
        run(&apply::Context {
            schema: &schema,
            api_version: &resource.api_version,
            kind: &resource.kind,
            served: &resource.served,
            subresource,
            manager: self.manager,
            now: &now,
            reset: resource.strategy.reset_fields(subresource, resource.has_status()),
        })
    }

    /// Updates `managedFields`, unless a server-side apply has already done so.
    fn track_managed_fields(&self, state: &State, live: Option<&Value>, object: &mut Value) {
        if !self.applying {
            self.with_apply_context(state, |cx| apply::track(cx, live, object));
        }
    }

    /// Creates a decoded object.
    pub(crate) fn create(&mut self, state: &mut State, mut object: Value) -> Result<Written, SimError> {
        let resource = self.resource();
        apply_url_names(self.target, &mut object)?;
        let namespace = self.target.namespace.as_str();
        if resource.namespaced {
            check_namespace_lifecycle(state, resource, namespace, object_meta::text(&object, "name"))?;
        }
        // As in the API server, the storage refuses to create an object with a resource version other than 0, and a
        // dry run does not reach the storage.
        let version = object_meta::text(&object, "resourceVersion").parse::<u64>();
        if version.is_ok_and(|version| version != 0) && !self.options.dry_run {
            return Err(SimError::new(
                http::StatusCode::INTERNAL_SERVER_ERROR,
                "",
                "resourceVersion should not be set on objects to be created",
            ));
        }
        let clock = state.clock;
        object_meta::prepare_for_create(&mut object, namespace, &mut state.random, clock)?;
        if resource.strategy.has_generation {
            object["metadata"]["generation"] = 1.into();
        }
        apply_defaults(resource, None, &mut object);
        if !self.applying {
            drop_nulls(resource, &mut object);
        }
        // No field manager owns the fields that the strategy sets after this line.
        self.track_managed_fields(state, None, &mut object);
        resource.strategy.prepare_for_create(&mut object, resource.has_status(), &mut state.random);
        let mut errors = validate(resource, None, &object);
        errors.extend(object_meta::validate(resource, &object));
        let name = object_meta::text(&object, "name").to_owned();
        if !errors.is_empty() {
            return Err(SimError::invalid(&resource.group, &resource.kind, &name, &errors));
        }
        // As in the API server, an applied object is validated with its nulls and stored without them.
        drop_nulls(resource, &mut object);
        rewrite_numbers(resource, &mut object);
        let key = key(namespace, &name);
        if state.get(&resource.storage, &key).is_some() {
            return Err(SimError::already_exists(&resource.group, &resource.plural, &name));
        }
        let object = convert::to_storage_version(resource, object);
        if self.options.dry_run {
            return Ok(Written { object: response_object(resource, &key, 0, object), created: true });
        }
        let object = state.commit(resource, key, object)?;
        super::after_commit::after_create(state, resource, &object);
        Ok(Written { object, created: true })
    }

    /// Replaces `old` with `new`.
    pub(crate) fn update(
        &mut self,
        state: &mut State,
        old: &Arc<Stored>,
        mut new: Value,
        part: WrittenPart,
    ) -> Result<Written, SimError> {
        let resource = self.resource();
        let name = old.name().to_owned();
        apply_url_names(self.target, &mut new)?;
        let before = convert::view(resource, old);
        self.check_uid_and_version(old, &new)?;
        let copy_subresource = resource.strategy.copy_subresource.filter(|_| part == WrittenPart::Other);
        let subresource = self.target.subresource.as_str();
        if let Some(copy) = copy_subresource {
            let mut kept = before.clone();
            if copy(subresource, &mut kept, &new) {
                new = kept;
            }
        }
        if part == WrittenPart::Status {
            reset_all_but_status(resource, &before, &mut new);
        } else if resource.has_status() {
            copy_field(&before, &mut new, "status");
        }
        object_meta::prepare_for_update(&before, &mut new)?;
        apply_defaults(resource, Some(&before), &mut new);
        if !self.applying {
            drop_nulls(resource, &mut new);
        }
        if part != WrittenPart::Status {
            (resource.strategy.prepare_for_update)(&before, &mut new);
        }
        if resource.strategy.has_generation && part != WrittenPart::Status {
            let generation = before["metadata"]["generation"].as_i64().unwrap_or(0);
            let step = i64::from(increments_generation(resource, &before, &new));
            new["metadata"]["generation"] = (generation + step).into();
        }
        new["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
        self.track_managed_fields(state, Some(&before), &mut new);
        let mut errors = object_meta::validate_update(&before, &new);
        // The validation of an update refuses differences between the old and the new object. The fields that this
        // subresource may change must not differ, so the old object gets the new values of these fields.
        let counterpart = copy_subresource.map(|copy| {
            let mut kept = before.clone();
            copy(subresource, &mut kept, &new);
            kept
        });
        errors.extend(validate(resource, Some(counterpart.as_ref().unwrap_or(&before)), &new));
        if errors.is_empty() {
            errors.extend(object_meta::validate(resource, &new));
        }
        if !errors.is_empty() {
            return Err(SimError::invalid(&resource.group, &resource.kind, &name, &errors));
        }
        rewrite_numbers(resource, &mut new);
        if new == before {
            return Ok(Written { object: old.clone(), created: false });
        }
        // As in the API server, the nulls of an applied object count as a change, so each apply writes the object.
        drop_nulls(resource, &mut new);
        let new = convert::to_storage_version(resource, new);
        if self.options.dry_run {
            return Ok(Written {
                object: response_object(resource, &old.key, old.version, new),
                created: false,
            });
        }
        if gc::completes_deletion(resource, &before, &new) {
            // The updated object is in the response, but is not stored: the DELETED event contains the object before
            // the update.
            gc::erase(state, &(resource.storage.clone(), old.key.clone()));
            return Ok(Written {
                object: response_object(resource, &old.key, old.version, new),
                created: false,
            });
        }
        let object = state.commit(resource, old.key.clone(), new)?;
        super::after_commit::after_update(state, resource, &object);
        Ok(Written { object, created: false })
    }

    fn check_uid_and_version(&self, old: &Stored, new: &Value) -> Result<(), SimError> {
        let resource = self.resource();
        let conflict = |why: &str| SimError::conflict(&resource.group, &resource.plural, old.name(), why);
        let uid = object_meta::text(new, "uid");
        if !uid.is_empty() && uid != &*old.uid {
            let key = match resource.custom() {
                Some(_) => format!("{}/{}/{}", resource.group, resource.plural, old.key),
                None => format!("{}/{}", resource.plural, old.key),
            };
            return Err(conflict(&format!(
                "StorageError: invalid object, Code: 4, Key: /registry/{key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                old.uid
            )));
        }
        let version = object_meta::text(new, "resourceVersion");
        if version.is_empty() || version == "0" {
            if resource.strategy.allow_unconditional_update {
                return Ok(());
            }
            return Err(SimError::invalid_field(
                &resource.group,
                &resource.plural,
                old.name(),
                "metadata.resourceVersion",
                "Invalid value: 0: must be specified for an update",
            ));
        }
        match version.parse::<u64>() {
            Ok(version) if version == old.version => Ok(()),
            Ok(_) => Err(conflict(
                "the object has been modified; please apply your changes to the latest version and try again",
            )),
            Err(_) => Err(SimError::new(
                http::StatusCode::INTERNAL_SERVER_ERROR,
                "",
                format!("strconv.ParseUint: parsing \"{version}\": invalid syntax"),
            )),
        }
    }
}

/// Checks that `kind` and `apiVersion` of the body match the URL. Sets them if they are missing.
fn check_kind(resource: &Resource, object: &mut Value) -> Result<(), SimError> {
    let Some(map) = object.as_object_mut() else {
        return Err(SimError::bad_request(
            "the object provided is unrecognized: couldn't get version/kind; json: cannot unmarshal into Go value of type struct { APIVersion string; Kind string }",
        ));
    };
    let given = |field: &str| map.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, api_version) = (given("kind"), given("apiVersion"));
    if resource.custom().is_some() {
        for (field, label, value) in [("kind", "Kind", &kind), ("apiVersion", "apiVersion", &api_version)] {
            if value.is_empty() && map.get(field).is_none_or(|v| v == "") {
                let text = Value::Object(map.clone());
                return Err(SimError::bad_request(format!(
                    "the object provided is unrecognized (must be of type {}): Object '{label}' is missing in '{text}' ({text})",
                    resource.kind
                )));
            }
        }
    }
    if !api_version.is_empty() && api_version != resource.api_version {
        let kind = if kind.is_empty() { &resource.kind } else { &kind };
        if resource.builtin().is_some()
            && !builtin::resources().iter().any(|r| r.kind == kind && r.api_version() == api_version)
        {
            let version = api_version.rsplit('/').next().unwrap_or_default();
            return Err(SimError::bad_request(format!(
                "{kind} in version \"{version}\" cannot be handled as a {}: no kind \"{kind}\" is registered for version \"{api_version}\" in scheme \"pkg/runtime/scheme.go:111\"",
                resource.kind
            )));
        }
        return Err(SimError::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({})",
            resource.api_version
        )));
    }
    if !kind.is_empty() && kind != resource.kind {
        return Err(SimError::bad_request(format!(
            "{kind} in version \"{}\" cannot be handled as a {}: no kind \"{kind}\" is served at this path",
            resource.version, resource.kind
        )));
    }
    map.insert("apiVersion".into(), resource.api_version.clone().into());
    map.insert("kind".into(), resource.kind.clone().into());
    Ok(())
}

/// Checks that the name and the namespace of the body match the URL. Sets them if they are missing.
fn apply_url_names(target: &Target, object: &mut Value) -> Result<(), SimError> {
    let metadata = object_meta::metadata_mut(object)?;
    let given = |field: &str| metadata.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (name, namespace) = (given("name"), given("namespace"));
    if target.resource.namespaced {
        if !namespace.is_empty() && namespace != target.namespace {
            return Err(SimError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        metadata.insert("namespace".into(), target.namespace.clone().into());
    } else {
        metadata.remove("namespace");
    }
    if target.name.is_empty() {
        return Ok(());
    }
    if name.is_empty() {
        metadata.insert("name".into(), target.name.clone().into());
    } else if name != target.name {
        return Err(SimError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            target.name
        )));
    }
    Ok(())
}

/// The NamespaceLifecycle admission plugin: a new object needs a namespace that exists and is not terminating.
fn check_namespace_lifecycle(
    state: &State,
    resource: &Resource,
    namespace: &str,
    name: &str,
) -> Result<(), SimError> {
    let Some(found) = state.get("/namespaces", namespace) else {
        return Err(SimError::not_found("", "namespaces", namespace));
    };
    // A namespace is small, so parsing it on each create is acceptable.
    if !object_meta::is_being_deleted(&found.value()) {
        return Ok(());
    }
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    Err(SimError::forbidden(&resource.group, &resource.plural, name, &why).with_causes(vec![
        serde_json::json!({
            "reason": "NamespaceTerminating",
            "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        }),
    ]))
}

/// Applies the defaults of the schema, then the computed defaults of the kind.
fn apply_defaults(resource: &Resource, old: Option<&Value>, object: &mut Value) {
    schema::default(&resource.schema(), object);
    (resource.strategy.set_defaults)(old, object);
}

/// Drops the nulls that the schema of a custom resource does not allow (`nullable: false`).
fn drop_nulls(resource: &Resource, object: &mut Value) {
    if resource.custom().is_some() {
        schema::drop_nulls(&resource.schema(), object);
    }
}

/// Rewrites the numbers of a custom resource as Go serializes them. Validation must run first, because validation
/// needs the numbers as the client sent them.
fn rewrite_numbers(resource: &Resource, object: &mut Value) {
    if resource.custom().is_some() {
        schema::store_numbers(object);
    }
}

fn validate(resource: &Resource, old: Option<&Value>, object: &Value) -> Vec<FieldError> {
    match resource.custom() {
        None => resource.strategy.validate(&resource.schema(), old, object),
        Some(custom) => schema::validate(&custom.schema, object),
    }
}

/// Whether an update increments `metadata.generation`: it changes a field outside the metadata and the status.
fn increments_generation(resource: &Resource, old: &Value, new: &Value) -> bool {
    let ignored = |key: &str| {
        matches!(key, "metadata" | "apiVersion" | "kind") || (key == "status" && resource.has_status())
    };
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return false };
    let differs = |a: &serde_json::Map<String, Value>, b: &serde_json::Map<String, Value>| {
        a.iter().any(|(key, value)| !ignored(key) && b.get(key) != Some(value))
    };
    differs(old, new) || differs(new, old)
}

/// Copies `field` from `from` to `to`. If `from` does not have the field, removes the field of `to`.
fn copy_field(from: &Value, to: &mut Value, field: &str) {
    let Some(map) = to.as_object_mut() else { return };
    match from.get(field) {
        Some(value) => map.insert(field.to_owned(), value.clone()),
        None => map.remove(field),
    };
}

/// Resets `new` to `old`, except for the status and the metadata fields that a status update may change.
fn reset_all_but_status(resource: &Resource, old: &Value, new: &mut Value) {
    let mut kept = old.clone();
    copy_field(new, &mut kept, "status");
    for field in resource.strategy.status_metadata {
        if let (Some(from), Some(to)) = (new.get("metadata"), kept.get_mut("metadata")) {
            copy_field(from, to, field);
        }
    }
    *new = kept;
}

/// Builds the response object of a dry run or of a completed deletion, without storing it.
pub(super) fn response_object(
    resource: &Resource,
    key: &Arc<str>,
    version: u64,
    mut value: Value,
) -> Arc<Stored> {
    if version == 0 {
        value["metadata"].as_object_mut().map(|m| m.remove("resourceVersion"));
    }
    let fields = resource.fields.iter().map(|f| f.read(&value)).collect();
    Arc::new(Stored::new(key.clone(), version, fields, value))
}
