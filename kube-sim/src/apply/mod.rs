//! Server-side apply, and the ownership of fields that every write keeps up.
//!
//! Owns `metadata.managedFields`: [`track`] is called by every create, update and patch, [`apply`] by server-side apply. The
//! rules are those of Kubernetes' structured merge: which fields a write changed, who owned them, and what an applier that
//! stops naming a field gives up. It works on raw values and a schema, and must not know about stores or requests.
//!
//! An entry that was written in another served version of the kind is taken as if it named fields of the present one: the
//! versions of a kind are assumed to differ in no field path that matters to ownership.

mod compare;
mod last_applied;
mod managers;
mod merge;
mod ownership;
mod path;
mod set;
mod typed;
mod walk;

use serde_json::{Map, Value};

use self::managers::{Manager, Managers, Operation};
use self::ownership::{Refusal, Write};
use self::path::Element;
use self::set::FieldSet;
use self::typed::Type;
use crate::builtin::Resource;
use crate::schema::Schema;

/// Who writes what, in which terms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    /// The schema of the version that the request speaks.
    pub(crate) schema: &'a Schema,
    /// That version, such as `apps/v1`.
    pub(crate) api_version: &'a str,
    /// The kind.
    pub(crate) kind: &'a str,
    /// All versions in which the kind is served; what others own is forgotten.
    pub(crate) served: &'a [String],
    /// The subresource that is written to; empty for the object itself.
    pub(crate) subresource: &'a str,
    /// The field manager.
    pub(crate) manager: &'a str,
    /// The time in RFC 3339, to the second.
    pub(crate) now: &'a str,
    /// The fields that writes through this endpoint do not change; see [`reset_fields`].
    pub(crate) reset: &'a [&'a str],
}

/// Why a configuration is not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApplyError {
    /// It is not for this object: 400, `BadRequest`.
    #[error("{0}")]
    BadRequest(String),
    /// Others own fields that it changes: 409, `Conflict`.
    #[error("{message}")]
    Conflict {
        /// The whole message.
        message: String,
        /// One cause for each field.
        causes: Vec<Conflict>,
    },
    /// It does not fit the schema, which a server answers with 500 and no reason.
    #[error("{0}")]
    Schema(String),
}

/// One field that another manager owns; the cause's reason is `FieldManagerConflict`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conflict {
    /// Who owns it: `conflict with "kubectl" using apps/v1`.
    pub(crate) message: String,
    /// Which field: `.spec.replicas`.
    pub(crate) field: String,
}

/// Brings `new.metadata.managedFields` up to date after a create (without `live`), an update or a patch that is no apply.
///
/// `new` must be as it will be stored, except for `managedFields`, where the request's own value decides: an empty list
/// drops all ownership, a list that can be read replaces the live one, and anything else is ignored (as it is altogether
/// for subresources). Where nothing changes, the entries stay as they are, their times included.
pub(crate) fn track(cx: &Context<'_>, live: Option<&Value>, new: &mut Value) {
    let managers = requested(cx, live, new);
    let Some(metadata) = new.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    metadata.remove("managedFields");
    // An object that nobody tracks stays so: tracking begins with its creation or its first apply.
    if managers.0.is_empty() && live.is_some() {
        return;
    }
    let before = live.map_or_else(|| unset(cx), without_managers);
    let write = write(cx);
    let writer = Manager::new(cx.manager, Operation::Update, cx.api_version, cx.subresource);
    write.update(&before, new, &managers, &writer).write(new);
}

