//! Checks that each module of a crate uses only the paths that the tables of [`layers`](super::layers) allow.

use std::collections::BTreeMap;

use super::layers::{CRATES, contains_layer, entries, is_in_module};
use super::syntax::used_paths;
use super::{Files, finding};

/// The folder with the tables of layers, for the texts of findings.
const TABLES_FOLDER: &str = "xtask/src/tidy/layers";

/// The segments of a Rust path.
type RustPath = Vec<String>;

pub(super) fn check(files: &Files) -> Vec<String> {
    CRATES.iter().flat_map(|(folder, table)| check_crate(folder, table, files)).collect()
}

fn check_crate(folder: &str, table: &'static str, files: &Files) -> Vec<String> {
    let (mut exports, mut modules, mut findings) = (BTreeMap::new(), Vec::new(), Vec::new());
    for (path, text) in files {
        let inside =
            path.strip_prefix(folder).and_then(|rest| rest.strip_prefix("/src/")?.strip_suffix(".rs"));
        let Some(stem) = inside else { continue };
        let parts = stem.split('/').filter(|part| !matches!(*part, "lib" | "mod"));
        let module: RustPath = parts.map(str::to_owned).collect();
        match used_paths(text, &module) {
            // The crate root: check the bans for the whole crate, and collect the original path of each re-exported
            // name.
            Ok(names) if module.is_empty() => {
                for (name, line) in names.iter().filter(|(name, _)| name[0] != "crate") {
                    let refused = ban_violation(table, "", &name.join("::"));
                    findings.extend(refused.map(|text| finding(path, *line, "layers", text)));
                }
                exports.extend(names.into_iter().map(|(mut path, _)| {
                    path.retain(|part| part != "crate");
                    (path[path.len() - 1].clone(), path)
                }));
            }
            // A module with the name `tests` is compiled only for tests, and so are its submodules.
            Ok(_) if module.iter().any(|part| part == "tests") => {}
            Ok(names) => modules.push((path, module.join("::"), names)),
            Err(error) => findings.push(finding(path, error.span().start().line, "syntax", error)),
        }
    }
    for (path, module, names) in &modules {
        let mut add = |line, text: String| findings.push(finding(path, line, "layers", text));
        let Some(layer) = layer_of(table, module) else {
            add(
                1,
                format!(
                    "module `{module}` is in no layer: add it to the table of its crate in {TABLES_FOLDER}"
                ),
            );
            continue;
        };
        for (path, line) in names {
            let refused = match path[0].as_str() {
                "crate" => import_violation(table, layer, &original_path(&path[1..], &exports)),
                _ => ban_violation(table, module, &path.join("::")),
            };
            if let Some(text) = refused {
                add(*line, text);
            }
        }
    }
    findings
}

/// Joins the segments of `path` with `::`. If the crate root re-exports the first segment, first replaces this segment by
/// the original path of the item.
fn original_path(path: &[String], exports: &BTreeMap<String, RustPath>) -> String {
    // The root may re-export an item with the name of the item's module, such as `watcher::watcher`. This name at the start
    // of `path` means the module.
    let exported = path.first().and_then(|first| exports.get(first)).filter(|origin| origin[0] != path[0]);
    exported.map_or_else(|| path.to_vec(), |origin| [origin, &path[1..]].concat()).join("::")
}

