//! Rules on the contents of files: Rust files have a header and a maximum length, no test or example is disabled,
//! relative links resolve, and no file has a path or registry of a developer's machine.

use pulldown_cmark::{Event, Parser, Tag};

use super::{Files, finding};
use crate::root;

/// The maximum number of lines of a Rust file. A file with `tests` in its path is exempt.
const MAX_LINES: usize = 600;

/// The prefixes of paths in a developer's own folders, separated by spaces. The source code splits each prefix, so that
/// this file does not violate the rule.
const PRIVATE_PREFIXES: &str = concat!("/w", "ork/ /r", "oot/ /U", "sers/ C:\\U", "sers\\ /h", "ome/");

/// A rule on single lines: a detector, the name of the rule, and advice. The detector takes the path of a file and a line
/// of the file, and returns whether the line violates the rule.
type LineRule = (fn(&str, &str) -> bool, &'static str, &'static str);

const LINE_RULES: [LineRule; 4] = [
    (ignores_a_test, "ignored-test", "make the test run everywhere, or skip it at run time with a reason"),
    (disables_an_example, "doc-test", "make the example run (on kube-sim), or mark it as `text`"),
    (has_a_private_path, "private", "a path of one machine: use a relative path or the user `me`"),
    (has_another_registry, "private", "use crates.io here, and set a proxy or mirror in CARGO_HOME"),
];

pub(super) fn check(files: &Files) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in files {
        let mut add = |line, rule, text: &str| findings.push(finding(path, line, rule, text));
        if is_rust(path) {
            let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("// "));
            let mut head = lines.take_while(|line| line.starts_with("#!") || line.starts_with("//!"));
            if !head.any(|line| line.starts_with("//!") || line.starts_with("#![doc")) {
                add(1, "opening", "no `//!` header: state the file's purpose, and what it must not do");
            }
            if text.lines().count() > MAX_LINES && !path.contains("tests") {
                add(MAX_LINES + 1, "length", "too many lines: split the file by purpose");
            }
        }
        for (index, line) in text.lines().enumerate() {
            let broken = LINE_RULES.iter().filter(|(breaks, ..)| breaks(path, line.trim_start()));
            broken.for_each(|(_, rule, text)| add(index + 1, rule, text));
        }
        for (event, range) in Parser::new(if is_markdown(path) { text } else { "" }).into_offset_iter() {
            let Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) = event else {
                continue;
            };
            let file = root().join(path).with_file_name(dest_url.split('#').next().unwrap_or_default());
            if is_file_path(&dest_url) && !file.exists() {
                let line = text[..range.start].matches('\n').count() + 1;
                add(line, "link", &format!("`{dest_url}` does not exist: fix the link, or add the file"));
            }
        }
    }
    findings
}

/// Whether the file is a Rust file, but not a compile-fail fixture.
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

/// Whether the line begins a code block with `ignore`, `ignore-TARGET` or `no_run`.
fn disables_an_example(path: &str, line: &str) -> bool {
    let line = line.strip_prefix("///").or(line.strip_prefix("//!")).unwrap_or(line).trim_start();
    let mut words = line.strip_prefix("```").unwrap_or_default().split([',', ' ']);
    let dead = words.any(|word| matches!(word, "ignore" | "no_run") || word.starts_with("ignore-"));
    dead && (is_rust(path) || is_markdown(path))
}

/// Whether the line configures a registry or its proxy in `.cargo/config.toml`, or names a source other than crates.io in
/// `Cargo.lock`.
fn has_another_registry(path: &str, line: &str) -> bool {
    let setting = ["[source", "[registr", "[http"].iter().any(|table| line.starts_with(table));
    let crates_io = "\"registry+https://github.com/rust-lang/crates.io-index\"";
    let package = line.starts_with("source = ") && !line.ends_with(crates_io);
    setting && path.ends_with(".cargo/config.toml") || package && path.ends_with("Cargo.lock")
}

