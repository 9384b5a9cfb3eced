//! JSON and Protobuf: objects are equal in both formats, and kinds without Protobuf are read as JSON.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::TryStreamExt;
use http::{Response, header};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube_client::api::{DeleteParams, FilterDepth, ListParams, PostParams, Verdict, WatchEvent, WatchParams};
use kube_client::client::Body;
use kube_client::config::WireFormat;
use kube_client::core::discovery::verbs;
use kube_client::core::{DynamicObject, FieldSet};
use kube_client::{Api, Client, Discovery, ResourceExt};
use kube_runtime::Reflector;
use kube_runtime::reflector::{Check, Storage};
use kube_runtime::watcher::Config;
use serde_json::{Value, json};
use tower::util::MapResponseLayer;

use super::widget::install;
use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::{
    config_map, config_map_value, deployment, idle_pod, labelled_config_map, object_from_json,
    poll_reflector_until, wait_until_converged,
};

suite!("formats":
    lists_of_all_kinds_are_equal_in_both_formats,
    objects_are_equal_in_both_formats,
    watches_in_protobuf_emit_changes_and_bookmarks,
    custom_resources_are_read_as_json_and_their_metadata_as_protobuf,
    errors_in_protobuf_contain_a_status,
    automatic_format_reads_single_objects_as_json,
    reflector_in_automatic_format_follows_changes,
    compact_stores_have_the_objects_of_the_server_in_both_formats,
);

/// The `Content-Type` of each response of a client.
#[derive(Clone, Default)]
struct ContentTypes(Arc<Mutex<Vec<String>>>);

impl ContentTypes {
    /// Returns a client and a record. The client adds the `Content-Type` of each response to the record.
    fn recording_client(client: &Client) -> (Client, Self) {
        let types = Self::default();
        let recorder = types.clone();
        let layer = MapResponseLayer::new(move |response: Response<Body>| {
            let found = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            recorder
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(found.unwrap_or_default().to_owned());
            response
        });
        (client.with_layer(&layer), types)
    }

    /// Removes the recorded types. Returns `Some(true)` if all of them are Protobuf, `Some(false)` if none of them is, and
    /// `None` if only some of them are, or no type was recorded.
    fn take_and_check_protobuf(&self) -> Option<bool> {
        let types = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let protobuf =
            types.iter().filter(|found| found.starts_with("application/vnd.kubernetes.protobuf")).count();
        match protobuf {
            _ if types.is_empty() => None,
            0 => Some(false),
            all if all == types.len() => Some(true),
            _ => None,
        }
    }
}

/// The value without its fields that are null or an empty list. Objects in JSON and in Protobuf may differ in such fields.
fn without_empty_values(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, value)| !value.is_null() && value.as_array().is_none_or(|items| !items.is_empty()))
            .map(|(key, value)| (key.clone(), without_empty_values(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_empty_values).collect(),
        value => value.clone(),
    }
}

/// The objects of a list [without empty values](without_empty_values), by uid and resource version.
fn objects_by_version(objects: &[DynamicObject]) -> Outcome<BTreeMap<(String, String), Value>> {
    let mut found = BTreeMap::new();
    for object in objects {
        if let (Some(uid), Some(version)) = (object.uid(), object.resource_version()) {
            found.insert((uid, version), without_empty_values(&serde_json::to_value(object)?));
        }
    }
    Ok(found)
}

async fn lists_of_all_kinds_are_equal_in_both_formats(env: Env) -> Outcome {
    env.api::<Deployment>().create(&PostParams::default(), &deployment("web", 1)?).await?;
    let (client, types) = ContentTypes::recording_client(&env.client());
    let discovery = Discovery::new(env.client()).run().await?;
    let (mut compared, mut in_protobuf) = (0, 0);
    for (resource, capabilities) in
        discovery.groups().flat_map(kube_client::discovery::ApiGroup::recommended_resources)
    {
        if !capabilities.supports_operation(verbs::LIST) {
            continue;
        }
        let api: Api<DynamicObject> = Api::dynamic(client.clone(), &resource, &capabilities.scope);
        let lp = ListParams::default().limit(200);
        // Since discovery, another case may have deleted the custom resource definition of `resource`.
        let Ok(json) = api.clone().wire_format(WireFormat::Json).list(&lp).await else { continue };
        types.take_and_check_protobuf();
        let protobuf = match api.wire_format(WireFormat::Protobuf).list(&lp).await {
            Err(error) if error.is_not_found() => continue,
            outcome => outcome?,
        };
        in_protobuf += usize::from(types.take_and_check_protobuf() == Some(true));
        check_eq!(protobuf.types, json.types);
        let (json, protobuf) = (objects_by_version(&json.items)?, objects_by_version(&protobuf.items)?);
        for (key, expected) in &json {
            // If the second list does not have the key, the object was changed or deleted between the two lists.
            let Some(found) = protobuf.get(key) else { continue };
            check!(found == expected, "{} in Protobuf: {found}, in JSON: {expected}", resource.kind);
            compared += 1;
        }
    }
    check!(in_protobuf > 20, "only {in_protobuf} kinds were read in Protobuf");
    check!(compared > 5, "only {compared} objects were compared");
    Ok(())
}

