//! An API server calls webhooks of kube-runtime's webhook server: conversion between versions of a kind, and admission.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1 as admission_v1;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as extensions_v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube_client::api::{ListParams, Patch, PatchParams, PostParams};
use kube_client::core::admission::{AdmissionRequest, Operation};
use kube_client::core::conversion::Converter;
use kube_client::core::crd::merge_crds;
use kube_client::{Api, CustomResourceExt, Error, ResourceExt};
use kube_derive::CustomResource;
use kube_runtime::webhook::{Rejection, Server};
use kube_runtime::{Manager, watcher};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use xtask_control_plane::Authority;

use super::widget::install_crd;
use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::{MANAGED_BY_LABEL, config_map, config_map_value, eventually, named_metadata};

suite!("runtime_webhooks":
    a_webhook_converts_between_the_versions_of_a_kind [Loopback],
    admission_webhooks_refuse_and_mutate_objects [Loopback],
    admission_webhooks_decode_a_derived_kind [Loopback],
);

/// The time limit of each wait.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A manager that serves webhooks, with a certificate that was made for the case. Dropping this value stops the manager.
struct Webhooks {
    url: String,
    authority: ByteString,
    stop: Option<oneshot::Sender<()>>,
    manager: JoinHandle<Result<(), kube_runtime::manager::Error>>,
    _folder: TempDir,
}

impl Webhooks {
    /// Starts a manager with the webhooks that `add` adds, and with the parts that `configure` adds.
    fn start(
        env: &Env,
        add: impl FnOnce(Server) -> Server,
        configure: impl FnOnce(&mut Manager),
    ) -> Outcome<Self> {
        let (folder, authority) = (tempfile::tempdir()?, Authority::new()?);
        let identity = authority.issue_server_certificate(Ipv4Addr::LOCALHOST)?;
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        std::fs::write(&certificate, &identity.certificate)?;
        std::fs::write(&key, &identity.key)?;
        let server = add(Server::from_files(certificate, key)?.listen("127.0.0.1:0")?);
        let address = server.address().ok_or_else(|| anyhow::anyhow!("the server has no address"))?;
        let mut manager = Manager::new(env.client()).without_server();
        manager.webhooks(server);
        configure(&mut manager);
        let (stop, stopped) = oneshot::channel::<()>();
        let manager = tokio::spawn(manager.shutdown_on(async { drop(stopped.await) }).run());
        let authority = ByteString(authority.certificate().as_bytes().to_vec());
        Ok(Self { url: format!("https://{address}"), authority, stop: Some(stop), manager, _folder: folder })
    }

    /// The `clientConfig` of an admission webhook: the URL of the webhook at `path`, and the trusted CA certificate.
    fn admission_client_config(&self, path: &str) -> admission_v1::WebhookClientConfig {
        admission_v1::WebhookClientConfig {
            ca_bundle: Some(self.authority.clone()),
            url: Some(format!("{}{path}", self.url)),
            service: None,
        }
    }

    /// Shuts the manager down.
    async fn stop(mut self) -> Outcome {
        drop(self.stop.take());
        timeout(TIMEOUT, self.manager).await???;
        Ok(())
    }
}

/// The old version of the kind `Gate`: one port.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "webhooks.example.com",
    version = "v1",
    kind = "Gate",
    root = "GateV1",
    namespaced,
    storage = false
)]
struct OldGateSpec {
    port: u16,
}

/// The stored version of the kind `Gate`: a list of ports.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "webhooks.example.com", version = "v2", kind = "Gate", namespaced)]
struct GateSpec {
    ports: Vec<u16>,
}

impl From<GateV1> for Gate {
    fn from(old: GateV1) -> Self {
        Self { metadata: old.metadata, spec: GateSpec { ports: vec![old.spec.port] } }
    }
}

impl TryFrom<Gate> for GateV1 {
    type Error = String;

    fn try_from(gate: Gate) -> Result<Self, Self::Error> {
        match gate.spec.ports.as_slice() {
            [port] => Ok(Self { metadata: gate.metadata, spec: OldGateSpec { port: *port } }),
            ports => Err(format!("v1 has one port, and the object has {}", ports.len())),
        }
    }
}

