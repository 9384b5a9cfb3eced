//! Server-side apply, and the tracking of field ownership in every other write (KEP-555).
//!
//! This module owns `metadata.managedFields`: server-side apply calls [`apply`], and every other write (create,
//! update, other patches) calls [`track_ownership`]. Ownership follows the rules of the Go library
//! `structured-merge-diff`, which Kubernetes uses. This module works on JSON values, a schema and a [`Context`], and
//! must not know about stores or HTTP requests.
//!
//! The module uses the schema of the request's API version for the paths of all managed fields, even if a manager wrote
//! a path in another API version. It assumes that the paths are the same in all served versions of a kind.

mod compare;
mod field_operations;
mod field_set;
mod last_applied;
mod managers;
mod merge;
mod ownership;
mod path;
mod value_types;

use serde_json::{Map, Value};

use self::field_set::FieldSet;
use self::managers::{Manager, Managers, Operation};
use self::ownership::{ApplyFailure, WriteRequest};
use self::path::Element;
use self::value_types::Type;
use crate::schema::Schema;

/// The properties of a write request that determine ownership.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    /// The schema of the request's API version.
    pub(crate) schema: &'a Schema,
    /// The request's API version, such as `apps/v1`.
    pub(crate) api_version: &'a str,
    /// The kind of the object.
    pub(crate) kind: &'a str,
    /// All served API versions of the kind. A `managedFields` entry with any other API version is dropped.
    pub(crate) served: &'a [String],
    /// The subresource of the request; empty for the main resource.
    pub(crate) subresource: &'a str,
    /// The name of the field manager that sends the request.
    pub(crate) manager: &'a str,
    /// The current time in RFC 3339, in whole seconds.
    pub(crate) now: &'a str,
    /// The paths of the fields that the server resets in this request, such as `status`. The request gives the manager
    /// no ownership of these fields.
    pub(crate) reset: &'a [&'a str],
}

/// An error of a server-side apply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApplyError {
    /// The configuration has another kind or API version than the request, or sets `managedFields`: 400, `BadRequest`.
    #[error("{0}")]
    BadRequest(String),
    /// Other managers own fields that the configuration changes: 409, `Conflict`.
    #[error("{message}")]
    Conflict {
        /// The message of the `Status`.
        message: String,
        /// One cause for each conflicting field of each manager.
        causes: Vec<Conflict>,
    },
    /// The configuration does not match the schema, or cannot be merged into the live object: 500. As in the
    /// API server, the `Status` has no field `reason`.
    #[error("{0}")]
    Schema(String),
}

/// A conflict over one field: a cause in the `Status`, with the reason `FieldManagerConflict`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conflict {
    /// The message of the cause, which contains the other manager: `conflict with "kubectl" using apps/v1`.
    pub(crate) message: String,
    /// The path of the field: `.spec.replicas`.
    pub(crate) field: String,
}

/// Sets `new.metadata.managedFields` for a create (`live` is `None`), an update, or a patch other than apply.
///
/// `new` must be the object that will be stored, except that its `managedFields` must be those of the request. An empty
/// list, or a list of one empty entry, drops all managers of `live`. A valid list replaces the managers of `live`. Any
/// other value is ignored. In a request to a subresource, every value is ignored. If the write neither adds nor changes
/// a field, the entries keep their times.
pub(crate) fn track_ownership(cx: &Context<'_>, live: Option<&Value>, new: &mut Value) {
    let managers = managers_before_update(cx, live, new);
    let Some(metadata) = new.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    metadata.remove("managedFields");
    // An existing object without managed fields is not tracked until its first apply.
    if managers.0.is_empty() && live.is_some() {
        return;
    }
    let before = live.map_or_else(|| baseline_object(cx), without_managed_fields);
    let write = new_write_request(cx);
    let writer = Manager::new(cx.manager, Operation::Update, cx.api_version, cx.subresource);
    let after = write.managers_after_update(&before, new, &managers, &writer);
    if cx.subresource == "scale"
        && live.is_some()
        && owns_only_previously_unowned_fields(&managers, &after, &writer)
    {
        return managers.write_to(new);
    }
    after.write_to(new);
}

