//! `cargo xtask tidy`: the rules of this repository that no compiler knows, as code.
//!
//! [`Repository`] holds the files, a module for each subject judges them, and every rule has a fixture beside it that
//! it rejects. Nothing here changes a file.

mod documents;
mod finding;
mod imports;
mod layers;
mod manifests;
mod private;
mod repository;
mod source;
mod tokens;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

pub use finding::{Finding, Weight};
pub use repository::Repository;

/// Checks the rules of this repository that no compiler knows: layers, documentation, manifests, links.
///
/// The layers are a table in `xtask/src/tidy/layers.rs`; the other rules are in the modules beside it.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// One subject of rules.
type Rule = fn(&Repository) -> Vec<Finding>;

const RULES: [Rule; 5] = [source::check, imports::check, manifests::check, documents::check, private::check];

/// Runs the subcommand.
///
/// # Errors
/// When the files of the repository cannot be read.
pub fn run(_: &Args) -> anyhow::Result<ExitCode> {
    let start = Instant::now();
    let repository = Repository::load(root())?;
    let findings = check(&repository);
    for finding in &findings {
        eprintln!("{finding}");
    }
    let errors = findings.iter().filter(|finding| finding.weight == Weight::Error).count();
    if errors > 0 {
        eprintln!("tidy: {errors} {} to be mended", if errors == 1 { "finding" } else { "findings" });
        return Ok(ExitCode::FAILURE);
    }
    println!("tidy: {} files in {:.1} s", repository.files().count(), start.elapsed().as_secs_f32());
    Ok(ExitCode::SUCCESS)
}

/// What is wrong with a repository, in the order of its files.
pub fn check(repository: &Repository) -> Vec<Finding> {
    let mut findings: Vec<_> = RULES.iter().flat_map(|rule| rule(repository)).collect();
    findings.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    findings
}

/// The root of this workspace.
pub fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}
