//! Tests of compact stores whose server sends malformed objects, or objects that do not decode.

use crate::common::error_chain;
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::api::ApiResource;
use kube_client::client::Body;
use kube_client::core::Object;
use kube_client::{Api, Client, ResourceExt};
use kube_runtime::Reflector;
use kube_runtime::reflector::{self, Check, ObjectRef, Storage, Store, StoreEvent};
use kube_runtime::watcher::{Config, Error, InitialListStrategy, watcher};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::convert::Infallible;
use std::time::Duration;

/// A client of a server that answers each list with these items and each watch with these events, both given as JSON
/// text.
fn client_with_answers(items: &'static [&'static str], events: &'static [&'static str]) -> Client {
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let body = if request.uri().query().unwrap_or_default().contains("watch=") {
            let events = futures::stream::iter(events).map(|event| Ok::<_, Infallible>(format!("{event}\n")));
            Body::wrap_stream(events.chain(futures::stream::pending()))
        } else {
            let items = items.join(",");
            let head =
                r#"{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"5"},"items":["#;
            Body::from(format!("{head}{items}]}}").into_bytes())
        };
        std::future::ready(Ok::<_, Infallible>(http::Response::new(body)))
    });
    Client::new(service, "default")
}

#[tokio::test(start_paused = true)]
async fn a_malformed_object_is_an_error_that_affects_no_other_object() {
    let items: &[&str] = &[
        r#"{"metadata":{"name":"good","namespace":"ns","uid":"1","resourceVersion":"1"},"data":{"a":"b"}}"#,
        r#"{"metadata":{"name":"comma","namespace":"ns"},"data":{"a":"b",}}"#,
        r#"{"metadata":{"name":"colon","namespace":"ns"},"data":{"a" "b"}}"#,
        r#"{"metadata":{"name":"literal","namespace":"ns"},"immutable":tru}"#,
        r#"{"metadata":{"name":"number","namespace":"ns"},"data":[01]}"#,
        r#"{"metadata":{"name":"surrogate","namespace":"ns"},"data":{"a":"\ud800"}}"#,
        r#"{"metadata":{"name":"escape","namespace":"ns"},"data":{"a":"\x"}}"#,
        r#"{"metadata":{"name":7}}"#,
        r#"{"metadata":{"name":""}}"#,
        r#"{"metadata":null}"#,
        "{}",
        "7",
        r#"{"metadata":{"name":"last","namespace":"ns","uid":"2","resourceVersion":"2"}}"#,
    ];
    let events: &[&str] = &[
        r#"{"type":"MODIFIED","object":{"metadata":{"name":"good","namespace":"ns","uid":"1","resourceVersion":"6"},"data":{"a":"\ud800"}}}"#,
        r#"{"type":"ADDED","object":{"metadata":{"name":"new","namespace":"ns","uid":"3","resourceVersion":"7"}}}"#,
        r#"{"type":"DELETED","object":{"metadata":{"name":"last","namespace":"ns","uid":"2","resourceVersion":"8"},"data":"\ud800"}}"#,
    ];
    let api = Api::<ConfigMap>::all(client_with_answers(items, events));
    let config = Config::default().initial_list_strategy(InitialListStrategy::ListWatch);
    let (reader, writer) = reflector::store_with(Storage::compact());
    let mut deltas = watcher(api, config).deltas(writer).boxed();
    let (mut errors, mut names) = (Vec::new(), Vec::new());
    while let Ok(Some(item)) = tokio::time::timeout(Duration::from_secs(30), deltas.next()).await {
        match item {
            Ok(StoreEvent::Delta(delta)) => names.push(format!("{:?} {}", delta.kind(), delta.key().1)),
            Ok(_) => {}
            Err(error) => {
                assert!(matches!(error, Error::Object(_)), "{error}");
                errors.push(error_chain(&error));
            }
        }
    }
    let expected = [
        ("ns/comma of a list", "trailing comma at line 1 column"),
        ("ns/colon of a list", "expected `:`"),
        ("ns/literal of a list", "expected ident"),
        ("ns/number of a list", "invalid number"),
        ("ns/surrogate of a list", "hex escape"),
        ("ns/escape of a list", "invalid escape"),
        ("without a readable name", "metadata.name is not a string"),
        ("of a list", "metadata.name is missing or empty"),
        ("without a readable name", "metadata.name is missing or empty"),
        ("without a readable name", "metadata.name is missing or empty"),
        ("without a readable name", "expected an object"),
        ("ns/good of a MODIFIED event", "hex escape"),
        ("ns/last of a DELETED event", "hex escape"),
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (error, (object, problem)) in errors.iter().zip(expected) {
        assert!(
            error.contains("decode ConfigMap") && error.contains(object) && error.contains(problem),
            "{error}"
        );
    }
    assert_eq!(names, ["Added good", "Added last", "Added new", "Deleted last"]);
    let good = reader.get(&ObjectRef::new("good").within("ns")).unwrap();
    assert_eq!((reader.len(), good.resource_version().as_deref()), (2, Some("1")));
}

/// The spec of [`NumberObject`] objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct NumberSpec {
    n: u8,
}

type NumberObject = Object<NumberSpec, Value>;

/// Lists objects of the type [`NumberObject`] into a compact store with this check. Returns the store, and the errors.
async fn list_number_objects(
    items: &'static [&'static str],
    check: Option<Check>,
) -> (Store<NumberObject>, Vec<String>) {
    let api =
        Api::<NumberObject>::all_with(client_with_answers(items, &[]), &ApiResource::erase::<ConfigMap>(&()));
    let config = Config::default().initial_list_strategy(InitialListStrategy::ListWatch);
    let storage = Storage::compact();
    let storage = if let Some(check) = check { storage.check(check) } else { storage };
    let mut reflector = Reflector::with_storage(api, config, storage);
    let mut errors = Vec::new();
    while let Err(error) = reflector.poll().await {
        errors.push(error_chain(&error));
    }
    (reflector.store(), errors)
}

#[tokio::test(start_paused = true)]
async fn the_check_of_a_store_decides_when_an_undecodable_object_is_noticed() {
    const ITEMS: &[&str] = &[
        r#"{"metadata":{"name":"good","uid":"1"},"spec":{"n":1},"status":1}"#,
        r#"{"metadata":{"name":"bad","uid":"2"},"spec":{"n":"x"},"status":1}"#,
    ];
    for check in [None, Some(Check::Decode)] {
        let (store, errors) = list_number_objects(ITEMS, check).await;
        assert!(matches!(&*errors, [error] if error.contains("bad of a list")), "{errors:?}");
        assert_eq!((store.len(), store.state().len()), (1, 1));
    }
    let (store, errors) = list_number_objects(ITEMS, Some(Check::Syntax)).await;
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!((store.len(), store.state().len()), (2, 1));
    assert!(store.get(&ObjectRef::new_with("bad", ApiResource::erase::<ConfigMap>(&()))).is_none());
}
