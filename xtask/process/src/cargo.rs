//! Calling cargo from a program that cargo has started. Knows no task.
//!
//! `xtask`, which depends on no package of this workspace, includes this file as a module.

use std::ffi::OsString;
use std::process::Command;

/// Beginnings of the variables that `cargo run` gives to what it runs. A cargo that inherits them takes packages whose
/// build scripts look at them for changed, and builds them anew.
const FROM_CARGO: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];

/// The variables of this process that are from the cargo that has started it, and are not for others.
pub fn inherited() -> Vec<OsString> {
    let names = std::env::vars_os().map(|(name, _)| name);
    names.filter(|name| name.to_str().is_some_and(is_from_cargo)).collect()
}

fn is_from_cargo(name: &str) -> bool {
    FROM_CARGO.iter().any(|start| name.starts_with(start))
}

/// The cargo that has started this process, or the one on the PATH, as a person in a shell would call it.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for name in inherited() {
        command.env_remove(name);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_tells_its_child_is_not_for_others() {
        // This test is such a child.
        assert!(std::env::var_os("CARGO_PKG_NAME").is_some());
        assert!(inherited().contains(&"CARGO_PKG_NAME".into()));
        let removed = |name: &str| cargo().get_envs().any(|(other, value)| other == name && value.is_none());
        assert!(removed("CARGO_PKG_NAME") && removed("CARGO_MANIFEST_DIR"));
        for kept in ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_TERM_COLOR", "PATH"] {
            assert!(!is_from_cargo(kept), "{kept}");
        }
    }
}
