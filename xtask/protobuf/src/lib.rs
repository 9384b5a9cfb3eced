//! `cargo xtask protobuf`: writes the Protobuf messages of the built-in kinds into the table of `kube-client`.
//!
//! A Go program (`go/main.go`) describes the messages of one version of Kubernetes. This package runs it with the pinned
//! modules of each supported version, and merges the descriptions. It must not contain data of its own.

mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail, ensure};

pub use table::Table;

/// The supported versions of Kubernetes, oldest first. Each has the files `go/kubernetes-VERSION.mod` and `.sum`.
const VERSIONS: [&str; 5] = ["1.33", "1.34", "1.35", "1.36", "1.37"];

/// The path of the table in the repository.
const TABLE: &str = "kube-client/src/wire/protobuf/messages.txt";

/// Record the Protobuf messages of all supported Kubernetes versions (needs Go)
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Compare the recording with the table, and change nothing
    #[arg(long)]
    check: bool,
}

/// Writes the table, or compares it with the modules.
///
/// # Errors
/// If Go fails, if two versions contradict each other, or if the compared table is outdated.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("the repository has no root")?;
    let path = root.join(TABLE);
    let table = record()?;
    let text = table.to_string();
    if args.check {
        let committed =
            std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        ensure!(committed == text, "{TABLE} is outdated: run `cargo xtask protobuf`");
    } else {
        std::fs::write(&path, &text).with_context(|| format!("writing {}", path.display()))?;
    }
    println!("{} kinds, {} messages, {} bytes", table.kinds(), table.messages(), text.len());
    Ok(ExitCode::SUCCESS)
}

/// The messages of all supported versions.
fn record() -> anyhow::Result<Table> {
    let mut table = Table::default();
    for version in VERSIONS {
        eprintln!("Kubernetes {version}");
        table.add(&describe(version)?).with_context(|| format!("adding Kubernetes {version}"))?;
    }
    Ok(table)
}

/// Runs the Go program with the modules of a version, and returns its output.
fn describe(version: &str) -> anyhow::Result<String> {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "go"].iter().collect();
    let modules = folder.join(format!("kubernetes-{version}.mod"));
    let output = Command::new("go")
        .args(["run", "-mod=readonly"])
        .arg(format!("-modfile={}", modules.display()))
        .arg(".")
        .current_dir(&folder)
        .output()
        .context("starting `go`, which must be on the PATH")?;
    if !output.status.success() {
        bail!("`go run` failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout).context("the output of the Go program is not UTF-8")
}
