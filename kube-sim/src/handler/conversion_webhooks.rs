//! Conversion webhooks of CustomResourceDefinitions: convert custom resources between the version of a request and the
//! version in which they are stored.
//!
//! [`super::convert`] has the conversions without webhooks.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::convert::{to_read_form, with_stored_defaults};
use super::service_endpoint::endpoint;
use crate::json::text;
use crate::names;
use crate::registry::Resource;
use crate::schema;
use crate::shared_state::Inner;
use crate::status::SimError;
use crate::store::object::StoredObject;
use crate::webhooks::type_text;

/// The time limit of a call of a conversion webhook.
const TIMEOUT: Duration = Duration::from_secs(30);
const API_VERSION: &str = "apiextensions.k8s.io/v1";

/// Converts objects between the version of `resource` and the other versions of the same custom resource.
#[derive(Clone, Copy)]
pub(crate) struct Converter<'a> {
    pub(crate) inner: &'a Inner,
    pub(crate) resource: &'a Resource,
    /// Whether kube-sim calls webhooks for the request. False if a test sends the request through a method of `Sim`.
    pub(crate) calls_webhooks: bool,
}

impl Converter<'_> {
    /// Whether a webhook converts the objects of the resource.
    pub(crate) fn uses_webhook(&self) -> bool {
        self.webhook().is_some()
    }

    fn webhook(&self) -> Option<&Value> {
        self.resource.custom_properties()?.webhook.as_deref()
    }

    /// Converts a stored object to the version of the resource.
    ///
    /// # Errors
    /// 500 if the webhook fails.
    pub(crate) async fn convert_stored(
        &self,
        object: Arc<StoredObject>,
    ) -> Result<Arc<StoredObject>, SimError> {
        if !self.uses_webhook() {
            return Ok(to_read_form(self.resource, object));
        }
        let mut converted = self.all_from_stored(vec![object]).await?;
        converted.pop().ok_or_else(|| SimError::internal("the conversion of an object has no result"))
    }

    /// Converts stored objects to the version of the resource. As in the API server, objects get the defaults of the
    /// version in which they are stored, and are pruned to the version of the resource.
    ///
    /// # Errors
    /// 500 if the webhook fails.
    pub(crate) async fn all_from_stored(
        &self,
        objects: Vec<Arc<StoredObject>>,
    ) -> Result<Vec<Arc<StoredObject>>, SimError> {
        let mut objects: Vec<_> =
            objects.into_iter().map(|object| to_read_form(self.resource, object)).collect();
        let Some(webhook) = self.webhook() else { return Ok(objects) };
        let wanted = self.resource.api_version.as_str();
        let is_other_version =
            |object: &StoredObject| object.api_version.as_deref().is_some_and(|v| v != wanted);
        let sent: Vec<(usize, Value)> = objects
            .iter()
            .enumerate()
            .filter(|(_, object)| is_other_version(object))
            .map(|(index, object)| (index, with_stored_defaults(self.resource, object)))
            .collect();
        if sent.is_empty() {
            return Ok(objects);
        }
        let (indices, values): (Vec<_>, Vec<_>) = sent.into_iter().unzip();
        let converted = self.call(webhook, values, wanted).await?;
        let schema = self.resource.schema();
        for (index, mut value) in indices.into_iter().zip(converted) {
            let _ = schema::prune(&schema, &mut value);
            let old = &objects[index];
            let fields = self.resource.field_values(&value);
            let stored = StoredObject::new(old.key.clone(), old.version, fields, value);
            let stored = stored.with_api_version(Some(wanted.into())).with_schema(Some(schema.clone()));
            objects[index] = Arc::new(stored);
        }
        Ok(objects)
    }

    /// Converts an object from the version of the resource to the version `wanted`. Returns the object unchanged if the
    /// resource has no webhook.
    ///
    /// # Errors
    /// 500 if the webhook fails.
    pub(crate) async fn to_version(self, object: Value, wanted: &str) -> Result<Value, SimError> {
        match self.webhook() {
            Some(webhook) if self.resource.api_version != wanted => {
                let mut converted = self.call(webhook, vec![object], wanted).await?;
                Ok(converted.pop().unwrap_or_default())
            }
            _ => Ok(object),
        }
    }

    /// Converts an object to the version in which it is stored. Returns the object unchanged if the resource has no
    /// webhook.
    ///
    /// # Errors
    /// 500 if the webhook fails.
    pub(crate) async fn to_storage_version(self, object: Value) -> Result<Value, SimError> {
        match self.resource.custom_properties() {
            Some(custom) if custom.webhook.is_some() => {
                self.to_version(object, &custom.storage_version).await
            }
            _ => Ok(object),
        }
    }

    /// Calls the webhook for objects that are not in the version `wanted`.
    async fn call(&self, webhook: &Value, objects: Vec<Value>, wanted: &str) -> Result<Vec<Value>, SimError> {
        let error = |text: String| SimError::new(StatusCode::INTERNAL_SERVER_ERROR, "", text);
        let name = format!("conversion webhook for {}", type_text(&objects[0]));
        if !self.calls_webhooks {
            return Err(error(format!("{name} failed: a direct call cannot call it, use Sim::service")));
        }
        let versions = webhook["conversionReviewVersions"].as_array().into_iter().flatten();
        if !versions.clone().any(|version| version == "v1") {
            return Err(error("no supported conversion review versions".to_owned()));
        }
        let uid = self.inner.lock_random().uid();
        let review = json!({"kind": "ConversionReview", "apiVersion": API_VERSION, "request": {
            "uid": uid, "desiredAPIVersion": wanted, "objects": objects,
        }});
        let failed = |why: String| error(format!("{name} failed: {why}"));
        let endpoint = endpoint(self.inner, &webhook["clientConfig"], TIMEOUT).map_err(failed)?;
        let mut response = endpoint.post(&review, TIMEOUT).await.map_err(failed)?;
        let converted = converted_objects(&mut response, &uid).map_err(failed)?;
        if converted.len() != objects.len() {
            let (found, expected) = (converted.len(), objects.len());
            return Err(error(format!("{name} returned {found} objects, expected {expected}")));
        }
        let pairs = objects.iter().zip(converted);
        pairs.map(|(from, to)| restore(from, to, wanted, &name).map_err(error)).collect()
    }
}