/// Whether the line has a path in a developer's own folder: one of [`PRIVATE_PREFIXES`], then a name other than a
/// placeholder such as `me`.
fn has_a_private_path(_: &str, line: &str) -> bool {
    PRIVATE_PREFIXES.split(' ').flat_map(|folder| line.match_indices(folder)).any(|(at, folder)| {
        let begins = |c: char| !c.is_alphanumeric() && !matches!(c, '.' | '}' | '_' | '-' | '/');
        let ends = |c: char| !c.is_alphanumeric() && c != '-' && c != '_';
        let name = line[at + folder.len()..].split(ends).next().unwrap_or_default();
        let made_up = name.is_empty() || ["me", "user", "alice", "you"].contains(&name);
        line[..at].chars().next_back().is_none_or(begins) && !made_up
    })
}

/// Whether the target of a link is a file rather than a URL, a heading or a Rust item.
fn is_file_path(target: &str) -> bool {
    let other = ["#", "crate", "super", "self"].iter().any(|start| target.starts_with(start));
    !other && !target.contains("::") && !target.contains("://") && !target.ends_with(['!', ')'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_text(path: &str, text: &str, expected: &str) {
        super::super::tests::assert_finding(super::check, &[(path, text)], path, expected);
    }

    #[test]
    fn files_without_a_header_and_long_files_are_rejected() {
        check_text("a.rs", "// A comment.\n#![forbid(x)]\n//! Text.\nfn f() {}", "");
        check_text("a.rs", "#![doc = include_str!(\"../README.md\")]", "");
        check_text("a.rs", "/// Text.\nfn f() {}", "1: opening");
        let long = format!("//! Text.{}", "\n".repeat(MAX_LINES + 1));
        check_text("a.rs", &long, "601: length");
        check_text("x/tests/a.rs", &long, "");
    }

    #[test]
    fn disabled_tests_and_examples_are_rejected() {
        check_text("a.rs", "//! ```ignore\n//! ```\n", "1: doc-test");
        check_text("a.rs", "//! T.\n/// ```rust,no_run\n/// ```\nfn f() {}", "2: doc-test");
        check_text("a.rs", "//! T.\n/// ```text\n/// ```\n// ```ignore\nfn f() {}", "");
        check_text("docs/a.md", "x\n\n```rust,no_run\n```\n```sh\n```", "3: doc-test");
        check_text("a.rs", "//! T.\n#[test]\n#[ignore = \"slow\"]\nfn f() {}", "3: ignored-test");
        check_text("a.rs", "//! T.\n#[cfg_attr(unix, ignore)]\nfn f() {}", "2: ignored-test");
    }

    #[test]
    fn broken_links_are_rejected() {
        check_text(
            "docs/a.md",
            "[a](../README.md#x) [b](../xtask) [c](https://x.org/y.md) [d](#x) `[e](f)`",
            "",
        );
        check_text("docs/a.md", "[a](../README.md)\n[b](x.md \"title\")", "2: link");
        check_text("docs/a.md", "[x]\n\n[x]: ../src/main.rs", "1: link");
        check_text("docs/a.md", "[é](kube_client::Api)\n\n```text\n[a](c.md)\n```", "");
    }

    #[test]
    fn paths_and_registries_of_a_developers_machine_are_rejected() {
        for folder in PRIVATE_PREFIXES.split(' ') {
            check_text("a.md", &format!("see \"{folder}someone/x\""), "1: private");
            check_text(
                "a.md",
                &format!("\"{folder}me/.kube\" https://x.org{folder}x ..{folder}x ${{X}}{folder}x"),
                "",
            );
        }
        check_text(".cargo/config.toml", "[alias]\n[source.crates-io]", "2: private");
        let lock = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\nsource = \"git+https://x.org\"";
        check_text("x/Cargo.lock", lock, "2: private");
    }
}
