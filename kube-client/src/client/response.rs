//! Converts unsuccessful responses to [`Error::Api`], even if the body is not a `Status`.
//!
//! This module reads only a bounded part of the body of an unsuccessful response, and must not log bodies.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode, header, uri::Authority};
use http_body::Frame;
use serde::{Deserialize, de::DeserializeOwned};
use std::{ops::ControlFlow, time::Duration};

use super::{body::Body, request_line::RequestLine};
use crate::{
    core::{Status, StatusCause, StatusDetails, StatusSummary, reason},
    error::{Error, Result},
    wire::{decode_any_format, decode_json},
};

/// The maximum number of bytes that are read from the body of an unsuccessful response. A `Status` is far smaller.
const ERROR_BODY_LIMIT: usize = 1 << 20;
/// The time limit on reading the body of an unsuccessful response. Without this limit, the body of a rejected watch
/// could stall forever: watches have no read deadline.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The cause (`CauseType` of `meta/v1`) in a `Status` that the client generates because the body is not a `Status`.
const UNEXPECTED_RESPONSE: &str = "UnexpectedServerResponse";
/// The maximum number of characters that an error message quotes from a body that is not a `Status`.
const EXCERPT_LIMIT: usize = 256;

/// Returns a successful response or an upgrade (101) unchanged, and converts any other response to [`Error::Api`].
pub(super) async fn error_for_status(
    request_line: &RequestLine,
    response: Response<Body>,
) -> Result<Response<Body>> {
    let code = response.status();
    if code.is_success() || code == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(response);
    }
    let (head, body) = response.into_parts();
    let body = collect_error_body(body).await;
    // The transport sets this extension. A custom service may omit it.
    let server = head.extensions.get::<Authority>();
    Err(Error::Api(status_from_response(request_line, code, &head.headers, &body, server).boxed()))
}

