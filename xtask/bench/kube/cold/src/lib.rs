//! Nothing: what `cargo xtask bench build` builds is what this depends on.
