//! Records the Protobuf field numbers of the built-in kinds from Kubernetes' own sources.
//!
//! ```text
//! cargo run -p kube-sim --example record_protobuf -- GO_MODULE_CACHE/k8s.io 0.37.2 1.37.2 > kube-sim/src/protobuf/messages.txt
//! ```
//!
//! reads every `generated.proto` below `api@v0.37.2`, `apimachinery@v0.37.2`, ... and the OpenAPI document of
//! `kubernetes@v1.37.2`, which tells the fields that JSON has inline. The Go types tell the fields whose zero value JSON
//! shows (marked `!`): pointers, and fields without `omitempty`. The output is sorted, so that recording the same
//! release twice gives the same file.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Field number, name, label and type of a message's fields.
type Fields = Vec<(u32, String, String, String)>;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [root, api, kubernetes] = args.as_slice() else {
        return Err("usage: record_protobuf MODULES API_VERSION KUBERNETES_VERSION".into());
    };
    let root = Path::new(root);
    let mut messages = BTreeMap::new();
    let mut shown = BTreeSet::new();
    for module in ["api", "apimachinery", "apiextensions-apiserver", "kube-aggregator"] {
        for file in protos(&root.join(format!("{module}@v{api}")))? {
            let package = read(&std::fs::read_to_string(&file)?, &mut messages);
            for entry in std::fs::read_dir(file.parent().unwrap_or(root))? {
                let path = entry?.path();
                if path.extension().is_some_and(|e| e == "go") {
                    read_types(&std::fs::read_to_string(path)?, &package, &mut shown);
                }
            }
        }
    }
    let swagger = root.join(format!("kubernetes@v{kubernetes}/api/openapi-spec/swagger.json"));
    let swagger: Value = serde_json::from_slice(&std::fs::read(swagger)?)?;
    print(&messages, &shown, &swagger["definitions"]);
    Ok(())
}

fn protos(dir: &Path) -> Result<Vec<PathBuf>, std::io::Error> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(protos(&path)?);
        } else if path.file_name().is_some_and(|n| n == "generated.proto") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Notes the fields of Go structs whose zero value JSON shows.
fn read_types(text: &str, package: &str, shown: &mut BTreeSet<(String, String)>) {
    let mut name = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("type ") {
            rest.split(' ').next().unwrap_or_default().clone_into(&mut name);
        }
        let Some((declaration, tags)) = line.split_once('`') else { continue };
        let tag = |key: &str| tags.split_once(key).and_then(|(_, t)| t.split_once('"')).map(|(t, _)| t);
        let (Some(json), Some(protobuf)) = (tag("json:\""), tag("protobuf:\"")) else { continue };
        let field = protobuf.split(',').find_map(|p| p.strip_prefix("name=")).unwrap_or_default();
        let pointer = declaration.split_whitespace().nth(1).is_some_and(|t| t.starts_with('*'));
        if pointer || !json.contains("omit") {
            shown.insert((format!("{package}.{name}"), field.to_owned()));
        }
    }
}

/// Reads the messages of a file under their full names, and answers with its package.
fn read(text: &str, messages: &mut BTreeMap<String, Fields>) -> String {
    let mut package = String::new();
    let mut message: Option<String> = None;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("package ") {
            name.trim_end_matches(';').clone_into(&mut package);
        } else if let Some(name) = line.strip_prefix("message ") {
            let name = format!("{package}.{}", name.trim_end_matches(['{', ' ', '}']));
            messages.insert(name.clone(), Vec::new());
            message = (!line.ends_with('}')).then_some(name);
        } else if line == "}" {
            message = None;
        } else if let Some(fields) = message.as_ref().and_then(|m| messages.get_mut(m))
            && let Some(field) = field(line, &package)
        {
            fields.push(field);
        }
    }
    package
}

