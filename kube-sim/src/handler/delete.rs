//! The verbs `delete` and `deletecollection`.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::options::Options;
use super::render::Page;
use super::target::Target;
use super::write::{parse_body, parse_json_object, response_object};
use super::{Call, admission, convert, deletion, object_meta, read};
use crate::builtin;
use crate::controllers;
use crate::schema::{self, FieldError};
use crate::status::SimError;
use crate::store::object::StoredObject;

/// The `DeleteOptions` of a request. Options in the body have precedence over options in the query.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    /// The grace period in seconds; `None` for the default of the kind.
    grace: Option<i64>,
    propagation: Option<String>,
    orphan: Option<bool>,
    dry_run: bool,
    preconditions: Preconditions,
    /// Whether the client wants to delete an object that cannot be decoded. The server then refuses to delete an object
    /// that can be decoded.
    ignore_read_error: bool,
}

/// The name of the option for the deletion of an object that the server cannot decode.
const IGNORE_READ_ERROR: &str = "ignoreStoreReadErrorWithClusterBreakingPotential";

/// The UID and the resource version that the object must have.
#[derive(Clone, Debug, Default)]
pub(super) struct Preconditions {
    uid: Option<String>,
    version: Option<String>,
}

impl DeleteOptions {
    /// Combines the options of the query, which are already parsed, with the options in the body.
    ///
    /// # Errors
    /// 400 for a body that is not a `DeleteOptions` object, 415 for an unsupported media type, 422 for invalid values.
    pub(crate) fn parse(options: &Options, body: &Bytes, content_type: &str) -> Result<Self, SimError> {
        let mut delete = Self {
            grace: options.grace,
            propagation: options.propagation.clone(),
            orphan: options.orphan,
            dry_run: options.dry_run,
            preconditions: Preconditions::default(),
            ignore_read_error: options.ignore_read_error.unwrap_or_default(),
        };
        if !body.is_empty() {
            delete.read_body(&decode_body(body, content_type)?)?;
        }
        delete.validate()?;
        Ok(delete)
    }

    /// Whether the request sets neither a propagation policy nor `orphanDependents`.
    pub(crate) fn has_default_propagation(&self) -> bool {
        self.propagation.is_none() && self.orphan.is_none()
    }

    /// Reads the options in the request body.
    fn read_body(&mut self, body: &Value) -> Result<(), SimError> {
        let text = |v: &Value| v.as_str().map(str::to_owned);
        self.grace = body["gracePeriodSeconds"].as_i64().or(self.grace);
        self.propagation = text(&body["propagationPolicy"]).or(self.propagation.take());
        self.orphan = body["orphanDependents"].as_bool().or(self.orphan);
        self.preconditions = Preconditions::of(body);
        self.ignore_read_error = body[IGNORE_READ_ERROR].as_bool().unwrap_or(self.ignore_read_error);
        let dry_run = body["dryRun"].as_array().map(Vec::as_slice).unwrap_or_default();
        if dry_run.iter().any(|entry| entry != "All") {
            let error = FieldError::not_supported("dryRun", body["dryRun"].clone(), &["All"]);
            return Err(SimError::invalid("meta.k8s.io", "DeleteOptions", "", &[error]));
        }
        self.dry_run |= !dry_run.is_empty();
        Ok(())
    }

    /// The options as an object, which admission plugins receive.
    fn to_json(&self) -> Value {
        let mut value = json!({"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"});
        let mut set = |field: &str, item: Option<Value>| {
            if let Some(item) = item {
                value[field] = item;
            }
        };
        set("gracePeriodSeconds", self.grace.map(Value::from));
        set("propagationPolicy", self.propagation.clone().map(Value::from));
        set("orphanDependents", self.orphan.map(Value::from));
        set("dryRun", self.dry_run.then(|| json!(["All"])));
        set(IGNORE_READ_ERROR, self.ignore_read_error.then(|| true.into()));
        let Preconditions { uid, version } = &self.preconditions;
        if uid.is_some() || version.is_some() {
            value["preconditions"] = json!({});
        }
        for (field, text) in [("uid", uid), ("resourceVersion", version)] {
            if let Some(text) = text {
                value["preconditions"][field] = text.as_str().into();
            }
        }
        value
    }

