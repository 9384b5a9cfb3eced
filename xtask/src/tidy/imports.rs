//! Applies the table of [`layers`](super::layers) to the sources of the crates.

use std::collections::{BTreeMap, BTreeSet};

use super::layers::{Ban, CRATES, Crate, Layer, Place};
use super::tokens::{Named, Token, paths, tokens, without_tests};
use super::{Finding, Repository};

const RULE: &str = "layers";

type Path = Vec<String>;

/// A source file that is no test.
struct File<'a> {
    path: &'a str,
    module: Path,
    tokens: Vec<Token>,
}

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    CRATES.iter().flat_map(|table| check_crate(table, repository)).collect()
}

fn check_crate(table: &Crate, repository: &Repository) -> Vec<Finding> {
    let files = files_of(table.folder, repository);
    let exports = files.iter().find(|file| file.module.is_empty()).map(exports).unwrap_or_default();
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| !file.module.is_empty()) {
        let Some(layer) = layer_of(table, &file.module) else {
            let text = format!(
                "module `{}` is in no layer: add it to xtask/src/tidy/layers.rs",
                file.module.join("::")
            );
            findings.push(Finding::new(file.path, 1, RULE, text));
            continue;
        };
        for named in paths(&file.tokens) {
            let text = match resolve(&file.module, &named, &exports) {
                Some(target) => import_refused(table, layer, &target),
                None => table.bans.iter().find(|ban| applies(ban, &file.module, &named.path)).map(|ban| {
                    format!("`{}` is not for `{}`: {}", named.path.join("::"), layer.module, ban.because)
                }),
            };
            findings.extend(text.map(|text| Finding::new(file.path, named.line, RULE, text)));
        }
    }
    findings
}

/// The files of a crate below `src`, without those that only tests see.
fn files_of<'a>(folder: &str, repository: &'a Repository) -> Vec<File<'a>> {
    let source = format!("{folder}/src/");
    let mut tests: BTreeSet<Path> = BTreeSet::new();
    let mut files = Vec::new();
    for (path, text) in repository.ending(".rs") {
        let Some(inner) = path.strip_prefix(&source) else { continue };
        let module = module_of(inner);
        // What does not lex is told by the rules of single files, and does not compile.
        let Ok(all) = tokens(text) else { continue };
        let (tokens, test_modules) = without_tests(&all);
        tests.extend(test_modules.into_iter().map(|name| [module.clone(), vec![name]].concat()));
        files.push(File { path, module, tokens });
    }
    files.retain(|file| !tests.iter().any(|test| file.module.starts_with(test)));
    files
}

fn module_of(path: &str) -> Path {
    let stem = path.trim_end_matches(".rs");
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    if matches!(stem, "lib" | "main" | "mod") {
        Vec::new()
    } else {
        stem.split('/').map(str::to_owned).collect()
    }
}

/// Where the names are from that the crate's root re-exports.
fn exports(root: &File) -> BTreeMap<String, Path> {
    let uses = paths(&root.tokens).into_iter().filter(|named| named.exported && named.inside.is_empty());
    uses.filter_map(|named| {
        let own = matches!(named.path.first().map(String::as_str), Some("crate" | "self"));
        let path = named.path[usize::from(own)..].to_vec();
        Some((path.last()?.clone(), path.clone()))
    })
    .filter(|(_, path)| path.len() > 1)
    .collect()
}

/// The module path, from the crate's root, that a file names; `None` for one of another crate or below the file itself.
fn resolve(module: &[String], named: &Named, exports: &BTreeMap<String, Path>) -> Option<Path> {
    let mut base: Path = module.iter().chain(&named.inside).cloned().collect();
    let mut rest = named.path.as_slice();
    match rest.first()?.as_str() {
        "crate" => {
            base.clear();
            rest = &rest[1..];
        }
        "super" => {
            while rest.first().is_some_and(|part| part == "super") {
                base.pop();
                rest = &rest[1..];
            }
        }
        _ => return None,
    }
    let path = [base.as_slice(), rest].concat();
    let exported = if path.len() == rest.len() { exports.get(path.first()?) } else { None };
    match exported {
        // A module and a function of it may share the name.
        Some(origin) if origin.first() != path.first() => Some([origin.as_slice(), &path[1..]].concat()),
        _ => Some(path),
    }
}

fn layer_of<'a>(table: &'a Crate, module: &[String]) -> Option<&'a Layer> {
    let holds = |layer: &&Layer| is_prefix(layer.module, module);
    table.layers.iter().filter(holds).max_by_key(|layer| layer.module.split("::").count())
}

fn is_prefix(prefix: &str, path: &[String]) -> bool {
    let mut parts = path.iter();
    prefix.split("::").all(|part| parts.next().is_some_and(|other| other == part))
}

fn import_refused(table: &Crate, layer: &Layer, target: &[String]) -> Option<String> {
    let Some(other) = layer_of(table, target) else {
        return Some(format!(
            "`crate::{}` belongs to no layer: name the module that it is from, or add that to xtask/src/tidy/layers.rs",
            target.join("::")
        ));
    };
    let own = other.module == layer.module || is_below(other.module, layer.module);
    if own || layer.imports.contains(&other.module) {
        return None;
    }
    Some(format!(
        "`{}` must not import `{}` (here `{}`): move what is shared to a layer that both may import, or turn the \
         dependency round",
        layer.module,
        other.module,
        target.join("::")
    ))
}

