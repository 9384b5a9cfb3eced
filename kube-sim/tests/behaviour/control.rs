//! Tests of the control endpoint.

use std::net::SocketAddr;

use kube_sim::Sim;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::common::{CONFIG_MAPS, config_map, get, post};

/// Sends a request and returns the status code and the body. `request` is the method and the path, such as `GET /faults`.
/// `header` is one or more header lines.
async fn send(addr: SocketAddr, request: &str, header: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let length = body.len();
    let head = format!(
        "{request} HTTP/1.1\r\nconnection: close\r\ncontent-length: {length}\r\n{header}\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test]
async fn a_client_controls_the_simulation_over_http() {
    let sim = Sim::builder().record_bodies(1024).build();
    let control = sim.serve_control("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let call = async |request: &str, body: &str| {
        send(control.local_addr(), request, "host: localhost:1", body).await
    };

    let plan = r#"{"rules": [{"verb": "list", "times": 1, "action": {"status": {"code": 503}}}]}"#;
    assert_eq!(call("PUT /faults", plan).await, (200, json!({"ids": [0]})));
    assert_eq!(call("POST /faults", r#"{"verb": "get", "action": "reset"}"#).await, (200, json!({"id": 1})));
    assert_eq!(call("DELETE /faults/1", "").await, (204, Value::Null));
    assert_eq!(call("DELETE /faults/1", "").await.0, 404);
    get(&sim, CONFIG_MAPS).await.fails(503, "ServiceUnavailable");
    let (_, rules) = call("GET /faults", "").await;
    assert_eq!((&rules[0]["hits"], &rules[0]["rule"]["verb"]), (&json!(1), &json!("list")));
    assert_eq!(call("DELETE /faults", "").await.0, 204);

    let before = sim.now();
    let (_, clock) = call("POST /clock", r#"{"advance": "2h"}"#).await;
    let after: jiff::Timestamp = clock["now"].as_str().unwrap().parse().unwrap();
    assert!(after.duration_since(before).as_hours() >= 2);

    assert_eq!(call("PUT /controllers", r#"{"Namespace": null, "GarbageCollector": "1h"}"#).await.0, 204);
    sim.create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}})).unwrap();
    sim.delete("v1", "Namespace", "", "x").unwrap();
    assert_eq!(sim.get("v1", "Namespace", "", "x").unwrap()["status"]["phase"], "Terminating");

    let version = sim.resource_version();
    post(&sim, CONFIG_MAPS, config_map("lost")).await.ok();
    assert_eq!(call("POST /rewind", r#"{"changes": 1}"#).await.0, 204);
    assert_eq!(sim.resource_version(), version);
    for request in ["POST /compact", "POST /restart"] {
        assert_eq!(call(request, "").await.0, 204, "{request}");
    }
    let expired = format!("{CONFIG_MAPS}?resourceVersion={}&resourceVersionMatch=Exact", version - 1);
    get(&sim, &expired).await.fails(410, "Expired");

    let (_, journal) = call("GET /journal?from=1", "").await;
    assert!(journal[0]["number"] == 1 && journal.as_array().unwrap().len() > 3, "{journal}");
    assert_eq!(call("DELETE /journal", "").await.0, 204);
    assert_eq!(call("GET /journal", "").await, (200, json!([])));
}

#[tokio::test]
async fn unusable_requests_are_refused_with_the_reason() {
    let sim = Sim::new();
    let control = sim.serve_control("127.0.0.1:0".parse().unwrap()).await.unwrap();
    for (request, header, body, code, reason) in [
        ("GET /", "host: localhost", "", 404, "unknown request: expected GET, POST"),
        ("PATCH /faults", "host: localhost", "", 404, "unknown request"),
        ("PUT /faults", "host: localhost", "[]", 400, "the body is not usable"),
        ("POST /clock", "host: [::1]", r#"{"advance": 5}"#, 400, "expected a string"),
        // A rewind also succeeds if its number of changes is greater than the number of changes in the store.
        ("POST /rewind", "host: localhost", r#"{"changes": 100000}"#, 204, ""),
        (
            "PUT /controllers",
            "host: 127.0.0.1",
            r#"{"Deployments": "1s"}"#,
            400,
            "unknown variant `Deployments`",
        ),
        ("GET /journal?since=1", "host: localhost", "", 400, "expected from"),
        ("DELETE /faults/x", "host: localhost", "", 400, "is not the id of a rule"),
        ("POST /restart", "host: example.com", "", 403, "web pages"),
        ("POST /restart", "host: localhost\r\norigin: http://example.com", "", 403, "web pages"),
    ] {
        let (found, body) = send(control.local_addr(), request, header, body).await;
        let error = body["error"].as_str().unwrap_or_default();
        assert!(found == code && error.contains(reason), "{request}: {found} {body}");
    }
    let error = sim.serve_control("0.0.0.0:0".parse().unwrap()).await.unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("use a loopback address"));
}
