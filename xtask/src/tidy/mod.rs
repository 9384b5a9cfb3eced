//! `cargo xtask tidy`: checks the rules of this repository that rustc, clippy and cargo-deny cannot check.
//!
//! `imports`, `manifests` and `texts` each check the rules of one subject. Their tests check that each rule rejects a
//! violation. No module may change a file.

mod imports;
mod layers;
mod manifests;
mod syntax;
mod texts;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use crate::root;

/// Checks the repository rules that the compiler and clippy cannot check: layers, documentation, manifests, links.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// The text of each file, by its path relative to the root of the repository.
type Files = BTreeMap<String, String>;

/// A function that checks the rules of one subject, and returns the findings.
type CheckFn = fn(&Files) -> Vec<String>;

/// Formats a violation of a rule as `FILE:LINE: RULE: TEXT`. Many editors can open the position `FILE:LINE`.
fn finding(file: &str, line: usize, rule: &str, text: impl fmt::Display) -> String {
    format!("{file}:{line}: {rule}: {text}")
}

/// Runs the subcommand.
///
/// # Errors
/// When the files of the repository cannot be read.
pub fn run(_: &Args) -> anyhow::Result<ExitCode> {
    let findings = check()?;
    if findings.is_empty() {
        println!("tidy: all rules hold");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("{}\ntidy: {} to fix", findings.join("\n"), findings.len());
    Ok(ExitCode::FAILURE)
}

/// Checks all rules, and returns the findings.
pub(crate) fn check() -> anyhow::Result<Vec<String>> {
    let mut files = Files::new();
    read_files(&mut files, root(), "").with_context(|| format!("cannot read {}", root().display()))?;
    let checks: [CheckFn; 3] = [imports::check, manifests::check, texts::check];
    Ok(checks.iter().flat_map(|check| check(&files)).collect())
}

/// Reads all files below a folder into `files`, except the files in git's folder and in cargo's target folders.
fn read_files(files: &mut Files, folder: &Path, prefix: &str) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?.path();
        let path = format!("{prefix}{}", entry.file_name().unwrap_or_default().display());
        // Cargo writes `CACHEDIR.TAG` into each target folder, whatever the name of the folder is.
        if entry.is_dir() && !entry.is_symlink() && path != ".git" && !entry.join("CACHEDIR.TAG").exists() {
            read_files(files, &entry, &format!("{path}/"))?;
        } else if entry.is_file() {
            files.insert(path, String::from_utf8_lossy(&std::fs::read(entry)?).into_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that `check` returns one finding, and that this finding begins with `path`, a colon and `expected`. If
    /// `expected` is empty, checks that `check` returns no finding.
    #[track_caller]
    pub(super) fn assert_finding(check: CheckFn, files: &[(&str, &str)], path: &str, expected: &str) {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let (findings, start) = (check(&files), format!("{path}:{expected}"));
        let fit = findings.iter().all(|finding| finding.starts_with(&start));
        assert!(fit && findings.len() == usize::from(!expected.is_empty()), "{findings:#?} in {files:#?}");
    }
}
