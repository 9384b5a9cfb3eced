//! Functions for URLs.

use std::fmt::Write as _;
use std::rc::Rc;

use crate::cel::value::{Failure, Outcome, Val};
use crate::schema::{is_format, quote};

/// A URL and its parts.
#[derive(Debug, Default)]
pub(in crate::cel) struct Url {
    pub(in crate::cel) text: String,
    scheme: String,
    host: String,
    path: String,
    query: String,
}

/// Calls a function of this library; see [`Library`](super::Library).
pub(super) fn call<'a>(name: &str, arguments: &[Val<'a>]) -> Option<Outcome<'a>> {
    Some(match (name, arguments) {
        ("isURL", [Val::String(text)]) => Ok(Val::Bool(is_format("uri", text))),
        ("url", [Val::String(text)]) => parse(text),
        ("getScheme", [Val::Url(url)]) => Ok(Val::text(url.scheme.to_lowercase())),
        ("getHost", [Val::Url(url)]) => Ok(Val::text(&url.host)),
        ("getHostname", [Val::Url(url)]) => {
            Ok(Val::text(split_port(&url.host).0.trim_start_matches('[').trim_end_matches(']')))
        }
        ("getPort", [Val::Url(url)]) => Ok(Val::text(split_port(&url.host).1)),
        ("getEscapedPath", [Val::Url(url)]) => Ok(Val::text(percent_encode(&url.path))),
        ("getQuery", [Val::Url(url)]) => Ok(parse_query(&url.query)),
        _ => return None,
    })
}

fn parse<'a>(text: &str) -> Outcome<'a> {
    if !is_format("uri", text) {
        let why = if text.is_empty() { "empty url" } else { "invalid URI for request" };
        return Err(Failure::new(format!(
            "URL parse error during conversion from string: parse {}: {why}",
            quote(text)
        )));
    }
    let mut url = Url { text: text.to_owned(), ..Url::default() };
    let rest = text.split_once('#').map_or(text, |(rest, _)| rest);
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    query.clone_into(&mut url.query);
    let rest = match rest.split_once(':') {
        Some((scheme, rest)) if !scheme.contains('/') => {
            scheme.clone_into(&mut url.scheme);
            rest
        }
        _ => rest,
    };
    match rest.strip_prefix("//").filter(|_| !url.scheme.is_empty()) {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            authority.rsplit_once('@').map_or(authority, |(_, host)| host).clone_into(&mut url.host);
            path.clone_into(&mut url.path);
        }
        None if rest.starts_with('/') => rest.clone_into(&mut url.path),
        None => {}
    }
    Ok(Val::Url(Rc::new(url)))
}

/// Splits a host into the host name and the port; the port is empty if it is absent.
fn split_port(host: &str) -> (&str, &str) {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (name, port),
        _ => (host, ""),
    }
}

/// Percent-encodes the characters of a path that are not valid in a URL.
fn percent_encode(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:@/%[]".contains(&byte) {
            out.push(byte.into());
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Parses a query string into a map from parameter names to lists of values.
fn parse_query<'a>(text: &str) -> Val<'a> {
    let mut all: Vec<(String, Vec<Val<'a>>)> = Vec::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        let value = Val::text(value);
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => all.push((name.into_owned(), vec![value])),
        }
    }
    Val::map(all.into_iter().map(|(name, values)| (Val::text(name), Val::list(values))).collect())
}