/// Returns the first bytes of the body of an unsuccessful response: at most `ERROR_BODY_LIMIT` bytes that arrive within
/// `ERROR_BODY_TIMEOUT`. If the connection breaks or stalls, the caller must still receive the error of the server, and
/// not a transport error.
async fn collect_error_body(body: Body) -> Bytes {
    let mut start = BytesMut::new();
    let append = |frame: Frame<Bytes>| {
        if let Ok(data) = frame.into_data() {
            let room = ERROR_BODY_LIMIT - start.len();
            start.extend_from_slice(&data[..data.len().min(room)]);
        }
        if start.len() == ERROR_BODY_LIMIT { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    body.read_frames(ERROR_BODY_TIMEOUT, append).await;
    start.freeze()
}

/// Parses the body as a `Status`, or generates a `Status` for any other body. Completes the `Status`: a missing code or
/// `Retry-After` comes from the head of the response, and a missing message is generated. Adds advice to the message of a
/// 401 if `server` is known.
fn status_from_response(
    request_line: &RequestLine,
    code: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    server: Option<&Authority>,
) -> Status {
    let mut status = parse_status(body).unwrap_or_else(|| {
        let code = code.as_u16();
        let message = generated_message(request_line, code, headers, body);
        // As in client-go, the cause marks a `Status` that the client generated.
        let cause = StatusCause { reason: UNEXPECTED_RESPONSE.to_owned(), ..StatusCause::default() };
        let details = StatusDetails { causes: vec![cause], ..StatusDetails::default() };
        Status::failure(&message, reason::from_code(code)).with_details(details)
    });
    status.status = Some(StatusSummary::Failure);
    if status.code == 0 {
        status.code = code.as_u16();
    }
    if status.message.is_empty() {
        status.message = format!("the server refused {request_line}");
    }
    // The server's message is only "Unauthorized": add the address of the server and advice.
    if code == StatusCode::UNAUTHORIZED
        && let Some(server) = server
    {
        let message = status.message;
        status.message = format!(
            "{message}: {server} does not accept the credentials: check that the user's certificate or token is for this cluster, \
             and that it has not expired"
        );
    }
    if status.retry_after().is_none()
        && let Some(seconds) = retry_after_seconds(headers)
    {
        status.details.get_or_insert_with(StatusDetails::default).retry_after_seconds = seconds;
    }
    status
}

/// The message of the `Status` that the client generates.
fn generated_message(request_line: &RequestLine, code: u16, headers: &HeaderMap, body: &[u8]) -> String {
    let target = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    if let Some(target) = target.filter(|_| (300..400).contains(&code)) {
        return format!(
            "the server redirects {request_line} to {target}, which is not followed; use that address"
        );
    }
    let text = String::from_utf8_lossy(body);
    let line: Vec<&str> = text.split(|c: char| c.is_whitespace() || c.is_control()).collect();
    let line = line.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let excerpt: String = line.chars().take(EXCERPT_LIMIT).collect();
    match (excerpt.is_empty(), code) {
        (true, _) => format!("the server answered {request_line} with an empty body"),
        (false, 404) if request_line.uri.path().starts_with("/apis/") => format!(
            "the server does not know {request_line}: check group, version and plural, and for a custom resource that its \
             CustomResourceDefinition is installed: {excerpt}"
        ),
        (false, 404) => format!("the server does not know {request_line}: {excerpt}"),
        (false, _) => format!("the server answered {request_line} with: {excerpt}"),
    }
}

/// `Retry-After` in seconds; `None` if it is missing, zero or not an integer. API servers do not send a date in this
/// header.
pub(super) fn retry_after_seconds(headers: &HeaderMap) -> Option<u32> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().filter(|seconds| *seconds > 0)
}

/// The `kind` and `apiVersion` of an object.
#[derive(Deserialize)]
struct TypeMeta {
    #[serde(default)]
    kind: Option<String>,
    #[serde(default, rename = "apiVersion")]
    api_version: Option<String>,
}

/// Parses a body as a `Status`; `None` if the body is not a `Status`.
pub(super) fn parse_status(body: &[u8]) -> Option<Status> {
    let meta: TypeMeta = decode_any_format(body).ok()?;
    let is_status = meta.kind.as_deref() == Some("Status") && meta.api_version.as_deref() == Some("v1");
    if is_status { decode_any_format(body).ok() } else { None }
}

/// Decodes a complete JSON body.
pub(super) fn decode_body<T: DeserializeOwned>(request_line: &RequestLine, body: &[u8]) -> Result<T> {
    decode_json(body).map_err(|error| Error::Decode {
        what: format!("the response to {request_line} ({} bytes)", body.len()),
        source: error.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{StreamExt, stream};
    use http::{Method, Uri};

    /// The error for a response with this code, these headers and this body.
    async fn error_from_response(code: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Error {
        let request_line =
            RequestLine { method: Method::GET, uri: Uri::from_static("/apis/x/v1/foos?limit=1") };
        let mut response = Response::builder().status(code);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        error_for_status(&request_line, response.body(body.into()).unwrap()).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_status_is_kept_and_receives_code_and_retry_after_from_the_head() {
        let body = r#"{"kind":"Status","apiVersion":"v1","message":"slow down","reason":"TooManyRequests"}"#;
        let error = error_from_response(429, &[("retry-after", "7")], body.as_bytes().to_vec()).await;
        assert!(error.is_too_many_requests());
        assert_eq!(error.to_string(), "slow down (429 TooManyRequests)");
        assert_eq!(error.retry_after().map(|wait| wait.as_secs()), Some(7));
    }

    #[tokio::test]
    async fn a_message_is_generated_if_the_body_is_not_a_status_or_has_no_message() {
        for (code, headers, body, part) in [
            (404, &[][..], "404 page not found\n", "does not know GET /apis/x/v1/foos: check group"),
            (404, &[], "404 page not found\n", "CustomResourceDefinition is installed: 404 page not found"),
            (502, &[], "<html>\n<h1>bad\u{7} gateway</h1>", "with: <html> <h1>bad gateway</h1>"),
            (503, &[], "", "empty body"),
            (302, &[("location", "https://login")], "", "redirects GET /apis/x/v1/foos to https://login"),
            (404, &[], r#"{"kind":"Pod","apiVersion":"v1"}"#, "does not know"),
            (401, &[], r#"{"kind":"Status","apiVersion":"v1"}"#, "refused GET"),
        ] {
            let error = error_from_response(code, headers, body.as_bytes().to_vec()).await;
            assert!(error.to_string().contains(part), "{error}");
            assert_eq!(error.status().map(|status| status.code), Some(code));
        }
        assert!(error_from_response(404, &[], Body::empty()).await.is_not_found());
    }

    #[tokio::test]
    async fn an_endless_or_broken_error_body_is_read_in_part() {
        let endless = stream::repeat(Bytes::from(vec![b'x'; 1 << 16])).map(Ok::<_, Error>);
        let error = error_from_response(500, &[], Body::wrap_stream(endless)).await;
        assert!(error.to_string().len() < 1000, "{error}");
        let broken = stream::iter([Ok("half"), Err("reset")]);
        assert!(error_from_response(500, &[], Body::wrap_stream(broken)).await.to_string().contains("half"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_received_part_of_a_stalled_error_body_is_quoted() {
        let stalled = stream::iter([Ok::<_, Error>("half")]).chain(stream::pending());
        let dripping = stream::repeat("x").then(|piece| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, Error>(piece)
        });
        for (body, part) in [(Body::wrap_stream(stalled), "with: half"), (Body::wrap_stream(dripping), "xxx")]
        {
            let error = tokio::time::timeout(Duration::from_secs(3600), error_from_response(503, &[], body))
                .await
                .unwrap();
            assert!(error.to_string().contains(part), "{error}");
            assert_eq!(error.status().map(|status| status.code), Some(503));
        }
    }
}
