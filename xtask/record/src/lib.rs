//! `cargo xtask record`: writes discovery, OpenAPI v3 documents, table columns, bootstrap roles and system objects of a
//! real API server into `kube-sim`'s data files.
//!
//! This package defines the format of the data files. It must not interpret the data for `kube-sim`, and must not
//! contain data: every line of the files comes from a server. Only values that depend on the configuration or the
//! machine of the server are replaced.
//!
//! The files have one record per line in a stable order, so that a new recording has a readable diff:
//!
//! - `resources.jsonl`: one line per group, version and resource, in the server's discovery order;
//! - `bootstrap_policy.jsonl`: one line per role or binding that the server creates at its start. The server needs
//!   kube-controller-manager, because kube-controller-manager sets the rules of aggregated roles;
//! - `system_objects.jsonl`: one line per object of another kind that the server creates at its start. The server must have
//!   no kube-controller-manager (`cargo xtask cluster --assets`), because kube-controller-manager changes some objects;
//! - `schemas.txt`: one line per component schema, sorted: its name, a tab, its JSON without descriptions;
//! - `descriptions.txt`: the name of each component schema, and below it a line per description: a tab, the JSON
//!   pointer in the schema, a tab, a JSON string;
//! - `paths.txt`: one line per shared or often repeated parameter of the OpenAPI v2 document (its name, a tab, its JSON),
//!   then one line per path (the path, a tab, its operations in JSON, which refer to these parameters by their names);
//! - `columns.jsonl`: one line per listable resource, with the columns of its `Table`.

mod open_api;
mod policy;
mod server;
mod system_objects;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use self::server::Server;

/// Record the resources and schemas of a real API server into kube-sim's data files
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address of the API server; without it, the current context of KUBECONFIG is used
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Bearer token to use with --server
    #[arg(long, requires = "server")]
    token: Option<String>,
    /// PEM file with the authority that signed the server's certificate; without it, the certificate is not checked
    #[arg(long, value_name = "FILE", requires = "server")]
    certificate_authority: Option<PathBuf>,
    /// Folder to write to
    #[arg(long, value_name = "FOLDER", default_value = "kube-sim/src/builtin/data")]
    out: PathBuf,
}

/// Writes the data files from the server that `args` selects.
///
/// # Errors
/// If a file cannot be read or written, or if the server is unreachable, has CustomResourceDefinitions, or sends an
/// unexpected response.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let server = match &args.server {
        Some(url) => Server::from_url(url, args.token.as_deref(), args.certificate_authority.as_deref())?,
        None => Server::from_kubeconfig()?,
    };
    refuse_custom_resources(&server)?;
    let groups = discover_group_versions(&server)?;
    let documents = fetch_open_api_documents(&server)?;
    let resources = resource_lines(&server, &groups, &documents)?;
    let schemas = schema_lines(&documents)?;
    let columns = column_lines(&server, &groups)?;
    let policy = policy::policy_lines(&server)?;
    let system_objects = system_objects::object_lines(&server)?;
    let descriptions = open_api::description_lines(&documents);
    let paths = open_api::path_lines(&server.get("/openapi/v2")?)?;
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("creating the folder {}", args.out.display()))?;
    write_file(args, "resources.jsonl", &resources)?;
    write_file(args, "schemas.txt", &schemas)?;
    write_file(args, "descriptions.txt", &descriptions)?;
    write_file(args, "paths.txt", &paths)?;
    write_file(args, "columns.jsonl", &columns)?;
    match &policy {
        Some(policy) => write_file(args, "bootstrap_policy.jsonl", policy)?,
        None => println!("bootstrap_policy.jsonl needs a server with kube-controller-manager, and is kept"),
    }
    match &system_objects {
        Some(objects) => write_file(args, "system_objects.jsonl", objects)?,
        None => println!("system_objects.jsonl needs a server without kube-controller-manager, and is kept"),
    }
    println!(
        "recorded {} resources and {} schemas of {} in {}",
        resources.lines().count(),
        schemas.lines().count(),
        server.get_version()?,
        args.out.display()
    );
    Ok(ExitCode::SUCCESS)
}

/// Writes the data file `name` into the folder `args.out`.
fn write_file(args: &Args, name: &str, text: &str) -> anyhow::Result<()> {
    let path = args.out.join(name);
    std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}

