//! A controller of a custom resource. It owns config maps and watches secrets.

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::{Config, watcher};
use kube::{Client, CustomResource, CustomResourceExt, Resource, ResourceExt};
use kube_sim::Sim;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

#[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Greeting", namespaced)]
struct GreetingSpec {
    text: String,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot apply the config map: {0}")]
    Apply(#[source] kube::Error),
    #[error("the object has no uid")]
    NoOwner,
}

struct Context {
    client: Client,
}

async fn reconcile(greeting: Arc<Greeting>, context: Arc<Context>) -> Result<Action, Error> {
    let owner = greeting.controller_owner_ref(&()).ok_or(Error::NoOwner)?;
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: greeting.metadata.name.clone(),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        data: Some([("text".to_string(), greeting.spec.text.clone())].into()),
        ..ConfigMap::default()
    };
    let maps: Api<ConfigMap> =
        Api::namespaced(context.client.clone(), &greeting.namespace().unwrap_or_default());
    let pp = PatchParams::apply("greetings").force();
    maps.patch(&greeting.name_any(), &pp, &Patch::Apply(&map)).await.map_err(Error::Apply)?;
    Ok(Action::requeue(Duration::from_secs(300)))
}

fn error_policy(_: Arc<Greeting>, _: &Error, _: Arc<Context>) -> Action {
    Action::requeue(Duration::from_secs(1))
}

#[tokio::test]
async fn a_controller_reconciles_a_new_object() -> anyhow::Result<()> {
    let client = Client::new(Sim::new().service(), "default");
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    crds.create(&PostParams::default(), &Greeting::crd()).await?;
    await_condition(crds, Greeting::crd_name(), conditions::is_crd_established()).await?;

    let greetings: Api<Greeting> = Api::default_namespaced(client.clone());
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let secrets: Api<Secret> = Api::default_namespaced(client.clone());
    let context = Arc::new(Context { client });
    let running = Controller::new(greetings.clone(), watcher::Config::default())
        .with_config(Config::default().concurrency(4).debounce(Duration::from_millis(1)))
        .owns(maps.clone(), watcher::Config::default())
        .watches(secrets, watcher::Config::default().labels("greeting"), |secret| {
            secret.labels().get("greeting").map(|name| ObjectRef::new(name).within("default"))
        })
        .run(reconcile, error_policy, context)
        .for_each(|outcome| async move {
            if let Err(error) = outcome {
                eprintln!("{error}");
            }
        });
    let running = tokio::spawn(running);

    let greeting = Greeting::new("hello", GreetingSpec { text: "good morning".into() });
    greetings.create(&PostParams::default(), &greeting).await?;
    let has_text = |map: Option<&ConfigMap>| {
        map.and_then(|map| map.data.as_ref())
            .is_some_and(|data| data.get("text").is_some_and(|text| text == "good morning"))
    };
    tokio::time::timeout(Duration::from_secs(30), await_condition(maps, "hello", has_text)).await??;
    running.abort();
    Ok(())
}
