//! Tests of fault rules, through `SimService` and through an HTTP listener.

use std::time::Duration;

use crate::common::{CONFIG_MAPS, Watch, config_map, get, post};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use kube_sim::Sim;
use kube_sim::fault::{Action, Rule};
use serde_json::json;
use tower::ServiceExt as _;

#[tokio::test]
async fn a_status_fault_replaces_the_response() {
    let sim = Sim::new();
    sim.faults().add(Rule::new(Action::status_retry_after(429, 7)).verb("create").times(1));
    let refused = post(&sim, CONFIG_MAPS, config_map("a")).await;
    assert_eq!(refused.headers["retry-after"], "7");
    refused.fails(429, "TooManyRequests");
    get(&sim, &format!("{CONFIG_MAPS}/a")).await.fails(404, "NotFound");
    post(&sim, CONFIG_MAPS, config_map("a")).await.ok();
    let rule = sim.faults().add(Rule::new(Action::status(410)).verb("watch").resource("configmaps"));
    get(&sim, &format!("{CONFIG_MAPS}?watch=1")).await.fails(410, "Expired");
    assert_eq!(sim.faults().hits(rule), 1);
    sim.faults().remove(rule);
    assert_eq!(sim.journal().count_of("create", "configmaps"), 2);
    let statuses: Vec<_> = sim.journal().entries().iter().map(|e| e.status.unwrap().as_u16()).collect();
    assert_eq!(statuses, [429, 404, 201, 410]);
}

#[tokio::test(start_paused = true)]
async fn requests_are_delayed_or_never_answered() {
    let sim = Sim::new();
    sim.faults().add(Rule::new(Action::Delay(Duration::from_secs(5))).verb("get").nth(1));
    sim.faults().add(Rule::new(Action::Hang).verb("get").nth(2));
    let begin = tokio::time::Instant::now();
    get(&sim, &format!("{CONFIG_MAPS}/a")).await;
    assert_eq!(begin.elapsed(), Duration::from_secs(5));
    let hung = tokio::time::timeout(Duration::from_secs(3600), async {
        get(&sim, &format!("{CONFIG_MAPS}/a")).await
    })
    .await;
    assert!(hung.is_err());
    assert_eq!(sim.journal().entries()[1].status, None);
}

#[tokio::test]
async fn a_response_body_breaks_after_the_configured_number_of_bytes() {
    let sim = Sim::new();
    post(&sim, CONFIG_MAPS, config_map("a")).await.ok();
    sim.faults().add(Rule::new(Action::CutAfterBytes(10)).verb("list").nth(1));
    let request = Request::get(CONFIG_MAPS).body(Full::<Bytes>::default()).unwrap();
    let mut body = sim.service().oneshot(request).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 10);
    assert!(body.frame().await.unwrap().is_err());
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn faults_can_break_or_end_watches_and_replace_objects() {
    let sim = Sim::new();
    for name in ["a", "b", "c"] {
        post(&sim, CONFIG_MAPS, config_map(name)).await.ok();
    }
    let open = async || Watch::open(&sim, &format!("{CONFIG_MAPS}?watch=1")).await;
    let faults = sim.faults();

    faults.add(Rule::new(Action::CutAfterEvents(1)).verb("watch").nth(1));
    let mut watch = open().await;
    watch.next_type_and_name().await;
    assert!(watch.next_frame().await.unwrap().is_err());

    faults.clear();
    faults.add(Rule::new(Action::CloseAfterEvents(2)));
    let mut watch = open().await;
    watch.next_type_and_name().await;
    watch.next_type_and_name().await;
    assert!(watch.next_frame().await.is_none());

    faults.clear();
    faults.add(Rule::new(Action::ReplaceEvent { index: 1, bytes: Bytes::from("not json\n") }));
    faults.add(Rule::new(Action::ReplaceObject { name: "c".into(), bytes: Bytes::from("{\"metadata\":7}") }));
    let mut watch = open().await;
    watch.next_type_and_name().await;
    assert_eq!(watch.next_frame().await.unwrap().unwrap(), "not json\n");
    let replaced = watch.next().await.unwrap();
    assert_eq!((&replaced["type"], &replaced["object"]), (&json!("ADDED"), &json!({"metadata": 7})));
    let list = get(&sim, CONFIG_MAPS).await.ok();
    assert_eq!(list["items"][2], json!({"metadata": 7}));
    assert_eq!(list["items"][0]["metadata"]["name"], "a");
    assert_eq!(get(&sim, &format!("{CONFIG_MAPS}/c")).await.ok(), json!({"metadata": 7}));
}

