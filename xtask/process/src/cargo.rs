//! Starts cargo from a program that was itself started by cargo.
//!
//! `xtask` must not depend on a package of this workspace, and includes this file as a module instead.

use std::ffi::OsString;
use std::process::Command;

/// Prefixes of the variables that `cargo run` sets for its program. If another cargo inherits such a variable, it
/// rebuilds the packages whose build scripts read the variable.
const CARGO_PREFIXES: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];

/// The names of the environment variables that cargo has set only for this process. A child process must not inherit
/// these variables.
pub fn variables_from_cargo() -> Vec<OsString> {
    let names = std::env::vars_os().map(|(name, _)| name);
    names.filter(|name| name.to_str().is_some_and(is_from_cargo)).collect()
}

/// Whether the name begins with one of the [`CARGO_PREFIXES`].
fn is_from_cargo(name: &str) -> bool {
    CARGO_PREFIXES.iter().any(|start| name.starts_with(start))
}

/// A command that runs cargo without the variables of [`variables_from_cargo`]. The program is the cargo that started
/// this process, else `cargo` on the PATH.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for name in variables_from_cargo() {
        command.env_remove(name);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_removes_the_variables_that_cargo_sets_for_its_child() {
        // `cargo test` started this process.
        assert!(std::env::var_os("CARGO_PKG_NAME").is_some());
        assert!(variables_from_cargo().contains(&"CARGO_PKG_NAME".into()));
        let removed = |name: &str| cargo().get_envs().any(|(other, value)| other == name && value.is_none());
        assert!(removed("CARGO_PKG_NAME") && removed("CARGO_MANIFEST_DIR"));
        for kept in ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_TERM_COLOR", "PATH"] {
            assert!(!is_from_cargo(kept), "{kept}");
        }
    }
}
