//! Requests to `SimService`, assertions about its responses, and test objects.

#![allow(dead_code, unreachable_pub, reason = "each test file uses only some of these functions")]

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use kube_sim::{Sim, SimBody};
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// A response with its complete body.
#[derive(Debug)]
pub struct TestResponse {
    pub code: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
    /// The bytes of the body. If these bytes are not JSON, `body` is null.
    pub bytes: Bytes,
}

impl TestResponse {
    /// Asserts that the request has succeeded, and returns the body.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!(self.code.is_success(), "{} {}", self.code, self.body);
        self.body
    }

    /// Asserts that the response is a `Status` with this code and reason, and returns the message.
    #[track_caller]
    pub fn fails(self, code: u16, reason: &str) -> String {
        assert_eq!(self.code.as_u16(), code, "{}", self.body);
        assert_eq!(self.body["kind"], "Status", "{}", self.body);
        assert_eq!(self.body["reason"].as_str().unwrap_or_default(), reason, "{}", self.body);
        assert_eq!(self.body["code"], code);
        self.body["message"].as_str().unwrap_or_default().to_owned()
    }
}

/// Sends a request and reads the complete response.
pub async fn send(sim: &Sim, request: Request<Full<Bytes>>) -> TestResponse {
    let response = sim.service().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    TestResponse { code: parts.status, headers: parts.headers, body, bytes }
}

/// Sends a request with the JSON body `body`. If `body` is null, the request has no body.
pub async fn call(sim: &Sim, method: Method, path: &str, body: Value) -> TestResponse {
    call_with_content_type(sim, method, path, "application/json", body).await
}

/// Sends a request whose body has the media type `content_type`.
pub async fn call_with_content_type(
    sim: &Sim,
    method: Method,
    path: &str,
    content_type: &str,
    body: Value,
) -> TestResponse {
    let bytes = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content_type)
        .header("user-agent", "tests/1.0")
        .body(Full::new(bytes))
        .unwrap();
    send(sim, request).await
}

/// Sends a GET request.
pub async fn get(sim: &Sim, path: &str) -> TestResponse {
    call(sim, Method::GET, path, Value::Null).await
}

/// Sends a GET request with the `Accept` header `accept`.
pub async fn get_accepting(sim: &Sim, path: &str, accept: &str) -> TestResponse {
    let request = Request::get(path).header("accept", accept).body(Full::default()).unwrap();
    send(sim, request).await
}

/// Sends a POST request.
pub async fn post(sim: &Sim, path: &str, body: Value) -> TestResponse {
    call(sim, Method::POST, path, body).await
}

/// Sends a PUT request.
pub async fn put(sim: &Sim, path: &str, body: Value) -> TestResponse {
    call(sim, Method::PUT, path, body).await
}

/// Sends a DELETE request without delete options.
pub async fn delete(sim: &Sim, path: &str) -> TestResponse {
    call(sim, Method::DELETE, path, Value::Null).await
}

/// Sends a merge patch.
pub async fn merge_patch(sim: &Sim, path: &str, body: Value) -> TestResponse {
    call_with_content_type(sim, Method::PATCH, path, "application/merge-patch+json", body).await
}

/// An open watch, which a test reads frame by frame.
pub struct Watch {
    body: SimBody,
    pub code: StatusCode,
}

impl Watch {
    /// Sends a watch request; `path` contains the query.
    pub async fn open(sim: &Sim, path: &str) -> Self {
        let request = Request::get(path).body(Full::<Bytes>::default()).unwrap();
        let response = sim.service().oneshot(request).await.unwrap();
        Self { code: response.status(), body: response.into_body() }
    }

    /// Returns the bytes of the next frame, `None` at the end of the watch, or `Err` if the body ends with an error.
    pub async fn next_frame(&mut self) -> Option<Result<Bytes, ()>> {
        let frame = self.body.frame().await?;
        Some(frame.map(|f| f.into_data().unwrap()).map_err(drop))
    }

    /// The next event; `None` at the end of the watch.
    pub async fn next(&mut self) -> Option<Value> {
        let bytes = self.next_frame().await?.expect("the connection broke");
        Some(serde_json::from_slice(&bytes).expect("a frame is one JSON document"))
    }

    /// The type of the next event and the name of its object.
    pub async fn next_type_and_name(&mut self) -> (String, String) {
        let event = self.next().await.expect("the watch ended");
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }
}

/// A config map with one key.
pub fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": "v"}})
}

/// A pod with one container.
pub fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "main", "image": "nginx"}]},
    })
}

/// The path of the config maps in the namespace `default`.
pub const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// The path of the pods in the namespace `default`.
pub const PODS: &str = "/api/v1/namespaces/default/pods";
