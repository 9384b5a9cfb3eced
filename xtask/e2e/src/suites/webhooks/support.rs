//! The webhooks of a case: their server, their configurations, and raw requests to the API server.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use kube_client::api::PostParams;
use kube_client::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube_client::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::env::Env;
use crate::failure::Outcome;
use crate::support::{Answer, MANAGED_BY_LABEL, eventually, send_raw};
use crate::webhook_server::{Reply, WebhookServer};

/// The time limit of each wait.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The path of the webhook that shows whether a configuration is active.
const CANARY: &str = "/canary";

/// A match condition that excludes the requests of controllers, which create a config map in each namespace.
const NOT_BY_SYSTEM_USER: &str = "!request.userInfo.username.startsWith('system:')";

/// The kind of a webhook configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::suites) enum ConfigurationKind {
    Mutating,
    Validating,
}

/// The webhooks of one case.
pub(in crate::suites) struct Hooks {
    pub(in crate::suites) env: Env,
    pub(in crate::suites) server: WebhookServer,
}

impl Hooks {
    pub(in crate::suites) async fn start(env: Env) -> Outcome<Self> {
        let server = WebhookServer::start(&[format!("hook.{}.svc", env.namespace())]).await?;
        server.set_handler(CANARY, allow);
        Ok(Self { env, server })
    }

    /// Creates a configuration, and waits until the configuration is active. By default, a webhook matches the writes of
    /// config maps in the case's namespace, except writes by `system:` users. The fields in `webhooks` replace the default
    /// fields.
    pub(in crate::suites) async fn configure(
        &self,
        kind: ConfigurationKind,
        name: &str,
        webhooks: &[Value],
    ) -> Outcome {
        let mut all: Vec<Value> = webhooks.iter().map(|webhook| self.with_default_fields(webhook)).collect();
        let canary = json!({
            "name": "canary.example.com",
            "clientConfig": self.server.client_config(CANARY),
            "objectSelector": {"matchLabels": {"canary": "true"}},
        });
        all.push(self.with_default_fields(&canary));
        let kind = match kind {
            ConfigurationKind::Mutating => "MutatingWebhookConfiguration",
            ConfigurationKind::Validating => "ValidatingWebhookConfiguration",
        };
        let resource =
            ApiResource::from_gvk(&GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind));
        let api: Api<DynamicObject> = Api::all_with(self.env.client(), &resource);
        let name = self.env.unique_name(name);
        let mut configuration = DynamicObject::new(&name, &resource).data(json!({"webhooks": all}));
        configuration.labels_mut().insert(MANAGED_BY_LABEL.0.to_owned(), MANAGED_BY_LABEL.1.to_owned());
        self.env.delete_at_end(&api, &name);
        api.create(&PostParams::default(), &configuration).await?;
        self.server.take_calls(CANARY);
        let path = format!("{}?dryRun=All", self.path("configmaps"));
        let probe = json!({"metadata": {"name": "canary", "labels": {"canary": "true"}}, "data": {"v": "1"}});
        eventually("the configuration is active", TIMEOUT, async || {
            self.send(Method::POST, &path, &probe).await.map_err(|failure| anyhow::anyhow!("{failure}"))?;
            Ok((!self.server.take_calls(CANARY).is_empty()).then_some(()))
        })
        .await?;
        self.server.forget_calls();
        Ok(())
    }

    /// A webhook that matches the writes of config maps in the case's namespace, except writes by `system:` users. `fields`
    /// replaces or adds fields.
    fn with_default_fields(&self, fields: &Value) -> Value {
        let mut webhook = json!({
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "timeoutSeconds": 10,
            "matchConditions": [{"name": "case", "expression": NOT_BY_SYSTEM_USER}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.env.namespace()}},
            "rules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"],
                "operations": ["CREATE", "UPDATE", "DELETE"],
            }],
        });
        for (field, value) in fields.as_object().into_iter().flatten() {
            webhook[field] = value.clone();
        }
        webhook
    }

    /// Sets the handler of the path `/{name}`, and returns a webhook whose calls go to this path.
    pub(in crate::suites) fn add_hook(
        &self,
        name: &str,
        handler: impl Fn(&Value) -> Reply + Send + Sync + 'static,
    ) -> Value {
        let path = format!("/{name}");
        self.server.set_handler(&path, handler);
        json!({"name": format!("{name}.example.com"), "clientConfig": self.server.client_config(&path)})
    }

    /// The path of a collection of the core group in the case's namespace.
    pub(in crate::suites) fn path(&self, collection: &str) -> String {
        format!("/api/v1/namespaces/{}/{collection}", self.env.namespace())
    }

    /// Sends a request with `body` as JSON, or without a body if `body` is null.
    pub(in crate::suites) async fn send(&self, method: Method, path: &str, body: &Value) -> Outcome<Answer> {
        let content_type = match method {
            Method::PATCH => "application/merge-patch+json",
            _ => "application/json",
        };
        let bytes = if body.is_null() {
            Vec::new()
        } else {
            add_config_map_type(path, body).to_string().into_bytes()
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content_type)
            .body(kube_client::client::Body::from(bytes))?;
        Ok(send_raw(&self.env.client(), request).await?)
    }

    /// Patches an object, and waits until the server's watch cache has the new version. A server starts a deletion with
    /// the cached object. If the cached object is outdated, the server calls the webhooks again with the new version.
    pub(in crate::suites) async fn patch_and_wait_for_cache(&self, path: &str, body: &Value) -> Outcome {
        let patched = self.send(Method::PATCH, path, body).await?;
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        let cached = format!("{path}?resourceVersion=0");
        eventually("the watch cache has the change", TIMEOUT, async || {
            let read =
                send_raw(&self.env.client(), Request::get(&cached).body(kube_client::client::Body::empty())?)
                    .await?;
            let version = |answer: &Answer| answer.body["metadata"]["resourceVersion"].clone();
            anyhow::ensure!(version(&read) == version(&patched), "{}", read.body);
            Ok(Some(()))
        })
        .await
    }

    /// Creates a config map with this metadata.
    pub(in crate::suites) async fn create_config_map(&self, metadata: Value) -> Outcome<Answer> {
        self.send(Method::POST, &self.path("configmaps"), &json!({"metadata": metadata, "data": {"v": "1"}}))
            .await
    }
}

/// Adds `apiVersion` and `kind` to a body for a config map if `kind` is missing. In a patch, both fields have no effect.
fn add_config_map_type(path: &str, body: &Value) -> Value {
    let mut body = body.clone();
    if path.contains("/configmaps") && body.is_object() && body.get("kind").is_none() {
        body["kind"] = "ConfigMap".into();
        body["apiVersion"] = "v1".into();
    }
    body
}

/// An `AdmissionReview` that responds to `review`. By default, the response admits the request. `fields` replaces or adds
/// fields of the response.
pub(in crate::suites) fn respond(review: &Value, fields: &Value) -> Reply {
    let mut response = json!({"uid": review["request"]["uid"], "allowed": true});
    for (field, value) in fields.as_object().into_iter().flatten() {
        response[field] = value.clone();
    }
    Reply::Json(json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response}))
}

/// Admits a request.
pub(in crate::suites) fn allow(review: &Value) -> Reply {
    respond(review, &json!({}))
}

/// Admits a request, and changes its object by a JSON patch.
pub(in crate::suites) fn allow_with_patch(review: &Value, operations: &Value) -> Reply {
    let patch = STANDARD.encode(operations.to_string());
    respond(review, &json!({"patchType": "JSONPatch", "patch": patch}))
}
