//! Empty: `cargo xtask bench build` measures the build of its dependencies.
