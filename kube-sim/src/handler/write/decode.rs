//! The first phase of a write: decodes the request body, and checks that it matches the URL.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::WriteContext;
use crate::go_json;
use crate::handler::object_meta;
use crate::handler::options::FieldValidation;
use crate::handler::target::Target;
use crate::handler::typed_body;
use crate::patch;
use crate::protobuf;
use crate::registry::{CustomProperties, Resource};
use crate::schema::{self, FieldError, Schema};
use crate::status::SimError;

/// Parses a request body. `expected` is the kind in the error texts.
///
/// # Errors
/// 400 for a body that does not parse, 415 for an unsupported media type.
pub(crate) fn parse_body(body: &Bytes, content_type: &str, expected: &str) -> Result<Value, SimError> {
    match content_type {
        "" | "application/json" | "*/*" => parse_json_object(body).map_err(|problem| {
            let summary = typed_body::summary(body);
            SimError::bad_request(format!(
                "the object provided is unrecognized (must be of type {expected}): {problem} ({summary})"
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

/// Parses an object in JSON.
///
/// # Errors
/// The error text of Go's decoder if the body is not a JSON object.
pub(crate) fn parse_json_object(body: &[u8]) -> Result<Value, String> {
    let refused = |problem: String| format!("couldn't get version/kind; json parse error: {problem}");
    if let Some(problem) = go_json::syntax_error(body) {
        return Err(refused(problem));
    }
    let value: Value = serde_json::from_slice(body).map_err(|error| refused(error.to_string()))?;
    if value.is_object() {
        return Ok(value);
    }
    let target = "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }";
    Err(refused(go_json::unmarshal_error(&value, target)))
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

/// Converts an error text of `yaml_serde` to the text of Go's YAML parser. `text` has the form `PROBLEM at line L column C`,
/// optionally followed by `, while CONTEXT at line L column C`.
pub(crate) fn go_yaml_error(text: &str) -> String {
    let line_of = |part: &str| -> usize {
        let line = part.rsplit_once(" at line ").and_then(|(_, place)| place.split(' ').next()?.parse().ok());
        // Go counts lines from 0 here.
        line.unwrap_or(1_usize).saturating_sub(1)
    };
    let (problem, context) = text.split_once(", while ").unwrap_or((text, ""));
    let line = match (line_of(context), line_of(problem)) {
        (0, line) | (line, _) => line,
    };
    let problem = problem.split(" at line ").next().unwrap_or(problem);
    if line == 0 { format!("yaml: {problem}") } else { format!("yaml: line {line}: {problem}") }
}

impl WriteContext<'_> {
    /// Checks the kind of the body, and removes unknown fields. The option `fieldValidation` decides whether unknown and
    /// duplicate fields cause warnings, an error or nothing.
    pub(crate) fn decode(&mut self, object: &mut Value, duplicates: Vec<String>) -> Result<(), SimError> {
        let resource = self.resource();
        let mut problems = duplicates;
        if let Some(custom) = resource.custom_properties() {
            check_has_kind_and_version(resource, object)?;
            // As in the API server, the schema of the body's own version prunes the body first. `check_kind` below
            // then refuses the body if its version is not the version of the request.
            let schema = body_schema(resource, custom, object);
            if let Some(schema) = &schema {
                schema::coerce_metadata(schema, object, protobuf::omits_zero)
                    .map_err(|problem| self.decoding_error(object, &problem))?;
                problems.extend(schema::prune(schema, object));
            }
        } else {
            self.check_kind(object)?;
            let schema = resource.schema();
            problems.extend(schema::prune(&schema, object));
            if resource.builtin_resource().is_some() {
                schema::decode(&schema, object, protobuf::omits_zero)
                    .map_err(|problem| self.decoding_error(object, &problem))?;
            }
        }
        object_meta::metadata_mut(object)?;
        self.apply_field_validation(object, problems)?;
        if resource.custom_properties().is_some() { self.check_kind(object) } else { Ok(()) }
    }

    /// Ignores, warns about or refuses unknown and duplicate fields.
    fn apply_field_validation(&mut self, object: &Value, problems: Vec<String>) -> Result<(), SimError> {
        if problems.is_empty() {
            return Ok(());
        }
        match self.options.validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => self.warnings.extend(problems),
            FieldValidation::Strict => {
                return Err(self.decoding_error(object, &schema::strict_decoding_error(&problems)));
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
        // A custom resource is decoded in the version that its body names.
        let version = match object["apiVersion"].as_str().and_then(|version| version.split_once('/')) {
            Some((_, version)) if resource.custom_properties().is_some() => version,
            _ => &resource.version,
        };
        SimError::bad_request(schema::undecodable_body_message(&resource.kind, version, problem))
    }
}

impl WriteContext<'_> {
    /// Checks that `kind` and `apiVersion` of the body match the URL. In an object of a built-in kind, either may be
    /// missing, and is then set.
    fn check_kind(&self, object: &mut Value) -> Result<(), SimError> {
        let resource = self.resource();
        let given = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
        let (kind, api_version) = (given("kind"), given("apiVersion"));
        if resource.custom_properties().is_some() {
            check_custom_kind(resource, object, &kind, &api_version)?;
        } else if !kind.is_empty() || !api_version.is_empty() {
            let or_own = |given: String, own: &str| if given.is_empty() { own.to_owned() } else { given };
            object["kind"] = or_own(kind, &resource.kind).into();
            object["apiVersion"] = or_own(api_version, &resource.api_version).into();
            self.check_builtin_kind(object)?;
        }
        object["apiVersion"] = resource.api_version.clone().into();
        object["kind"] = resource.kind.clone().into();
        Ok(())
    }

    fn check_builtin_kind(&self, object: &Value) -> Result<(), SimError> {
        let resource = self.resource();
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        let (kind, api_version) = (text("kind"), text("apiVersion"));
        if kind == resource.kind && api_version == resource.api_version {
            return Ok(());
        }
        if kind == resource.kind && resource.served.iter().any(|served| served == api_version) {
            return Err(version_mismatch_error(api_version, resource));
        }
        let problem = typed_body::conversion_problem(object, (&resource.group, &resource.kind));
        if self.patching {
            return Err(self.decoding_error(object, &problem));
        }
        Err(typed_body::undecodable_error(kind, api_version, &resource.kind, &problem))
    }
}

fn version_mismatch_error(api_version: &str, resource: &Resource) -> SimError {
    SimError::bad_request(format!(
        "the API version in the data ({api_version}) does not match the expected API version ({})",
        resource.api_version
    ))
}

/// Checks that a custom resource has a kind and an API version.
fn check_has_kind_and_version(resource: &Resource, object: &Value) -> Result<(), SimError> {
    for (field, label) in [("kind", "Kind"), ("apiVersion", "apiVersion")] {
        if object.get(field).is_none_or(|v| v == "") {
            return Err(SimError::bad_request(format!(
                "the object provided is unrecognized (must be of type {}): Object '{label}' is missing in '{object}' ({})",
                resource.kind,
                typed_body::summary(object.to_string().as_bytes())
            )));
        }
    }
    Ok(())
}

/// Returns the schema for the API version that a custom resource names. If the definition does not have this version,
/// returns a schema without fields. Returns `None` if the object names another group or kind.
fn body_schema(resource: &Resource, custom: &CustomProperties, object: &Value) -> Option<Arc<Schema>> {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let api_version = text("apiVersion");
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    if group != resource.group || text("kind") != resource.kind {
        return None;
    }
    let schema = custom.schemas.get(api_version).cloned();
    Some(schema.unwrap_or_else(|| Schema::of_custom_resource(&serde_json::json!({}))))
}

/// Checks the kind and the API version of a custom resource.
fn check_custom_kind(
    resource: &Resource,
    object: &Value,
    kind: &str,
    api_version: &str,
) -> Result<(), SimError> {
    if api_version != resource.api_version {
        return Err(version_mismatch_error(api_version, resource));
    }
    if kind != resource.kind {
        let error = FieldError::invalid("kind", kind, format!("must be {}", resource.kind));
        return Err(SimError::invalid(&resource.group, kind, object_meta::text(object, "name"), &[error]));
    }
    Ok(())
}

/// Checks that the name and the namespace of the body match the URL. Sets each of the two if it is missing.
///
/// # Errors
/// 400 if the name or the namespace does not match, or if the name is missing and `may_be_nameless` is false.
pub(super) fn apply_url_names(
    target: &Target,
    object: &mut Value,
    may_be_nameless: bool,
) -> Result<(), SimError> {
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
    if name.is_empty() && !may_be_nameless {
        return Err(SimError::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            target.name
        )));
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