async fn objects_are_equal_in_both_formats(env: Env) -> Outcome {
    let (client, types) = ContentTypes::recording_client(&env.client());
    let client = client.with_wire_format(WireFormat::Protobuf);
    let mut pod: Pod = idle_pod("p")?;
    pod.annotations_mut().insert("text".to_owned(), "\"\\ \n\t é \u{1f600}".to_owned());
    env.api::<Pod>().create(&PostParams::default(), &pod).await?;
    let secret: Secret = object_from_json(
        json!({"metadata": {"name": "s"}, "data": {"k": "AP8="}, "stringData": {"t": "x"}}),
    )?;
    env.api::<Secret>().create(&PostParams::default(), &secret).await?;
    types.take_and_check_protobuf();
    let pods: Api<Pod> = Api::namespaced(client.clone(), env.namespace());
    check_eq!(pods.get("p").await?, env.api::<Pod>().get("p").await?);
    let secrets: Api<Secret> = Api::namespaced(client, env.namespace());
    check_eq!(secrets.get("s").await?, env.api::<Secret>().get("s").await?);
    check_eq!(
        secrets.list(&ListParams::default()).await?.items,
        env.api().list(&ListParams::default()).await?.items
    );
    let skipping = pods.clone().skip_fields(FieldSet::managed_fields().and("spec.containers".parse()?));
    let found = skipping.get("p").await?;
    check_eq!(
        (found.metadata.managed_fields.is_none(), found.spec.map(|spec| spec.containers.len())),
        (true, Some(0))
    );
    check_eq!(types.take_and_check_protobuf(), Some(true));
    Ok(())
}

async fn watches_in_protobuf_emit_changes_and_bookmarks(env: Env) -> Outcome {
    let (client, types) = ContentTypes::recording_client(&env.client());
    let watched: Api<ConfigMap> = Api::namespaced(client, env.namespace()).wire_format(WireFormat::Protobuf);
    let maps: Api<ConfigMap> = env.api();
    let version = maps.list(&ListParams::default()).await?.metadata.resource_version.unwrap_or_default();
    let mut map = maps.create(&PostParams::default(), &labelled_config_map("a", "n", "1")).await?;
    maps.create(&PostParams::default(), &labelled_config_map("dropped", "n", "2")).await?;
    map.data = config_map("a", "2").data;
    maps.replace("a", &PostParams::default(), &map).await?;
    maps.delete("a", &DeleteParams::default()).await?;
    let wp = WatchParams::default().labels("n").timeout(Duration::from_secs(5));
    let events = watched.watch(&wp, &version).await?;
    let events = events.filter_before_decode(FilterDepth::Labels, |_, map| {
        if map.labels().get("n").is_some_and(|n| n == "2") { Verdict::Drop } else { Verdict::Keep }
    });
    let events: Vec<_> = events.try_collect().await?;
    check_eq!(types.take_and_check_protobuf(), Some(true));
    let texts: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            WatchEvent::Added(map) => Some(format!("+{}={}", map.name_any(), config_map_value(map))),
            WatchEvent::Modified(map) => Some(format!("~{}={}", map.name_any(), config_map_value(map))),
            WatchEvent::Deleted(map) => Some(format!("-{}={}", map.name_any(), config_map_value(map))),
            WatchEvent::Bookmark(_) => None,
            WatchEvent::Error(status) => Some(status.to_string()),
        })
        .collect();
    check_eq!(texts, ["+a=1", "~a=2", "-a=2"]);
    let bookmark = events.iter().any(|event| match event {
        WatchEvent::Bookmark(bookmark) => bookmark.types.kind == "ConfigMap",
        _ => false,
    });
    check!(bookmark, "{events:?}");
    Ok(())
}

