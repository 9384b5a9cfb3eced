//! `Repository`: the text of the files that belong to the repository. Judges nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::Context;

/// Folders that are never part of it, where git is not there to say so.
const NOT_OURS: [&str; 2] = ["target", ".git"];

/// The files of a repository, by their paths relative to its root, with `/` between their parts.
#[derive(Debug, Default)]
pub struct Repository {
    texts: BTreeMap<String, String>,
    /// Files that are no text.
    others: BTreeSet<String>,
}

impl Repository {
    /// Reads what git tracks below `root`, or would track; without git, all but build results.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn load(root: &Path) -> anyhow::Result<Self> {
        let paths = match tracked(root) {
            Some(paths) => paths,
            None => walk(root, root)?,
        };
        let mut repository = Self::default();
        for path in paths {
            let file = root.join(&path);
            // Removed but not committed yet, or a link to a folder.
            if !file.is_file() {
                continue;
            }
            let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            match String::from_utf8(bytes) {
                Ok(text) => drop(repository.texts.insert(path, text)),
                Err(_) => drop(repository.others.insert(path)),
            }
        }
        Ok(repository)
    }

    /// A repository of these texts.
    #[cfg(test)]
    pub(super) fn of(texts: &[(&str, &str)]) -> Self {
        let texts = texts.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        Self { texts, others: BTreeSet::new() }
    }

    /// All text files, in the order of their paths.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The text files whose names end so.
    pub fn ending(&self, end: &'static str) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(move |(path, _)| path.ends_with(end))
    }

    /// The text of a file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Whether there is such a file or folder.
    pub fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        let all = || self.texts.keys().chain(&self.others);
        all().any(|file| file == path || file.starts_with(&folder)) || path.is_empty()
    }
}

fn tracked(root: &Path) -> Option<Vec<String>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
    if !output.status.success() {
        return None;
    }
    let names = String::from_utf8(output.stdout).ok()?;
    Some(names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

fn walk(root: &Path, folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut paths = Vec::new();
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        let path = entry.path();
        if entry.file_type().with_context(|| format!("cannot read {}", path.display()))?.is_dir() {
            if !NOT_OURS.iter().any(|name| entry.file_name() == *name) {
                paths.extend(walk(root, &path)?);
            }
        } else if let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str) {
            paths.push(name.replace('\\', "/"));
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_git_all_but_build_results_is_read() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["src/lib.rs", "target/debug/x.rs", "README.md"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        std::fs::write(folder.path().join("data"), [0xff]).unwrap();
        let mut paths = walk(folder.path(), folder.path()).unwrap();
        paths.sort();
        assert_eq!(paths, ["README.md", "data", "src/lib.rs"]);
        let repository = Repository::load(folder.path()).unwrap();
        assert_eq!(repository.text("src/lib.rs"), Some("src/lib.rs"));
        assert!(repository.has("src") && repository.has("data") && !repository.has("sr"));
        assert_eq!(repository.text("data"), None);
    }
}
