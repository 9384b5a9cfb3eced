//! Sets of completion indexes, in the text form of a job's status: `1,3-5,7`.

use std::collections::BTreeSet;
use std::fmt;

/// A set of completion indexes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes(BTreeSet<u32>);

/// Parsing ignores indexes and ranges that reach this index. A client can write any range to a status, and a huge range
/// would exhaust the memory.
const MAX_INDEX: u32 = 1_000_000;

impl Indexes {
    /// Parses the text of a status. Ignores parts that are neither a number nor a range, or that reach [`MAX_INDEX`].
    pub(super) fn parse(text: &str) -> Self {
        let mut all = BTreeSet::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>())
                && last < MAX_INDEX
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
                // As in Kubernetes, two neighbours are no range.
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
    fn indexes_are_written_as_ranges() {
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
