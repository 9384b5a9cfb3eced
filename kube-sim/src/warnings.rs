//! The texts of the `Warning` headers of a response.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Maximum number of `Warning` headers of a response.
pub(crate) const MAX_WARNINGS: usize = 50;

/// The texts of the `Warning` headers of a response, each once and at most [`MAX_WARNINGS`]. The response has these
/// headers even if the request fails.
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

    /// Returns an empty buffer for further texts. Dropping the buffer adds its texts to `self`.
    pub(crate) fn new_buffer(&self) -> WarningBuffer<'_> {
        WarningBuffer { all: self, texts: Vec::new() }
    }

    /// The texts in the order in which they were added.
    pub(crate) fn into_texts(self) -> Vec<String> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The warning texts of one step of a request. The step can remove texts again, for example if it repeats an attempt.
/// Dropping the buffer adds its texts to the response, whether the step succeeds or fails.
#[derive(Debug)]
pub(crate) struct WarningBuffer<'a> {
    all: &'a Warnings,
    texts: Vec<String>,
}

impl Deref for WarningBuffer<'_> {
    type Target = Vec<String>;

    fn deref(&self) -> &Vec<String> {
        &self.texts
    }
}

impl DerefMut for WarningBuffer<'_> {
    fn deref_mut(&mut self) -> &mut Vec<String> {
        &mut self.texts
    }
}

impl Drop for WarningBuffer<'_> {
    fn drop(&mut self) {
        self.all.add(std::mem::take(&mut self.texts));
    }
}