/// The CRD of `Gate` with the versions v1 and v2, and with a conversion webhook.
fn gates_crd(webhooks: &Webhooks) -> Outcome<extensions_v1::CustomResourceDefinition> {
    let mut crd = merge_crds(vec![GateV1::crd(), Gate::crd()], "v2")?;
    crd.metadata
        .labels
        .get_or_insert_default()
        .insert(MANAGED_BY_LABEL.0.to_owned(), MANAGED_BY_LABEL.1.to_owned());
    let client = extensions_v1::WebhookClientConfig {
        ca_bundle: Some(webhooks.authority.clone()),
        url: Some(format!("{}/convert", webhooks.url)),
        service: None,
    };
    crd.spec.conversion = Some(extensions_v1::CustomResourceConversion {
        strategy: "Webhook".to_owned(),
        webhook: Some(extensions_v1::WebhookConversion {
            client_config: Some(client),
            conversion_review_versions: vec!["v1".to_owned()],
        }),
    });
    Ok(crd)
}

async fn a_webhook_converts_between_the_versions_of_a_kind(env: Env) -> Outcome {
    let (old, new): (Api<GateV1>, Api<Gate>) = (env.api(), env.api());
    let converter = Converter::<Gate>::new().with_version::<Gate>().with_version::<GateV1>();
    let mut store = None;
    // The informer and the webhook belong to the same manager. The informer reads v1, and the API server stores v2. The API
    // server therefore calls the webhook for the requests of the informer.
    let webhooks = Webhooks::start(
        &env,
        |server| server.convert("/convert", converter),
        |manager| store = Some(manager.informer(old.clone(), watcher::Config::default()).store()),
    )?;
    let store = store.ok_or_else(|| anyhow::anyhow!("the manager has no informer"))?;
    install_crd(&env, &gates_crd(&webhooks)?).await?;
    old.create(&PostParams::default(), &GateV1::new("a", OldGateSpec { port: 80 })).await?;
    check_eq!(new.get("a").await?.spec.ports, [80]);
    eventually("the informer has the object in the old version", TIMEOUT, async || {
        Ok(store.find(|gate| gate.name_any() == "a" && gate.spec.port == 80).map(drop))
    })
    .await?;
    let wide = Patch::Merge(json!({"metadata": {"labels": {"kept": "yes"}}, "spec": {"ports": [80, 81]}}));
    new.patch("a", &PatchParams::default(), &wide).await?;
    let error = refused!(old.get("a").await);
    check!(error.to_string().contains("v1 has one port, and the object has 2"), "{error}");
    let narrow = Patch::Merge(json!({"spec": {"ports": [443]}}));
    new.patch("a", &PatchParams::default(), &narrow).await?;
    let listed = old.list(&ListParams::default()).await?.items;
    check_eq!(listed.iter().map(|gate| gate.spec.port).collect::<Vec<_>>(), [443]);
    check_eq!(listed[0].labels().get("kept").map(String::as_str), Some("yes"));
    let applied = GateV1::new("a", OldGateSpec { port: 8443 });
    old.apply(&PatchParams::apply("e2e").force(), &applied).await?;
    check_eq!(new.get("a").await?.spec.ports, [8443]);
    webhooks.stop().await
}

/// A validating webhook for creations and updates of config maps.
#[expect(clippy::panic, reason = "the panic of a handler is under test")]
async fn validate_map(request: AdmissionRequest<ConfigMap>) -> Result<Vec<String>, Rejection> {
    match request.object.as_ref().map(config_map_value) {
        Some("bad") => Err(Rejection::new("bad is not allowed")),
        Some("invalid") => Err(Rejection::invalid("v is invalid")),
        Some("panic") => panic!("the handler of a test"),
        Some("old") => Ok(vec!["old is deprecated".to_owned()]),
        _ if request.operation == Operation::Update && request.old_object.is_none() => {
            Err(Rejection::new("an update has an old object"))
        }
        _ => Ok(vec![]),
    }
}

