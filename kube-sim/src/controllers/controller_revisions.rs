//! The `ControllerRevision` objects of a daemon set or a stateful set: the revisions of its pod template.

use serde_json::{Value, json};

use super::objects::{annotation, hash, list, name, namespace, number, storage_key_in};
use super::owned_objects::{OwnerKind, controlled_objects};
use super::writes::{self, CONTROLLER_MANAGER, Part};
use crate::store::State;

const REVISIONS: &str = "apps/controllerrevisions";

/// The label that contains the revision of a pod. For a pod of a stateful set, the value is the name of the
/// `ControllerRevision`. For a pod of a daemon set, the value is the hash in this name.
pub(super) const REVISION_LABEL: &str = "controller-revision-hash";

/// The revisions of an owner, oldest first. The last one is the revision of the current pod template.
pub(super) struct Revisions(Vec<Value>);

impl Revisions {
    /// Creates the revision of the current pod template. If a revision with this template exists, makes it the latest
    /// one instead. Returns all revisions; `None` if the write fails.
    pub(super) fn sync(state: &mut State, kind: OwnerKind, owner: &Value) -> Option<Self> {
        let mut all = controlled_objects(state, owner, REVISIONS);
        all.sort_by_key(|revision| (number(&revision["revision"]), name(revision).to_owned()));
        let data = revision_data(owner);
        let latest = all.last().map_or(0, |revision| number(&revision["revision"]));
        match all.iter().rposition(|revision| revision["data"] == data) {
            Some(at) if at + 1 == all.len() => {}
            Some(at) => {
                let storage_key = storage_key_in(REVISIONS, &all.remove(at));
                let moved =
                    writes::modify(state, &storage_key, Part::Object, CONTROLLER_MANAGER, |revision| {
                        revision["revision"] = (latest + 1).into();
                    });
                all.push(moved.ok().flatten()?);
            }
            None => all.push(create(state, kind, owner, &data, latest + 1)?),
        }
        Some(Self(all))
    }

    /// The revision of the current pod template.
    pub(super) fn current(&self) -> &Value {
        &self.0[self.0.len() - 1]
    }

    /// The revision with this name.
    pub(super) fn find(&self, wanted: &str) -> Option<&Value> {
        self.0.iter().find(|revision| name(revision) == wanted)
    }

    /// Deletes old revisions. Keeps the current revision and the revisions whose names are in `live`. Of the other
    /// revisions, keeps the newest `revisionHistoryLimit`.
    pub(super) fn delete_old(&self, state: &mut State, owner: &Value, live: &[&str]) {
        let limit = owner["spec"]["revisionHistoryLimit"].as_u64().unwrap_or(10);
        let is_old = |revision: &&Value| *revision != self.current() && !live.contains(&name(revision));
        let old: Vec<&Value> = self.0.iter().filter(is_old).collect();
        let excess = old.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
        for revision in old.into_iter().take(excess) {
            writes::delete(state, &storage_key_in(REVISIONS, revision));
        }
    }
}

/// The `data` of a revision with the current pod template of the owner: a patch that restores this template.
fn revision_data(owner: &Value) -> Value {
    let mut template = owner["spec"]["template"].clone();
    template["$patch"] = "replace".into();
    json!({"spec": {"template": template}})
}

/// The pod template of a revision.
pub(super) fn template_of(revision: &Value) -> Value {
    let mut template = revision["data"]["spec"]["template"].clone();
    if let Some(template) = template.as_object_mut() {
        template.remove("$patch");
    }
    template
}

/// Creates a revision whose name contains a hash of `data`. If a revision with this name exists, computes the hash
/// again with a salt.
fn create(state: &mut State, kind: OwnerKind, owner: &Value, data: &Value, number: i64) -> Option<Value> {
    let taken: Vec<String> =
        list(state, REVISIONS, namespace(owner)).iter().map(|revision| name(revision).to_owned()).collect();
    let salts = std::iter::once(None).chain((0..).map(Some));
    let hash = salts
        .map(|salt| hash(data, salt))
        .find(|hash| !taken.contains(&format!("{}-{hash}", name(owner))))?;
    let mut revision = json!({
        "metadata": {
            "name": format!("{}-{hash}", name(owner)), "namespace": namespace(owner),
            "ownerReferences": [kind.owner_reference(owner)],
        },
        "data": data,
        "revision": number,
    });
    let labels = &owner["spec"]["template"]["metadata"]["labels"];
    if labels.is_object() {
        revision["metadata"]["labels"] = labels.clone();
    }
    let value = if kind.kind == "DaemonSet" { hash } else { name(&revision).to_owned() };
    revision["metadata"]["labels"][REVISION_LABEL] = value.into();
    for key in ["kubernetes.io/change-cause"] {
        if let Some(cause) = annotation(owner, key) {
            revision["metadata"]["annotations"][key] = cause.into();
        }
    }
    writes::create(state, REVISIONS, &revision, CONTROLLER_MANAGER).ok()
}
