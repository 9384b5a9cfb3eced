//! The phases of an update, a patch or an apply to an existing object.

use std::sync::Arc;

use serde_json::Value;

use super::decode::apply_url_names;
use super::steps::{
    apply_defaults, copy_field, drop_nulls, reset_all_but_status, response_object, rewrite_numbers,
    schema_of_written_object, validate,
};
use super::{WriteContext, WrittenObject, WrittenPart};
use crate::controllers;
use crate::handler::admission::{self, NAMESPACES};
use crate::handler::{convert, deletion, node_port, object_meta};
use crate::registry::Resource;
use crate::schema::FieldError;
use crate::status::SimError;
use crate::store::object::StoredObject;
use crate::store::selector::Labels;
use crate::strategy::{CopySubresource, SubresourceUpdate};

/// An object that is prepared for update.
#[derive(Debug)]
pub(super) struct Replacement {
    /// The object that was stored when the phases of the write began.
    old: Arc<StoredObject>,
    /// `old` in the API version of the request.
    before: Value,
    new: Value,
    part: WrittenPart,
    /// Whether a write of `before` may change the stored object: the schemas or the storage version may have changed
    /// since the object was stored.
    may_be_outdated: bool,
}

/// The object in the version in which it is stored.
fn stored_value(resource: &Resource, object: &StoredObject) -> Value {
    object.typed_value(object.api_version.as_deref().unwrap_or(&resource.api_version), &resource.kind)
}

