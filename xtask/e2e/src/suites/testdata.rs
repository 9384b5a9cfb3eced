//! Compares the client's Protobuf decoder with Kubernetes' Go modules. The modules contain test data: each kind in JSON
//! and in Protobuf, with a value in every field. The client's table of Protobuf messages was recorded from the types of
//! the modules.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use http::{Request, Response};
use kube_client::client::Body;
use kube_client::config::WireFormat;
use kube_client::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube_client::{Api, Client};
use serde_json::Value;

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq};

suite!("testdata":
    objects_of_all_kinds_are_equal_in_both_formats [Go],
    the_protobuf_table_equals_the_types_of_the_go_modules [Go],
);

/// The module with the test data: the newest supported version.
const MODULE: &str = "k8s.io/api@v0.37.2";

/// The kinds that the client's table of Protobuf messages does not have: kinds that an API server sends only in JSON,
/// and options, which are never a response.
const KINDS_NOT_IN_TABLE: [&str; 11] = [
    "APIGroup",
    "APIGroupDiscovery",
    "APIVersions",
    "AdmissionReview",
    "CreateOptions",
    "DeleteOptions",
    "GetOptions",
    "ImageReview",
    "ListOptions",
    "PatchOptions",
    "UpdateOptions",
];

/// Downloads the module, and returns the folder of its newest test data.
async fn download() -> anyhow::Result<PathBuf> {
    let folder = tempfile::tempdir()?;
    let output = tokio::process::Command::new("go")
        .args(["mod", "download", "-json", MODULE])
        .current_dir(folder.path())
        .kill_on_drop(true)
        .output()
        .await
        .context("cannot run go")?;
    if !output.status.success() {
        bail!("`go mod download` failed: {}", String::from_utf8_lossy(&output.stdout));
    }
    let module: Value = serde_json::from_slice(&output.stdout)?;
    Ok(Path::new(module["Dir"].as_str().context("go returned no folder")?).join("testdata/HEAD"))
}

/// The object that a client decodes from `body`, a response in Protobuf. The client requests the `apiVersion` and the
/// `kind` of `expected`.
async fn decode(expected: &Value, body: Vec<u8>) -> anyhow::Result<Value> {
    let text = |field: &str| expected[field].as_str().unwrap_or_default();
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("kind")));
    let service = tower::service_fn(move |_: Request<Body>| {
        let response = Response::builder().header("content-type", "application/vnd.kubernetes.protobuf");
        let response = response.body(Body::from(body.clone()));
        std::future::ready(Ok::<_, Infallible>(response.unwrap_or_default()))
    });
    let api: Api<DynamicObject> = Api::all_with(Client::new(service, "default"), &resource);
    Ok(serde_json::to_value(api.wire_format(WireFormat::Protobuf).get("x").await?)?)
}

async fn objects_of_all_kinds_are_equal_in_both_formats(_env: Env) -> Outcome {
    let (mut compared, mut different) = (0, Vec::new());
    for entry in std::fs::read_dir(download().await?)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "pb") {
            continue;
        }
        let expected: Value = serde_json::from_slice(&std::fs::read(path.with_extension("json"))?)?;
        // An event of a watch has no kind of its own.
        let Some(kind) = expected["kind"].as_str().filter(|kind| !kind.is_empty()) else { continue };
        if KINDS_NOT_IN_TABLE.contains(&kind) {
            continue;
        }
        compared += 1;
        let expected = serde_json::to_value(serde_json::from_value::<DynamicObject>(expected)?)?;
        match decode(&expected, std::fs::read(&path)?).await {
            Ok(found) if without_nulls(&found) == without_nulls(&expected) => {}
            Ok(found) => different.push(format!("{}: {}", path.display(), difference(&found, &expected, ""))),
            Err(error) => different.push(format!("{}: {error:#}", path.display())),
        }
    }
    check_eq!(different, Vec::<String>::new());
    check!(compared > 150, "only {compared} objects were compared");
    Ok(())
}

async fn the_protobuf_table_equals_the_types_of_the_go_modules(_env: Env) -> Outcome {
    let mut table = xtask_protobuf::Table::default();
    for version in xtask_protobuf::VERSIONS {
        let mut go = tokio::process::Command::from(xtask_protobuf::description_command(version));
        let output = go.kill_on_drop(true).output().await.context("cannot run go")?;
        xtask_protobuf::add_description(&mut table, version, output)?;
    }
    Ok(xtask_protobuf::ensure_equal(&table)?)
}

/// The value without the fields that are null. Protobuf has no null.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let members = map.iter().filter(|(_, value)| !value.is_null());
            members.map(|(key, value)| (key.clone(), without_nulls(value))).collect()
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

/// The path and values of the first difference.
fn difference(found: &Value, expected: &Value, path: &str) -> String {
    match (found, expected) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<_> = a.keys().chain(b.keys()).collect();
            keys.sort();
            let key = keys.into_iter().find(|key| a.get(*key) != b.get(*key));
            key.map_or_else(String::new, |key| {
                difference(&found[key.as_str()], &expected[key.as_str()], &format!("{path}.{key}"))
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let at = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or_default();
            difference(&a[at], &b[at], &format!("{path}[{at}]"))
        }
        _ => format!("{path} is {found}, expected {expected}"),
    }
}
