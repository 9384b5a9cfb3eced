//! Handlers of the warnings that API servers send with a response.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// The maximum number of texts that [`WarningHandler::log_once`] remembers.
const MAX_REMEMBERED_TEXTS: usize = 1_000;

/// A warning of an API server, for example about a deprecated API version or an unknown field of an object.
///
/// API servers send a warning in a `Warning` header with the code 299 (RFC 7234, section 5.5; KEP-1693).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// The name of the sender; API servers send `-`.
    pub agent: String,
    /// The text for users. It is not empty.
    pub text: String,
}

impl Warning {
    pub(crate) fn new(agent: String, text: String) -> Self {
        Self { agent, text }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Receives the warnings of API servers: see [`Config::warning_handler`](super::Config::warning_handler).
///
/// The handler runs on the task of the request, before the caller gets the response. It must not block.
///
/// ```
/// use kube_client::config::{Config, WarningHandler};
///
/// let mut config = Config::new("https://10.0.0.1:6443".parse()?);
/// config.warning_handler = WarningHandler::new(|warning| eprintln!("Warning: {warning}"));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct WarningHandler(Arc<dyn Fn(&Warning) + Send + Sync>);

impl WarningHandler {
    /// Creates a handler that calls `handle` with each warning of each response.
    pub fn new(handle: impl Fn(&Warning) + Send + Sync + 'static) -> Self {
        Self(Arc::new(handle))
    }

    /// Creates a handler that logs each text once, as a `tracing` event of the level WARN. This is the default.
    ///
    /// Clones of the handler share the set of logged texts. After 1,000 texts, the handler clears this set to bound the
    /// memory. The handler may then log a text again.
    #[must_use]
    pub fn log_once() -> Self {
        let logged = Mutex::new(HashSet::new());
        Self::new(move |warning| {
            let mut logged = logged.lock().unwrap_or_else(PoisonError::into_inner);
            if logged.len() == MAX_REMEMBERED_TEXTS {
                logged.clear();
            }
            if logged.insert(warning.text.clone()) {
                tracing::warn!(text = warning.text, "the API server sent a warning");
            }
        })
    }

    /// Creates a handler that ignores all warnings.
    #[must_use]
    pub fn ignore() -> Self {
        Self::new(|_| {})
    }

    pub(crate) fn handle(&self, warning: &Warning) {
        (self.0)(warning);
    }
}

impl fmt::Debug for WarningHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WarningHandler")
    }
}
