//! Checks the manifests of the packages: each package inherits its settings and its dependencies from the workspace, and
//! the changelog has an entry for each published package. A rule against renamed dependencies is not
//! necessary: a package cannot rename a dependency that it inherits. `deny.toml` has the rules on licenses
//! and sources of packages.

use super::{Files, finding};

/// The keys that each package must inherit from the workspace.
const INHERITED_KEYS: [&str; 4] =
    ["edition.workspace", "rust-version.workspace", "license.workspace", "[lints]\nworkspace"];
/// The folders of other workspaces. Their packages inherit nothing from this workspace.
const EXCLUDED_FOLDERS: [&str; 2] = ["xtask/bench/kube/", "kube-client/fuzz/"];

pub(super) fn check(files: &Files) -> Vec<String> {
    let mut findings = Vec::new();
    let log = files.get("CHANGELOG.md").map(String::as_str).unwrap_or_default();
    for (path, manifest) in files.iter().filter(|(path, _)| path.ends_with("/Cargo.toml")) {
        if EXCLUDED_FOLDERS.iter().any(|folder| path.starts_with(folder)) {
            continue;
        }
        let mut add = |line, text: &str| findings.push(finding(path, line, "manifest", text));
        for line in
            INHERITED_KEYS.map(|key| format!("{key} = true")).iter().filter(|line| !manifest.contains(*line))
        {
            add(1, &format!("not inherited from the workspace: add `{line}`"));
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
                add(index + 1, "versions are set in the workspace: write `NAME.workspace = true`");
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    #[track_caller]
    fn check_manifest(manifest: &str, expected: &str) {
        let files = [("CHANGELOG.md", "## a 0.1.0"), ("a/Cargo.toml", manifest)];
        super::super::tests::assert_finding(super::check, &files, "a/Cargo.toml", expected);
    }

    #[test]
    fn manifests_without_inheritance_or_a_changelog_entry_are_rejected() {
        let head = "[package]\nname = \"a\"\nversion = \"0.1.0\"";
        let good = format!(
            "{head}\n{}\n[dependencies]\n",
            super::INHERITED_KEYS.map(|key| format!("{key} = true")).join("\n")
        );
        check_manifest(
            &format!("{good}serde.workspace = true\ntokio = {{ workspace = true, features = [] }}"),
            "",
        );
        for line in super::INHERITED_KEYS {
            check_manifest(&good.replace(line, ""), "1: manifest: not inherited from the workspace");
        }
        check_manifest(&good.replace("0.1.0", "0.2.0"), "1: manifest: CHANGELOG.md has no line");
        check_manifest(&good.replace("0.1.0\"", "0.2.0\"\npublish = false"), "");
        check_manifest(&format!("{good}serde = \"1\""), "10: manifest: versions are set in the workspace");
        check_manifest(&format!("{good}[dependencies.serde]\nversion = \"1\""), "10: manifest: versions");
    }
}
