//! Calls of webhooks: one HTTPS request to a server outside of the simulation.
//!
//! This module owns the connection, the limits of time and size, and the error texts, which are those of the API
//! server. This module must not know about admission, conversion or the store: the caller resolves services to
//! addresses.

mod connection;
mod status;
mod tls;

use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use serde_json::Value;
use tokio::time::Instant;

/// The maximum size of a response in bytes.
const RESPONSE_LIMIT: usize = 32 * 1024 * 1024;

/// The server of a webhook.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// The URL with a cleaned path, without a query.
    url: String,
    uri: Uri,
    /// The host and port behind a service; `None` to connect to the host of the URL.
    backend: Option<(String, u16)>,
    /// The trusted certificates in PEM. The server's certificate must be signed by a trusted certificate, or
    /// be a trusted certificate itself.
    authorities: Vec<u8>,
}

impl Endpoint {
    /// The server at `url`. `authorities` are certificates in PEM.
    ///
    /// # Errors
    /// The error text, if the URL does not parse, has no host, or has another scheme than `https`.
    pub(crate) fn new(url: &str, authorities: Vec<u8>) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|e| format!("parse {url:?}: {e}"))?;
        if uri.scheme_str() != Some("https") {
            return Err(format!("the URL {url:?} of a webhook must have the scheme https"));
        }
        if uri.host().is_none_or(str::is_empty) {
            return Err(format!("the URL {url:?} of a webhook has no host"));
        }
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let url = format!("https://{authority}{}", clean_path(uri.path()));
        let uri = url.parse().map_err(|e| format!("parse {url:?}: {e}"))?;
        Ok(Self { url, uri, backend: None, authorities })
    }

    /// Returns the endpoint with another backend: connections go to this host and port instead of those of the URL.
    pub(crate) fn with_backend(self, host: String, port: u16) -> Self {
        Self { backend: Some((host, port)), ..self }
    }

    fn host(&self) -> &str {
        self.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(443)
    }

    /// Sends `review`, and returns the body of the response.
    ///
    /// # Errors
    /// The webhook cannot be reached, or its response is not 2xx, is not JSON, or is not complete within `timeout`. The
    /// error has the same text as in the API server.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub(crate) async fn post(&self, review: &Value, timeout: Duration) -> Result<Value, String> {
        let url = format!("{}?timeout={}s", self.url, timeout.as_secs());
        let deadline = Instant::now() + timeout;
        let response = tokio::time::timeout_at(deadline, connection::send(self, &url, review)).await;
        let failed = |cause: String| format!("Post {url:?}: {cause}");
        let (code, body) = match response {
            Ok(response) => response.map_err(failed)?,
            Err(_) => return Err(failed("context deadline exceeded".to_owned())),
        };
        decode(code, &body)
    }
}

/// Removes empty segments, `.` and the slash at the end from a path, and resolves `..`, as the API server does. The paths
/// of envtest's webhooks begin with two slashes.
fn clean_path(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

/// The API version and the kind of a review, as Go prints them.
pub(crate) fn type_text(review: &Value) -> String {
    let text = |field: &str| review[field].as_str().unwrap_or_default();
    let version = text("apiVersion");
    let slash = if version.contains('/') { "" } else { "/" };
    format!("{slash}{version}, Kind={}", text("kind"))
}

/// The JSON of a response.
///
/// # Errors
/// The error text, if the response is not 2xx or not JSON.
fn decode(code: http::StatusCode, body: &Bytes) -> Result<Value, String> {
    let parsed: Result<Value, _> = serde_json::from_slice(body);
    if !code.is_success() {
        return Err(status::error_text(code, body, parsed.ok().as_ref()));
    }
    parsed.map_err(|e| format!("couldn't get version/kind; json parse error: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_url_is_cleaned() {
        for (path, cleaned) in
            [("", "/"), ("/", "/"), ("//mutate", "/mutate"), ("/a/b/", "/a/b"), ("/a/../b/./c", "/b/c")]
        {
            let endpoint = Endpoint::new(&format!("https://x:1{path}"), Vec::new()).unwrap();
            assert_eq!(endpoint.url, format!("https://x:1{cleaned}"));
        }
    }
}
