//! Recognizes requests with a long-running response (watches and followed logs), and requests for a protocol upgrade.

use http::{HeaderMap, Uri, header};
use std::time::Duration;

/// Whether the query requests a watch or a followed log.
pub(super) fn is_long_running(uri: &Uri) -> bool {
    is_parameter_true(uri, "watch") || is_parameter_true(uri, "follow")
}

/// Whether an API server reads a boolean parameter of the query as true. Every value except `false` and `0` is true, even
/// an empty value. A missing parameter is false. If the query has the parameter more than once, the first value counts.
pub(super) fn is_parameter_true(uri: &Uri, parameter: &str) -> bool {
    let pairs = uri.query().unwrap_or_default().split('&');
    let mut values = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let value = values.find_map(|(name, value)| (name == parameter).then_some(value));
    value.is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
}

/// Returns the time limit `default`, or `None` for a watch or a followed log.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_false_only_if_it_is_missing_or_false_or_0() {
        for (query, expected) in [
            ("watch", true),
            ("watch=", true),
            ("watch=1", true),
            ("limit=1&follow=true", true),
            ("watch=yes", true),
            ("watch=0", false),
            ("watch=False", false),
            ("watch=false&watch=true", false),
            ("watches=true", false),
            ("", false),
        ] {
            let uri = Uri::try_from(format!("/api/v1/pods?{query}")).unwrap();
            assert_eq!(is_long_running(&uri), expected, "{query}");
        }
        assert!(!is_long_running(&Uri::from_static("/api/v1/pods")));
    }
}
