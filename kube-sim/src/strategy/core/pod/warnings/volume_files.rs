//! Warnings of files of a volume that have the same path, or a path in another file.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::Value;

use crate::schema::quote;
use crate::strategy::validation::{items, string_in};
use crate::warnings::MAX_WARNINGS;

/// Warns of files of a volume with the same path, or with a path in another file.
pub(super) fn warn_of_overlaps(volume: &Value, out: &mut Vec<String>) {
    let name = quote(string_in(volume, "name"));
    for (field, label) in labels_of_sources(volume, "secretName") {
        let mut files = Files::new(format!("volume {name} ({label})"));
        files.add(listed_paths(&volume[field]), "", out);
    }
    let mut files = Files::new(format!("volume {name} (Projected)"));
    for (_, source) in items("", &volume["projected"], "sources") {
        if source.as_object().is_none_or(|source| source.values().all(Value::is_null)) {
            out.push(format!("volume {name} (Projected) has no sources provided"));
            continue;
        }
        add_projected(source, &mut files, out);
    }
}

/// The fields of a volume or of a source of a projected volume that list files, each with its label in a warning.
/// `name_of_secret` is the field with the name of a secret.
fn labels_of_sources(holder: &Value, name_of_secret: &str) -> [(&'static str, String); 3] {
    let label =
        |kind: &str, field: &str, name: &str| format!("{kind} {}", quote(string_in(&holder[field], name)));
    [
        ("configMap", label("ConfigMap", "configMap", "name")),
        ("secret", label("Secret", "secret", name_of_secret)),
        ("downwardAPI", "DownwardAPI".to_owned()),
    ]
}

/// The paths of the items of a config map, a secret or the downward API.
fn listed_paths(holder: &Value) -> impl Iterator<Item = &str> {
    holder["items"].as_array().into_iter().flatten().map(|item| string_in(item, "path"))
}

/// Adds the files of a source of a projected volume.
fn add_projected<'a>(source: &'a Value, files: &mut Files<'a>, out: &mut Vec<String>) {
    for (field, label) in labels_of_sources(source, "name") {
        if source[field]["items"].is_array() {
            return files.add(listed_paths(&source[field]), &label, out);
        }
    }
    let (token, bundle) = (&source["serviceAccountToken"], &source["clusterTrustBundle"]);
    if !token.is_null() {
        return files.add([string_in(token, "path")], "ServiceAccountToken", out);
    }
    if !bundle.is_null() {
        let name = bundle["name"].as_str().unwrap_or(string_in(bundle, "signerName"));
        let label = format!("ClusterTrustBundle {}", quote(name));
        return files.add([string_in(bundle, "path")], &label, out);
    }
    for (field, label) in [
        ("certificateChainPath", "PodCertificate chain"),
        ("keyPath", "PodCertificate key"),
        ("credentialBundlePath", "PodCertificate credential bundle"),
    ] {
        files.add([string_in(&source["podCertificate"], field)], label, out);
    }
}

/// A path, and the index of its source in [`Files::sources`].
type File<'a> = (&'a str, usize);

/// The files of a volume as a tree of path components. The time of [`Self::add`] is proportional to the length of the
/// path, not to the number of files.
struct Files<'a> {
    /// The volume in the texts.
    what: String,
    /// The labels of the sources; empty for the files of a volume that is not projected.
    sources: Vec<String>,
    source_indices: HashMap<String, usize>,
    /// The files in the order of the calls, each once.
    added: Vec<File<'a>>,
    indices: HashMap<File<'a>, usize>,
    /// The first node is the root.
    nodes: Vec<Node>,
    /// The child of a node for a path component.
    children: HashMap<(usize, &'a str), usize>,
    /// The pairs of files of which the response warns, at most [`MAX_WARNINGS`].
    pairs: Vec<(usize, usize)>,
}

/// A path in the tree, with the indices of the first files, at most [`MAX_WARNINGS`].
#[derive(Default)]
struct Node {
    /// The files with this path.
    files: Vec<usize>,
    /// The files with this path or with a path in this one.
    within: Vec<usize>,
}

impl<'a> Files<'a> {
    fn new(what: String) -> Self {
        Self {
            what,
            sources: Vec::new(),
            source_indices: HashMap::new(),
            added: Vec::new(),
            indices: HashMap::new(),
            nodes: vec![Node::default()],
            children: HashMap::new(),
            pairs: Vec::new(),
        }
    }

    /// Adds the files of a source. Warns of each that overlaps with an earlier one.
    fn add(&mut self, paths: impl IntoIterator<Item = &'a str>, source: &str, out: &mut Vec<String>) {
        let source = *self.source_indices.entry(source.to_owned()).or_insert_with(|| {
            self.sources.push(source.to_owned());
            self.sources.len() - 1
        });
        for path in paths {
            let path = path.trim_end_matches('/');
            if !path.is_empty() && self.pairs.len() < MAX_WARNINGS {
                self.add_file((path, source), out);
            }
        }
    }

    fn add_file(&mut self, file: File<'a>, out: &mut Vec<String>) {
        let next = self.added.len();
        let (index, is_new) = match self.indices.entry(file) {
            Entry::Occupied(entry) => (*entry.get(), false),
            Entry::Vacant(entry) => (*entry.insert(next), true),
        };
        let (mut node, mut overlapping) = (0, Vec::new());
        let mut way = Vec::new();
        for component in file.0.split('/') {
            overlapping.extend_from_slice(&self.nodes[node].files);
            node = *self.children.entry((node, component)).or_insert_with(|| {
                self.nodes.push(Node::default());
                self.nodes.len() - 1
            });
            way.push(node);
        }
        overlapping.extend_from_slice(&self.nodes[node].within);
        overlapping.sort_unstable();
        for other in overlapping {
            if self.pairs.len() < MAX_WARNINGS && !self.pairs.contains(&(index, other)) {
                self.pairs.push((index, other));
                let texts = (self.text(file), self.text(self.added[other]));
                out.push(format!("{}: overlapping paths: {} with {}", self.what, texts.0, texts.1));
            }
        }
        if is_new {
            self.added.push(file);
            for node in way {
                push_bounded(&mut self.nodes[node].within, index);
            }
            push_bounded(&mut self.nodes[node].files, index);
        }
    }

    fn text(&self, (path, source): File<'a>) -> String {
        let (path, source) = (quote(path), &self.sources[source]);
        if source.is_empty() { path } else { format!("{path} ({source})") }
    }
}

fn push_bounded(files: &mut Vec<usize>, file: usize) {
    if files.len() < MAX_WARNINGS {
        files.push(file);
    }
}
