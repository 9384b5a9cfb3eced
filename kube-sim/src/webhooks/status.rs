//! The error texts for responses with a status code other than 2xx. The texts are those of the HTTP client in
//! the API server.

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

/// The maximum number of characters of a response body in an error text.
const MAX_BODY: usize = 2048;

/// The error text for a response with this code. `json` is its body, if the body is JSON.
pub(super) fn error_text(code: StatusCode, body: &Bytes, json: Option<&Value>) -> String {
    if let Some(status) = json.filter(|json| json["kind"] == "Status" && json["apiVersion"] == "v1") {
        return status["message"].as_str().unwrap_or_default().to_owned();
    }
    let text: String = String::from_utf8_lossy(body).trim().chars().take(MAX_BODY).collect();
    let fixed = match code.as_u16() {
        400 => "the server rejected our request for an unknown reason",
        401 => "the server has asked for the client to provide credentials",
        404 => "the server could not find the requested resource",
        405 => "the server does not allow this method on the requested resource",
        409 => "the server reported a conflict",
        422 => "the server rejected our request due to an error in our request",
        429 => "the server has received too many requests and has asked us to try again later",
        503 => "the server is currently unable to handle the request",
        504 => {
            "the server was unable to return a response in the time allotted, but may still be processing the request"
        }
        403 | 406 | 415 if !text.is_empty() => return text,
        403 => "the server does not allow access to the requested resource",
        406 => "the server was unable to respond with a content type that the client supports",
        415 => "the server was unable to understand the content type of the request",
        500.. => {
            let shown = if text.is_empty() { "unknown" } else { &text };
            return format!("an error on the server ({shown:?}) has prevented the request from succeeding");
        }
        code => {
            return format!(
                "the server responded with the status code {code} but did not return more information"
            );
        }
    };
    fixed.to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(code: u16, body: &str, expected: &str) {
        let json = serde_json::from_str(body).ok();
        let code = StatusCode::from_u16(code).unwrap();
        assert_eq!(error_text(code, &Bytes::copy_from_slice(body.as_bytes()), json.as_ref()), expected);
    }

    #[test]
    fn error_texts_come_from_the_status_object_or_the_code() {
        let status = json!({"kind": "Status", "apiVersion": "v1", "message": "no"}).to_string();
        check(500, &status, "no");
        check(404, "404 page not found", "the server could not find the requested resource");
        check(
            500,
            "a \"bad\" day\n",
            r#"an error on the server ("a \"bad\" day") has prevented the request from succeeding"#,
        );
        check(302, "", "the server responded with the status code 302 but did not return more information");
    }
}
