//! The four kinds of patches, and server-side apply.

use bytes::Bytes;
use serde_json::Value;

use super::write::{Cx, Part, Written, parse_body};
use super::{convert, read};
use crate::patch::{self, PatchError};
use crate::schema::FieldError;
use crate::status::SimError;
use crate::store::State;

/// What kind of patch a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl Kind {
    /// # Errors
    /// 415 for a media type that is no patch, or not one of this resource.
    pub(crate) fn of(content_type: &str, custom: bool) -> Result<Self, SimError> {
        match content_type {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" if !custom => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            _ => Err(SimError::unsupported_media_type(if custom {
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
            } else {
                "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml"
            })),
        }
    }
}

/// Patches the object that the target names.
pub(crate) fn patch(
    state: &mut State,
    cx: &mut Cx<'_>,
    body: &Bytes,
    content_type: &str,
    part: Part,
) -> Result<Written, SimError> {
    let kind = Kind::of(content_type, cx.target.resource.custom().is_some())?;
    if kind == Kind::Apply {
        return Err(SimError::new(
            http::StatusCode::NOT_IMPLEMENTED,
            "",
            "server-side apply is not served yet",
        ));
    }
    if cx.options.force.is_some() {
        let error = FieldError::forbidden("force", "may not be specified for non-apply patch");
        return Err(SimError::invalid("meta.k8s.io", "PatchOptions", "", &[error]));
    }
    cx.patching = true;
    let old = read::find(state, cx.target)?;
    let mut object = convert::view(&cx.target.resource, &old);
    apply_to(&mut object, cx, kind, body)?;
    cx.decode(&mut object, Vec::new())?;
    cx.update(state, &old, object, part)
}

fn apply_to(object: &mut Value, cx: &Cx<'_>, kind: Kind, body: &Bytes) -> Result<(), SimError> {
    let resource = &cx.target.resource;
    let change = parse_body(body, "application/json")?;
    match kind {
        Kind::Merge => patch::merge(object, change).map_err(refused),
        Kind::Json => patch::json(object, &change).map_err(refused),
        Kind::Strategic => patch::strategic(&resource.schema(), object, change).map_err(refused),
        Kind::Apply => Ok(()),
    }
}

/// A patch that does not apply, as its answer.
pub(crate) fn refused(error: PatchError) -> SimError {
    match error {
        PatchError::BadRequest(message) => SimError::bad_request(message),
        PatchError::Unprocessable(message) => {
            SimError::new(http::StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
        }
        PatchError::TooLarge(message) => {
            SimError::new(http::StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
        }
        PatchError::Internal(message) => SimError::new(http::StatusCode::INTERNAL_SERVER_ERROR, "", message),
    }
}
