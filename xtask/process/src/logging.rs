//! What the libraries tell through `tracing`, on stderr, as `RUST_LOG` asks for it. Silent by default.

use tracing_subscriber::EnvFilter;

/// Begins to listen. Without `RUST_LOG` only errors are told.
pub fn init() {
    let filter = EnvFilter::from_default_env();
    // Fails where someone listens already, who is as good.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}
