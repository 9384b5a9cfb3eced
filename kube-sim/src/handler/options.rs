//! The query parameters of all verbs (`ListOptions`, `CreateOptions`, `UpdateOptions`, `PatchOptions`,
//! `DeleteOptions`).

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::Value;

use crate::schema::FieldError;
use crate::status::SimError;

/// The handling of unknown and duplicate fields of a request body (`fieldValidation`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// The interpretation of the resource version of a list or watch (`resourceVersionMatch`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VersionMatch {
    Exact,
    NotOlderThan,
}

/// The parsed query parameters of a request. The handler of a verb reads only the parameters of this verb.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) label_selector: String,
    pub(crate) field_selector: String,
    /// The resource version; `None` if unset or empty.
    pub(crate) version: Option<u64>,
    pub(crate) version_match: Option<VersionMatch>,
    version_match_text: String,
    pub(crate) limit: usize,
    pub(crate) continue_token: String,
    pub(crate) timeout: Option<Duration>,
    pub(crate) watch: bool,
    pub(crate) bookmarks: bool,
    pub(crate) send_initial: Option<bool>,
    pub(crate) dry_run: bool,
    /// Whether a deletion ignores that the object cannot be decoded.
    pub(crate) ignore_read_error: Option<bool>,
    pub(crate) manager: Option<String>,
    pub(crate) validation: FieldValidation,
    pub(crate) force: Option<bool>,
    pub(crate) grace: Option<i64>,
    pub(crate) propagation: Option<String>,
    pub(crate) orphan: Option<bool>,
    pub(crate) include_object: String,
}

impl Options {
    /// Parses the query of a request with this HTTP method. `single` is true for a request for one object.
    ///
    /// # Errors
    /// 400 for a value that does not parse, 422 for a value that is not supported, 500 if the resource version of a get
    /// or of a watch does not parse.
    pub(crate) fn parse(method: &Method, query: &str, single: bool) -> Result<Self, SimError> {
        let mut o = Self::default();
        let mut version_text = None;
        let kind = match *method {
            Method::PUT => "UpdateOptions",
            Method::PATCH => "PatchOptions",
            Method::DELETE => "DeleteOptions",
            _ => "CreateOptions",
        };
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.into_owned();
            match &*key {
                "labelSelector" => o.label_selector = value,
                "fieldSelector" => o.field_selector = value,
                "resourceVersion" if !value.is_empty() => version_text = Some(value),
                "resourceVersionMatch" => o.version_match_text = value,
                "limit" => o.limit = usize::try_from(parse_integer(&value)?).unwrap_or(0),
                "continue" => o.continue_token = value,
                "timeoutSeconds" if !value.is_empty() => {
                    o.timeout = Some(Duration::from_secs(parse_integer(&value)?.unsigned_abs()));
                }
                "watch" => o.watch = parse_flag(&value),
                "allowWatchBookmarks" => o.bookmarks = parse_flag(&value),
                "sendInitialEvents" => o.send_initial = Some(parse_flag(&value)),
                "dryRun" if !value.is_empty() => {
                    if value != "All" {
                        return Err(not_supported_error("dryRun", vec![value], &["All"], kind));
                    }
                    o.dry_run = true;
                }
                "fieldManager" if !value.is_empty() => o.manager = Some(value),
                "fieldValidation" => {
                    o.validation = match value.as_str() {
                        "" | "Warn" => FieldValidation::Warn,
                        "Ignore" => FieldValidation::Ignore,
                        "Strict" => FieldValidation::Strict,
                        _ => {
                            let known = ["", "Ignore", "Strict", "Warn"];
                            return Err(not_supported_error("fieldValidation", value, &known, kind));
                        }
                    }
                }
                "force" => o.force = Some(parse_flag(&value)),
                "gracePeriodSeconds" if !value.is_empty() => o.grace = Some(parse_integer(&value)?),
                "propagationPolicy" if !value.is_empty() => o.propagation = Some(value),
                "orphanDependents" => o.orphan = Some(parse_flag(&value)),
                "ignoreStoreReadErrorWithClusterBreakingPotential" => {
                    o.ignore_read_error = Some(parse_flag(&value));
                }
                "includeObject" => o.include_object = value,
                _ => {}
            }
        }
        if let Some(text) = version_text {
            o.version = Some(parse_resource_version(&text, single || o.watch)?);
        }
        o.version_match = match o.version_match_text.as_str() {
            "Exact" => Some(VersionMatch::Exact),
            "NotOlderThan" => Some(VersionMatch::NotOlderThan),
            _ => None,
        };
        if let Some(manager) = &o.manager {
            check_field_manager(manager, kind)?;
        }
        Ok(o)
    }

    /// Clears `resourceVersionMatch` of a watch. A server that does not support `sendInitialEvents` also ignores
    /// `resourceVersionMatch`.
    pub(crate) fn clear_version_match(&mut self) {
        self.version_match = None;
        self.version_match_text.clear();
    }

    /// Validates the options of a list.
    ///
    /// # Errors
    /// 422 for an invalid combination of options.
    pub(crate) fn check_list(&self) -> Result<(), SimError> {
        let mut errors = Vec::new();
        let forbidden = |field: &str, why: &str| FieldError::forbidden(field, why);
        let text = &self.version_match_text;
        if !text.is_empty() {
            if self.version.is_none() {
                errors.push(forbidden(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden unless resourceVersion is provided",
                ));
            }
            if !self.continue_token.is_empty() {
                errors.push(forbidden(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden when continue is provided",
                ));
            }
            if self.version_match.is_none() {
                errors.push(FieldError::not_supported(
                    "resourceVersionMatch",
                    text.as_str(),
                    &["Exact", "NotOlderThan", ""],
                ));
            }
            if self.version_match == Some(VersionMatch::Exact) && self.version == Some(0) {
                errors.push(forbidden(
                    "resourceVersionMatch",
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                ));
            }
        }
        if self.send_initial.is_some() {
            errors.push(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
        }
        error_if_any(&errors)
    }

    /// Validates the options of a watch. `watch_list` is true if the WatchList feature gate is enabled.
    ///
    /// # Errors
    /// 422 for an invalid combination of options.
    pub(crate) fn check_watch(&self, watch_list: bool) -> Result<(), SimError> {
        let mut errors = Vec::new();
        let forbidden = |field: &str, why: &str| FieldError::forbidden(field, why);
        if self.send_initial.is_some() {
            if self.version_match != Some(VersionMatch::NotOlderThan) {
                errors.push(forbidden(
                    "resourceVersionMatch",
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                ));
            }
            if !watch_list {
                errors.push(forbidden(
                    "sendInitialEvents",
                    "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
                ));
            }
        }
        if !self.version_match_text.is_empty() {
            if self.send_initial.is_none() {
                errors.push(forbidden(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                ));
            }
            if self.version_match != Some(VersionMatch::NotOlderThan) {
                errors.push(FieldError::not_supported(
                    "resourceVersionMatch",
                    self.version_match_text.as_str(),
                    &["NotOlderThan"],
                ));
            }
        }
        error_if_any(&errors)
    }
}

