//! The phases of a write. The operations create, update, patch and apply share these phases.
//!
//! 1. Decode: parse the body, check its kind, drop or refuse unknown fields; for a patch, apply it to the stored
//!    object.
//! 2. Mutating admission.
//! 3. Default and prepare: apply the defaults of the schema and of the strategy, update `managedFields`, and
//!    prepare the object for the create or the update.
//! 4. Validate the object and its metadata.
//! 5. Validating admission, at the end of `validate_*`.
//! 6. Commit, unless another request has changed the stored object since phase 1. After such a change, an update
//!    begins again with the changed object (`GuaranteedUpdate` in the API server).
//!
//! The phases must have the order of the API server, because the order determines which errors a client receives. The
//! state is locked only for single reads and for the commit, so that admission may wait for webhooks.

mod admission;
mod create;
mod decode;
mod steps;
mod update;

use std::sync::Arc;

use serde_json::Value;

pub(crate) use self::decode::{go_yaml_error, parse_body, parse_json_object, parse_yaml};
pub(crate) use self::steps::response_object;
use super::conversion_webhooks::Converter;
use super::options::Options;
use super::read;
use super::reply::Request;
use super::target::Target;
use crate::apply;
use crate::registry::Resource;
use crate::shared_state::Inner;
use crate::status::SimError;
use crate::store::State;
use crate::store::object::StoredObject;
use crate::warnings::WarningBuffer;

/// The request context of a write.
pub(crate) struct WriteContext<'a> {
    pub(crate) inner: &'a Arc<Inner>,
    pub(crate) target: &'a Target,
    pub(crate) options: &'a Options,
    /// The field manager: `fieldManager`, or the default from the user agent.
    pub(crate) manager: &'a str,
    pub(crate) request: &'a Request,
    /// Whether the write is a server-side apply.
    pub(crate) applying: bool,
    /// Whether the `managedFields` of the object are final in the current attempt. They are final after a
    /// server-side apply, and after mutating admission has changed the object.
    pub(crate) fields_tracked: bool,
    /// Whether the new object is the result of a patch. A decoding error is then 422 instead of 400.
    pub(crate) patching: bool,
    /// The texts of the `Warning` headers.
    pub(crate) warnings: WarningBuffer<'a>,
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
pub(crate) struct WrittenObject {
    pub(crate) object: Arc<StoredObject>,
    pub(crate) created: bool,
}

impl<'a> WriteContext<'a> {
    fn resource(&self) -> &'a Resource {
        &self.target.resource
    }

    /// Calls `run` with the [`apply::Context`] of this request.
    pub(crate) fn with_apply_context<T>(&self, run: impl FnOnce(&apply::Context<'_>) -> T) -> T {
        let resource = self.resource();
        let schema = resource.schema();
        let subresource = self.target.subresource.as_str();
        let now = self.inner.clock.stamp();
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

    /// Updates `managedFields`, unless they are up to date.
    pub(crate) fn track_managed_fields(&self, live: Option<&Value>, object: &mut Value) {
        if !self.fields_tracked {
            self.with_apply_context(|cx| apply::track_ownership(cx, live, object));
        }
    }

    fn converter(&self) -> Converter<'a> {
        let calls_webhooks = self.request.calls_webhooks;
        Converter { inner: self.inner, resource: self.resource(), calls_webhooks }
    }

    /// Converts a written object to the version of the request.
    async fn to_request_version(&self, written: WrittenObject) -> Result<WrittenObject, SimError> {
        Ok(WrittenObject { object: self.converter().convert_stored(written.object).await?, ..written })
    }

    /// Returns 404 if the CustomResourceDefinition of the resource was deleted since the request was routed.
    fn check_served(&self, state: &State) -> Result<(), SimError> {
        let r = self.resource();
        if r.custom_properties().is_some() && state.registry.find(&r.group, &r.version, &r.plural).is_none() {
            return Err(SimError::no_such_resource());
        }
        Ok(())
    }

    /// Creates `object`, which was decoded from the body of the request.
    pub(crate) async fn create(&mut self, object: Value) -> Result<WrittenObject, SimError> {
        let resource = self.resource();
        let new = self.prepare_create(object).await?;
        self.validate_create(&new).await?;
        let name = new.name().to_owned();
        match self.commit_create(new).await? {
            Some(written) => self.to_request_version(written).await,
            None => Err(SimError::already_exists(&resource.group, &resource.plural, &name)),
        }
    }

    /// Replaces the object that the URL names. `try_update` gets the stored object and returns the new object. If
    /// another request changes the stored object before the commit, `try_update` is called again with the changed
    /// object.
    ///
    /// If the object does not exist and `missing` is `Create`, `try_update` is called with `None`, and the object that
    /// it returns is created.
    pub(crate) async fn guaranteed_update(
        &mut self,
        part: WrittenPart,
        missing: IfMissing,
        mut try_update: impl FnMut(&mut Self, Option<&Arc<StoredObject>>) -> Result<Value, SimError>,
    ) -> Result<WrittenObject, SimError> {
        let warning_count = self.warnings.len();
        // The loop repeats only after another request has changed the object, so one of the requests always succeeds.
        loop {
            let found = read::find(self.inner.lock().view(), self.target);
            let written = match found {
                Ok(old) => {
                    let shown = self.converter().convert_stored(old.clone()).await?;
                    let new = try_update(self, Some(&shown))?;
                    let replacement = self.prepare_update(old, &shown, new, part).await?;
                    self.validate_update(&replacement).await?;
                    self.commit_update(replacement).await?
                }
                Err(_) if missing == IfMissing::Create => {
                    let object = try_update(self, None)?;
                    let new = self.prepare_create(object).await?;
                    self.validate_create(&new).await?;
                    self.commit_create(new).await?
                }
                Err(error) => return Err(error),
            };
            if let Some(written) = written {
                return self.to_request_version(written).await;
            }
            self.warnings.truncate(warning_count);
        }
    }
}

/// The outcome of an update whose object does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfMissing {
    /// The server responds with 404.
    NotFound,
    /// The update creates the object.
    Create,
}

#[cfg(test)]
mod tests;
