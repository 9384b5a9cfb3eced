//! What texts keep to: files open with what they own and have one purpose, tests and examples run, links lead somewhere,
//! and nothing tells of the machine that it was written on.

use pulldown_cmark::{Event, Parser, Tag};

use super::{Files, finding};
use crate::root;

/// A Rust file of more lines has two purposes; tests are exempt.
const LONGEST: usize = 600;

/// How the paths of people's own folders begin. Written in parts, so that this file passes its own rule.
const FOLDERS: &str = concat!("/w", "ork/ /r", "oot/ /U", "sers/ C:\\U", "sers\\ /h", "ome/");

/// A rule about single lines: whether this line of this file breaks it, its name, and what to do.
type Rule = (fn(&str, &str) -> bool, &'static str, &'static str);

const RULES: [Rule; 4] = [
    (ignores_a_test, "ignored-test", "make the test run everywhere, or skip it at run time with a reason"),
    (begins_dead_example, "doc-test", "make the example run (kube-sim is a server), or mark it as `text`"),
    (names_a_folder, "private", "a path of one machine: use a relative or a made-up one"),
    (names_a_registry, "private", "packages come from crates.io, and proxies are set in cargo's home folder"),
];

pub(super) fn check(files: &Files) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in files {
        let mut add = |line, rule, text: &str| findings.push(finding(path, line, rule, text));
        if is_rust(path) {
            let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("// "));
            let mut head = lines.take_while(|line| line.starts_with("#!") || line.starts_with("//!"));
            if !head.any(|line| line.starts_with("//!") || line.starts_with("#![doc")) {
                add(1, "opening", "it has no `//!`: say what the file owns, and what it must not do");
            }
            if text.lines().count() > LONGEST && !path.contains("tests") {
                add(LONGEST + 1, "length", "it is too long: split it by purpose");
            }
        }
        for (index, line) in text.lines().enumerate() {
            let broken = RULES.iter().filter(|(breaks, ..)| breaks(path, line.trim_start()));
            broken.for_each(|(_, rule, text)| add(index + 1, rule, text));
        }
        for (event, range) in Parser::new(if is_markdown(path) { text } else { "" }).into_offset_iter() {
            let Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) = event else {
                continue;
            };
            let file = root().join(path).with_file_name(dest_url.split('#').next().unwrap_or_default());
            if is_path(&dest_url) && !file.exists() {
                let line = text[..range.start].matches('\n').count() + 1;
                add(line, "link", &format!("`{dest_url}` is not there: fix the link, or add the file"));
            }
        }
    }
    findings
}

/// Whether it is Rust that compiles.
fn is_rust(path: &str) -> bool {
    path.strip_suffix(".rs").is_some() && !path.contains("/tests/ui/")
}

fn is_markdown(path: &str) -> bool {
    path.strip_suffix(".md").is_some()
}

fn ignores_a_test(path: &str, line: &str) -> bool {
    is_rust(path)
        && (line.starts_with("#[ignore") || line.starts_with("#[cfg_attr") && line.contains("ignore"))
}

/// Whether the line begins a code block that rustdoc does not run.
fn begins_dead_example(path: &str, line: &str) -> bool {
    let line = line.strip_prefix("///").or(line.strip_prefix("//!")).unwrap_or(line).trim_start();
    let mut words = line.strip_prefix("```").unwrap_or_default().split([',', ' ']);
    let dead = words.any(|word| matches!(word, "ignore" | "no_run") || word.starts_with("ignore-"));
    dead && (is_rust(path) || is_markdown(path))
}

/// Whether the line has a package or a setting for another registry than crates.io.
fn names_a_registry(path: &str, line: &str) -> bool {
    let setting = ["[source", "[registr", "[http"].iter().any(|table| line.starts_with(table));
    let crates_io = "\"registry+https://github.com/rust-lang/crates.io-index\"";
    let package = line.starts_with("source = ") && !line.ends_with(crates_io);
    setting && path.ends_with(".cargo/config.toml") || package && path.ends_with("Cargo.lock")
}

/// Whether the line has a path into someone's folder: it begins a word, and goes on with a name.
fn names_a_folder(_: &str, line: &str) -> bool {
    FOLDERS.split(' ').flat_map(|folder| line.match_indices(folder)).any(|(at, folder)| {
        let begins = |c: char| !c.is_alphanumeric() && !matches!(c, '.' | '}' | '_' | '-' | '/');
        let ends = |c: char| !c.is_alphanumeric() && c != '-' && c != '_';
        let name = line[at + folder.len()..].split(ends).next().unwrap_or_default();
        let made_up = name.is_empty() || ["me", "user", "alice", "you"].contains(&name);
        line[..at].chars().next_back().is_none_or(begins) && !made_up
    })
}

/// Whether the target of a link is a file rather than an address, a heading or an item of Rust.
fn is_path(target: &str) -> bool {
    let other = ["#", "crate", "super", "self"].iter().any(|start| target.starts_with(start));
    !other && !target.contains("::") && !target.contains("://") && !target.ends_with(['!', ')'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, text: &str, expected: &str) {
        super::super::tests::check(super::check, &[(path, text)], path, expected);
    }

    #[test]
    fn a_file_opens_with_what_it_owns_and_has_one_purpose() {
        check("a.rs", "// A comment.\n#![forbid(x)]\n//! Text.\nfn f() {}", "");
        check("a.rs", "#![doc = include_str!(\"../README.md\")]", "");
        check("a.rs", "/// Text.\nfn f() {}", "1: opening");
        let long = format!("//! Text.{}", "\n".repeat(LONGEST + 1));
        check("a.rs", &long, "601: length");
        check("x/tests/a.rs", &long, "");
    }

    #[test]
    fn examples_and_tests_run() {
        check("a.rs", "//! ```ignore\n//! ```\n", "1: doc-test");
        check("a.rs", "//! T.\n/// ```rust,no_run\n/// ```\nfn f() {}", "2: doc-test");
        check("a.rs", "//! T.\n/// ```text\n/// ```\n// ```ignore\nfn f() {}", "");
        check("docs/a.md", "x\n\n```rust,no_run\n```\n```sh\n```", "3: doc-test");
        check("a.rs", "//! T.\n#[test]\n#[ignore = \"slow\"]\nfn f() {}", "3: ignored-test");
        check("a.rs", "//! T.\n#[cfg_attr(unix, ignore)]\nfn f() {}", "2: ignored-test");
    }

    #[test]
    fn links_into_the_repository_lead_somewhere() {
        check("docs/a.md", "[a](../README.md#x) [b](../xtask) [c](https://x.org/y.md) [d](#x) `[e](f)`", "");
        check("docs/a.md", "[a](../README.md)\n[b](x.md \"title\")", "2: link");
        check("docs/a.md", "[x]\n\n[x]: ../src/main.rs", "1: link");
        check("docs/a.md", "[é](kube_client::Api)\n\n```text\n[a](c.md)\n```", "");
    }

    #[test]
    fn nothing_tells_of_the_machine() {
        for folder in FOLDERS.split(' ') {
            check("a.md", &format!("see \"{folder}someone/x\""), "1: private");
            check(
                "a.md",
                &format!("\"{folder}me/.kube\" https://x.org{folder}x ..{folder}x ${{X}}{folder}x"),
                "",
            );
        }
        check(".cargo/config.toml", "[alias]\n[source.crates-io]", "2: private");
        let lock = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\nsource = \"git+https://x.org\"";
        check("x/Cargo.lock", lock, "2: private");
    }
}
