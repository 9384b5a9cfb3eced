//! A sample load.

pub(crate) mod objects;
