//! `MissingFieldsDetector`: decides whether a Rust type lacks many of the fields that its objects have on
//! the server. For such a type, a compact store keeps the JSON that the type serializes, not the server's
//! text: the server's text contains fields that the program cannot read.

use std::sync::{Mutex, OnceLock, PoisonError};

/// The number of objects whose sizes are compared.
const SAMPLE_COUNT: u32 = 16;

/// The sizes of the first objects.
#[derive(Debug, Default)]
struct ObjectSizes {
    objects: u32,
    /// The total size of the objects in bytes, in the JSON from the server.
    received: usize,
    /// The total size of the same objects in bytes, as the type serializes them.
    own: usize,
}

/// Decides from the sizes of the first [`SAMPLE_COUNT`] objects whether the type lacks many fields. Stores
/// these sizes, and the decision once it is made.
#[derive(Debug, Default)]
pub(super) struct MissingFieldsDetector {
    sizes: Mutex<ObjectSizes>,
    lacks_fields: OnceLock<bool>,
}

impl MissingFieldsDetector {
    /// Whether the type may lack many fields of the server's objects. True until the decision is made. After
    /// the decision, the same as [`lacks_fields`](Self::lacks_fields).
    pub(super) fn may_lack_fields(&self) -> bool {
        self.lacks_fields.get().copied().unwrap_or(true)
    }

    /// Whether the type lacks many fields of the server's objects: the JSON of the type takes less than three quarters of
    /// the bytes of the server's texts. False until the decision is made.
    pub(super) fn lacks_fields(&self) -> bool {
        self.lacks_fields.get().copied().unwrap_or_default()
    }

    /// Records the sizes of one object.
    pub(super) fn record_sizes(&self, received: usize, own: usize) {
        if self.lacks_fields.get().is_some() {
            return;
        }
        let mut sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.objects += 1;
        sizes.received = sizes.received.saturating_add(received);
        sizes.own = sizes.own.saturating_add(own);
        if sizes.objects >= SAMPLE_COUNT {
            let _ = self.lacks_fields.set(sizes.own / 3 < sizes.received / 4);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_objects_decide_whether_the_type_lacks_fields() {
        for (own, expected) in [(100, false), (80, false), (70, true), (5, true)] {
            let fields = MissingFieldsDetector::default();
            for _ in 0..SAMPLE_COUNT {
                assert!(fields.may_lack_fields() && !fields.lacks_fields());
                fields.record_sizes(100, own);
            }
            // Later objects do not change the decision.
            fields.record_sizes(1, 1_000_000);
            assert_eq!((fields.may_lack_fields(), fields.lacks_fields()), (expected, expected), "{own}");
        }
    }
}
