//! Tests that `Reflector::poll` returns at its timeout even if the server sends events continuously.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]
#![expect(clippy::disallowed_types, reason = "the test measures real time")]

use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::{Api, Client, client::Body};
use kube_runtime::Reflector;
use kube_runtime::watcher::{Config, InitialListStrategy};
use std::convert::Infallible;
use std::time::{Duration, Instant};

/// A client of a server that sends events for `duration` as fast as the client reads them.
fn client_of_busy_server(duration: Duration) -> Client {
    let service = tower::service_fn(move |request: http::Request<Body>| async move {
        let list =
            r#"{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}"#;
        let watching = request.uri().query().unwrap_or_default().contains("watch=true");
        let body = if watching {
            let end = Instant::now() + duration;
            let events = (2_u64..).take_while(move |_| Instant::now() < end).map(|version| {
                let meta = format!(r#"{{"name":"a","namespace":"default","resourceVersion":"{version}"}}"#);
                Ok::<_, Infallible>(format!("{{\"type\":\"MODIFIED\",\"object\":{{\"metadata\":{meta}}}}}\n"))
            });
            Body::wrap_stream(futures::stream::iter(events))
        } else {
            Body::from(list.as_bytes().to_vec())
        };
        Ok::<_, Infallible>(http::Response::new(body))
    });
    Client::new(service, "default")
}

#[tokio::test]
async fn a_poll_ends_in_time_during_continuous_events() {
    let maps: Api<ConfigMap> = Api::all(client_of_busy_server(Duration::from_secs(6)));
    let config = Config::default().initial_list_strategy(InitialListStrategy::ListWatch);
    let mut reflector = Reflector::with_config(maps, config).timeout(Duration::from_millis(500));
    let begun = Instant::now();
    reflector.poll().await.unwrap();
    assert_eq!(reflector.read().len(), 1);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}
