//! Nothing in the repository tells about the machine that it was written on.

use super::{Finding, Repository};

const INDEX: &str = "https://github.com/rust-lang/crates.io-index";

/// How the paths of people's own folders begin. Written in parts, so that this file passes its own rule.
const FOLDERS: [&str; 5] = [
    concat!("/", "work/"),
    concat!("/", "root/"),
    concat!("/Us", "ers/"),
    concat!("C:\\Us", "ers\\"),
    concat!("/ho", "me/"),
];

/// People that exist only in examples.
const EXAMPLES: [&str; 4] = ["me", "user", "alice", "you"];

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    repository.files().flat_map(|(path, text)| check_file(path, text)).collect()
}

fn check_file(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lock = path.ends_with("Cargo.lock");
    let settings = path.ends_with(".cargo/config.toml");
    for (index, line) in text.lines().enumerate() {
        if let Some(found) = folder_in(line) {
            let text = format!("`{found}` is a folder of one machine: use a relative path, or a made-up one");
            findings.push(Finding::new(path, index + 1, "private", text));
        }
        let source = line.trim().strip_prefix("source = \"");
        if lock && source.is_some_and(|source| !is_public(source)) {
            let text = "packages come from crates.io: take the registry or repository out of the manifests, and run \
                        `cargo update --workspace`";
            findings.push(Finding::new(path, index + 1, "private", text));
        }
        let table = line.trim_start();
        if settings
            && ["[source", "[registr", "replace-with", "[http"].iter().any(|start| table.starts_with(start))
        {
            let text =
                "registries and proxies are the business of each machine: put it into cargo's home folder";
            findings.push(Finding::new(path, index + 1, "private", text));
        }
    }
    findings
}

fn is_public(source: &str) -> bool {
    source.strip_prefix("registry+").is_some_and(|url| url.trim_end_matches('"') == INDEX)
}

/// A path into someone's folder: it begins a word, and goes on.
fn folder_in(line: &str) -> Option<&str> {
    FOLDERS.iter().find_map(|folder| {
        line.match_indices(folder).find_map(|(at, _)| {
            let before = line[..at].chars().next_back();
            let rest = &line[at + folder.len()..];
            let name: &str =
                rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').next()?;
            let begins =
                before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '.' | '}' | '_' | '-' | '/'));
            let real = !name.is_empty() && !EXAMPLES.contains(&name);
            (begins && real).then(|| &line[at..at + folder.len() + name.len()])
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, line: &str, findings: usize) {
        assert_eq!(check_file(path, line).len(), findings, "{path}: {line}");
    }

    #[test]
    fn folders_of_a_machine_are_refused() {
        for folder in FOLDERS {
            check("a.md", &format!("see {folder}someone/x"), 1);
            check("a.rs", &format!("\"{folder}someone\""), 1);
        }
        check("a.rs", &format!("\"{}me/.kube/config\"", FOLDERS[4]), 0);
        check("a.md", "https://github.com/work/x ../work/x ${X}/root/x", 0);
    }

    #[test]
    fn registries_of_a_machine_are_refused() {
        check("Cargo.lock", &format!("source = \"registry+{INDEX}\""), 0);
        check("Cargo.lock", "source = \"registry+https://mirror.example/index\"", 1);
        check("Cargo.lock", "source = \"git+https://github.com/x/y\"", 1);
        check(".cargo/config.toml", "[source.crates-io]", 1);
        check(".cargo/config.toml", "[alias]", 0);
    }
}
