//! `Finding`: one thing that breaks a rule, in the form that editors can jump to.

use std::fmt;

/// Whether a finding fails the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// It has to be mended.
    Error,
    /// It is only told.
    Warning,
}

/// Something that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The file, relative to the repository's root.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The rule's name.
    pub rule: &'static str,
    /// What is wrong, and what to do about it.
    pub text: String,
    /// Whether it fails the check.
    pub weight: Weight,
}

impl Finding {
    pub(super) fn new(file: &str, line: usize, rule: &'static str, text: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: line.max(1), rule, text: text.into(), weight: Weight::Error }
    }

    pub(super) fn warning(mut self) -> Self {
        self.weight = Weight::Warning;
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = match self.weight {
            Weight::Error => "",
            Weight::Warning => "warning: ",
        };
        write!(f, "{}:{}: {weight}{}: {}", self.file, self.line, self.rule, self.text)
    }
}
