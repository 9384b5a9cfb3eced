//! The error for types without a structural schema.

use std::fmt;

/// The schema is less strict than the Rust type, because a part of the type has no structural schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError {
    problems: Vec<SchemaProblem>,
}

impl SchemaError {
    /// `Ok` if there is no problem.
    pub(crate) fn from_problems(problems: Vec<SchemaProblem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }

    /// Each node that has no structural schema, in the order of the fields.
    pub fn problems(&self) -> &[SchemaProblem] {
        &self.problems
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the schema is less strict than the Rust type")?;
        for (index, problem) in self.problems.iter().enumerate() {
            f.write_str(if index == 0 { ": " } else { "; " })?;
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for SchemaError {}

/// A node that has no structural schema.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaProblem {
    /// The path of the node, such as `.spec.rules[*].to`; empty for the root.
    pub path: String,
    /// The problem.
    pub what: String,
    /// How to fix it.
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
