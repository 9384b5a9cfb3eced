//! Tests of the timeout of `Reflector::poll`: a poll watches until its timeout, and returns an error if the server
//! fails or does not respond.

use futures::TryFutureExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::{Api, BoxError, Client};
use kube_runtime::Reflector;
use kube_sim::{
    Sim,
    fault::{Action, Rule},
};
use serde_json::json;
use std::{convert::Infallible, time::Duration};
use tokio::time::Instant;
use tower::ServiceExt;

/// A client of the simulated server. A request without a response fails after 65 seconds.
fn client(sim: &Sim) -> Client {
    let service = sim.service();
    let service = tower::service_fn(move |request| {
        let answer =
            service.clone().oneshot(request).map_err(|never: Infallible| -> BoxError { match never {} });
        async { tokio::time::timeout(Duration::from_secs(65), answer).await? }
    });
    Client::new(service, "default")
}

fn create_map(sim: &Sim, name: &str) {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    sim.create(&map).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_poll_watches_until_its_timeout() {
    for timeout in [200, 1_000, 2_000, 10_000].map(Duration::from_millis) {
        let sim = Sim::new();
        let maps: Api<ConfigMap> = Api::default_namespaced(client(&sim));
        let mut reflector = Reflector::new(maps).timeout(timeout);
        for (known, name) in ["one", "two", "three"].into_iter().enumerate() {
            let begun = Instant::now();
            let change = async {
                tokio::time::sleep(timeout / 2).await;
                create_map(&sim, name);
            };
            tokio::join!(reflector.poll(), change).0.unwrap();
            assert_eq!(
                reflector.read().len(),
                known + 1,
                "a change during a poll of {timeout:?} is not seen"
            );
            let (took, second) = (begun.elapsed(), Duration::from_secs(1));
            assert!(took + second >= timeout && took <= timeout + second, "{timeout:?}: {took:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_fails_if_the_server_stops_responding() {
    let sim = Sim::new();
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&sim));
    let mut reflector = Reflector::new(maps);
    reflector.poll().await.unwrap();
    sim.faults().add(Rule::new(Action::Hang));
    let begun = Instant::now();
    let error = loop {
        match reflector.poll().await {
            Ok(()) => assert!(begun.elapsed() < Duration::from_secs(90), "polls go on as if all were well"),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("open a watch of /api/v1/namespaces/default/configmaps"), "{error}");
    sim.faults().clear();
    create_map(&sim, "one");
    while reflector.read().is_empty() {
        reflector.poll().await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(120), "the reflector has not recovered");
    }
}

#[tokio::test(start_paused = true)]
async fn each_poll_of_a_failing_server_returns_an_error() {
    let sim = Sim::new();
    let mut reflector =
        Reflector::<ConfigMap>::new(Api::default_namespaced(client(&sim))).timeout(Duration::from_secs(1));
    reflector.poll().await.unwrap();
    sim.faults().add(Rule::new(Action::status(503)));
    create_map(&sim, "one");
    for poll in 0..8 {
        assert!(reflector.poll().await.is_err(), "poll {poll} has sent no request");
    }
    sim.faults().clear();
    let begun = Instant::now();
    reflector.poll().await.unwrap();
    assert_eq!(reflector.read().len(), 1);
    assert!(begun.elapsed() < Duration::from_secs(90), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn polls_with_a_zero_timeout_succeed() {
    let sim = Sim::new();
    let mut reflector =
        Reflector::<ConfigMap>::new(Api::default_namespaced(client(&sim))).timeout(Duration::ZERO);
    for poll in 0..200 {
        reflector.poll().await.unwrap_or_else(|error| panic!("poll {poll}: {error}"));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
