//! `FormatMemory`: the kinds for which the server refused Protobuf.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The maximum number of remembered kinds. For further kinds, each request asks for Protobuf again.
const MAX_KINDS: usize = 4096;

/// The kinds for which the server refused Protobuf. Clones share their content.
#[derive(Debug, Clone, Default)]
pub(crate) struct FormatMemory {
    refused: Arc<Mutex<HashSet<String>>>,
}

impl FormatMemory {
    /// Whether the server refused Protobuf for the kind.
    pub(crate) fn is_protobuf_refused(&self, kind: &str) -> bool {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).contains(kind)
    }

    /// Remembers that the server refused Protobuf for the kind.
    pub(crate) fn remember_refusal(&self, kind: String) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() < MAX_KINDS {
            refused.insert(kind);
        }
    }
}
