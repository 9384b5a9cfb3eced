//! The tasks that are packages of their own. Builds and starts them; their arguments are not ours to read.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;

use crate::cargo::cargo;

/// The subcommands, and the package that each runs.
const PACKAGES: [(&str, &str); 6] = [
    ("bench", "xtask-bench"),
    ("cluster", "xtask-control-plane"),
    ("demo", "xtask-demo"),
    ("e2e", "xtask-e2e"),
    ("record", "xtask-record"),
    ("sim", "xtask-sim"),
];

/// The package that runs a subcommand, if it is not this one.
pub fn of(subcommand: &OsStr) -> Option<&'static str> {
    PACKAGES.iter().find(|(name, _)| subcommand == *name).map(|(_, package)| *package)
}

/// Becomes `cargo run`, which becomes the package's program: arguments, exit code and signals are the program's own.
///
/// Returns only where cargo cannot be run.
pub fn run(package: &str, arguments: impl IntoIterator<Item = OsString>) -> std::io::Error {
    let mut command = cargo();
    command.args(["run", "--quiet", "--manifest-path"]).arg(crate::root().join("Cargo.toml"));
    command.args(["--package", package, "--"]).args(arguments).exec()
}
