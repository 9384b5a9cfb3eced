//! What a schema could not say, where, and what to do about it.

use std::fmt;

/// Some Rust types have no structural schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError {
    problems: Vec<SchemaProblem>,
}

impl SchemaError {
    /// `Ok` if there is no problem.
    pub(crate) fn from_problems(problems: Vec<SchemaProblem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }

    /// Every place that has no structural schema, in the order of the fields.
    pub fn problems(&self) -> &[SchemaProblem] {
        &self.problems
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the schema does not say everything")?;
        for (index, problem) in self.problems.iter().enumerate() {
            f.write_str(if index == 0 { ": " } else { "; " })?;
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for SchemaError {}

/// One place that has no structural schema.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaProblem {
    /// Where, as in `.spec.rules[*].to`; empty for the root.
    pub path: String,
    /// What cannot be said.
    pub what: String,
    /// What to do about it.
    pub advice: &'static str,
}

impl SchemaProblem {
    pub(crate) fn new(path: impl Into<String>, what: impl Into<String>, advice: &'static str) -> Self {
        Self { path: path.into(), what: what.into(), advice }
    }
}

impl fmt::Display for SchemaProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the root" } else { &self.path };
        write!(f, "{path}: {} ({})", self.what, self.advice)
    }
}