/// The layer of the module or item with this path: the longest layer name in the table that is a prefix of the path.
fn layer_of(table: &'static str, path: &str) -> Option<&'static str> {
    let layers = entries(table, "").into_iter().map(|(layer, _)| layer);
    layers.filter(|layer| is_in_module(path, layer)).max_by_key(|layer| layer.len())
}

/// Returns the text of a finding if `layer` must not import `target`, or if `target` is in no layer. `target` is the path
/// of an item in the same crate, without `crate`.
fn import_violation(table: &'static str, layer: &str, target: &str) -> Option<String> {
    let Some(other) = layer_of(table, target) else {
        return Some(format!(
            "`{target}` is in no layer: import its own module, or add that to the table in {TABLES_FOLDER}"
        ));
    };
    let listed =
        entries(table, "").iter().any(|(name, imports)| *name == layer && contains_layer(imports, other));
    let advice = "move the shared code to a layer that both may import, or reverse the dependency";
    (!listed && !is_in_module(other, layer))
        .then(|| format!("`{layer}` must not import `{other}` (here `{target}`): {advice}"))
}

/// Returns the text of a finding if the table bans `path` in `module`. `path` begins with the name of another crate or of an
/// imported item. The ban `Timestamp::now` also matches `jiff::Timestamp::now`, which ends with the ban.
fn ban_violation(table: &'static str, module: &str, path: &str) -> Option<String> {
    let is_named = |ban: &&str| is_in_module(path, ban) || ban.contains("::") && path.ends_with(*ban);
    let bans = entries(table, "!").into_iter().filter(|(place, _)| is_in_module(module, place));
    let (place, _) = bans.into_iter().find(|(_, paths)| paths.iter().any(is_named))?;
    Some(format!("`{place}` bans `{path}`: move the code to a layer above"))
}

#[cfg(test)]
mod tests {
    #[track_caller]
    fn check_file(path: &str, text: &str, expected: &str) {
        let root = "pub use crate::core::ResourceExt; pub use client::Client; pub use error::Error;";
        let tests = ("kube-client/src/wire/tests/more.rs", "use crate::client::X;");
        let files = [("kube-client/src/lib.rs", root), tests, (path, text)];
        let expected = if expected.is_empty() { "" } else { &format!("1: layers: {expected}") };
        super::super::tests::assert_finding(super::check, &files, path, expected);
    }

    #[test]
    fn imports_of_unlisted_layers_are_refused() {
        let wire = "kube-client/src/wire/a.rs";
        check_file(wire, "use crate::{core::X, Client};", "`wire` must not import `client` (here `client::C");
        check_file(
            "kube-client/src/api/mod.rs",
            "use super::discovery::X;",
            "`api` must not import `discovery`",
        );
        let tls = "kube-client/src/client/tls/mod.rs";
        check_file(tls, "use super::auth::X;", "`client::tls` must not import `client::auth`");
        check_file(tls, "use crate::client::X;", "`client::tls` must not import `client`");
        check_file("kube-client/src/new.rs", "", "module `new` is in no layer");
        check_file(wire, "use crate::new::X;", "`new::X` is in no layer");
    }

    #[test]
    fn permitted_imports_are_accepted() {
        check_file("kube-client/src/error.rs", "use crate::{core::X, ResourceExt}; use super::core::b;", "");
        check_file(
            "kube-client/src/client/mod.rs",
            "use tls::X; use crate::client::auth::Y; use self::a::B;",
            "",
        );
        check_file(
            "kube-client/src/client/tls/a.rs",
            "use super::X; use super::super::super::config::Y;",
            "",
        );
        check_file("kube-client/src/api/mod.rs", "use crate::{Client, Error, wire::X, core::Y};", "");
        check_file("kube-client/src/wire/a.rs", "#[cfg(test)] mod tests { use crate::client::X; }", "");
    }

    #[test]
    fn banned_paths_of_other_crates_are_refused() {
        let core = "kube-core/src/a.rs";
        check_file(core, "use tokio::time::Sleep; use crate::b::X;", "`*` bans `tokio::time::Sleep`");
        check_file(core, "use std::{fmt, fs};", "`*` bans `std::fs`");
        check_file("kube-core/src/lib.rs", "pub mod a; use std::fs;", "`*` bans `std::fs`");
        check_file(core, "use jiff::Timestamp; fn f() { Timestamp::now() }", "`*` bans `Timestamp::now`");
        check_file("kube-client/src/config/a.rs", "use hyper::X;", "`config` bans `hyper::X`");
        check_file("kube-runtime/src/watcher/step/a.rs", "use tokio::X;", "`watcher::step` bans `tokio::X`");
        check_file("kube-runtime/src/watcher/driver.rs", "use tokio::X;", "");
    }
}
