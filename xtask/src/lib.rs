//! What the tasks of `cargo xtask` are made of. `main.rs` only lists them.

pub mod test;
pub mod tidy;
