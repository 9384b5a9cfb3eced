//! `cargo xtask protobuf`: writes the Protobuf messages of the built-in kinds into the table of `kube-client`.
//!
//! A Go program (`go/main.go`) describes the messages of one version of Kubernetes. This package runs the Go
//! program with the pinned modules of each supported version, and merges the descriptions. This package must not contain
//! data of its own. `cargo xtask e2e` uses this library to compare the table with the modules.

mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use anyhow::{Context as _, bail, ensure};

pub use table::Table;

/// The supported versions of Kubernetes, oldest first. Each has the files `go/kubernetes-VERSION.mod` and `.sum`.
pub const VERSIONS: [&str; 5] = ["1.33", "1.34", "1.35", "1.36", "1.37"];

/// The path of the table in the repository.
const TABLE: &str = "kube-client/src/wire/protobuf/messages.txt";

/// Record the Protobuf messages of all supported Kubernetes versions (needs Go)
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Compare the messages with the table, and change nothing
    #[arg(long)]
    check: bool,
}

/// Writes the messages of all supported versions into the table of `kube-client`. With `--check`, only
/// compares the messages with the table.
///
/// # Errors
/// If Go fails, or if two versions contradict each other. With `--check`, also if the table is outdated.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut table = Table::default();
    for version in VERSIONS {
        eprintln!("Kubernetes {version}");
        let output =
            description_command(version).output().context("starting `go`, which must be on the PATH")?;
        add_description(&mut table, version, output)?;
    }
    if args.check {
        ensure_equal(&table)?;
    } else {
        let path = table_path();
        std::fs::write(&path, table.to_string()).with_context(|| format!("writing {}", path.display()))?;
    }
    println!(
        "{} kinds, {} messages, {} bytes",
        table.kind_count(),
        table.message_count(),
        table.to_string().len()
    );
    Ok(ExitCode::SUCCESS)
}

/// The command that runs the Go program `go/main.go` with the pinned Go modules of a Kubernetes version. The
/// program prints a description of the Protobuf messages of this version.
pub fn description_command(version: &str) -> Command {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "go"].iter().collect();
    let modules = folder.join(format!("kubernetes-{version}.mod"));
    let mut go = Command::new("go");
    go.args(["run", "-mod=readonly"])
        .arg(format!("-modfile={}", modules.display()))
        .arg(".")
        .current_dir(&folder);
    go
}

/// Adds the output of [`description_command`] to `table`.
///
/// # Errors
/// If the command failed, or if the messages contradict those of a version that was added before.
pub fn add_description(table: &mut Table, version: &str, output: Output) -> anyhow::Result<()> {
    if !output.status.success() {
        bail!("`go run` failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8(output.stdout).context("the output of the Go program is not UTF-8")?;
    table.add(&text).with_context(|| format!("adding Kubernetes {version}"))
}

/// Compares the table of the repository with `table`, to which the caller has added all [`VERSIONS`].
///
/// # Errors
/// If the two tables differ, or if the table of the repository cannot be read.
pub fn ensure_equal(table: &Table) -> anyhow::Result<()> {
    let path = table_path();
    let committed = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    ensure!(committed == table.to_string(), "{TABLE} is outdated: run `cargo xtask protobuf`");
    Ok(())
}

/// The absolute path of the table.
fn table_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(TABLE)
}
