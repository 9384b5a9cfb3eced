//! Classifies requests: those with long-running responses (watches and followed logs), and protocol upgrades.

use http::{HeaderMap, Uri, header};
use std::time::Duration;

/// Whether the query requests a watch or a followed log.
pub(super) fn is_long_running(uri: &Uri) -> bool {
    uri.query()
        .unwrap_or_default()
        .split('&')
        .any(|pair| matches!(pair.split_once('='), Some(("watch" | "follow", "true" | "1"))))
}

/// The default time limit on a request; none for a watch or a followed log.
pub(super) fn default_limit(uri: &Uri, default: Option<Duration>) -> Option<Duration> {
    default.filter(|_| !is_long_running(uri))
}

/// Whether the headers request an HTTP upgrade (RFC 9110, 7.8).
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE)
        && headers.get_all(header::CONNECTION).iter().any(|value| {
            let options = value.as_bytes().split(|byte| *byte == b',');
            options.into_iter().any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
        })
}