/// Fails if the server has CustomResourceDefinitions: the data files must contain no custom resources.
fn refuse_custom_resources(server: &Server) -> anyhow::Result<()> {
    let list = server.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions?limit=1")?;
    let found = list["items"].as_array().map_or(0, Vec::len);
    ensure!(
        found == 0,
        "the server has custom resource definitions, so it is not a stock one: record a fresh control plane"
    );
    Ok(())
}

/// A group version that the server serves.
struct GroupVersion {
    group: String,
    version: String,
    preferred: bool,
}

impl GroupVersion {
    /// The path in a URL, such as `apis/apps/v1`.
    fn path(&self) -> String {
        if self.group.is_empty() {
            format!("api/{}", self.version)
        } else {
            format!("apis/{}/{}", self.group, self.version)
        }
    }
}

/// The served group versions in discovery order, the preferred version of each group first.
fn discover_group_versions(server: &Server) -> anyhow::Result<Vec<GroupVersion>> {
    let mut found = Vec::new();
    for root in ["/api", "/apis"] {
        let document = server.get_aggregated_discovery(root)?;
        for group in document["items"].as_array().context("aggregated discovery has no items")? {
            let name = group["metadata"]["name"].as_str().unwrap_or_default();
            let versions = group["versions"].as_array().context("a group without versions")?;
            for (index, version) in versions.iter().enumerate() {
                let version = version["version"].as_str().context("a version without a name")?;
                found.push(GroupVersion {
                    group: name.to_owned(),
                    version: version.to_owned(),
                    preferred: index == 0,
                });
            }
        }
    }
    Ok(found)
}

/// The OpenAPI v3 documents by their paths (`apis/apps/v1`).
fn fetch_open_api_documents(server: &Server) -> anyhow::Result<BTreeMap<String, Value>> {
    let index = server.get("/openapi/v3")?;
    let paths = index["paths"].as_object().context("/openapi/v3 lists no paths")?;
    let mut documents = BTreeMap::new();
    for (path, entry) in paths {
        let url = entry["serverRelativeURL"]
            .as_str()
            .with_context(|| format!("/openapi/v3 gives no address for {path}"))?;
        documents.insert(path.clone(), server.get(url)?);
    }
    Ok(documents)
}

/// The text of `resources.jsonl`.
fn resource_lines(
    server: &Server,
    groups: &[GroupVersion],
    documents: &BTreeMap<String, Value>,
) -> anyhow::Result<String> {
    let mut lines = String::new();
    for group_version in groups {
        let path = group_version.path();
        let list = server.get(&format!("/{path}"))?;
        let items = list["resources"].as_array().with_context(|| format!("/{path} lists no resources"))?;
        let document = documents.get(&path).with_context(|| format!("no OpenAPI v3 document for {path}"))?;
        let kinds = KindIndex::new(document);
        for item in items {
            let name = string_field(item, "name")?;
            if name.contains('/') {
                continue;
            }
            let mut line = resource_line(group_version, name, item, &kinds, groups)?;
            line["subresources"] = subresources(group_version, name, items, &kinds)?;
            lines.push_str(&line.to_string());
            lines.push('\n');
        }
    }
    Ok(lines)
}

/// The text of `columns.jsonl`.
fn column_lines(server: &Server, groups: &[GroupVersion]) -> anyhow::Result<String> {
    let mut lines = String::new();
    for group_version in groups {
        let path = group_version.path();
        let list = server.get(&format!("/{path}"))?;
        for item in list["resources"].as_array().into_iter().flatten() {
            let name = string_field(item, "name")?;
            let listable =
                item["verbs"].as_array().is_some_and(|verbs| verbs.iter().any(|verb| verb == "list"));
            if name.contains('/') || !listable {
                continue;
            }
            let table = server.get_table(&format!("/{path}/{name}?limit=1"))?;
            let line = json!({
                "group": group_version.group,
                "version": group_version.version,
                "plural": name,
                "columns": table["columnDefinitions"],
            });
            lines.push_str(&line.to_string());
            lines.push('\n');
        }
    }
    Ok(lines)
}

/// The line of one resource, without its subresources.
fn resource_line(
    group_version: &GroupVersion,
    name: &str,
    item: &Value,
    kinds: &KindIndex,
    groups: &[GroupVersion],
) -> anyhow::Result<Value> {
    let path = group_version.path();
    let kind = string_field(item, "kind")?;
    let (group, version) = group_and_version(item, group_version);
    let namespaced = item["namespaced"].as_bool().unwrap_or(false);
    Ok(json!({
        "group": group_version.group,
        "version": group_version.version,
        "preferred": group_version.preferred,
        "plural": name,
        "singular": item["singularName"],
        "kind": kind,
        "listKind": kinds.list_kind(&path, name, namespaced),
        "namespaced": namespaced,
        "shortNames": item.get("shortNames").cloned().unwrap_or_else(|| json!([])),
        "categories": item.get("categories").cloned().unwrap_or_else(|| json!([])),
        "verbs": item["verbs"],
        "storageVersionHash": item.get("storageVersionHash").cloned().unwrap_or_else(|| json!("")),
        "storage": storage_version(item, groups),
        "schema": kinds.component(group, version, kind),
    }))
}