impl WriteContext<'_> {
    /// Runs mutating admission on `new`, sets its defaults and prepares it to replace `old`. `shown` is `old` in the
    /// API version of the request.
    pub(super) async fn prepare_update(
        &mut self,
        old: Arc<StoredObject>,
        shown: &StoredObject,
        new: Value,
        part: WrittenPart,
    ) -> Result<Replacement, SimError> {
        let resource = self.resource();
        let mut new = new;
        apply_url_names(self.target, &mut new, self.applying)?;
        let before = convert::from_stored(resource, shown);
        let mut new = self.run_mutating_plugins(new, Some(&before)).await?;
        apply_url_names(self.target, &mut new, true)?;
        self.check_escalation(&new, Some(&before))?;
        self.check_uid_and_version(&old, &new)?;
        object_meta::prepare_for_update(&before, &mut new)?;
        apply_defaults(resource, &self.inner.clock, Some(&before), &mut new);
        if !self.applying {
            drop_nulls(resource, &mut new);
        }
        // As in the API server, the field manager also owns the fields that the strategy resets after this line.
        self.track_managed_fields(Some(&before), &mut new);
        let tracked = new["metadata"].clone();
        if let Some(copy) = self.copy_subresource_fn(part) {
            let mut kept = before.clone();
            if copy(&self.target.subresource, &mut kept, &new) {
                new = kept;
            }
        }
        if part == WrittenPart::Status {
            reset_all_but_status(resource, &before, &mut new);
            self.with_subresource_update(&before, |update| {
                (resource.strategy.prepare_status)(update, &mut new);
            });
        } else {
            if resource.has_status() {
                copy_field(&before, &mut new, "status");
            }
            (resource.strategy.prepare_for_update)(&before, &mut new);
            node_port::allocate(self.inner, resource, Some(&before), &mut new, self.options.dry_run)?;
        }
        if resource.strategy.has_generation && part != WrittenPart::Status {
            let generation = before["metadata"]["generation"].as_i64().unwrap_or(0);
            let step = i64::from(resource.increments_generation(&before, &new));
            new["metadata"]["generation"] = (generation + step).into();
        }
        new["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
        copy_field(&tracked, &mut new["metadata"], "managedFields");
        let may_be_outdated = resource.custom_properties().is_some_and(|custom| {
            let is_stored = |version: &str| *version == *custom.storage_version;
            old.bare_json() != shown.bare_json()
                || !old.api_version.as_deref().is_none_or(is_stored)
                || custom.webhook.is_some() && !is_stored(&resource.api_version)
        });
        Ok(Replacement { old, before, new, part, may_be_outdated })
    }

    /// Validates an object that is prepared for update.
    pub(super) async fn validate_update(&mut self, replacement: &Replacement) -> Result<(), SimError> {
        let resource = self.resource();
        let Replacement { old, before, new, part, .. } = replacement;
        let mut errors = object_meta::validate_update(before, new);
        // Validation rejects changes of immutable fields. The subresource of this write may change some of
        // these fields, so validation compares `new` with a copy of the old object in which these fields
        // already have the new values.
        let counterpart = self.copy_subresource_fn(*part).map(|copy| {
            let mut kept = before.clone();
            copy(&self.target.subresource, &mut kept, new);
            kept
        });
        let counterpart = counterpart.as_ref().unwrap_or(before);
        let status_errors =
            if *part == WrittenPart::Status { resource.strategy.status_errors(new) } else { None };
        errors.extend(
            status_errors.unwrap_or_else(|| validate(resource, Some(counterpart), new, &mut self.warnings)),
        );
        if *part != WrittenPart::Object {
            errors.extend(
                self.with_subresource_update(before, |update| {
                    resource.strategy.subresource_errors(update, new)
                }),
            );
            if errors.is_empty() {
                let write = self.write_for_built_in_plugins(Some(before));
                errors.extend(admission::signing_error(&self.inner.lock(), &write, new));
            }
        }
        if errors.is_empty() {
            errors.extend(object_meta::validate(resource, new));
        }
        if !errors.is_empty() {
            return Err(SimError::invalid(&resource.group, &resource.kind, old.name(), &errors));
        }
        if *part == WrittenPart::Object {
            (resource.strategy.warn)(Some(before), new, &mut self.warnings);
        }
        self.run_validating_plugins(new, Some(before)).await
    }

    /// Calls `run` with the [`SubresourceUpdate`] of this request. The caller must not hold the lock of the state.
    pub(super) fn with_subresource_update<T>(
        &self,
        old: &Value,
        run: impl FnOnce(&SubresourceUpdate<'_>) -> T,
    ) -> T {
        let now = self.inner.clock.stamp();
        let namespace_labels = || {
            let state = self.inner.lock();
            let namespace = state.get(NAMESPACES, &self.target.namespace);
            namespace.map_or_else(Labels::default, |namespace| namespace.labels.clone())
        };
        run(&SubresourceUpdate {
            subresource: &self.target.subresource,
            old,
            namespace_labels: &namespace_labels,
            now: &now,
        })
    }

    /// The strategy's [`CopySubresource`] if `part` is [`WrittenPart::Other`]; `None` for the main object and its status.
    fn copy_subresource_fn(&self, part: WrittenPart) -> Option<CopySubresource> {
        self.resource().strategy.copy_subresource.filter(|_| part == WrittenPart::Other)
    }

    /// Commits an update. Returns `None` if the stored object has changed since phase 1 of the write. The
    /// documentation of the [parent module](super) lists the phases.
    pub(super) async fn commit_update(
        &self,
        replacement: Replacement,
    ) -> Result<Option<WrittenObject>, SimError> {
        let resource = self.resource();
        let Replacement { old, before, mut new, may_be_outdated, .. } = replacement;
        let written = |object| Ok(Some(WrittenObject { object, created: false }));
        rewrite_numbers(resource, &mut new);
        let is_unchanged = new == before;
        if is_unchanged && !may_be_outdated {
            return written(old);
        }
        // As in the API server, an apply whose body contains nulls writes the object every time. So the nulls are
        // dropped only after the comparison.
        drop_nulls(resource, &mut new);
        let completes_deletion = deletion::completes_deletion(resource, &before, &new);
        let new = self.converter().to_storage_version(new).await?;
        let new = convert::to_storage_version(resource, new);
        if is_unchanged && new == stored_value(resource, &old) {
            return written(old);
        }
        let mut state = self.inner.lock();
        if !state.get(&resource.storage, &old.key).is_some_and(|now| Arc::ptr_eq(now, &old)) {
            return Ok(None);
        }
        if self.options.dry_run {
            return written(response_object(resource, &old.key, old.version, new));
        }
        if completes_deletion {
            // The updated object is in the response, but is not stored: the DELETED event contains the object before
            // the update.
            state.erase(&(resource.storage.clone(), old.key.clone()));
            controllers::run(&mut state);
            return written(response_object(resource, &old.key, old.version, new));
        }
        self.check_served(&state)?;
        let object =
            state.commit_with_schema(resource, old.key.clone(), new, schema_of_written_object(resource))?;
        controllers::run(&mut state);
        written(object)
    }

    fn check_uid_and_version(&self, old: &StoredObject, new: &Value) -> Result<(), SimError> {
        let resource = self.resource();
        let conflict = |why: &str| SimError::conflict(&resource.group, &resource.plural, old.name(), why);
        let uid = object_meta::text(new, "uid");
        if !uid.is_empty() && uid != &*old.uid && self.patching {
            let error = FieldError::invalid("metadata.uid", uid, "field is immutable");
            return Err(SimError::invalid(&resource.group, &resource.kind, old.name(), &[error]));
        }
        if !uid.is_empty() && uid != &*old.uid {
            let key = match resource.custom_properties() {
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