fn field(line: &str, package: &str) -> Option<(u32, String, String, String)> {
    if line.starts_with("//") || line.is_empty() {
        return None;
    }
    let (declaration, number) = line.trim_end_matches(';').rsplit_once(" = ")?;
    let (kind, name) = declaration.rsplit_once(' ')?;
    let (label, kind) = match kind.split_once(' ') {
        Some((label @ ("optional" | "repeated"), kind)) => (label, kind),
        _ => ("map", kind.strip_prefix("map<string, ")?.strip_suffix('>')?),
    };
    Some((number.parse().ok()?, name.to_owned(), label.to_owned(), full(kind, package)))
}

fn full(kind: &str, package: &str) -> String {
    match kind {
        "string" | "bytes" | "bool" | "int32" | "int64" | "double" | "uint32" | "uint64" => kind.to_owned(),
        _ if kind.contains('.') => kind.trim_start_matches('.').to_owned(),
        _ => format!("{package}.{kind}"),
    }
}

/// Prints what can be reached from the objects of stable versions.
fn print(messages: &BTreeMap<String, Fields>, shown: &BTreeSet<(String, String)>, definitions: &Value) {
    let mut reached = BTreeSet::new();
    let mut queue: Vec<&str> = messages
        .iter()
        .filter(|(name, fields)| {
            let version = name.rsplit('.').nth(1).unwrap_or_default();
            let object = fields
                .iter()
                .any(|(_, name, _, kind)| name == "metadata" && kind.ends_with(".meta.v1.ObjectMeta"));
            (object && matches!(version, "v1" | "v2")) || name.ends_with(".meta.v1.DeleteOptions")
        })
        .map(|(name, _)| name.as_str())
        .collect();
    while let Some(name) = queue.pop() {
        if reached.insert(name)
            && let Some(fields) = messages.get(name)
        {
            queue.extend(
                fields.iter().map(|(_, _, _, kind)| kind.as_str()).filter(|k| messages.contains_key(*k)),
            );
        }
    }
    let index: BTreeMap<&str, usize> = reached.iter().enumerate().map(|(i, name)| (*name, i)).collect();
    for name in &reached {
        println!("={name}");
        let known = &definitions[definition(name)]["properties"];
        for (number, field, label, kind) in &messages[*name] {
            let (code, reference) = match (kind.as_str(), index.get(kind.as_str())) {
                (_, Some(at)) => ("m", at.to_string()),
                ("string", _) => ("s", String::new()),
                ("bytes", _) => ("b", String::new()),
                ("bool", _) => ("t", String::new()),
                ("double", _) => ("d", String::new()),
                ("uint32" | "uint64", _) => ("u", String::new()),
                _ => ("i", String::new()),
            };
            let label = match label.as_str() {
                "repeated" => "*",
                "map" => "%",
                _ if code == "m" && known.is_object() && known.get(json_name(known, field)).is_none() => "~",
                _ => "",
            };
            let scalar = code != "m" && label.is_empty();
            let zero = if scalar && shown.contains(&((*name).to_owned(), field.clone())) { "!" } else { "" };
            println!("{number} {} {label}{code}{reference}{zero}", json_name(known, field));
        }
    }
}

/// The field's name in JSON, which differs from that in Protobuf by case and signs.
fn json_name<'a>(properties: &'a Value, field: &'a str) -> &'a str {
    let plain = |name: &str| -> String {
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    let Some(properties) = properties.as_object().filter(|p| !p.contains_key(field)) else { return field };
    properties.keys().find(|name| plain(name) == plain(field)).map_or(field, String::as_str)
}

/// The name of a message's definition in OpenAPI.
fn definition(name: &str) -> String {
    for (from, to) in [
        ("k8s.io.apiextensions_apiserver.", "io.k8s.apiextensions-apiserver."),
        ("k8s.io.kube_aggregator.", "io.k8s.kube-aggregator."),
        ("k8s.io.", "io.k8s."),
    ] {
        if let Some(rest) = name.strip_prefix(from) {
            return format!("{to}{rest}");
        }
    }
    name.to_owned()
}
