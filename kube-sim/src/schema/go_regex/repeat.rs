//! Repetition operators: their counts, and the limit on the product of nested counts.

/// The maximum product of nested counts: `(a{10}){100}` is 1000 copies of `a`.
const MAX_COPIES: u64 = 1000;

/// The counts of a repetition such as `{2}`, `{2,}` or `{2,5}`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    min: u64,
    /// `None` if the number of repetitions is unlimited.
    max: Option<u64>,
}

impl Counts {
    pub(super) fn are_in_range(self) -> bool {
        self.min <= MAX_COPIES && self.max.is_none_or(|max| max <= MAX_COPIES && self.min <= max)
    }

    /// The number of copies of the repeated expression; `None` if the maximum is zero.
    fn copy_count(self) -> Option<u64> {
        match self.max {
            Some(0) => None,
            Some(max) => Some(max),
            None => Some(self.min.max(1)),
        }
    }
}

/// Parses counts in braces. Returns the counts and the remaining text; `None` if the brace is a literal.
pub(super) fn parse(text: &str) -> Option<(Counts, &str)> {
    let (min, rest) = parse_number(text.strip_prefix('{')?)?;
    let (max, rest) = match rest.strip_prefix(',') {
        None => (Some(min), rest),
        Some(rest) if rest.starts_with('}') => (None, rest),
        Some(rest) => {
            let (max, rest) = parse_number(rest)?;
            (Some(max), rest)
        }
    };
    Some((Counts { min, max }, rest.strip_prefix('}')?))
}

/// Parses a number without leading zeros. A number that overflows becomes `u64::MAX`, which is out of range.
fn parse_number(text: &str) -> Option<(u64, &str)> {
    let (digits, rest) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    (!digits.is_empty() && !leading_zero).then(|| (digits.parse().unwrap_or(u64::MAX), rest))
}

/// The stack of open groups. Each [`Group`] counts the copies that repetition operators make of its elements.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    /// The groups around `group`, innermost last.
    outer: Vec<Group>,
    /// The innermost open group, or the whole expression.
    group: Group,
}

/// Counts the copies that repetition operators make of the elements of one group, or of the whole
/// expression.
#[derive(Debug, Default)]
struct Group {
    /// The largest number of copies among the elements before the last element.
    copies: u64,
    /// The number of copies of the last element; `None` if there is no element to repeat.
    last: Option<u64>,
}

impl Group {
    /// Ends the last element. If it has more copies than `copies`, sets `copies` to its number of copies.
    fn finish_element(&mut self) {
        self.copies = self.copies.max(self.last.take().unwrap_or(0));
    }
}

impl Nesting {
    pub(super) fn begin_element(&mut self) {
        self.group.finish_element();
        self.group.last = Some(1);
    }

    pub(super) fn begin_alternative(&mut self) {
        self.group.finish_element();
    }

    pub(super) fn open_group(&mut self) {
        self.outer.push(std::mem::take(&mut self.group));
    }

    /// Closes the innermost group, which becomes an element of the enclosing group. Returns `false` if no group is
    /// open.
    pub(super) fn close_group(&mut self) -> bool {
        let Some(outer) = self.outer.pop() else { return false };
        self.group.finish_element();
        let copies = std::mem::replace(&mut self.group, outer).copies.max(1);
        self.group.finish_element();
        self.group.last = Some(copies);
        true
    }

    pub(super) fn has_open_group(&self) -> bool {
        !self.outer.is_empty()
    }

    pub(super) fn can_repeat(&self) -> bool {
        self.group.last.is_some()
    }

    /// Applies a repetition to the last element. Returns `false` if the element then has more than [`MAX_COPIES`] copies.
    pub(super) fn repeat_last_element(&mut self, counts: Option<Counts>) -> bool {
        let Some(counts) = counts else { return true };
        let copies = counts.copy_count().map_or(1, |count| count * self.group.last.unwrap_or(1));
        self.group.last = Some(copies);
        copies <= MAX_COPIES
    }
}
