//! A set of completion indexes, and its text form in the status of a job: `1,3-5,7`.

use std::collections::BTreeSet;
use std::fmt;

/// A set of completion indexes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes(BTreeSet<u32>);

/// Parsing ignores an index at or above this limit, and a range that ends at or above it. A client can write
/// any range to a status, and a huge range would exhaust the memory.
const INDEX_LIMIT: u32 = 1_000_000;

impl Indexes {
    /// Parses the value of `completedIndexes` or `failedIndexes`. Ignores invalid parts, and parts that
    /// end at or above [`INDEX_LIMIT`].
    pub(super) fn parse(text: &str) -> Self {
        let mut all = BTreeSet::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>())
                && last < INDEX_LIMIT
            {
                all.extend(first..=last);
            }
        }
        Self(all)
    }

    pub(super) fn insert(&mut self, index: u32) {
        self.0.insert(index);
    }

    pub(super) fn contains(&self, index: u32) -> bool {
        self.0.contains(&index)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for &index in &self.0 {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == index => *last = index,
                _ => ranges.push((index, index)),
            }
        }
        for (at, (first, last)) in ranges.into_iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                // As in Kubernetes, two consecutive indexes are not written as a range.
                1 => write!(f, "{comma}{first},{last}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Indexes;

    #[test]
    fn at_least_three_consecutive_indexes_are_written_as_a_range() {
        let mut indexes = Indexes::parse("1,3-5,x,9-8");
        indexes.insert(6);
        indexes.insert(8);
        indexes.insert(9);
        assert_eq!(indexes.to_string(), "1,3-6,8,9");
        assert!(indexes.contains(4) && !indexes.contains(2));
        assert_eq!(indexes.len(), 7);
        assert_eq!(Indexes::parse("").to_string(), "");
    }
}
