//! Records the Protobuf field numbers of the built-in kinds from the sources of Kubernetes.
//!
//! ```text
//! cargo run -p kube-sim --example record_protobuf -- GO_MODULE_CACHE/k8s.io 0.37.2 1.37.2 > kube-sim/src/protobuf/messages.txt
//! ```
//!
//! The example reads every `generated.proto` in the Go modules `api@v0.37.2`, `apimachinery@v0.37.2` and so on. The
//! OpenAPI document of `kubernetes@v1.37.2` shows which messages are inlined in JSON. The Go types show which
//! fields get a mark in the output:
//!
//! - `?` marks a pointer.
//! - `!` marks a scalar field that JSON contains even if its value is zero. Such a field is a pointer, or it
//!   has neither `omitempty` nor `omitzero`.
//!
//! Lists, maps and inlined messages get no mark. The output is sorted, so that two recordings of one release
//! are equal.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The fields of a message: number, name, label and type.
type Fields = Vec<(u32, String, String, String)>;

/// Fields of Go structs. A field is a pair: the full name of the message, and the Protobuf name of the field.
#[derive(Default)]
struct GoFields {
    pointers: BTreeSet<(String, String)>,
    /// The fields that JSON contains even if their value is zero.
    always_in_json: BTreeSet<(String, String)>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [root, api, kubernetes] = args.as_slice() else {
        return Err("usage: record_protobuf MODULES API_VERSION KUBERNETES_VERSION".into());
    };
    let root = Path::new(root);
    let mut messages = BTreeMap::new();
    let mut go_fields = GoFields::default();
    for module in ["api", "apimachinery", "apiextensions-apiserver", "kube-aggregator"] {
        for file in find_proto_files(&root.join(format!("{module}@v{api}")))? {
            let package = read_proto(&std::fs::read_to_string(&file)?, &mut messages);
            for entry in std::fs::read_dir(file.parent().unwrap_or(root))? {
                let path = entry?.path();
                if path.extension().is_some_and(|e| e == "go") {
                    read_go_types(&std::fs::read_to_string(path)?, &package, &mut go_fields);
                }
            }
        }
    }
    let swagger = root.join(format!("kubernetes@v{kubernetes}/api/openapi-spec/swagger.json"));
    let swagger: Value = serde_json::from_slice(&std::fs::read(swagger)?)?;
    print_reachable_messages(&messages, &go_fields, &swagger["definitions"]);
    Ok(())
}

/// The paths of all files `generated.proto` in a directory and its subdirectories.
fn find_proto_files(dir: &Path) -> Result<Vec<PathBuf>, std::io::Error> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(find_proto_files(&path)?);
        } else if path.file_name().is_some_and(|n| n == "generated.proto") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Reads the Go structs in a file. Adds fields to the two sets in `found`: pointers, and fields that JSON
/// contains even if their value is zero.
fn read_go_types(text: &str, package: &str, found: &mut GoFields) {
    let mut name = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("type ") {
            rest.split(' ').next().unwrap_or_default().clone_into(&mut name);
        }
        let Some((declaration, tags)) = line.split_once('`') else { continue };
        let tag = |key: &str| tags.split_once(key).and_then(|(_, t)| t.split_once('"')).map(|(t, _)| t);
        let Some(protobuf) = tag("protobuf:\"") else { continue };
        let field = protobuf.split(',').find_map(|p| p.strip_prefix("name=")).unwrap_or_default();
        let key = (format!("{package}.{name}"), field.to_owned());
        let pointer = declaration.split_whitespace().nth(1).is_some_and(|t| t.starts_with('*'));
        if pointer {
            found.pointers.insert(key.clone());
        }
        if pointer || tag("json:\"").is_some_and(|json| !json.contains("omit")) {
            found.always_in_json.insert(key);
        }
    }
}

/// Adds the messages of a `.proto` file to `messages` under their full names, and returns the package of the file.
fn read_proto(text: &str, messages: &mut BTreeMap<String, Fields>) -> String {
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
            && let Some(field) = parse_field(line, &package)
        {
            fields.push(field);
        }
    }
    package
}

/// Parses the declaration of a field; `None` for any other line.
fn parse_field(line: &str, package: &str) -> Option<(u32, String, String, String)> {
    if line.starts_with("//") || line.is_empty() {
        return None;
    }
    let (declaration, number) = line.trim_end_matches(';').rsplit_once(" = ")?;
    let (kind, name) = declaration.rsplit_once(' ')?;
    let (label, kind) = match kind.split_once(' ') {
        Some((label @ ("optional" | "repeated"), kind)) => (label, kind),
        _ => ("map", kind.strip_prefix("map<string, ")?.strip_suffix('>')?),
    };
    Some((number.parse().ok()?, name.to_owned(), label.to_owned(), full_type_name(kind, package)))
}

/// The scalar type, or the message type with its package.
fn full_type_name(kind: &str, package: &str) -> String {
    match kind {
        "string" | "bytes" | "bool" | "int32" | "int64" | "double" | "uint32" | "uint64" => kind.to_owned(),
        _ if kind.contains('.') => kind.trim_start_matches('.').to_owned(),
        _ => format!("{package}.{kind}"),
    }
}

/// Prints `DeleteOptions`, `ListMeta`, `Status`, the messages for objects in the API versions `v1` and `v2`, and all
/// messages that these messages refer to.
fn print_reachable_messages(messages: &BTreeMap<String, Fields>, go_fields: &GoFields, definitions: &Value) {
    let mut reached = BTreeSet::new();
    let mut queue: Vec<&str> = messages
        .iter()
        .filter(|(name, fields)| {
            let version = name.rsplit('.').nth(1).unwrap_or_default();
            let object = fields
                .iter()
                .any(|(_, name, _, kind)| name == "metadata" && kind.ends_with(".meta.v1.ObjectMeta"));
            let is_meta = ["DeleteOptions", "ListMeta", "Status"]
                .iter()
                .any(|n| name.ends_with(&format!(".meta.v1.{n}")));
            (object && matches!(version, "v1" | "v2")) || is_meta
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
        let known = &definitions[definition_name(name)]["properties"];
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
            let key = ((*name).to_owned(), field.clone());
            let is_marked = |marked: &BTreeSet<_>| label.is_empty() && marked.contains(&key);
            let zero = if code != "m" && is_marked(&go_fields.always_in_json) { "!" } else { "" };
            let pointer = if is_marked(&go_fields.pointers) { "?" } else { "" };
            println!("{number} {} {label}{code}{reference}{zero}{pointer}", json_name(known, field));
        }
    }
}

/// The JSON name of the field with the Protobuf name `field`. The two names differ at most in case and punctuation.
fn json_name<'a>(properties: &'a Value, field: &'a str) -> &'a str {
    let normalize = |name: &str| -> String {
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    let Some(properties) = properties.as_object().filter(|p| !p.contains_key(field)) else { return field };
    properties.keys().find(|name| normalize(name) == normalize(field)).map_or(field, String::as_str)
}

/// The name of the OpenAPI definition for a Protobuf message.
fn definition_name(name: &str) -> String {
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