    fn validate(&self) -> Result<(), SimError> {
        let mut errors = Vec::new();
        if let Some(policy) = &self.propagation
            && !matches!(policy.as_str(), "Foreground" | "Background" | "Orphan")
        {
            errors.push(FieldError::not_supported(
                "propagationPolicy",
                policy.as_str(),
                &["Foreground", "Background", "Orphan", "nil"],
            ));
        }
        if self.propagation.is_some() && self.orphan.is_some() {
            errors.push(FieldError::invalid(
                "propagationPolicy",
                self.propagation.clone().unwrap_or_default(),
                "orphanDependents and deletionPropagation cannot be both set",
            ));
        }
        if self.ignore_read_error {
            let Preconditions { uid, version } = &self.preconditions;
            let others = [
                ("propagationPolicy", self.propagation.is_some()),
                ("orphanDependents", self.orphan.is_some()),
                ("gracePeriodSeconds", self.grace.is_some()),
                ("preconditions", uid.is_some() || version.is_some()),
            ];
            errors.extend(others.into_iter().filter(|(_, set)| *set).map(|(field, _)| {
                FieldError::invalid(IGNORE_READ_ERROR, true, format!("cannot be set together with .{field}"))
            }));
        }
        if errors.is_empty() {
            return Ok(());
        }
        Err(SimError::invalid("meta.k8s.io", "DeleteOptions", "", &errors))
    }
}

/// Decodes the body of a deletion.
///
/// # Errors
/// 400 for a body that is not a `DeleteOptions` object, 415 for an unsupported media type.
fn decode_body(body: &Bytes, content_type: &str) -> Result<Value, SimError> {
    let mut body = match content_type {
        "" | "application/json" => parse_json_object(body).map_err(SimError::bad_request)?,
        _ => parse_body(body, content_type, "DeleteOptions")?,
    };
    let text = |field: &str| body[field].as_str().unwrap_or_default();
    let (kind, version) = (text("kind"), text("apiVersion"));
    if !matches!(kind, "" | "DeleteOptions") {
        return Err(SimError::bad_request(format!(
            "no kind {kind:?} is registered for version {version:?} in scheme \"pkg/runtime/scheme.go:111\""
        )));
    }
    if let Some(schema) = builtin::schema("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions") {
        schema::decode(&schema, &mut body, |_, _| false).map_err(SimError::bad_request)?;
    }
    Ok(body)
}

impl Preconditions {
    /// The preconditions of `DeleteOptions`.
    pub(super) fn of(options: &Value) -> Self {
        let text = |field: &str| options["preconditions"][field].as_str().map(str::to_owned);
        Self { uid: text("uid"), version: text("resourceVersion") }
    }

    /// Returns a conflict if the UID or resource version of the object differs from the preconditions.
    pub(super) fn check(&self, target: &Target, object: &StoredObject) -> Result<(), SimError> {
        let resource = &target.resource;
        let refuse = |what: &str, wanted: &str, have: &str, hint: &str| {
            let why = format!(
                "the {what} in the precondition ({wanted}) does not match the {what} in record ({have}). The object might have been {hint}"
            );
            // The API server reports the kind here, although other conflicts report the resource.
            Err(SimError::conflict(&resource.group, &resource.kind, object.name(), &why))
        };
        if let Some(uid) = self.uid.as_deref().filter(|uid| *uid != &*object.uid) {
            return refuse("UID", uid, &object.uid, "deleted and then recreated");
        }
        let have = object.version.to_string();
        if let Some(version) = self.version.as_deref().filter(|v| *v != have) {
            return refuse("ResourceVersion", version, &have, "modified");
        }
        Ok(())
    }
}

/// The body of the response to a deletion: the object or a `Status`.
pub(crate) enum DeletionResponse {
    /// The object that was deleted or got a deletionTimestamp. If `accepted` is true, the response has the code 202,
    /// otherwise 200.
    Object {
        object: Value,
        accepted: bool,
    },
    Status(Value),
}

