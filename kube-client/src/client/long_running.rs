//! Which requests have responses that may last for minutes without data.

use http::Uri;

/// Whether the response is a watch or a followed log, by the query of the request.
pub(super) fn is_long_running(uri: &Uri) -> bool {
    uri.query()
        .unwrap_or_default()
        .split('&')
        .any(|pair| matches!(pair.split_once('='), Some(("watch" | "follow", "true" | "1"))))
}