fn is_below(module: &str, above: &str) -> bool {
    module.strip_prefix(above).is_some_and(|rest| rest.starts_with("::"))
}

fn applies(ban: &Ban, module: &[String], path: &[String]) -> bool {
    let parts: Vec<_> = ban.path.split("::").collect();
    let inside = |modules: &[&str]| modules.iter().any(|prefix| is_prefix(prefix, module));
    let here = match ban.place {
        Place::In(modules) => inside(modules),
        Place::Outside(modules) => !inside(modules),
    };
    let same = |path: &[String]| path.len() == parts.len() && path.iter().zip(&parts).all(|(a, b)| a == b);
    here && path.len() >= parts.len()
        && (same(&path[..parts.len()]) || (parts.len() > 1 && same(&path[path.len() - parts.len()..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_file(path: &str, text: &str, expected: &[&str]) {
        let root =
            "pub mod core; pub use crate::core::ResourceExt; pub use client::Client; pub use error::Error;";
        let files = [("kube-client/src/lib.rs", root), (path, text)];
        let findings = super::check(&Repository::of(&files));
        assert_eq!(findings.len(), expected.len(), "{path}: {text}: {findings:?}");
        for (finding, expected) in findings.iter().zip(expected) {
            assert!(finding.to_string().contains(expected), "{finding}");
        }
    }

    #[test]
    fn imports_upwards_are_refused() {
        check_file(
            "kube-client/src/core/a.rs",
            "use crate::client::X;",
            &["a.rs:1: layers: `core` must not import"],
        );
        check_file("kube-client/src/core/a.rs", "\nfn f(x: crate::api::X) {}", &["a.rs:2: layers: `core`"]);
        check_file("kube-client/src/core/a.rs", "use crate::{core::X, Client};", &["here `client::Client`"]);
        check_file("kube-client/src/core/a.rs", "use super::super::wire::X;", &["import `wire`"]);
        check_file("kube-client/src/api/mod.rs", "use super::discovery::X;", &["import `discovery`"]);
        check_file("kube-client/src/client/tls/mod.rs", "use super::auth::X;", &["import `client::auth`"]);
        check_file("kube-client/src/client/tls/a.rs", "use crate::client::X;", &["import `client`"]);
        check_file(
            "kube-client/src/core/a.rs",
            "mod m { use super::super::super::wire::X; }",
            &["import `wire`"],
        );
        check_file("kube-runtime/src/watcher/a.rs", "use crate::queue::X;", &["import `queue`"]);
        check_file("kube-derive/src/input/a.rs", "use crate::expand::X;", &["import `expand`"]);
    }

    #[test]
    fn imports_downwards_are_fine() {
        check_file(
            "kube-client/src/core/a.rs",
            "use crate::{Error, ResourceExt}; use super::b; use x::api;",
            &[],
        );
        check_file(
            "kube-client/src/client/mod.rs",
            "use tls::X; use crate::client::auth::Y; use self::a::B;",
            &[],
        );
        check_file(
            "kube-client/src/client/tls/a.rs",
            "use super::X; use super::super::super::config::Y;",
            &[],
        );
        check_file("kube-client/src/api/mod.rs", "use crate::{Client, wire::X, core::Y};", &[]);
    }

    #[test]
    fn tests_may_import_all() {
        check_file("kube-client/src/core/a.rs", "#[cfg(test)] mod tests { use crate::client::X; }", &[]);
        let files = [
            ("kube-client/src/core/mod.rs", "#[cfg(test)] mod tests;"),
            ("kube-client/src/core/tests.rs", "use crate::client::X;"),
            ("kube-client/src/core/tests/more.rs", "use crate::client::X;"),
        ];
        assert_eq!(super::check(&Repository::of(&files)), []);
    }

    #[test]
    fn other_crates_are_refused_where_they_have_no_place() {
        check_file("kube-client/src/core/a.rs", "use tokio::time::Sleep;", &["performs no IO"]);
        check_file("kube-client/src/core/a.rs", "use std::{fmt, fs};", &["`std::fs` is not for `core`"]);
        check_file("kube-client/src/core/a.rs", "fn f() { jiff::Timestamp::now(); }", &["reads no clock"]);
        check_file(
            "kube-client/src/core/a.rs",
            "use jiff::Timestamp; fn f() { Timestamp::now(); }",
            &["no clock"],
        );
        check_file("kube-client/src/config/a.rs", "use hyper::X; use std::env;", &["no HTTP"]);
        check_file("kube-client/src/api/a.rs", "fn f() { std::env::var(X); }", &["one reader"]);
        check_file(
            "kube-runtime/src/watcher/a.rs",
            "use std::time::{Duration, Instant};",
            &["tokio's clock"],
        );
        check_file("kube-runtime/src/watcher/step/a.rs", "use tokio::X;", &["synchronous"]);
    }

    #[test]
    fn a_module_without_a_layer_is_told() {
        check_file("kube-client/src/new.rs", "", &["new.rs:1: layers: module `new` is in no layer"]);
        check_file("kube-client/src/core/a.rs", "use crate::new::X;", &["belongs to no layer"]);
    }
}