/// Whether `writer` owns fields after the write, and none of these fields had a manager before the write.
///
/// If this is true for a write to `scale`, the write adds no entry to `managedFields`. The reason: the API
/// server handles a `Scale` without managed fields as an object that is not tracked yet. The `managedFields`
/// of a `Scale` contain only the entries that own the replica count. They are therefore empty if no manager
/// owns the replica count.
fn owns_only_previously_unowned_fields(before: &Managers, after: &Managers, writer: &Manager) -> bool {
    let Some(taken) = after.0.get(writer) else { return false };
    before.0.values().all(|owned| owned.fields.intersection(&taken.fields).is_empty())
}

/// Merges the configuration of a mutating policy into `live`, without a change of the managed fields.
///
/// # Errors
/// The configuration does not match the schema, or cannot be merged into `live`. An atomic list or map in the
/// configuration is also an error: the merge would replace the whole list or map, and remove items that the policy does
/// not know.
pub(crate) fn merge_without_tracking(schema: &Schema, live: &Value, config: &Value) -> Result<Value, String> {
    let ty = Type::of(schema);
    value_types::check_type(ty, config, false)
        .map_err(|problem| format!("failed to convert patch object to typed object: {problem}"))?;
    let paths = value_types::atomic_paths(ty, config);
    if !paths.is_empty() {
        let paths = paths.join(", ");
        return Err(format!(
            "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {paths}"
        ));
    }
    let merged = merge::merge(ty, live, config).map_err(|why| format!("failed to merge patch: {why}"))?;
    Ok(merged.unwrap_or_else(|| Value::Object(Map::new())))
}

/// Applies `config` to `live`, or creates the object from `config` if `live` is `None`.
///
/// Returns the object with its `managedFields`, before defaulting and validation. If nothing changes, the
/// object equals `live`. An applier also owns fields that it sets to null or to an empty map, so `config`
/// must be the unmodified body of the request.
///
/// # Errors
/// See [`ApplyError`].
pub(crate) fn apply(
    cx: &Context<'_>,
    live: Option<&Value>,
    config: &Value,
    force: bool,
) -> Result<Value, ApplyError> {
    check_kind_and_managed_fields(cx, config)?;
    let ty = Type::of(cx.schema);
    let name = |field: &str| config["metadata"][field].as_str().unwrap_or_default();
    value_types::check_type(ty, config, false).map_err(|problem| {
        let (namespace, name) = (name("namespace"), name("name"));
        let object = format!("{namespace}/{name}; {}, Kind={}", group_and_version(cx.api_version), cx.kind);
        ApplyError::Schema(format!("failed to create typed patch object ({object}): {problem}"))
    })?;
    let write = new_write_request(cx);
    let before = live.map_or_else(|| object_with_only_type_meta(cx), without_managed_fields);
    let mut managers = Managers::of(live);
    if let (true, Some(_)) = (managers.0.is_empty(), live) {
        // The manager `before-first-apply` gets ownership of the existing fields of an untracked object.
        let writer = Manager::new("before-first-apply", Operation::Update, cx.api_version, cx.subresource);
        managers = write.managers_after_update(&baseline_object(cx), &before, &managers, &writer);
    }
    let (merged, managers) = match write.apply(&before, config, &managers, force) {
        Err(ApplyFailure::Conflicts(conflicts)) if cx.manager == "kubectl" => {
            let rest =
                last_applied::without_client_side_applied_fields(ty, cx.api_version, &before, conflicts);
            if !rest.is_empty() {
                return Err(apply_error(ApplyFailure::Conflicts(rest)));
            }
            write.apply(&before, config, &managers, true).map_err(apply_error)?
        }
        outcome => outcome.map_err(apply_error)?,
    };
    let mut object = merged.unwrap_or(before);
    managers.write_to(&mut object);
    if cx.manager == "kubectl" {
        last_applied::update_annotation(&mut object, config);
    }
    Ok(object)
}

