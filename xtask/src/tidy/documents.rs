//! What the Markdown files keep to: their links lead somewhere, their examples run, and the change log knows the
//! versions.

use super::manifests::packages;
use super::source::{not_run, not_run_advice};
use super::{Finding, Repository};

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let mut findings: Vec<_> =
        repository.ending(".md").flat_map(|(path, text)| check_file(path, text, repository)).collect();
    findings.extend(change_log(repository));
    findings
}

fn check_file(path: &str, text: &str, repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_block = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            if !in_block && let Some(word) = not_run(line) {
                findings.push(Finding::new(path, index + 1, "doc-test", not_run_advice(word)));
            }
            in_block = !in_block;
        } else if !in_block {
            for target in targets(line).into_iter().filter(|target| is_path(target)) {
                if !leads_somewhere(path, target, repository) {
                    let text = format!("the link to `{target}` leads nowhere: mend it, or add the file");
                    findings.push(Finding::new(path, index + 1, "link", text));
                }
            }
        }
    }
    findings
}

/// Where the links of a line lead: `[text](target)`, `[name]: target`.
fn targets(line: &str) -> Vec<&str> {
    let prose: String = without_code(line);
    let inline = prose.match_indices("](").filter_map(|(at, _)| {
        let rest = &line[at + 2..];
        rest[..rest.find(')')?].split_whitespace().next()
    });
    let named = line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: "));
    let named = named.and_then(|(_, target)| target.split_whitespace().next());
    inline.chain(named).collect()
}

/// The line with its code spans blanked out, of the same length.
fn without_code(line: &str) -> String {
    let mut inside = false;
    let blank = |c: char| std::iter::repeat_n(' ', c.len_utf8());
    line.chars()
        .flat_map(|c| {
            if c == '`' {
                inside = !inside;
            }
            if inside { blank(c).collect::<String>() } else { c.to_string() }.chars().collect::<Vec<_>>()
        })
        .collect()
}

/// Whether it is a file rather than an address, a heading or an item of Rust.
fn is_path(target: &str) -> bool {
    let other = ["http://", "https://", "mailto:", "#", "<", "crate", "super", "self"];
    let item = target.contains("::") || target.ends_with("()") || target.ends_with('!');
    !other.iter().any(|start| target.starts_with(start)) && !item
}

fn leads_somewhere(file: &str, target: &str, repository: &Repository) -> bool {
    let target = target.split('#').next().unwrap_or_default();
    let mut parts: Vec<_> = file.split('/').collect();
    parts.pop();
    if target.starts_with('/') {
        parts.clear();
    }
    for part in target.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part != ".." {
            parts.push(part);
        } else if parts.pop().is_none() {
            return false;
        }
    }
    repository.has(&parts.join("/"))
}

/// The change log has a line with the name and the version of each published crate.
fn change_log(repository: &Repository) -> Vec<Finding> {
    const LOG: &str = "CHANGELOG.md";
    let Some(log) = repository.text(LOG) else {
        let text = "it is missing: write down what users see, with the crates' versions";
        return vec![Finding::new(LOG, 1, "changelog", text)];
    };
    // A manifest that cannot be read is told by its own rule.
    let published = packages(repository).unwrap_or_default().into_iter().filter(|package| package.published);
    published
        .filter_map(|package| {
            let version = package.version?;
            let mut lines = log.lines();
            let told = lines.any(|line| line.contains(&package.name) && line.contains(&version));
            let text =
                format!("no line has both `{}` and its version `{version}`: add an entry", package.name);
            (!told).then(|| Finding::new(LOG, 1, "changelog", text))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_document(text: &str, expected: &[&str]) {
        let files = [("docs/a.md", text), ("docs/b.md", ""), ("src/lib.rs", ""), ("LICENSE", "")];
        let repository = Repository::of(&files);
        let findings: Vec<_> =
            check_file("docs/a.md", text, &repository).iter().map(ToString::to_string).collect();
        assert_eq!(findings.len(), expected.len(), "{text}: {findings:#?}");
        for (finding, expected) in findings.iter().zip(expected) {
            assert!(finding.starts_with(expected), "{finding}");
        }
    }

    #[test]
    fn links_into_the_repository_lead_somewhere() {
        check_document("[a](b.md#heading) [b](../src) [c](../LICENSE) [d](https://x.org/y.md) [e](#x)", &[]);
        check_document("[a](c.md)", &["docs/a.md:1: link"]);
        check_document("x\n[a](b.md), [b](../../etc/x \"title\")", &["docs/a.md:2: link"]);
        check_document("[x]: ../src/main.rs", &["docs/a.md:1: link"]);
        check_document("`[a](c.md)` and [é](kube_client::Api)\n```text\n[a](c.md)\n```", &[]);
    }

    #[test]
    fn examples_have_to_run() {
        check_document("```rust,no_run\n```", &["docs/a.md:1: doc-test"]);
        check_document("```rust\n```\n```sh\n```", &[]);
    }

    #[track_caller]
    fn check_log(log: &str, findings: usize) {
        let files = [
            ("Cargo.toml", "[workspace]\nmembers = [\"a\", \"b\"]"),
            ("a/Cargo.toml", "[package]\nname = \"a-crate\"\nversion = \"0.2.0\""),
            ("b/Cargo.toml", "[package]\nname = \"b-crate\"\nversion = \"0.0.0\"\npublish = false"),
            ("CHANGELOG.md", log),
        ];
        assert_eq!(change_log(&Repository::of(&files)).len(), findings, "{log}");
    }

    #[test]
    fn the_change_log_knows_the_versions() {
        check_log("# Changes\n## a-crate 0.2.0\n", 0);
        check_log("## a-crate 0.1.0\n## 0.2.0\n", 1);
        assert_eq!(change_log(&Repository::of(&[])).len(), 1);
    }
}