/// Deletes one object. Releases the lock of the state between the checks (preconditions and admission) and the deletion.
/// Repeats the checks if another request changes the object in between.
///
/// Admission plugins receive `name` as the name of the object. In the deletion of a collection, `name` is empty.
pub(crate) async fn delete_one(
    call: &Call<'_>,
    target: &Target,
    delete: &DeleteOptions,
    name: &str,
    warnings: &mut Vec<String>,
) -> Result<DeletionResponse, SimError> {
    let (inner, resource) = (call.inner, &target.resource);
    let warning_count = warnings.len();
    loop {
        let object = read::find(inner.lock().view(), target)?;
        delete.preconditions.check(target, &object)?;
        if delete.ignore_read_error {
            return Err(decodable_object_error(target, &object));
        }
        admission::check_delete(&inner.lock(), resource, name)?;
        warnings.truncate(warning_count);
        let shown = call.converter().convert_stored(object.clone()).await?;
        let old = || (convert::from_stored(resource, &shown), delete.to_json(), delete.dry_run);
        call.admit_deletion(target, name, old, warnings).await?;
        let storage_key = (resource.storage.clone(), object.key.clone());
        let finalizers = object_meta::finalizers(&object.value());
        let propagation =
            deletion::propagation(resource, delete.propagation.as_deref(), delete.orphan, &finalizers);
        let remaining = {
            let mut state = inner.lock();
            if !state.object_at(&storage_key).is_some_and(|now| Arc::ptr_eq(now, &object)) {
                continue;
            }
            if delete.dry_run {
                let mut deleted = object.value();
                deletion::defer_removal(&inner.clock, resource, &mut deleted, propagation, delete.grace)
                    .then(|| response_object(resource, &object.key, object.version, deleted))
            } else {
                deletion::delete(&mut state, resource, &storage_key, propagation, delete.grace);
                // The response is the object before controllers react to its deletion.
                let marked = state.object_at(&storage_key).cloned();
                controllers::run(&mut state);
                marked
            }
        };
        return Ok(match remaining {
            Some(remaining) => DeletionResponse::Object {
                object: convert::from_stored(resource, &*call.converter().convert_stored(remaining).await?),
                accepted: delete.orphan == Some(false),
            },
            _ if resource.strategy.deletion.returns_object => {
                let mut last = convert::from_stored(resource, &shown);
                if resource.strategy.deletion.grace_period.is_some() {
                    // The object in the response has a deletionTimestamp even if the grace period is zero.
                    deletion::mark_deleted(&inner.clock, resource, &object.value(), &mut last, 0);
                }
                DeletionResponse::Object { object: last, accepted: false }
            }
            _ => DeletionResponse::Status(success_status(target, &object)),
        });
    }
}

/// The error (409) for a deletion with [`IGNORE_READ_ERROR`]. With this option, an API server deletes only an
/// object that it cannot decode. The simulation can decode all its objects, so it refuses each such deletion.
fn decodable_object_error(target: &Target, object: &StoredObject) -> SimError {
    let resource = &target.resource;
    let key = match resource.custom_properties() {
        Some(_) => format!("{}/{}/{}", resource.group, resource.plural, object.key),
        None => format!("{}/{}", resource.plural, object.key),
    };
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{key}, ResourceVersion: 0, AdditionalErrorMsg: unsafe deletion is not allowed because the object is decodable from storage"
    );
    SimError::conflict(&resource.group, &resource.plural, object.name(), &why)
}

/// The `Status` that reports a completed deletion.
fn success_status(target: &Target, object: &StoredObject) -> Value {
    let resource = &target.resource;
    let mut details = json!({"name": object.name(), "kind": resource.plural, "uid": &*object.uid});
    if !resource.group.is_empty() {
        details["group"] = resource.group.as_str().into();
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}

/// Deletes the objects that a list with the same options returns. Returns the deleted objects.
pub(crate) async fn delete_collection(
    call: &Call<'_>,
    delete: &DeleteOptions,
    warnings: &mut Vec<String>,
) -> Result<Page, SimError> {
    let target = call.target;
    let candidates = read::list(call.inner.lock().view(), target, call.options)?;
    let page = candidates.select_page(&call.target.resource);
    for object in &page.objects {
        let one_target = Target {
            resource: target.resource.clone(),
            namespace: object.namespace().to_owned(),
            name: object.name().to_owned(),
            subresource: String::new(),
        };
        match delete_one(call, &one_target, delete, "", warnings).await {
            Ok(_) => {}
            // This object is already deleted, for example by the garbage collector because its owner is in the same
            // collection.
            Err(e) if e.is_not_found() => {}
            Err(e) => return Err(e),
        }
    }
    Ok(page)
}
