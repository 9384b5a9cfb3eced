//! What the manifests of the workspace keep to, as lines of text. Cargo refuses to rename a dependency that is inherited;
//! licences and sources of packages are `deny.toml`'s.

use super::{Files, finding};

/// What each package takes from the workspace.
const INHERITED: [&str; 4] =
    ["edition.workspace", "rust-version.workspace", "license.workspace", "[lints]\nworkspace"];
pub(super) fn check(files: &Files) -> Vec<String> {
    let mut findings = Vec::new();
    let log = files.get("CHANGELOG.md").map(String::as_str).unwrap_or_default();
    for (path, manifest) in files.iter().filter(|(path, _)| path.ends_with("/Cargo.toml")) {
        if path.starts_with("xtask/bench/kube/") {
            continue; // A workspace of its own.
        }
        let mut add = |line, text: &str| findings.push(finding(path, line, "manifest", text));
        for line in
            INHERITED.map(|key| format!("{key} = true")).iter().filter(|line| !manifest.contains(*line))
        {
            add(1, &format!("all packages take this from the workspace: write `{line}`"));
        }
        let value = |key| manifest.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        let (name, version) = (value("name = ").trim_matches('"'), value("version = ").trim_matches('"'));
        let logged = log.lines().any(|line| line.contains(name) && line.contains(version));
        if !logged && !manifest.contains("publish = false") {
            add(1, &format!("CHANGELOG.md has no line with `{name}` and `{version}`: add an entry"));
        }
        let mut section = "";
        for (index, line) in manifest.lines().enumerate() {
            section = if line.starts_with('[') { line } else { section };
            let dependency = section.ends_with("dependencies]") && line.contains(" = ");
            if dependency && !line.contains("workspace = true") || line.contains("dependencies.") {
                add(index + 1, "versions are the workspace's: write a line `NAME.workspace = true`");
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    #[track_caller]
    fn check(manifest: &str, expected: &str) {
        let files = [("CHANGELOG.md", "## a 0.1.0"), ("a/Cargo.toml", manifest)];
        super::super::tests::check(super::check, &files, "a/Cargo.toml", expected);
    }

    #[test]
    fn manifests_inherit_and_versions_are_in_the_change_log() {
        let head = "[package]\nname = \"a\"\nversion = \"0.1.0\"";
        let good = format!(
            "{head}\n{}\n[dependencies]\n",
            super::INHERITED.map(|key| format!("{key} = true")).join("\n")
        );
        check(&format!("{good}serde.workspace = true\ntokio = {{ workspace = true, features = [] }}"), "");
        for line in super::INHERITED {
            check(&good.replace(line, ""), "1: manifest: all packages take this from the workspace");
        }
        check(&good.replace("0.1.0", "0.2.0"), "1: manifest: CHANGELOG.md has no line");
        check(&good.replace("0.1.0\"", "0.2.0\"\npublish = false"), "");
        check(&format!("{good}serde = \"1\""), "10: manifest: versions are the workspace's");
        check(&format!("{good}[dependencies.serde]\nversion = \"1\""), "10: manifest: versions");
    }
}
