//! Writes `tracing` events to stderr, filtered by `RUST_LOG`; errors only by default.

use tracing_subscriber::EnvFilter;

/// Installs the global subscriber. Without `RUST_LOG` it writes errors only.
pub fn init() {
    let filter = EnvFilter::from_default_env();
    // Fails if a global subscriber is already installed, which then remains in use.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}
