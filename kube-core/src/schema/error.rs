//! `SchemaError`: the problems of a generated schema, with paths and advice.

use std::fmt;

/// The error for a generated schema that is less strict than the Rust type, or that the server would reject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError {
    problems: Vec<SchemaProblem>,
}

impl SchemaError {
    /// Returns an error with these problems; `Ok` if there are none.
    pub(crate) fn result_from_problems(problems: Vec<SchemaProblem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }

    /// The problems, each with its path.
    pub fn problems(&self) -> &[SchemaProblem] {
        &self.problems
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the schema is incomplete or invalid")?;
        for (index, problem) in self.problems.iter().enumerate() {
            f.write_str(if index == 0 { ": " } else { "; " })?;
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for SchemaError {}

/// A problem of a schema or of one of its subschemas.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaProblem {
    /// The path of the subschema, such as `.spec.rules[*].to`; empty for the root.
    pub path: String,
    /// A description of the problem.
    pub what: String,
    /// Advice on a fix.
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