/// The storage version of a kind as `group/version` (in the core group only the version); empty if the kind is not stored,
/// or if the server does not serve its storage version. Discovery contains only a hash of the storage version: the result
/// is the served version with this hash.
fn storage_version(item: &Value, groups: &[GroupVersion]) -> String {
    let (Some(hash), Some(kind)) = (item["storageVersionHash"].as_str(), item["kind"].as_str()) else {
        return String::new();
    };
    let stored = groups.iter().find(|candidate| {
        let name = format!("{}/{}/{kind}", candidate.group, candidate.version);
        STANDARD.encode(&Sha256::digest(name)[..8]) == hash
    });
    stored.map_or(String::new(), |stored| {
        if stored.group.is_empty() {
            stored.version.clone()
        } else {
            format!("{}/{}", stored.group, stored.version)
        }
    })
}

/// The subresources of the resource `name`.
fn subresources(
    group_version: &GroupVersion,
    name: &str,
    items: &[Value],
    kinds: &KindIndex,
) -> anyhow::Result<Value> {
    let mut found = Vec::new();
    for item in items {
        let Some((parent, subresource)) = string_field(item, "name")?.split_once('/') else { continue };
        if parent != name {
            continue;
        }
        let kind = string_field(item, "kind")?;
        let (group, version) = group_and_version(item, group_version);
        found.push(json!({
            "name": subresource,
            "group": group,
            "version": version,
            "kind": kind,
            "verbs": item["verbs"],
            "schema": kinds.component(group, version, kind),
        }));
    }
    Ok(Value::Array(found))
}

/// The string in a field of a resource.
fn string_field<'a>(item: &'a Value, field: &str) -> anyhow::Result<&'a str> {
    item[field].as_str().with_context(|| format!("a resource without {field}: {item}"))
}

/// The group and version of a resource. Discovery sets `group` and `version` of a resource only if they differ from the
/// group version of the list.
fn group_and_version<'a>(item: &'a Value, list: &'a GroupVersion) -> (&'a str, &'a str) {
    match item["version"].as_str() {
        Some(version) if !version.is_empty() => (item["group"].as_str().unwrap_or_default(), version),
        _ => (&list.group, &list.version),
    }
}

/// The component schemas of one OpenAPI v3 document, by the group, version and kind that they describe.
struct KindIndex<'a> {
    document: &'a Value,
    components: BTreeMap<(String, String, String), String>,
}

impl<'a> KindIndex<'a> {
    /// Indexes the component schemas of a document.
    fn new(document: &'a Value) -> Self {
        let mut components = BTreeMap::new();
        for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
            for gvk in schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
                let part = |field: &str| gvk[field].as_str().unwrap_or_default().to_owned();
                components.insert((part("group"), part("version"), part("kind")), name.clone());
            }
        }
        Self { document, components }
    }

    /// The name of the component schema of a kind; empty if the document has none.
    fn component(&self, group: &str, version: &str, kind: &str) -> &str {
        let key = (group.to_owned(), version.to_owned(), kind.to_owned());
        self.components.get(&key).map_or("", String::as_str)
    }

    /// The kind of the object in the response to a list request; empty if the collection has no GET.
    fn list_kind(&self, path: &str, name: &str, namespaced: bool) -> &str {
        let collection = if namespaced {
            format!("/{path}/namespaces/{{namespace}}/{name}")
        } else {
            format!("/{path}/{name}")
        };
        let reference = &self.document["paths"][&collection]["get"]["responses"]["200"]["content"]["application/json"]
            ["schema"]["$ref"];
        let component = reference.as_str().and_then(|reference| reference.rsplit('/').next());
        component.and_then(|component| component.rsplit('.').next()).unwrap_or("")
    }
}

