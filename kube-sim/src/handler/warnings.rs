//! The texts of the `Warning` headers of a request.

use std::sync::{Mutex, PoisonError};

/// Maximum number of `Warning` headers of a response.
pub(crate) const MAX_WARNINGS: usize = 50;

/// The texts of the `Warning` headers of a request, each once and at most [`MAX_WARNINGS`]. The response has them even if the request fails.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Mutex<Vec<String>>);

impl Warnings {
    pub(crate) fn add(&self, texts: impl IntoIterator<Item = String>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for text in texts {
            if all.len() < MAX_WARNINGS && !all.contains(&text) {
                all.push(text);
            }
        }
    }

    /// The texts in the order in which they were added.
    pub(crate) fn into_texts(self) -> Vec<String> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
