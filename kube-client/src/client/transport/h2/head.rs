//! The head of a request in HTTP/2 (RFC 9113, 8.2 and 8.3).

use http::{
    HeaderName, HeaderValue, Method, Request, Uri, Version, header,
    uri::{Authority, PathAndQuery},
};
use http_body::Body as _;

use crate::client::{body::Body, transport::host_and_port};
use crate::error::BoxError;

/// The connection-specific header fields, which HTTP/2 forbids (RFC 9113, 8.2.2), and `Host`, which `:authority`
/// replaces.
const REMOVED_HEADERS: [HeaderName; 6] = [
    header::HOST,
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Splits a request to `target` into the head of an HTTP/2 request, and the body. `:authority` is the value
/// of the header `Host`. If the request has no such header, `:authority` is the host of `target`, and the
/// port of `target` unless it is the default port of the scheme.
pub(super) fn split_request(request: Request<Body>, target: &Uri) -> Result<(Request<()>, Body), BoxError> {
    let (mut parts, body) = request.into_parts();
    let mut uri = target.clone().into_parts();
    uri.authority = Some(match parts.headers.get(header::HOST) {
        Some(host) => Authority::try_from(host.as_bytes())?,
        None => host_and_port(target)?,
    });
    uri.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    parts.uri = Uri::from_parts(uri)?;
    parts.version = Version::HTTP_2;
    for name in REMOVED_HEADERS {
        parts.headers.remove(name);
    }
    // `trailers` is the only value of `TE` that HTTP/2 allows.
    if parts.headers.get(header::TE).is_some_and(|value| value != "trailers") {
        parts.headers.remove(header::TE);
    }
    let has_payload = matches!(parts.method, Method::POST | Method::PUT | Method::PATCH);
    if let Some(length) = body.size_hint().exact().filter(|length| *length > 0 || has_payload) {
        parts.headers.entry(header::CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
    Ok((Request::from_parts(parts, ()), body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers_of(request: &Request<()>) -> Vec<(&str, &str)> {
        let pairs = request.headers().iter();
        pairs.map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
    }

    #[test]
    fn connection_specific_headers_are_removed() {
        let target = Uri::from_static("https://10.0.0.1:6443/api?x=1");
        let request = Request::get("/api?x=1")
            .header("connection", "keep-alive")
            .header("keep-alive", "timeout=5")
            .header("proxy-connection", "keep-alive")
            .header("transfer-encoding", "chunked")
            .header("upgrade", "websocket")
            .header("te", "gzip")
            .header("accept", "application/json")
            .body(Body::empty())
            .unwrap();
        let (head, _) = split_request(request, &target).unwrap();
        assert_eq!(head.uri(), "https://10.0.0.1:6443/api?x=1");
        assert_eq!(headers_of(&head), [("accept", "application/json")]);
    }

    #[test]
    fn the_host_of_a_request_becomes_the_authority() {
        for (host, target, expected) in [
            (None, "https://h:443/api", "https://h/api"),
            (None, "https://[::1]:6443", "https://[::1]:6443/"),
            (Some("api.internal"), "https://10.0.0.1:6443/x", "https://api.internal/x"),
        ] {
            let mut request = Request::get("/").header("te", "trailers").body(Body::empty()).unwrap();
            if let Some(host) = host {
                request.headers_mut().insert("host", HeaderValue::from_static(host));
            }
            let (head, _) = split_request(request, &Uri::from_static(target)).unwrap();
            assert_eq!(head.uri(), expected);
            assert_eq!(headers_of(&head), [("te", "trailers")]);
        }
    }

    #[test]
    fn post_put_and_patch_requests_and_requests_with_a_body_have_a_content_length() {
        let target = Uri::from_static("https://h/x");
        for (method, body, expected) in [
            (Method::POST, b"abc".to_vec(), Some("3")),
            (Method::PATCH, Vec::new(), Some("0")),
            (Method::DELETE, b"abc".to_vec(), Some("3")),
            (Method::GET, Vec::new(), None),
        ] {
            let request = Request::builder().method(method).body(Body::from(body)).unwrap();
            let (head, _) = split_request(request, &target).unwrap();
            let length = head.headers().get("content-length").map(|length| length.to_str().unwrap());
            assert_eq!(length, expected);
        }
    }
}
