//! An empty crate: `cargo xtask bench build` measures the build of the crate's dependencies.
