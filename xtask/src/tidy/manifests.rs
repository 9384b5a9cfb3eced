//! What the manifests of the workspace keep to.

use toml::{Table, Value};

use super::{Finding, Repository};

/// Crates that depend on no other of the workspace, and in which sections.
const ALONE: [&str; 2] = ["kube-sim", "kube-derive"];
const SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
/// What each package takes from the workspace.
const INHERITED: [&str; 3] = ["edition", "rust-version", "license"];

/// A package of the workspace.
pub(super) struct Package {
    pub(super) folder: String,
    pub(super) manifest: String,
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) published: bool,
    table: Table,
    text: String,
}

impl Package {
    fn finding(&self, about: &str, text: String) -> Finding {
        let line = self.text.lines().position(|line| line.trim_start().starts_with(about));
        Finding::new(&self.manifest, line.unwrap_or(0) + 1, "manifest", text)
    }
}

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let packages = match packages(repository) {
        Ok(packages) => packages,
        Err(finding) => return vec![finding],
    };
    let names: Vec<_> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut findings = Vec::new();
    for package in &packages {
        findings.extend(inheritance(package));
        findings.extend(dependencies(package, &names));
        if package.published {
            findings.extend(publication(package, repository));
        }
    }
    for file in ["LICENSE", "Cargo.lock"] {
        if !repository.has(file) {
            findings.push(Finding::new(file, 1, "manifest", "it is missing: restore it from the history"));
        }
    }
    findings
}

/// The packages that the workspace's manifest lists.
pub(super) fn packages(repository: &Repository) -> Result<Vec<Package>, Finding> {
    let broken = |file: &str, text: String| Finding::new(file, 1, "manifest", text);
    let read = |file: &str| -> Result<(Table, String), Finding> {
        let text = repository.text(file).ok_or_else(|| broken(file, "it is missing".to_owned()))?;
        let table = text.parse().map_err(|error| broken(file, format!("it is no TOML: {error}")))?;
        Ok((table, text.to_owned()))
    };
    let (root, _) = read("Cargo.toml")?;
    let members =
        root.get("workspace").and_then(|workspace| workspace.get("members")).and_then(Value::as_array);
    let members = members.ok_or_else(|| broken("Cargo.toml", "it has no workspace.members".to_owned()))?;
    members
        .iter()
        .filter_map(Value::as_str)
        .map(|folder| {
            let manifest = format!("{folder}/Cargo.toml");
            let (table, text) = read(&manifest)?;
            let package = table.get("package").cloned().unwrap_or(Value::Boolean(false));
            let text_of = |key: &str| package.get(key).and_then(Value::as_str).map(str::to_owned);
            Ok(Package {
                folder: folder.to_owned(),
                name: text_of("name")
                    .ok_or_else(|| broken(&manifest, "its package has no name".to_owned()))?,
                version: text_of("version"),
                published: package.get("publish").and_then(Value::as_bool).unwrap_or(true),
                manifest,
                table,
                text,
            })
        })
        .collect()
}

fn inheritance(package: &Package) -> Vec<Finding> {
    let inherits = |value: Option<&Value>| {
        value.and_then(|value| value.get("workspace")).and_then(Value::as_bool) == Some(true)
    };
    let own = package.table.get("package");
    let mut findings: Vec<_> = INHERITED
        .iter()
        .filter(|key| !inherits(own.and_then(|own| own.get(**key))))
        .map(|key| {
            package.finding(key, format!("`{key}` is the workspace's: write `{key}.workspace = true`"))
        })
        .collect();
    if !inherits(package.table.get("lints")) {
        let text = "the lints are the workspace's: write `workspace = true` below `[lints]`";
        findings.push(package.finding("[lints", text.to_owned()));
    }
    findings
}

fn publication(package: &Package, repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    if package.version.is_none() {
        let text = "each crate has a version of its own: write `version = \"..\"`";
        findings.push(package.finding("version", text.to_owned()));
    }
    let readme = format!("{}/README.md", package.folder);
    if repository.text(&readme).is_none_or(|text| text.trim().len() < 100) {
        let text = "it is missing or says nothing: tell what the crate is, with an example that runs";
        findings.push(Finding::new(&readme, 1, "manifest", text));
    }
    let own = package.table.get("package");
    for key in ["description", "readme"] {
        if own.and_then(|own| own.get(key)).and_then(Value::as_str).is_none_or(str::is_empty) {
            findings.push(package.finding("[package", format!("a published crate has a `{key}`: add it")));
        }
    }
    findings
}

