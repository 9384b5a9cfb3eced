//! The first phase of a write: decodes the request body, and checks that it matches the URL.

use bytes::Bytes;
use serde_json::Value;

use super::WriteContext;
use crate::builtin;
use crate::handler::object_meta;
use crate::handler::options::FieldValidation;
use crate::handler::target::Target;
use crate::patch;
use crate::protobuf;
use crate::registry::Resource;
use crate::schema;
use crate::status::SimError;

/// Parses a request body.
///
/// # Errors
/// 400 for a body that does not parse, 415 for an unsupported media type.
pub(crate) fn parse_body(body: &Bytes, content_type: &str) -> Result<Value, SimError> {
    match content_type {
        "" | "application/json" | "*/*" => serde_json::from_slice(body).map_err(|e| {
            SimError::bad_request(format!(
                "the object provided is unrecognized: couldn't get version/kind; json parse error: {e}"
            ))
        }),
        "application/yaml" | "application/apply-patch+yaml" => parse_yaml(body),
        protobuf::MEDIA_TYPE => {
            let refused = |e| SimError::bad_request(format!("the object provided is unrecognized: {e}"));
            protobuf::decode(body).map_err(refused)
        }
        _ => Err(SimError::unsupported_media_type(&format!(
            "application/json, application/yaml, {}",
            protobuf::MEDIA_TYPE
        ))),
    }
}

/// Parses YAML, which includes JSON.
pub(crate) fn parse_yaml(body: &Bytes) -> Result<Value, SimError> {
    if body.first() == Some(&b'{')
        && let Ok(value) = serde_json::from_slice(body)
    {
        return Ok(value);
    }
    yaml_serde::from_slice(body).map_err(|e| SimError::bad_request(format!("error decoding YAML: {e}")))
}

impl WriteContext<'_> {
    /// Checks the kind of the body; drops or refuses unknown and duplicate fields, as `fieldValidation` requests.
    pub(crate) fn decode(&mut self, object: &mut Value, duplicates: Vec<String>) -> Result<(), SimError> {
        let resource = self.resource();
        check_kind(resource, object)?;
        if resource.custom().is_some() {
            object_meta::metadata_mut(object)?;
        }
        let schema = resource.schema();
        let mut problems = duplicates;
        let mut pruned = object.clone();
        problems.extend(schema::prune(&schema, &mut pruned));
        *object = pruned;
        if resource.builtin().is_some() {
            schema::decode(&schema, object).map_err(|problem| self.decoding_error(object, &problem))?;
            object_meta::metadata_mut(object)?;
        }
        if problems.is_empty() {
            return Ok(());
        }
        match self.options.validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => self.warnings.extend(problems),
            FieldValidation::Strict => {
                return Err(self.decoding_error(object, &schema::strict_problem(&problems)));
            }
        }
        Ok(())
    }

    /// The error for an object that does not decode into its kind: 400 for a request body, 422 for the result of a
    /// patch.
    fn decoding_error(&self, object: &Value, problem: &str) -> SimError {
        let resource = self.resource();
        if self.patching {
            return SimError::invalid("", "", "", &[patch::undecodable_result_error(object, problem)]);
        }
        SimError::bad_request(schema::undecodable(&resource.kind, &resource.version, problem))
    }
}

/// Checks that `kind` and `apiVersion` of the body match the URL. Sets them if they are missing.
fn check_kind(resource: &Resource, object: &mut Value) -> Result<(), SimError> {
    let Some(map) = object.as_object_mut() else {
        return Err(SimError::bad_request(
            "the object provided is unrecognized: couldn't get version/kind; json: cannot unmarshal into Go value of type struct { APIVersion string; Kind string }",
        ));
    };
    let given = |field: &str| map.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, api_version) = (given("kind"), given("apiVersion"));
    if resource.custom().is_some() {
        for (field, label, value) in [("kind", "Kind", &kind), ("apiVersion", "apiVersion", &api_version)] {
            if value.is_empty() && map.get(field).is_none_or(|v| v == "") {
                let text = Value::Object(map.clone());
                return Err(SimError::bad_request(format!(
                    "the object provided is unrecognized (must be of type {}): Object '{label}' is missing in '{text}' ({text})",
                    resource.kind
                )));
            }
        }
    }
    if !api_version.is_empty() && api_version != resource.api_version {
        let kind = if kind.is_empty() { &resource.kind } else { &kind };
        if resource.builtin().is_some()
            && !builtin::resources().iter().any(|r| r.kind == kind && r.api_version() == api_version)
        {
            let version = api_version.rsplit('/').next().unwrap_or_default();
            return Err(SimError::bad_request(format!(
                "{kind} in version \"{version}\" cannot be handled as a {}: no kind \"{kind}\" is registered for version \"{api_version}\" in scheme \"pkg/runtime/scheme.go:111\"",
                resource.kind
            )));
        }
        return Err(SimError::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({})",
            resource.api_version
        )));
    }
    if !kind.is_empty() && kind != resource.kind {
        return Err(SimError::bad_request(format!(
            "{kind} in version \"{}\" cannot be handled as a {}: no kind \"{kind}\" is served at this path",
            resource.version, resource.kind
        )));
    }
    map.insert("apiVersion".into(), resource.api_version.clone().into());
    map.insert("kind".into(), resource.kind.clone().into());
    Ok(())
}

/// Checks that the name and the namespace of the body match the URL. Sets them if they are missing.
pub(super) fn apply_url_names(target: &Target, object: &mut Value) -> Result<(), SimError> {
    let metadata = object_meta::metadata_mut(object)?;
    let given = |field: &str| metadata.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (name, namespace) = (given("name"), given("namespace"));
    if target.resource.namespaced {
        if !namespace.is_empty() && namespace != target.namespace {
            return Err(SimError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        metadata.insert("namespace".into(), target.namespace.clone().into());
    } else {
        metadata.remove("namespace");
    }
    if target.name.is_empty() {
        return Ok(());
    }
    if name.is_empty() {
        metadata.insert("name".into(), target.name.clone().into());
    } else if name != target.name {
        return Err(SimError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            target.name
        )));
    }
    Ok(())
}
