//! The admission phases of a write: the built-in plugins, policies, webhooks, and the check for privilege escalation.

use serde_json::Value;

use super::WriteContext;
use super::steps::apply_defaults;
use crate::handler::plugins::{self, Attributes, Phase};
use crate::handler::{admission, escalation, object_meta, scale};
use crate::registry::Resource;
use crate::status::SimError;

impl<'a> WriteContext<'a> {
    /// Runs the mutating plugins on a decoded object. `old` is the stored object of an update. Returns the object for
    /// the next phases of the write.
    ///
    /// The plugins receive the object with its defaults and its `managedFields`. As in the API server, no field manager
    /// owns the fields that the plugins set.
    ///
    /// # Errors
    /// The response to a request that a plugin refuses.
    pub(super) async fn run_mutating_plugins(
        &mut self,
        object: Value,
        old: Option<&Value>,
    ) -> Result<Value, SimError> {
        self.fields_tracked = self.applying;
        let has_plugins = plugins::has_plugins_to_run(self.inner, self.request, Phase::Mutating);
        let write_for_built_in_plugins = self.write_for_built_in_plugins(old);
        let has_built_in = admission::mutates(&self.inner.lock(), &write_for_built_in_plugins);
        if !has_plugins && !has_built_in {
            return Ok(object);
        }
        let resource = self.resource();
        let mut sent = object.clone();
        let metadata = object_meta::metadata_mut(&mut sent)?;
        if old.is_none() {
            for field in object_meta::SYSTEM_FIELDS {
                metadata.remove(field);
            }
        }
        apply_defaults(resource, &self.inner.clock, old, &mut sent);
        self.track_managed_fields(old, &mut sent);
        let managed_fields = sent["metadata"]["managedFields"].clone();
        let inner = self.inner;
        let built_in = |object: &mut Value| {
            if !has_built_in {
                return Ok(());
            }
            admission::mutate(&mut inner.lock(), &write_for_built_in_plugins, object)
        };
        built_in(&mut sent)?;
        if !has_plugins {
            self.fields_tracked = true;
            return Ok(sent);
        }
        let shown = self.admission_object(sent)?;
        let old_shown = old.map(|old| self.admission_object(old.clone())).transpose()?;
        let name = self.admission_name(&object);
        let mut attributes =
            Attributes::of_write(self.request, self.target, self.options, &name, shown, old_shown);
        let changed = plugins::mutate(inner, &mut attributes, built_in, &mut self.warnings).await?;
        let Some(mut mutated) = attributes.object.filter(|_| changed || has_built_in) else {
            return Ok(object);
        };
        if self.is_scale() {
            return scale::replace_replicas(resource, object, &mutated);
        }
        if !mutated["metadata"]["managedFields"].is_array() && managed_fields.is_array() {
            mutated["metadata"]["managedFields"] = managed_fields;
        }
        self.fields_tracked = true;
        Ok(mutated)
    }

    /// Runs the validating plugins on the object that the write is about to commit.
    ///
    /// # Errors
    /// The response to a request that a plugin refuses.
    pub(super) async fn run_validating_plugins(
        &mut self,
        new: &Value,
        old: Option<&Value>,
    ) -> Result<(), SimError> {
        let write = self.write_for_built_in_plugins(old);
        let existing_pods = {
            let state = self.inner.lock();
            admission::validate(&state, &write, new, &mut self.warnings)?;
            admission::existing_pods(&state, &write, new)
        };
        if let Some(pods) = existing_pods {
            self.warnings.extend(pods.warnings());
        }
        if !plugins::has_plugins_to_run(self.inner, self.request, Phase::Validating) {
            return Ok(());
        }
        let shown = self.admission_object(new.clone())?;
        let old_shown = old.map(|old| self.admission_object(old.clone())).transpose()?;
        let name = self.admission_name(new);
        let attributes =
            Attributes::of_write(self.request, self.target, self.options, &name, shown, old_shown);
        plugins::validate(self.inner, &attributes, &mut self.warnings).await
    }

    /// Checks that the user may write the role or the binding `object`, if RBAC is enabled.
    ///
    /// # Errors
    /// 403 if the user does not have the permissions that the object grants; 404 if the role of a binding does not
    /// exist.
    pub(super) fn check_escalation(&self, object: &Value, old: Option<&Value>) -> Result<(), SimError> {
        if !self.inner.settings.rbac {
            return Ok(());
        }
        escalation::check(&self.inner.lock(), &self.request.user, self.target, object, old)
    }

    /// The write as the built-in plugins receive it.
    pub(super) fn write_for_built_in_plugins<'b>(&self, old: Option<&'b Value>) -> admission::Write<'b>
    where
        'a: 'b,
    {
        admission::Write {
            resource: &self.target.resource,
            subresource: &self.target.subresource,
            namespace: &self.target.namespace,
            old,
            user: self.inner.settings.rbac.then_some(&self.request.user),
        }
    }

    fn is_scale(&self) -> bool {
        self.target.subresource == "scale"
    }

    /// The object that plugins receive: a `Scale` in a request for the subresource `scale`.
    fn admission_object(&self, object: Value) -> Result<Value, SimError> {
        let resource: &Resource = self.resource();
        if self.is_scale() { scale::scale_of(resource, &object) } else { Ok(object) }
    }

    /// The name in the URL; without such a name, the name of the object.
    fn admission_name(&self, object: &Value) -> String {
        match self.target.name.as_str() {
            "" => object_meta::text(object, "name").to_owned(),
            name => name.to_owned(),
        }
    }
}
