//! Tests of writes to objects that a conversion webhook converts.

use std::convert::Infallible;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube_sim::Sim;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};

use crate::common::{call, get, merge_patch, post, put};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// Converts the field `address` of version `v1` to the fields `host` and `port` of `v2`, or back.
fn convert(object: &Value, wanted: &Value) -> Value {
    let mut object = object.clone();
    let spec = object["spec"].clone();
    object["spec"] = if let Some(address) = spec["address"].as_str() {
        let (host, port) = address.split_once(':').unwrap();
        json!({"host": host, "port": port})
    } else {
        json!({"address": format!("{}:{}", spec["host"].as_str().unwrap(), spec["port"].as_str().unwrap())})
    };
    object["apiVersion"] = wanted.clone();
    object
}

async fn respond_to_review(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let review: Value = serde_json::from_slice(&body).unwrap();
    let request = &review["request"];
    let objects = request["objects"].as_array().unwrap().iter();
    let converted: Vec<_> = objects.map(|object| convert(object, &request["desiredAPIVersion"])).collect();
    let response =
        json!({"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": converted});
    let review =
        json!({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "response": response});
    Ok(Response::new(Full::from(review.to_string())))
}

/// Serves the webhook until the end of the test. Returns the `clientConfig` of the webhook.
async fn serve_webhook() -> Value {
    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = CertificateDer::from(identity.cert.der().to_vec());
    let key = PrivateKeyDer::try_from(identity.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let stream = acceptor.accept(stream).await.unwrap();
            tokio::spawn(
                http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(respond_to_review)),
            );
        }
    });
    json!({"url": format!("https://localhost:{port}/convert"), "caBundle": STANDARD.encode(identity.cert.pem())})
}

/// The field `versions` of the definition. The version with the name `storage` is the storage version.
fn definition_versions(storage: &str) -> Value {
    let version = |name: &str, fields: &[&str]| {
        let properties: Value =
            fields.iter().map(|field| ((*field).to_owned(), json!({"type": "string"}))).collect();
        let spec = json!({"type": "object", "properties": properties});
        let schema = json!({"type": "object", "properties": {"spec": spec}});
        json!({"name": name, "served": true, "storage": name == storage, "schema": {"openAPIV3Schema": schema}})
    };
    json!([version("v1", &["address"]), version("v2", &["host", "port"])])
}

fn servers_path(version: &str) -> String {
    format!("/apis/example.com/{version}/namespaces/default/servers")
}

fn resource_version_of(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap()
}

/// Creates the object `a` while `v1` is the storage version, and then makes `v2` the storage version. Returns the
/// simulation and the resource version of the object.
async fn sim_with_object_stored_in_v1() -> (Sim, String) {
    let sim = Sim::new();
    let webhook = json!({"clientConfig": serve_webhook().await, "conversionReviewVersions": ["v1"]});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "servers.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "servers", "kind": "Server"},
            "versions": definition_versions("v1"), "conversion": {"strategy": "Webhook", "webhook": webhook},
        },
    });
    post(&sim, DEFINITIONS, definition).await.ok();
    let object = json!({
        "apiVersion": "example.com/v1", "kind": "Server", "metadata": {"name": "a"}, "spec": {"address": "a:1"},
    });
    let created = post(&sim, &servers_path("v1"), object).await.ok();
    let change = json!({"spec": {"versions": definition_versions("v2")}});
    merge_patch(&sim, &format!("{DEFINITIONS}/servers.example.com"), change).await.ok();
    (sim, resource_version_of(&created).to_owned())
}

#[tokio::test]
async fn the_first_write_without_changes_stores_the_object_in_the_new_storage_version() {
    for written in ["v1", "v2"] {
        for replaces in [false, true] {
            let (sim, first) = sim_with_object_stored_in_v1().await;
            let url = format!("{}/a", servers_path(written));
            let write = async || {
                let read = get(&sim, &url).await.ok();
                let response = if replaces {
                    put(&sim, &url, read).await
                } else {
                    merge_patch(&sim, &url, json!({})).await
                };
                resource_version_of(&response.ok()).to_owned()
            };
            let dry_run =
                call(&sim, Method::PUT, &format!("{url}?dryRun=All"), get(&sim, &url).await.ok()).await;
            assert_eq!(resource_version_of(&dry_run.ok()), first);
            let second = write().await;
            assert_ne!(second, first, "{written} {replaces}");
            assert_eq!(write().await, second, "{written} {replaces}");
            // The object is stored in `v2`, so the server needs no webhook to read the object in `v2`.
            let change = json!({"spec": {"conversion": {"strategy": "None", "webhook": null}}});
            merge_patch(&sim, &format!("{DEFINITIONS}/servers.example.com"), change).await.ok();
            let stored = get(&sim, &format!("{}/a", servers_path("v2"))).await.ok();
            assert_eq!(stored["spec"], json!({"host": "a", "port": "1"}));
        }
    }
}