async fn custom_resources_are_read_as_json_and_their_metadata_as_protobuf(env: Env) -> Outcome {
    let resource = install(&env).await?;
    let widgets: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let widget: DynamicObject = object_from_json(json!({
        "apiVersion": format!("{}.example.com/v1", env.namespace()), "kind": "Widget",
        "metadata": {"name": "w", "namespace": env.namespace()}, "spec": {"size": 2},
    }))?;
    widgets.create(&PostParams::default(), &widget).await?;
    let (client, types) = ContentTypes::recording_client(&env.client());
    let widgets: Api<DynamicObject> =
        Api::namespaced_with(client.with_wire_format(WireFormat::Protobuf), env.namespace(), &resource);
    check_eq!(widgets.get("w").await?.data["spec"]["size"], json!(2));
    check_eq!(widgets.list(&ListParams::default()).await?.items.len(), 1);
    check_eq!(types.take_and_check_protobuf(), Some(false));
    check_eq!(widgets.get_metadata("w").await?.name_any(), "w");
    let list = widgets.list_metadata(&ListParams::default()).await?;
    check_eq!(list.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["w"]);
    check_eq!(types.take_and_check_protobuf(), Some(true));
    Ok(())
}

async fn errors_in_protobuf_contain_a_status(env: Env) -> Outcome {
    let (client, _) = ContentTypes::recording_client(&env.client());
    let maps: Api<ConfigMap> = Api::namespaced(client, env.namespace()).wire_format(WireFormat::Protobuf);
    let error = refused!(maps.get("missing").await);
    check!(error.is_not_found(), "{error}");
    check_eq!(maps.get_opt("missing").await?.is_none(), true);
    check!(error.to_string().contains("configmaps \"missing\" not found"), "{error}");
    let lp = ListParams::default().limit(1).continue_token("not a token");
    let error = refused!(maps.list(&lp).await);
    check_eq!(error.status().map(|status| status.code), Some(400));
    Ok(())
}

async fn automatic_format_reads_single_objects_as_json(env: Env) -> Outcome {
    let (client, types) = ContentTypes::recording_client(&env.client());
    let maps: Api<ConfigMap> = Api::namespaced(client.with_wire_format(WireFormat::Auto), env.namespace());
    maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    check_eq!(config_map_value(&maps.get("a").await?), "1");
    check_eq!(types.take_and_check_protobuf(), Some(false));
    check!(maps.list(&ListParams::default()).await?.items.iter().any(|map| config_map_value(map) == "1"));
    check_eq!(types.take_and_check_protobuf(), Some(true));
    Ok(())
}

async fn reflector_in_automatic_format_follows_changes(env: Env) -> Outcome {
    let maps = env.api::<ConfigMap>();
    maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    let mut reflector = Reflector::new(maps.clone().wire_format(WireFormat::Auto));
    maps.create(&PostParams::default(), &config_map("b", "2")).await?;
    let store = reflector.store();
    let lp = ListParams::default();
    let converged = wait_until_converged(&store, &maps, &lp, Duration::from_secs(30));
    poll_reflector_until(&mut reflector, converged).await?;
    let found = store.find(|map| map.name_any() == "b");
    check_eq!(found.as_deref().map(config_map_value), Some("2"));
    Ok(())
}

async fn compact_stores_have_the_objects_of_the_server_in_both_formats(env: Env) -> Outcome {
    let (maps, lp) = (env.api::<ConfigMap>(), ListParams::default());
    for (format, check) in [
        (WireFormat::Json, Check::Syntax),
        (WireFormat::Protobuf, Check::Syntax),
        (WireFormat::Json, Check::Decode),
        (WireFormat::Protobuf, Check::Decode),
    ] {
        let api = maps.clone().wire_format(format);
        let storage = Storage::compact().check(check).cached(0);
        let mut reflector = Reflector::with_storage(api, Config::default(), storage);
        let store = reflector.store();
        for change in ["\"1\" \\ \u{1F600}", "2\n"] {
            // The first change is in the initial list. The second change arrives as events of the watch.
            for name in ["a", "b"] {
                let _ = maps.delete(name, &DeleteParams::default()).await;
                maps.create(&PostParams::default(), &config_map(name, change)).await?;
            }
            let converged = wait_until_converged(&store, &maps, &lp, Duration::from_secs(30));
            poll_reflector_until(&mut reflector, converged).await?;
            for mut map in maps.list(&lp).await? {
                map.metadata.managed_fields = None;
                let stored = store.find(|stored| stored.name_any() == map.name_any());
                check_eq!(stored.as_deref(), Some(&map));
            }
        }
    }
    Ok(())
}