/// A mutating webhook for config maps: sets a missing `owner` to the user of the request.
async fn set_default_owner(
    mut map: ConfigMap,
    request: AdmissionRequest<ConfigMap>,
) -> Result<ConfigMap, Rejection> {
    let owner = request.user_info.username.unwrap_or_default();
    map.data.get_or_insert_default().entry("owner".to_owned()).or_insert(owner);
    Ok(map)
}

/// The rule for creations and updates of a resource.
fn rule_for_writes(group: &str, version: &str, resource: &str) -> admission_v1::RuleWithOperations {
    admission_v1::RuleWithOperations {
        api_groups: Some(vec![group.to_owned()]),
        api_versions: Some(vec![version.to_owned()]),
        operations: Some(vec!["CREATE".to_owned(), "UPDATE".to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        scope: None,
    }
}

/// The selector of the case's namespace.
fn namespace_selector(env: &Env) -> LabelSelector {
    let name = ("kubernetes.io/metadata.name".to_owned(), env.namespace().to_owned());
    LabelSelector { match_labels: Some(BTreeMap::from([name])), match_expressions: None }
}

/// Registers the webhooks `/validate` and `/mutate` for the requests that match `rule` in the case's namespace.
async fn register(env: &Env, webhooks: &Webhooks, rule: admission_v1::RuleWithOperations) -> Outcome {
    let name = env.unique_name("webhooks");
    let hook = format!("{}.e2e.example.com", env.namespace());
    let mut metadata = named_metadata(&name);
    metadata.labels = Some([(MANAGED_BY_LABEL.0.to_owned(), MANAGED_BY_LABEL.1.to_owned())].into());
    let validating: Api<admission_v1::ValidatingWebhookConfiguration> = Api::all(env.client());
    let mutating: Api<admission_v1::MutatingWebhookConfiguration> = Api::all(env.client());
    env.delete_at_end(&validating, &name);
    env.delete_at_end(&mutating, &name);
    let configuration = admission_v1::ValidatingWebhookConfiguration {
        metadata: metadata.clone(),
        webhooks: Some(vec![admission_v1::ValidatingWebhook {
            admission_review_versions: vec!["v1".to_owned()],
            client_config: webhooks.admission_client_config("/validate"),
            name: hook.clone(),
            namespace_selector: Some(namespace_selector(env)),
            rules: Some(vec![rule.clone()]),
            side_effects: "None".to_owned(),
            ..admission_v1::ValidatingWebhook::default()
        }]),
    };
    validating.create(&PostParams::default(), &configuration).await?;
    let configuration = admission_v1::MutatingWebhookConfiguration {
        metadata,
        webhooks: Some(vec![admission_v1::MutatingWebhook {
            admission_review_versions: vec!["v1".to_owned()],
            client_config: webhooks.admission_client_config("/mutate"),
            name: hook,
            namespace_selector: Some(namespace_selector(env)),
            rules: Some(vec![rule]),
            side_effects: "None".to_owned(),
            ..admission_v1::MutatingWebhook::default()
        }]),
    };
    mutating.create(&PostParams::default(), &configuration).await?;
    Ok(())
}

/// Checks the code and a part of the message of a refusal.
#[track_caller]
fn check_refusal(error: &Error, code: u16, message: &str) -> Outcome {
    check!(error.status().is_some_and(|status| status.code == code), "{error:?}");
    check!(error.to_string().contains(message), "{error}");
    Ok(())
}

async fn admission_webhooks_refuse_and_mutate_objects(env: Env) -> Outcome {
    let webhooks = Webhooks::start(
        &env,
        |server| server.validate("/validate", validate_map).mutate("/mutate", set_default_owner),
        |_| {},
    )?;
    register(&env, &webhooks, rule_for_writes("", "v1", "configmaps")).await?;
    let maps: Api<ConfigMap> = env.api();
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    eventually("both webhooks are called", TIMEOUT, async || {
        let refused = maps.create(&dry_run, &config_map("a", "bad")).await.is_err();
        let created = maps.create(&dry_run, &config_map("a", "good")).await?;
        let is_mutated = created.data.is_some_and(|data| data.contains_key("owner"));
        Ok((refused && is_mutated).then_some(()))
    })
    .await?;
    let create = async |v: &str| maps.create(&PostParams::default(), &config_map("a", v)).await;
    check_refusal(&refused!(create("bad").await), 403, "denied the request: bad is not allowed")?;
    check_refusal(&refused!(create("invalid").await), 422, "denied the request: v is invalid")?;
    check_refusal(&refused!(create("panic").await), 500, "the handler of the webhook panicked")?;
    check!(maps.get_opt("a").await?.is_none());
    // The webhook sets a missing `owner` to the user of the request. This user depends on the server, so the
    // case accepts any owner here. A later patch removes `owner`. The webhook must then set the same
    // owner again.
    let created = create("old").await?;
    let owner = created.data.as_ref().and_then(|data| data.get("owner").cloned());
    check!(owner.is_some(), "{created:?}");
    let patch =
        async |patch: serde_json::Value| maps.patch("a", &PatchParams::default(), &Patch::Merge(patch)).await;
    check_refusal(&refused!(patch(json!({"data": {"v": "bad"}})).await), 403, "bad is not allowed")?;
    let patched = patch(json!({"data": {"v": "good", "owner": null}})).await?;
    check_eq!(
        (config_map_value(&patched), patched.data.as_ref().and_then(|data| data.get("owner").cloned())),
        ("good", owner)
    );
    let kept = patch(json!({"data": {"owner": "me"}})).await?;
    check_eq!(kept.data.as_ref().and_then(|data| data.get("owner")).map(String::as_str), Some("me"));
    webhooks.stop().await
}

/// A kind whose objects the webhooks decode.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "webhooks.example.com", version = "v1", kind = "Bridge", namespaced)]
#[serde(rename_all = "camelCase")]
struct BridgeSpec {
    span_meters: u32,
    #[serde(default)]
    pillar_count: Option<u32>,
}

async fn admission_webhooks_decode_a_derived_kind(env: Env) -> Outcome {
    let webhooks = Webhooks::start(
        &env,
        |server| {
            server
                .validate("/validate", async |request: AdmissionRequest<Bridge>| {
                    match request.object.map(|bridge| bridge.spec.span_meters) {
                        Some(span @ 2000..) => {
                            Err(Rejection::invalid(format!("a span of {span} m is too long")))
                        }
                        _ => Ok(vec![]),
                    }
                })
                .mutate("/mutate", async |mut bridge: Bridge, _: AdmissionRequest<Bridge>| {
                    bridge.spec.pillar_count.get_or_insert(bridge.spec.span_meters.div_ceil(500) + 1);
                    Ok(bridge)
                })
        },
        |_| {},
    )?;
    let mut crd = Bridge::crd();
    crd.metadata
        .labels
        .get_or_insert_default()
        .insert(MANAGED_BY_LABEL.0.to_owned(), MANAGED_BY_LABEL.1.to_owned());
    install_crd(&env, &crd).await?;
    register(&env, &webhooks, rule_for_writes("webhooks.example.com", "v1", "bridges")).await?;
    let bridges: Api<Bridge> = env.api();
    let bridge = |span_meters| Bridge::new("a", BridgeSpec { span_meters, pillar_count: None });
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    eventually("both webhooks are called", TIMEOUT, async || {
        let refused = bridges.create(&dry_run, &bridge(2000)).await.is_err();
        let created = bridges.create(&dry_run, &bridge(1)).await?;
        Ok((refused && created.spec.pillar_count.is_some()).then_some(()))
    })
    .await?;
    let error = refused!(bridges.create(&PostParams::default(), &bridge(2001)).await);
    check_refusal(&error, 422, "a span of 2001 m is too long")?;
    let created = bridges.create(&PostParams::default(), &bridge(1200)).await?;
    check_eq!(created.spec, BridgeSpec { span_meters: 1200, pillar_count: Some(4) });
    webhooks.stop().await
}
