//! The phases of a create.

use std::sync::Arc;

use serde_json::Value;

use super::decode::apply_url_names;
use super::steps::{
    apply_defaults, drop_nulls, response_object, rewrite_numbers, schema_of_written_object, validate,
};
use super::{WriteContext, WrittenObject};
use crate::admission_plugin::AdmissionPlugin;
use crate::controllers::{self, custom_resource_definitions};
use crate::handler::{admission, cluster_ip, convert, node_port, object_meta, quota};
use crate::status::SimError;
use crate::store::object::{StoredObject, key};
use crate::store::selector::Labels;

/// A new object that is prepared for create.
#[derive(Debug)]
pub(super) struct NewObject {
    value: Value,
    /// The stored `Namespace`. `None` for a cluster-scoped object, or if the namespace does not exist and the plugin
    /// NamespaceLifecycle, which checks namespaces, is disabled.
    namespace: Option<Arc<StoredObject>>,
}

impl NewObject {
    /// The name, which may have been generated.
    pub(super) fn name(&self) -> &str {
        object_meta::text(&self.value, "name")
    }
}

impl WriteContext<'_> {
    /// Runs mutating admission on `object`, sets its defaults and prepares it for create.
    pub(super) async fn prepare_create(&mut self, mut object: Value) -> Result<NewObject, SimError> {
        let resource = self.resource();
        apply_url_names(self.target, &mut object, self.applying)?;
        let namespace = self.target.namespace.as_str();
        if custom_resource_definitions::is_definition_terminating(&self.inner.lock(), resource) {
            let why = "create not allowed while custom resource definition is terminating";
            let name = object_meta::text(&object, "name");
            return Err(SimError::forbidden(&resource.group, &resource.plural, name, why));
        }
        let namespace_object = if resource.namespaced {
            let state = self.inner.lock();
            let found = state.get(admission::NAMESPACES, namespace).cloned();
            if state.has_plugin(AdmissionPlugin::NamespaceLifecycle) {
                let name = object_meta::text(&object, "name");
                admission::check_namespace(found.as_deref(), resource, namespace, name)?;
            }
            found
        } else {
            None
        };
        let mut object = self.run_mutating_plugins(object, None).await?;
        apply_url_names(self.target, &mut object, true)?;
        self.check_escalation(&object, None)?;
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
        object_meta::prepare_for_create(
            &mut object,
            namespace,
            &mut self.inner.lock_random(),
            &self.inner.clock,
        )?;
        if resource.strategy.has_generation {
            object["metadata"]["generation"] = 1.into();
        }
        apply_defaults(resource, &self.inner.clock, None, &mut object);
        if !self.applying {
            drop_nulls(resource, &mut object);
        }
        // No field manager owns the fields that the strategy sets after this line.
        self.track_managed_fields(None, &mut object);
        (resource.strategy.warn_of_new)(&object, &mut self.warnings);
        cluster_ip::allocate(self.inner, resource, &mut object, self.options.dry_run)?;
        node_port::allocate(self.inner, resource, None, &mut object, self.options.dry_run)?;
        let mut random = self.inner.lock_random();
        resource.strategy.prepare_for_create(
            &mut object,
            &resource.schema(),
            resource.has_status(),
            &mut random,
        );
        drop(random);
        Ok(NewObject { value: object, namespace: namespace_object })
    }

    /// Validates an object that is prepared for create.
    pub(super) async fn validate_create(&mut self, new: &NewObject) -> Result<(), SimError> {
        let resource = self.resource();
        let mut errors = validate(resource, None, &new.value, &mut self.warnings);
        if resource.namespaced {
            let none = Labels::default();
            let labels = new.namespace.as_ref().map_or(&none, |namespace| &namespace.labels);
            errors.extend(resource.strategy.errors_in_namespace(&new.value, labels));
        }
        errors.extend(object_meta::validate(resource, &new.value));
        if !errors.is_empty() {
            return Err(SimError::invalid(&resource.group, &resource.kind, new.name(), &errors));
        }
        (resource.strategy.warn)(None, &new.value, &mut self.warnings);
        self.run_validating_plugins(&new.value, None).await
    }

    /// Commits a create; `None` if an object with the name exists.
    pub(super) async fn commit_create(&self, new: NewObject) -> Result<Option<WrittenObject>, SimError> {
        let resource = self.resource();
        let key = key(&self.target.namespace, new.name());
        let NewObject { mut value, namespace } = new;
        // As in the API server, an applied object is validated with its nulls and stored without them.
        drop_nulls(resource, &mut value);
        rewrite_numbers(resource, &mut value);
        let value = self.converter().to_storage_version(value).await?;
        let value = convert::to_storage_version(resource, value);
        let mut state = self.inner.lock();
        self.check_served(&state)?;
        if let Some(before) = namespace.filter(|_| state.has_plugin(AdmissionPlugin::NamespaceLifecycle)) {
            let now = state.get(admission::NAMESPACES, before.name());
            if !now.is_some_and(|now| Arc::ptr_eq(now, &before)) {
                admission::check_namespace(
                    now.map(AsRef::as_ref),
                    resource,
                    &self.target.namespace,
                    object_meta::text(&value, "name"),
                )?;
            }
        }
        if state.get(&resource.storage, &key).is_some() {
            return Ok(None);
        }
        quota::check_create(&state, resource, &value)?;
        if self.options.dry_run {
            let object = response_object(resource, &key, 0, value);
            return Ok(Some(WrittenObject { object, created: true }));
        }
        let object = state.commit_with_schema(resource, key, value, schema_of_written_object(resource))?;
        controllers::run(&mut state);
        Ok(Some(WrittenObject { object, created: true }))
    }
}