/// Applies `config` to `live`, or creates the object from it.
///
/// The result has its `managedFields`, and still wants defaults and validation. It equals `live` where nothing changes.
/// `config` must be the configuration as it was sent: its nulls and empty collections count.
///
/// # Errors
/// See [`ApplyError`].
pub(crate) fn apply(
    cx: &Context<'_>,
    live: Option<&Value>,
    config: &Value,
    force: bool,
) -> Result<Value, ApplyError> {
    check_identity(cx, config)?;
    let ty = Type::of(cx.schema);
    let name = |field: &str| config["metadata"][field].as_str().unwrap_or_default();
    typed::check(ty, config, false).map_err(|problem| {
        let (namespace, name) = (name("namespace"), name("name"));
        let object = format!("{namespace}/{name}; {}, Kind={}", cx.api_version, cx.kind);
        ApplyError::Schema(format!("failed to create typed patch object ({object}): {problem}"))
    })?;
    let write = write(cx);
    let before = live.map_or_else(|| blank(cx), without_managers);
    let mut managers = Managers::of(live);
    if let (true, Some(_)) = (managers.0.is_empty(), live) {
        // What is there belongs to whoever wrote it before anyone applied.
        let writer = Manager::new("before-first-apply", Operation::Update, cx.api_version, cx.subresource);
        managers = write.update(&unset(cx), &before, &managers, &writer);
    }
    let (merged, managers) = match write.apply(&before, config, &managers, force) {
        Err(Refusal::Conflicts(conflicts)) if cx.manager == "kubectl" => {
            let rest = last_applied::without_allowed(ty, cx.api_version, &before, conflicts);
            if !rest.is_empty() {
                return Err(refused(Refusal::Conflicts(rest)));
            }
            write.apply(&before, config, &managers, true).map_err(refused)?
        }
        outcome => outcome.map_err(refused)?,
    };
    let mut object = merged.unwrap_or(before);
    managers.write(&mut object);
    if cx.manager == "kubectl" {
        last_applied::refresh(&mut object, config);
    }
    Ok(object)
}

/// The fields that writes through an endpoint do not change: the status on the object itself where it has a status
/// subresource, the rest on that one. Built-in kinds differ in how much of the metadata their status may change.
pub(crate) fn reset_fields(
    resource: Option<&Resource>,
    subresource: &str,
    has_status: bool,
) -> &'static [&'static str] {
    let custom_status = &["metadata", "spec"][..];
    match (subresource, resource) {
        ("", _) | ("finalize", Some(_)) if has_status => &["status"],
        ("status", None) => custom_status,
        ("status", Some(resource)) => match (resource.group, resource.plural) {
            ("", "pods") => &["metadata.deletionTimestamp", "metadata.ownerReferences", "spec"],
            ("apps", "deployments") => &["metadata.labels", "spec"],
            ("certificates.k8s.io", "certificatesigningrequests") => &["spec", "status.conditions"],
            ("" | "apps" | "batch" | "policy" | "autoscaling", _) | ("networking.k8s.io", "ingresses") => {
                &["spec"]
            }
            _ => custom_status,
        },
        ("approval", Some(_)) => &["spec", "status.certificate"],
        _ => &[],
    }
}

fn write<'a>(cx: &'a Context<'a>) -> Write<'a> {
    let mut ignored = FieldSet::default();
    for path in cx.reset {
        ignored.insert(&fields(path.split('.')));
    }
    Write { cx, ty: Type::of(cx.schema), ignored }
}

fn fields<'a>(path: impl IntoIterator<Item = &'a str>) -> Vec<Element> {
    path.into_iter().map(|step| Element::Field(step.to_owned())).collect()
}

/// The object before anything in it is set: what is written always, and so owned by nobody.
fn unset(cx: &Context<'_>) -> Value {
    let is_built_in = cx.schema.component().is_some();
    if is_built_in { crate::schema::zero(cx.schema) } else { blank(cx) }
}

/// The object before it exists.
fn blank(cx: &Context<'_>) -> Value {
    serde_json::json!({"apiVersion": cx.api_version, "kind": cx.kind})
}

fn without_managers(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}

/// The managers that an update starts from.
fn requested(cx: &Context<'_>, live: Option<&Value>, new: &Value) -> Managers {
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
    match Managers::read(entries) {
        Ok(managers) if !managers.0.is_empty() => managers,
        _ => Managers::of(live),
    }
}

fn check_identity(cx: &Context<'_>, config: &Value) -> Result<(), ApplyError> {
    let text = |field: &str| config.get(field).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if api_version != cx.api_version || kind != cx.kind {
        let api_version = if api_version.is_empty() { "/" } else { api_version };
        return Err(ApplyError::BadRequest(format!("invalid object type: {api_version}, Kind={kind}")));
    }
    if config.get("metadata").is_some_and(|metadata| metadata.get("managedFields").is_some()) {
        return Err(ApplyError::BadRequest("metadata.managedFields must be nil".to_owned()));
    }
    Ok(())
}

/// The answer to a refused apply: for conflicts one cause a field, and a message that groups them by manager.
fn refused(refusal: Refusal) -> ApplyError {
    let conflicts = match refusal {
        Refusal::Unmergeable(problem) => return ApplyError::Schema(problem),
        Refusal::Conflicts(conflicts) => conflicts,
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
