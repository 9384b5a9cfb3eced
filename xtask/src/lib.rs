//! `cargo xtask`: checks the rules of the repository, runs the tests, and starts the task packages below this folder.
//!
//! `xtask` depends on no crate of the workspace, so that the rules are checked within seconds, even while a crate does
//! not compile.

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