fn new_write_request<'a>(cx: &'a Context<'a>) -> WriteRequest<'a> {
    let mut ignored = FieldSet::default();
    for path in cx.reset {
        ignored.insert(&field_path(path.split('.')));
    }
    WriteRequest { cx, ty: Type::of(cx.schema), ignored }
}

/// The path whose elements are the fields with the given names.
fn field_path<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Element> {
    names.into_iter().map(|name| Element::Field(name.to_owned())).collect()
}

/// The object that stands for "no fields" in a comparison: [`track_ownership`] compares a created object with the
/// baseline, and [`apply`] compares an untracked object with the baseline. For a built-in kind, the baseline contains the
/// zero values of the fields that Go always serializes, so that no manager owns these zero values.
fn baseline_object(cx: &Context<'_>) -> Value {
    let is_built_in = cx.schema.component().is_some();
    if is_built_in { crate::schema::zero_struct(cx.schema) } else { object_with_only_type_meta(cx) }
}

/// An object with only `apiVersion` and `kind`.
fn object_with_only_type_meta(cx: &Context<'_>) -> Value {
    serde_json::json!({"apiVersion": cx.api_version, "kind": cx.kind})
}

fn without_managed_fields(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}

/// The managers before an update: those of the live object, unless the request replaces or drops them.
fn managers_before_update(cx: &Context<'_>, live: Option<&Value>, new: &Value) -> Managers {
    let entries = new.get("metadata").and_then(|metadata| metadata.get("managedFields"));
    let Some(entries) = entries.filter(|_| cx.subresource.is_empty()) else { return Managers::of(live) };
    let drops_all = match entries.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([only]) => only.as_object().is_some_and(Map::is_empty),
        _ => false,
    };
    if drops_all {
        return Managers::default();
    }
    match Managers::parse(entries) {
        Ok(managers) if !managers.0.is_empty() => managers,
        _ => Managers::of(live),
    }
}

/// The group and the version, in the format in which Go prints a `schema.GroupVersionKind`. The core group is empty: `/v1`.
fn group_and_version(api_version: &str) -> String {
    if api_version.contains('/') { api_version.to_owned() } else { format!("/{api_version}") }
}

/// Checks that a configuration has the API version and the kind of the request, and does not set `managedFields`.
fn check_kind_and_managed_fields(cx: &Context<'_>, config: &Value) -> Result<(), ApplyError> {
    let text = |field: &str| config.get(field).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if api_version != cx.api_version || kind != cx.kind {
        let api_version = group_and_version(api_version);
        return Err(ApplyError::BadRequest(format!("invalid object type: {api_version}, Kind={kind}")));
    }
    if config.get("metadata").is_some_and(|metadata| metadata.get("managedFields").is_some()) {
        return Err(ApplyError::BadRequest("metadata.managedFields must be nil".to_owned()));
    }
    Ok(())
}

/// Converts an [`ApplyFailure`] to an [`ApplyError`]. A conflict error has one cause for each conflicting field of each
/// manager. If there are several causes, the message groups the fields by manager.
fn apply_error(failure: ApplyFailure) -> ApplyError {
    let conflicts = match failure {
        ApplyFailure::Unmergeable(problem) => return ApplyError::Schema(problem),
        ApplyFailure::Conflicts(conflicts) => conflicts,
    };
    let mut causes = Vec::new();
    let mut lines = Vec::new();
    for (manager, fields) in conflicts {
        let manager = manager.describe();
        lines.push(format!("conflicts with {manager}:"));
        for field in fields.paths() {
            lines.push(format!("- {field}"));
            causes.push(Conflict { message: format!("conflict with {manager}"), field });
        }
    }
    let message = match causes.as_slice() {
        [only] => format!("Apply failed with 1 conflict: {}: {}", only.message, only.field),
        many => format!("Apply failed with {} conflicts: {}", many.len(), lines.join("\n")),
    };
    ApplyError::Conflict { message, causes }
}

#[cfg(test)]
mod tests;
