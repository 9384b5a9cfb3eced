//! Writes `tracing` events to stderr, filtered by `RUST_LOG`. Without `RUST_LOG`, writes only errors.

use tracing_subscriber::EnvFilter;

/// Installs the global `tracing` subscriber, unless one is already installed.
pub fn init() {
    let filter = EnvFilter::from_default_env();
    // This fails if a global subscriber is already installed. That subscriber then remains in use.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}