/// All dependencies of all sections and targets, with their sections.
fn all_dependencies(table: &Table) -> Vec<(&'static str, &str, &Value)> {
    let targets = table.get("target").and_then(Value::as_table).into_iter().flatten();
    let tables = std::iter::once(table).chain(targets.filter_map(|(_, target)| target.as_table()));
    tables
        .flat_map(|table| SECTIONS.map(|section| (section, table.get(section).and_then(Value::as_table))))
        .flat_map(|(section, found)| {
            found.into_iter().flatten().map(move |(name, value)| (section, name.as_str(), value))
        })
        .collect()
}

fn dependencies(package: &Package, workspace: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (section, name, value) in all_dependencies(&package.table) {
        let real = value.get("package").and_then(Value::as_str).unwrap_or(name);
        if ALONE.contains(&package.name.as_str()) && workspace.contains(&real) {
            let text = format!(
                "`{}` depends on no crate of the workspace, also in {section}: take `{real}` out, and put what needs \
                 both into the tests of a crate above them",
                package.name
            );
            findings.push(package.finding(name, text));
        }
        if value.get("workspace").and_then(Value::as_bool) != Some(true) {
            let text = format!(
                "the version of `{name}` is decided once: put it into the workspace's manifest, and write \
                 `{name}.workspace = true`"
            );
            findings.push(package.finding(name, text));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nname = \"NAME\"\nversion = \"0.1.0\"\nedition.workspace = true\n\
        rust-version.workspace = true\nlicense.workspace = true\ndescription = \"d\"\nreadme = \"README.md\"\n\
        [lints]\nworkspace = true\n";

    /// What is said of a workspace whose crate `name` has this manifest.
    #[track_caller]
    fn check(name: &str, manifest: &str, expected: &[&str]) {
        let root = format!("[workspace]\nmembers = [\"{name}\", \"other\"]");
        let readme = "long enough ".repeat(10);
        let (manifest_path, readme_path) = (format!("{name}/Cargo.toml"), format!("{name}/README.md"));
        let other = GOOD.replace("NAME", "other");
        let files = [
            ("Cargo.toml", root.as_str()),
            ("Cargo.lock", ""),
            ("LICENSE", ""),
            (&manifest_path, manifest),
            (&readme_path, &readme),
            ("other/Cargo.toml", &other),
            ("other/README.md", &readme),
        ];
        let findings: Vec<_> =
            super::check(&Repository::of(&files)).iter().map(ToString::to_string).collect();
        assert_eq!(findings.len(), expected.len(), "{manifest}: {findings:#?}");
        for (finding, expected) in findings.iter().zip(expected) {
            assert!(finding.contains(expected), "{finding}");
        }
    }

    #[test]
    fn what_is_the_workspaces_is_inherited() {
        let good = GOOD.replace("NAME", "a");
        check("a", &good, &[]);
        check(
            "a",
            &good.replace("edition.workspace = true", "edition = \"2021\""),
            &["a/Cargo.toml:4: manifest: `edition`"],
        );
        check("a", &good.replace("rust-version.workspace = true\n", ""), &["`rust-version`"]);
        check("a", &good.replace("[lints]\nworkspace = true\n", ""), &["lints"]);
        check(
            "a",
            &format!("{good}[dependencies]\nserde = \"1\"\n"),
            &["a/Cargo.toml:12: manifest: the version"],
        );
        check("a", &format!("{good}[dependencies]\nserde.workspace = true\n"), &[]);
    }

    #[test]
    fn a_published_crate_has_a_version_and_a_readme() {
        let good = GOOD.replace("NAME", "a");
        check("a", &good.replace("version = \"0.1.0\"\n", ""), &["version"]);
        check("a", &good.replace("description = \"d\"\n", ""), &["`description`"]);
        let files = [
            ("Cargo.toml", "[workspace]\nmembers = [\"a\"]"),
            ("a/Cargo.toml", good.as_str()),
            ("LICENSE", ""),
        ];
        let findings = super::check(&Repository::of(&files));
        let files: Vec<_> = findings.iter().map(|finding| finding.file.as_str()).collect();
        assert_eq!(files, ["a/README.md", "Cargo.lock"]);
    }

    #[test]
    fn the_simulation_and_the_derive_stand_alone() {
        for name in ALONE {
            let good = GOOD.replace("NAME", name);
            check(
                name,
                &format!("{good}[dev-dependencies]\nother.workspace = true\n"),
                &["dev-dependencies"],
            );
            let target = "[target.'cfg(unix)'.dependencies]\nx = { workspace = true, package = \"other\" }\n";
            check(name, &format!("{good}{target}"), &["depends on no crate"]);
        }
        check("a", &format!("{}[dependencies]\nother.workspace = true\n", GOOD.replace("NAME", "a")), &[]);
    }

    #[test]
    fn a_broken_manifest_is_told() {
        let findings = super::check(&Repository::of(&[("Cargo.toml", "[workspace\n")]));
        assert!(findings[0].to_string().contains("no TOML"), "{findings:?}");
    }
}
