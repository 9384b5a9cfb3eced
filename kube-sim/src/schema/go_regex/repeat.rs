//! Repetitions: their counts, and how often nested ones repeat the innermost part.

/// The most copies of anything that repetitions in each other may ask for.
const MOST: u64 = 1000;

/// The counts of `{2}`, `{2,}` or `{2,5}`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    min: u64,
    /// None is no limit.
    max: Option<u64>,
}

impl Counts {
    pub(super) fn are_in_range(self) -> bool {
        self.min <= MOST && self.max.is_none_or(|max| max <= MOST && self.min <= max)
    }

    /// By how much it multiplies what it repeats; `None` if what it repeats does not occur at all.
    fn factor(self) -> Option<u64> {
        match self.max {
            Some(0) => None,
            Some(max) => Some(max),
            None => Some(self.min.max(1)),
        }
    }
}

/// Reads counts in braces, and returns what follows them; `None` where the brace is a literal.
pub(super) fn parse(text: &str) -> Option<(Counts, &str)> {
    let (min, rest) = number(text.strip_prefix('{')?)?;
    let (max, rest) = match rest.strip_prefix(',') {
        None => (Some(min), rest),
        Some(rest) if rest.starts_with('}') => (None, rest),
        Some(rest) => {
            let (max, rest) = number(rest)?;
            (Some(max), rest)
        }
    };
    Some((Counts { min, max }, rest.strip_prefix('}')?))
}

/// A number without leading zeros; one that is too large counts as out of range.
fn number(text: &str) -> Option<(u64, &str)> {
    let (digits, rest) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    (!digits.is_empty() && !leading_zero).then(|| (digits.parse().unwrap_or(u64::MAX), rest))
}

/// The groups that are open, and how often repetitions copy what is in them.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    outer: Vec<Group>,
    group: Group,
}

#[derive(Debug, Default)]
struct Group {
    /// The most copies that a finished element of the group asks for.
    copies: u64,
    /// Those of the last element; `None` where there is nothing to repeat.
    last: Option<u64>,
}

impl Group {
    fn finish(&mut self) {
        self.copies = self.copies.max(self.last.take().unwrap_or(0));
    }
}

impl Nesting {
    pub(super) fn element(&mut self) {
        self.group.finish();
        self.group.last = Some(1);
    }

    pub(super) fn alternative(&mut self) {
        self.group.finish();
    }

    pub(super) fn open(&mut self) {
        self.outer.push(std::mem::take(&mut self.group));
    }

    /// Ends a group, which becomes an element; `false` if none is open.
    pub(super) fn close(&mut self) -> bool {
        let Some(outer) = self.outer.pop() else { return false };
        self.group.finish();
        let copies = std::mem::replace(&mut self.group, outer).copies.max(1);
        self.group.finish();
        self.group.last = Some(copies);
        true
    }

    pub(super) fn is_open(&self) -> bool {
        !self.outer.is_empty()
    }

    pub(super) fn can_repeat(&self) -> bool {
        self.group.last.is_some()
    }

    /// Repeats the last element; `false` if that makes too many copies.
    pub(super) fn repeat(&mut self, counts: Option<Counts>) -> bool {
        let Some(counts) = counts else { return true };
        let copies = counts.factor().map_or(1, |factor| factor * self.group.last.unwrap_or(1));
        self.group.last = Some(copies);
        copies <= MOST
    }
}