/// The component schemas of all documents, as the text of `schemas.txt`. Two different schemas with the same name are
/// an error.
fn schema_lines(documents: &BTreeMap<String, Value>) -> anyhow::Result<String> {
    let mut all: BTreeMap<&str, Value> = BTreeMap::new();
    let mut kinds: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (path, document) in documents {
        for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
            let mut schema = schema.clone();
            strip_descriptions(&mut schema);
            // Kinds such as DeleteOptions exist in every group; each document lists only the kinds of its own group.
            let own = schema.as_object_mut().and_then(|map| map.remove("x-kubernetes-group-version-kind"));
            for gvk in own.as_ref().and_then(Value::as_array).into_iter().flatten() {
                kinds.entry(name).or_default().insert(gvk.to_string());
            }
            if all.get(name.as_str()).is_some_and(|known| *known != schema) {
                bail!("the schema {name} of {path} differs from the one of another group version");
            }
            all.insert(name, schema);
        }
    }
    let mut lines = String::new();
    for (name, mut schema) in all {
        if let (Some(map), Some(gvks)) = (schema.as_object_mut(), kinds.get(name)) {
            let gvks: Result<Vec<Value>, _> = gvks.iter().map(|gvk| serde_json::from_str(gvk)).collect();
            map.insert("x-kubernetes-group-version-kind".to_owned(), Value::Array(gvks?));
        }
        lines.push_str(name);
        lines.push('\t');
        lines.push_str(&schema.to_string());
        lines.push('\n');
    }
    Ok(lines)
}

/// Removes the descriptions of a schema, but keeps properties named `description`.
fn strip_descriptions(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else { return };
    map.remove("description");
    if let Some(properties) = map.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(strip_descriptions);
    }
    strip_nested_descriptions(map);
}

/// Removes the descriptions from the schemas that are nested in a schema. Ignores `properties`, which
/// [`strip_descriptions`] handles.
fn strip_nested_descriptions(map: &mut Map<String, Value>) {
    for key in ["items", "additionalProperties", "not"] {
        if let Some(nested) = map.get_mut(key) {
            strip_descriptions(nested);
        }
    }
    for key in ["allOf", "anyOf", "oneOf"] {
        for nested in map.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
            strip_descriptions(nested);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_removed_but_a_property_named_description_remains() {
        let mut schema = json!({
            "description": "x",
            "properties": {"description": {"type": "string", "description": "y"}},
            "items": {"description": "z", "type": "string"},
            "allOf": [{"description": "w", "type": "object"}],
        });
        strip_descriptions(&mut schema);
        let expected = json!({
            "properties": {"description": {"type": "string"}},
            "items": {"type": "string"},
            "allOf": [{"type": "object"}],
        });
        assert_eq!(schema, expected);
    }

    #[test]
    fn the_storage_version_is_found_by_its_hash() {
        let group = |group: &str, version: &str| GroupVersion {
            group: group.to_owned(),
            version: version.to_owned(),
            preferred: true,
        };
        let groups = [group("", "v1"), group("autoscaling", "v1"), group("autoscaling", "v2")];
        let stored = |hash: &str, kind: &str| {
            storage_version(&json!({"storageVersionHash": hash, "kind": kind}), &groups)
        };
        assert_eq!(stored("qFsyl6wFWjQ=", "ConfigMap"), "v1");
        assert_eq!(stored("qwQve8ut294=", "HorizontalPodAutoscaler"), "autoscaling/v2");
        assert_eq!(stored("AAAAAAAAAAA=", "ConfigMap"), "");
    }

    #[test]
    fn two_different_schemas_with_the_same_name_are_an_error() {
        let document = |kind: &str| json!({"components": {"schemas": {"a.B": {"type": kind}}}});
        let same =
            BTreeMap::from([("x".to_owned(), document("string")), ("y".to_owned(), document("string"))]);
        assert_eq!(schema_lines(&same).unwrap(), "a.B\t{\"type\":\"string\"}\n");
        let other =
            BTreeMap::from([("x".to_owned(), document("string")), ("y".to_owned(), document("object"))]);
        let error = schema_lines(&other).unwrap_err().to_string();
        assert!(error.contains("a.B") && error.contains('y'), "{error}");
    }

    #[test]
    fn a_schema_lists_the_kinds_of_all_documents() {
        let document = |group: &str| {
            json!({"components": {"schemas": {"m.Opts": {
                "x-kubernetes-group-version-kind": [{"group": group, "kind": "Opts", "version": "v1"}]
            }}}})
        };
        let both = BTreeMap::from([("x".to_owned(), document("a")), ("y".to_owned(), document("b"))]);
        let text = schema_lines(&both).unwrap();
        assert_eq!(text.matches("\"kind\":\"Opts\"").count(), 2, "{text}");
    }
}
