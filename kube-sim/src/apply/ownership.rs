//! Field ownership after a write.
//!
//! This module owns the rules for updates and applies. The field manager of an update gets the fields that the update
//! adds or changes, and keeps the fields that it already owned. An applier owns only fields in its configuration. An
//! apply removes a field of the applier's previous configuration if no manager owns the field any more. If an apply
//! changes a field that another manager owns, this is a conflict.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Context;
use super::compare::{Comparison, compare};
use super::field_operations::{field_set, reconcile_with_schema, remove_fields, with_parents};
use super::field_set::FieldSet;
use super::managers::{Manager, Managers, Operation, OwnedFields};
use super::merge::merge;
use super::value_types::Type;

/// The reason why an apply fails.
pub(super) enum ApplyFailure {
    /// Other managers own fields that the apply changes.
    Conflicts(BTreeMap<Manager, FieldSet>),
    /// The configuration cannot be merged.
    Unmergeable(String),
}

/// A write request: its context, the type of the object, and the fields that the endpoint resets.
pub(super) struct WriteRequest<'a> {
    pub(super) cx: &'a Context<'a>,
    pub(super) ty: Type<'a>,
    pub(super) ignored: FieldSet,
}

impl WriteRequest<'_> {
    /// The time of a change. As in the API server, changes through the subresource `scale` have no time.
    fn time_of_change(&self) -> Option<String> {
        (self.cx.subresource != "scale").then(|| self.cx.now.to_owned())
    }

    /// Returns the managers whose API version is still served, with field sets that are adapted to changes of the schema.
    fn adapted_managers(&self, managers: &Managers) -> Managers {
        let served = |owned: &OwnedFields| {
            owned.api_version == self.cx.api_version || self.cx.served.contains(&owned.api_version)
        };
        let adapt = |(manager, owned): (&Manager, &OwnedFields)| {
            let mut owned = owned.clone();
            if let Some(fields) = reconcile_with_schema(self.ty, &owned.fields) {
                owned.fields = fields;
            }
            (manager.clone(), owned)
        };
        Managers(managers.0.iter().filter(|(_, owned)| served(owned)).map(adapt).collect())
    }

    /// Removes the changed fields from the field sets of all managers except `writer`, and returns the changes. Drops a
    /// manager that owns no field any more.
    ///
    /// # Errors
    /// If `force` is not set and other managers own fields that `new` modifies or adds, returns these fields by
    /// manager.
    fn remove_ownership_of_changes(
        &self,
        live: &Value,
        new: &Value,
        managers: &mut Managers,
        writer: Option<&Manager>,
        force: bool,
    ) -> Result<Comparison, BTreeMap<Manager, FieldSet>> {
        let changes = compare(self.ty, live, new).without(&self.ignored);
        let taken = changes.modified.union(&changes.added);
        let mut conflicts = BTreeMap::new();
        for (manager, owned) in managers.0.iter().filter(|(manager, _)| Some(*manager) != writer) {
            let common = owned.fields.intersection(&taken);
            if !common.is_empty() {
                conflicts.insert(manager.clone(), common);
            }
        }
        if !force && !conflicts.is_empty() {
            return Err(conflicts);
        }
        for (manager, owned) in &mut managers.0 {
            if Some(manager) != writer {
                if let Some(lost) = conflicts.get(manager) {
                    owned.fields = owned.fields.difference(lost);
                }
                owned.fields = owned.fields.difference(&changes.removed);
            }
        }
        managers.0.retain(|_, owned| !owned.fields.is_empty());
        Ok(changes)
    }

    /// The managers after an update. `writer` gets the fields that the update adds or changes; the other managers lose
    /// these fields.
    pub(super) fn managers_after_update(
        &self,
        live: &Value,
        new: &Value,
        managers: &Managers,
        writer: &Manager,
    ) -> Managers {
        let mut managers = self.adapted_managers(managers);
        let before = managers.clone();
        let Ok(changes) = self.remove_ownership_of_changes(live, new, &mut managers, None, true) else {
            return before;
        };
        let taken = changes.modified.union(&changes.added).recursive_difference(&self.ignored);
        let fields = taken.difference(&unmanaged_fields());
        if !fields.is_empty() {
            let kept = managers.0.remove(writer).map(|owned| owned.fields).unwrap_or_default();
            let owned = OwnedFields {
                fields: fields.union(&kept),
                api_version: self.cx.api_version.to_owned(),
                time: self.time_of_change(),
            };
            managers.0.insert(writer.clone(), owned);
        }
        managers.limit_update_entries();
        managers
    }

    /// Returns the merged object (`None` if it equals `live`) and the managers after an apply.
    ///
    /// # Errors
    /// There are conflicts and `force` is not set, or the configuration cannot be merged.
    pub(super) fn apply(
        &self,
        live: &Value,
        config: &Value,
        managers: &Managers,
        force: bool,
    ) -> Result<(Option<Value>, Managers), ApplyFailure> {
        let writer =
            Manager::new(self.cx.manager, Operation::Apply, self.cx.api_version, self.cx.subresource);
        let mut managers = self.adapted_managers(managers);
        let merged = merge(self.ty, live, config)
            .map_err(|problem| ApplyFailure::Unmergeable(format!("failed to merge config: {problem}")))?
            .unwrap_or_else(empty_object);
        let last = managers.0.get(&writer).cloned();
        let owned = OwnedFields {
            fields: field_set(self.ty, config).recursive_difference(&self.ignored),
            api_version: self.cx.api_version.to_owned(),
            time: last.as_ref().and_then(|last| last.time.clone()),
        };
        managers.0.insert(writer.clone(), owned);
        let merged = match last {
            Some(last) if !last.fields.is_empty() => {
                self.prune_unowned_fields(&merged, &managers, &last.fields)
            }
            _ => merged,
        };
        self.remove_ownership_of_changes(live, &merged, &mut managers, Some(&writer), force)
            .map_err(ApplyFailure::Conflicts)?;
        if let Some(owned) = managers.0.get_mut(&writer) {
            owned.fields = owned.fields.difference(&unmanaged_fields());
        }
        managers.0.retain(|_, owned| !owned.fields.is_empty());
        let changed = !super::path::is_same_value(live, &merged);
        if changed && let Some(owned) = managers.0.get_mut(&writer) {
            owned.time = self.time_of_change();
        }
        Ok((changed.then_some(merged), managers))
    }

    /// Removes from `merged` each field of the applier's previous configuration that no manager owns any more. `last` is
    /// the field set of the previous configuration, and `managers` are the managers after the apply.
    fn prune_unowned_fields(&self, merged: &Value, managers: &Managers, last: &FieldSet) -> Value {
        let ty = self.ty;
        let parents = |set: &FieldSet| with_parents(ty, set);
        let removed =
            |value: &Value, set: &FieldSet| remove_fields(ty, value, set).unwrap_or_else(empty_object);
        let all = parents(&field_set(ty, merged));
        let last = parents(last);
        // Remove all fields of the previous configuration, then restore the fields that any manager owns.
        let pruned = removed(merged, &last);
        let owned = managers.0.values().fold(FieldSet::default(), |all, owned| all.union(&owned.fields));
        let kept = parents(&field_set(ty, &pruned)).union(&parents(&owned));
        let pruned = removed(merged, &all.difference(&kept));
        // Restore the fields that are not in the previous configuration, but were removed together with their parent.
        let removable = all.difference(&parents(&field_set(ty, &pruned)));
        removed(merged, &removable.intersection(&last))
    }
}

fn empty_object() -> Value {
    Value::Object(serde_json::Map::new())
}

/// The fields that no manager can own.
fn unmanaged_fields() -> FieldSet {
    const METADATA_FIELDS: [&str; 9] = [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ];
    let mut set = FieldSet::default();
    for field in ["apiVersion", "kind", "metadata"] {
        set.insert(&super::field_path([field]));
    }
    for field in METADATA_FIELDS {
        set.insert(&super::field_path(["metadata", field]));
    }
    set
}
