//! Warnings about overlapping files of a volume. Two files overlap if they have the same path, or if the path
//! of one file is below the path of the other file.

use std::collections::HashMap;

use indexmap::IndexSet;
use serde_json::Value;

use super::push_bounded;
use crate::schema::quote;
use crate::strategy::validation::{items, string_in};
use crate::warnings::MAX_WARNINGS;

/// Warns of overlapping files of a volume, and of the empty sources of a projected volume.
pub(super) fn warn_of_overlaps(volume: &Value, out: &mut Vec<String>) {
    let name = quote(string_in(volume, "name"));
    for source in SOURCES {
        if volume[source.field]["items"].is_array() {
            let mut files = Files::new(format!("volume {name} ({})", source.describe(volume, "secretName")));
            files.add_files(listed_paths(&volume[source.field]), "", out);
        }
    }
    if volume["projected"].is_null() {
        return;
    }
    let mut files = Files::new(format!("volume {name} (Projected)"));
    for (_, source) in items("", &volume["projected"], "sources") {
        if source.as_object().is_none_or(|source| source.values().all(Value::is_null)) {
            out.push(format!("volume {name} (Projected) has no sources provided"));
            continue;
        }
        add_projected_source(source, &mut files, out);
    }
}

/// A kind of volume source. The list `items` of a source of this kind contains the paths of its files.
#[derive(Clone, Copy)]
struct Source {
    /// The field of a volume, or of one of the sources of a projected volume.
    field: &'static str,
    /// The name of the source in a warning.
    kind: &'static str,
}

const SOURCES: [Source; 3] = [
    Source { field: "configMap", kind: "ConfigMap" },
    Source { field: "secret", kind: "Secret" },
    Source { field: "downwardAPI", kind: "DownwardAPI" },
];

impl Source {
    /// The text for the source in a warning. `parent` is the volume or the projected source that contains the
    /// source. `secret_name_field` is the field of a secret source that contains the name of the secret.
    fn describe(self, parent: &Value, secret_name_field: &str) -> String {
        let name = match self.field {
            "configMap" => "name",
            "secret" => secret_name_field,
            _ => return self.kind.to_owned(),
        };
        format!("{} {}", self.kind, quote(string_in(&parent[self.field], name)))
    }
}

/// The paths in the `items` of a volume source. `holder` is the source: a config map, a secret or the downward API.
fn listed_paths(holder: &Value) -> impl Iterator<Item = &str> {
    holder["items"].as_array().into_iter().flatten().map(|item| string_in(item, "path"))
}

/// Adds the files of a source of a projected volume.
fn add_projected_source<'a>(source: &'a Value, files: &mut Files<'a>, out: &mut Vec<String>) {
    if let Some(listed) = SOURCES.iter().find(|listed| source[listed.field]["items"].is_array()) {
        return files.add_files(listed_paths(&source[listed.field]), &listed.describe(source, "name"), out);
    }
    let (token, bundle) = (&source["serviceAccountToken"], &source["clusterTrustBundle"]);
    if !token.is_null() {
        return files.add_files([string_in(token, "path")], "ServiceAccountToken", out);
    }
    if !bundle.is_null() {
        let name = bundle["name"].as_str().unwrap_or(string_in(bundle, "signerName"));
        let text = format!("ClusterTrustBundle {}", quote(name));
        return files.add_files([string_in(bundle, "path")], &text, out);
    }
    for (field, text) in [
        ("certificateChainPath", "PodCertificate chain"),
        ("keyPath", "PodCertificate key"),
        ("credentialBundlePath", "PodCertificate credential bundle"),
    ] {
        files.add_files([string_in(&source["podCertificate"], field)], text, out);
    }
}

/// A path, and the index of its source in [`Files::sources`].
type File<'a> = (&'a str, usize);

/// The files of a volume as a tree of path components. The time to add a file is proportional to the length of its path,
/// not to the number of files in the tree.
struct Files<'a> {
    /// The text for the volume in the warnings.
    what: String,
    /// The texts for the sources in the warnings. The only source of a volume that is not projected has an
    /// empty text.
    sources: IndexSet<String>,
    /// The files in the order in which they were added.
    added: IndexSet<File<'a>>,
    /// The nodes of the tree. The first of them is the root.
    nodes: Vec<PathNode>,
    /// The index of each child in `nodes`. The key is the index of the parent and the path component of the
    /// child.
    children: HashMap<(usize, &'a str), usize>,
    /// The pairs of files in the warnings so far, at most [`MAX_WARNINGS`].
    pairs: Vec<(usize, usize)>,
}

/// A path in the tree. Each list has at most [`MAX_WARNINGS`] indices: those of the first added files.
#[derive(Default)]
struct PathNode {
    /// The files with this path.
    files: Vec<usize>,
    /// The files with this path or with a path below this path.
    within: Vec<usize>,
}

impl<'a> Files<'a> {
    fn new(what: String) -> Self {
        Self {
            what,
            sources: IndexSet::new(),
            added: IndexSet::new(),
            nodes: vec![PathNode::default()],
            children: HashMap::new(),
            pairs: Vec::new(),
        }
    }

    /// Adds the files of a source. Warns of each file that overlaps with an earlier file.
    fn add_files(&mut self, paths: impl IntoIterator<Item = &'a str>, source: &str, out: &mut Vec<String>) {
        let (source, _) = self.sources.insert_full(source.to_owned());
        for path in paths {
            let path = path.trim_end_matches('/');
            if !path.is_empty() && self.pairs.len() < MAX_WARNINGS {
                self.add_file((path, source), out);
            }
        }
    }

    fn add_file(&mut self, file: File<'a>, out: &mut Vec<String>) {
        let (index, is_new) = self.added.insert_full(file);
        let (mut node, mut overlapping) = (0, Vec::new());
        let mut way = Vec::new();
        for component in file.0.split('/') {
            overlapping.extend_from_slice(&self.nodes[node].files);
            node = *self.children.entry((node, component)).or_insert_with(|| {
                self.nodes.push(PathNode::default());
                self.nodes.len() - 1
            });
            way.push(node);
        }
        overlapping.extend_from_slice(&self.nodes[node].within);
        overlapping.sort_unstable();
        for other in overlapping {
            if self.pairs.len() < MAX_WARNINGS && !self.pairs.contains(&(index, other)) {
                self.pairs.push((index, other));
                let texts = (self.describe_file(file), self.describe_file(self.added[other]));
                out.push(format!("{}: overlapping paths: {} with {}", self.what, texts.0, texts.1));
            }
        }
        if is_new {
            for node in way {
                push_bounded(&mut self.nodes[node].within, index);
            }
            push_bounded(&mut self.nodes[node].files, index);
        }
    }

    fn describe_file(&self, (path, source): File<'a>) -> String {
        let (path, source) = (quote(path), &self.sources[source]);
        if source.is_empty() { path } else { format!("{path} ({source})") }
    }
}