/// The converted objects of a response.
///
/// # Errors
/// The reason why the response is invalid.
fn converted_objects(review: &mut Value, uid: &str) -> Result<Vec<Value>, String> {
    if review["kind"] != "ConversionReview" || review["apiVersion"] != API_VERSION {
        return Err(format!(
            "expected webhook response of {API_VERSION}, Kind=ConversionReview, got {}",
            type_text(review)
        ));
    }
    let response = &mut review["response"];
    if response.is_null() {
        return Err("no response provided".to_owned());
    }
    if response["uid"] != uid {
        return Err(format!("expected response.uid={uid:?}, got {:?}", text(&response["uid"])));
    }
    let result = &response["result"];
    if result["status"] != "Success" {
        return Err(match text(&result["message"]) {
            "" => format!("response.result.status was '{}', not 'Success'", text(&result["status"])),
            message => message.to_owned(),
        });
    }
    match response["convertedObjects"].take() {
        Value::Array(objects) => Ok(objects),
        _ => Ok(Vec::new()),
    }
}

/// Checks a converted object, and restores the metadata that a webhook cannot change: all but labels and annotations.
///
/// # Errors
/// The error text for an invalid object.
fn restore(from: &Value, mut to: Value, wanted: &str, name: &str) -> Result<Value, String> {
    let invalid = |why: String| Err(format!("{name} returned invalid object at index 0: {why}"));
    if to["apiVersion"] != wanted {
        let found = text(&to["apiVersion"]);
        return invalid(format!("invalid groupVersion (expected {wanted}, received {found})"));
    }
    if to["kind"] != from["kind"] {
        let (expected, found) = (text(&from["kind"]), text(&to["kind"]));
        return invalid(format!("invalid kind (expected {expected}, received {found})"));
    }
    for (field, label) in [("name", "name"), ("namespace", "namespace"), ("uid", "UID")] {
        let (expected, found) = (text(&from["metadata"][field]), text(&to["metadata"][field]));
        if expected != found {
            let why = format!("must have the same {label}: {expected} != {found}");
            return Err(format!("{name} returned invalid object: {why}"));
        }
    }
    let invalid = |why: String| format!("{name} returned invalid metadata: {why}");
    let metadata = match to.get("metadata") {
        None => return Err(invalid("missing metadata in converted object".to_owned())),
        Some(Value::Object(metadata)) => metadata,
        Some(_) => {
            return Err(invalid("invalid metadata in converted object: it is not an object".to_owned()));
        }
    };
    let mut restored = from["metadata"].clone();
    for field in ["labels", "annotations"] {
        let Some(changed) = metadata.get(field).filter(|changed| !changed.is_null()) else {
            restored.as_object_mut().map(|restored| restored.remove(field));
            continue;
        };
        check_texts(field, changed).map_err(invalid)?;
        restored[field] = changed.clone();
    }
    to["metadata"] = restored;
    Ok(to)
}

/// Checks the labels or annotations of a converted object.
fn check_texts(field: &str, map: &Value) -> Result<(), String> {
    let Some(map) = map.as_object() else {
        return Err(format!("invalid metadata.{field} in converted object: it is not an object"));
    };
    for (key, value) in map {
        let Some(value) = value.as_str() else {
            return Err(format!("metadata.{field}[{key}] must be a string in converted object"));
        };
        if !names::is_qualified_name(&key.to_lowercase()) {
            return Err(format!("metadata.{field}: Invalid value: {key:?}: {}", names::INVALID_NAME_PART));
        }
        if field == "labels" && !names::is_label_value(value) {
            return Err(format!(
                "metadata.{field}: Invalid value: {value:?}: a valid label value is required"
            ));
        }
    }
    Ok(())
}