/// Returns a 422 error with the field errors, if there are any.
fn error_if_any(errors: &[FieldError]) -> Result<(), SimError> {
    if errors.is_empty() { Ok(()) } else { Err(SimError::invalid("meta.k8s.io", "ListOptions", "", errors)) }
}

fn not_supported_error(field: &str, value: impl Into<Value>, known: &[&str], kind: &str) -> SimError {
    let error = FieldError::not_supported(field, value, known);
    SimError::invalid("meta.k8s.io", kind, "", &[error])
}

fn check_field_manager(manager: &str, kind: &str) -> Result<(), SimError> {
    if manager.len() > 128 {
        let error = FieldError::too_long("fieldManager", 128);
        return Err(SimError::invalid("meta.k8s.io", kind, "", &[error]));
    }
    if let Some((at, character)) = manager.char_indices().find(|(_, character)| character.is_control()) {
        let why = format!("invalid character U+{:04X} (at position {at})", u32::from(character));
        let error = FieldError::invalid("fieldManager", manager, why);
        return Err(SimError::invalid("meta.k8s.io", kind, "", &[error]));
    }
    Ok(())
}

/// Parses a resource version. As in the API server, an invalid resource version results in the code 400 for a list, and
/// in the code 500 for a get or a watch (`is_internal`).
fn parse_resource_version(text: &str, is_internal: bool) -> Result<u64, SimError> {
    text.parse().map_err(|_| {
        let why = format!("strconv.ParseUint: parsing \"{text}\": invalid syntax");
        let error = FieldError::invalid("resourceVersion", text, why).to_string();
        if is_internal {
            return SimError::new(StatusCode::INTERNAL_SERVER_ERROR, "", error);
        }
        SimError::bad_request(format!("invalid resource version: {error}"))
    })
}

fn parse_integer(text: &str) -> Result<i64, SimError> {
    text.parse()
        .map_err(|_| SimError::bad_request(format!("strconv.ParseInt: parsing \"{text}\": invalid syntax")))
}

/// Parses a boolean query parameter. As in the API server, every value except `false` and `0` is true.
pub(super) fn parse_flag(text: &str) -> bool {
    !matches!(text.to_ascii_lowercase().as_str(), "false" | "0")
}