#[tokio::test]
async fn a_reset_prevents_the_write_and_a_reset_after_handling_does_not() {
    let sim = Sim::new();
    let server = sim.serve_http("127.0.0.1:0".parse().unwrap()).await.unwrap();
    sim.faults().add(Rule::new(Action::Reset).verb("create").nth(1));
    sim.faults().add(Rule::new(Action::ResetAfterHandling).verb("create").nth(2));
    for handled in [false, true] {
        let mut stream = tokio::net::TcpStream::connect(server.local_addr()).await.unwrap();
        let body = config_map("a").to_string();
        let head = format!(
            "POST {CONFIG_MAPS} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
        let mut response = Vec::new();
        // The connection ends before a response, with or without an error.
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut response).await;
        assert_eq!(response, b"");
        assert_eq!(sim.get("v1", "ConfigMap", "default", "a").is_ok(), handled);
    }
    server.shutdown().await;
}

#[tokio::test]
async fn faults_that_change_the_server_state_take_effect_before_the_request() {
    let sim = Sim::new();
    post(&sim, CONFIG_MAPS, config_map("a")).await.ok();
    let version = sim.resource_version();
    post(&sim, CONFIG_MAPS, config_map("b")).await.ok();
    let plan = r#"{"rules": [
        {"verb": "get", "name": "a", "action": "compact"},
        {"verb": "get", "name": "a", "userAgent": "tests/", "group": "", "action": "restart"},
        {"verb": "list", "skip": 1, "action": {"rewind": 1}}
    ]}"#;
    let rules = sim.faults().load(serde_json::from_str(plan).unwrap());
    let mut open = Watch::open(&sim, &format!("{CONFIG_MAPS}?watch=1")).await;
    for _ in 0..2 {
        open.next_type_and_name().await;
    }

    get(&sim, &format!("{CONFIG_MAPS}/a")).await.ok();
    assert!(open.next_frame().await.is_none(), "a restart ends watches");
    let expired = format!("{CONFIG_MAPS}?resourceVersion={version}&resourceVersionMatch=Exact");
    get(&sim, &expired).await.fails(410, "Expired");
    let rewound = get(&sim, CONFIG_MAPS).await.ok();
    assert_eq!(rewound["items"].as_array().unwrap().len(), 1, "the rewind has removed b");

    let entries = sim.journal().entries();
    let of = |path: &str| entries.iter().find(|e| e.verb != "create" && e.path.ends_with(path)).unwrap();
    assert_eq!(
        of("/a").faults.iter().map(|f| &f.action).collect::<Vec<_>>(),
        [&Action::Compact, &Action::Restart]
    );
    assert_eq!(of("/configmaps").faults, []);
    let list = entries.iter().rfind(|e| e.verb == "list").unwrap();
    assert_eq!((list.faults[0].rule, &list.faults[0].action), (rules[2], &Action::Rewind(1)));
    let handling = list.handling.as_ref().unwrap();
    assert_eq!((handling.version_before, handling.version_after), (version, Some(version)));
}

#[tokio::test]
async fn a_restart_closes_the_connections_of_listeners() {
    let sim = Sim::new();
    let server = sim.serve_http("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let mut stream = tokio::net::TcpStream::connect(server.local_addr()).await.unwrap();
    let head = format!("GET {CONFIG_MAPS} HTTP/1.1\r\nhost: x\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    sim.restart();
    let mut rest = Vec::new();
    // The keep-alive connection ends, with or without an error.
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest).await;
    assert!(String::from_utf8_lossy(&rest).contains("ConfigMapList"));
    server.shutdown().await;
}
