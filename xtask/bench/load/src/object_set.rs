//! `ObjectSet`: the serialised objects of one kind, as the content of a list's `items`.

use std::ops::Range;

/// The JSON of all objects in one buffer, separated by commas, so that any range is the content of a list's `items`.
#[derive(Debug, Default)]
pub(crate) struct ObjectSet {
    bytes: Vec<u8>,
    /// The end offset of each object.
    ends: Vec<usize>,
}

impl ObjectSet {
    /// Adds one object: `write` appends its JSON to the buffer.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.ends.is_empty() {
            self.bytes.push(b',');
        }
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// The number of objects.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The JSON of one object.
    pub(crate) fn item(&self, index: usize) -> &[u8] {
        self.span(index..index + 1)
    }

    /// The JSON of the objects in a range, separated by commas; the range is clamped to the number of objects.
    pub(crate) fn span(&self, range: Range<usize>) -> &[u8] {
        let end = range.end.min(self.len());
        if range.start >= end {
            return &[];
        }
        let start = if range.start == 0 { 0 } else { self.ends[range.start - 1] + 1 };
        &self.bytes[start..self.ends[end - 1]]
    }

    /// The total size in bytes.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_ranges_and_single_items() {
        let mut set = ObjectSet::default();
        for text in ["1", "22", "333"] {
            set.push(|out| out.extend_from_slice(text.as_bytes()));
        }
        assert_eq!(set.span(0..9), b"1,22,333");
        assert_eq!(set.span(1..2), b"22");
        assert_eq!(set.item(2), b"333");
        assert!(set.span(3..4).is_empty());
    }
}
