//! Decodes the request bodies of kinds that are not stored, such as `Eviction`, `TokenRequest` and the access reviews.
//!
//! Also contains the decoding errors that all request bodies have in common. `write` decodes the bodies of stored kinds.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Call;
use super::options::FieldValidation;
use super::write::parse_body;
use crate::builtin;
use crate::protobuf;
use crate::registry::go_package;
use crate::schema;
use crate::status::SimError;

/// The kind of a request body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyKind<'a> {
    pub(crate) group: &'a str,
    pub(crate) version: &'a str,
    pub(crate) kind: &'a str,
}

impl BodyKind<'_> {
    fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The schema of the kind.
    pub(crate) fn schema(&self) -> std::sync::Arc<schema::Schema> {
        let name = format!("io.k8s.api.{}.{}.{}", go_package(self.group), self.version, self.kind);
        builtin::schema(&name).unwrap_or_else(schema::Schema::permissive)
    }

    /// Decodes the body of the request. The option `fieldValidation` decides whether unknown and duplicate fields cause
    /// warnings, an error or nothing.
    ///
    /// # Errors
    /// 400 for a body that is not an object of this kind, or that has unknown or duplicate fields if the validation is
    /// strict; 415 for an unsupported media type.
    pub(crate) fn decode(&self, call: &Call<'_>) -> Result<Value, SimError> {
        let request = call.request;
        let mut object = parse_body(&request.body, &request.content_type, self.kind)?;
        let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
        let (kind, api_version) = (text("kind"), text("apiVersion"));
        if !kind.is_empty() && (kind != self.kind || api_version != self.api_version()) {
            let problem = conversion_problem(&object, (self.group, self.kind));
            return Err(undecodable_error(&kind, &api_version, self.kind, &problem));
        }
        let schema = self.schema();
        let refused = |problem: &str| {
            SimError::bad_request(schema::undecodable_body_message(self.kind, self.version, problem))
        };
        let mut problems = schema::duplicate_field_messages(&request.body);
        let pruned = schema::prune(&schema, &mut object);
        problems.extend(pruned);
        schema::decode(&schema, &mut object, protobuf::omits_zero).map_err(|problem| refused(&problem))?;
        object["kind"] = self.kind.into();
        object["apiVersion"] = self.api_version().into();
        if !object["metadata"].is_object() {
            object["metadata"] = json!({});
        }
        match call.options.validation {
            FieldValidation::Warn => call.warnings.add(problems),
            FieldValidation::Strict if !problems.is_empty() => {
                return Err(refused(&schema::strict_decoding_error(&problems)));
            }
            FieldValidation::Ignore | FieldValidation::Strict => {}
        }
        Ok(object)
    }
}

/// The error 400 for a body whose kind or version differs from the kind and version of the endpoint.
pub(crate) fn undecodable_error(kind: &str, api_version: &str, expected: &str, problem: &str) -> SimError {
    let version = api_version.rsplit('/').next().unwrap_or_default();
    SimError::bad_request(format!(
        "{kind} in version {version:?} cannot be handled as a {expected}: {problem}"
    ))
}

/// Explains why `object` does not convert to the kind `expected`. The text is for the argument `problem` of
/// [`undecodable_error`].
pub(crate) fn conversion_problem(object: &Value, (group, expected): (&str, &str)) -> String {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let (kind, api_version) = (text("kind"), text("apiVersion"));
    let Some(resource) =
        builtin::resources().iter().find(|r| r.kind == kind && r.api_version() == api_version)
    else {
        return format!(
            "no kind {kind:?} is registered for version {api_version:?} in scheme \"pkg/runtime/scheme.go:111\""
        );
    };
    if let Some(schema) = resource.schema()
        && let Err(problem) = schema::decode(&schema, &mut object.clone(), protobuf::omits_zero)
    {
        return problem;
    }
    let package = go_package(group);
    format!("converting ({}.{kind}) to ({package}.{expected}): unknown conversion", resource.version)
}

/// Returns the first bytes of a request body, for an error message. If the body begins with `{`, the bytes are
/// shown as text. Otherwise they are shown in hexadecimal.
pub(super) fn summary(body: &[u8]) -> String {
    const MAX_BYTES: usize = 30;
    let shown = body.get(..MAX_BYTES).unwrap_or(body);
    let mut text = match body.first() {
        None => return "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(shown).into_owned(),
        Some(_) => shown.iter().fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        }),
    };
    if body.len() > MAX_BYTES {
        text.push_str(" ...");
    }
    text
}
