//! `KindsWithoutProtobuf`: the kinds for which the server refused Protobuf.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The maximum number of remembered kinds. For further kinds, each request asks for Protobuf again.
const MAX_KINDS: usize = 4096;

/// The kinds for which the server refused Protobuf. Clones share their content.
#[derive(Debug, Clone, Default)]
pub(crate) struct KindsWithoutProtobuf {
    refused: Arc<Mutex<HashSet<String>>>,
}

impl KindsWithoutProtobuf {
    /// Whether the server refused Protobuf for the kind.
    pub(crate) fn contains(&self, kind: &str) -> bool {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).contains(kind)
    }

    /// Adds a kind for which the server refused Protobuf. Has no effect if there are [`MAX_KINDS`] kinds.
    pub(crate) fn add(&self, kind: String) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() < MAX_KINDS {
            refused.insert(kind);
        }
    }
}
