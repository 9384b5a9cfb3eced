//! Checks of UUIDs and of the names of drivers, pools, attributes, capacities and extended resources.

use serde_json::Value;

pub(super) use super::super::storage::check_driver_name;
use super::texts;
use crate::schema::FieldError;
use crate::strategy::validation::Errors;

/// Checks the name of a pool: DNS subdomains, separated by slashes, with at most 253 bytes together.
pub(super) fn check_pool_name(path: &str, name: &Value, out: &mut Errors) {
    const MAX_LENGTH: usize = 253;
    let text = name.as_str().unwrap_or_default();
    if text.is_empty() {
        return out.push(FieldError::required(path, ""));
    }
    if text.len() > MAX_LENGTH {
        out.push(FieldError::too_long(path, MAX_LENGTH as u64));
    }
    for part in text.split('/') {
        if let Some(why) = texts::subdomain_problem(part) {
            out.push(FieldError::invalid(path, part, why));
        }
    }
}

/// Checks the name of an attribute or a capacity: a C identifier, optionally after a domain and a slash. Accepts every
/// name with more than one slash, as the API server does.
pub(super) fn check_qualified_name(path: &str, name: &str, out: &mut Errors) {
    match name.split('/').collect::<Vec<_>>()[..] {
        [identifier] => check_identifier(path, identifier, out),
        [domain, identifier] => {
            if domain.is_empty() {
                out.push(FieldError::invalid(path, "", "the domain must not be empty"));
            } else {
                check_driver_name(path, &domain.into(), out);
            }
            if identifier.is_empty() {
                out.push(FieldError::invalid(path, "", "the name must not be empty"));
            } else {
                check_identifier(path, identifier, out);
            }
        }
        _ => {}
    }
}

/// Like [`check_qualified_name`], but the name must have a domain.
pub(super) fn check_fully_qualified_name(path: &str, name: &Value, out: &mut Errors) {
    let text = name.as_str().unwrap_or_default();
    check_qualified_name(path, text, out);
    if !text.contains('/') {
        let why = "a fully qualified name must be a domain and a name separated by a slash";
        out.push(FieldError::invalid(path, text, why));
    }
}

/// Checks that `text` is a C identifier with at most 32 bytes.
fn check_identifier(path: &str, text: &str, out: &mut Errors) {
    const MAX_LENGTH: usize = 32;
    if text.len() > MAX_LENGTH {
        out.push(FieldError::too_long(path, MAX_LENGTH as u64));
    }
    let valid = !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !valid || text.is_empty() {
        let why = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*')";
        out.push(FieldError::invalid(path, text, why));
    }
}

/// The reason that a text is not the name of an extended resource. A valid name does not begin with
/// `requests.`, and has a domain. The domain does not end with `kubernetes.io`.
pub(super) fn extended_resource_problem(text: &str) -> Option<&'static str> {
    if !text.contains('/') {
        return Some("a name must be a domain-prefixed path, such as 'example.com/my-prop'");
    }
    if text.contains("kubernetes.io/") {
        return Some("must not have \"kubernetes.io/\" domain");
    }
    if text.starts_with("requests.") {
        return Some("must not have \"requests.\" prefix");
    }
    texts::qualified_name_problem(&format!("requests.{text}"))
}

/// The reason that a text is not a UUID in lower case with dashes.
pub(super) fn uuid_problem(text: &str) -> Option<&'static str> {
    let lengths = text.split('-').map(str::len);
    let valid = lengths.eq([8, 4, 4, 4, 12])
        && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    (!valid).then_some("uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters")
}
