//! `cargo xtask`: checks the rules of the repository, runs the tests, and starts the packages of the other subcommands.
//!
//! `xtask` depends on no other package of the workspace. Therefore it checks the rules within seconds, even if another
//! package does not compile.

use std::path::Path;

#[path = "../process/src/cargo.rs"]
pub mod cargo;
pub mod package;
pub mod test;
pub mod tidy;

/// The root folder of this workspace.
pub fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}
