//! Runs the subcommands that separate packages implement: finds the package of a subcommand, and lets cargo build and
//! start the package. This module must not parse the arguments of the subcommand.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;

use crate::cargo::cargo;

/// The subcommands that separate packages implement, each with the name of the package.
const PACKAGES: [(&str, &str); 10] = [
    ("bench", "xtask-bench"),
    ("cluster", "xtask-control-plane"),
    ("conformance", "xtask-conformance"),
    ("demo", "xtask-demo"),
    ("e2e", "xtask-e2e"),
    ("envtest", "xtask-envtest"),
    ("kubectl", "xtask-kubectl"),
    ("protobuf", "xtask-protobuf"),
    ("record", "xtask-record"),
    ("sim", "xtask-sim"),
];

/// The package that implements a subcommand; `None` for `test`, `tidy` and unknown subcommands.
pub fn find(subcommand: &OsStr) -> Option<&'static str> {
    PACKAGES.iter().find(|(name, _)| subcommand == *name).map(|(_, package)| *package)
}

/// Replaces this process with `cargo run`, which replaces itself with the package's program. Therefore the exit code is
/// that of the program, and the program receives signals directly.
///
/// Returns only if cargo cannot be executed.
pub fn exec(package: &str, arguments: impl IntoIterator<Item = OsString>) -> std::io::Error {
    let mut command = cargo();
    command.args(["run", "--quiet", "--manifest-path"]).arg(crate::root().join("Cargo.toml"));
    command.args(["--package", package, "--"]).args(arguments).exec()
}
