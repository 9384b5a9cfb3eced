//! Parses expressions, and formats the errors in expressions.
//!
//! Only this module and `macros` use the parser of the `cel` crate.

use std::sync::LazyLock;

use cel::Env;
use cel::common::ast::{IdedExpr, SourceInfo};

use super::macros;

/// A parsed expression.
#[derive(Debug)]
pub(super) struct ParsedExpression {
    pub(super) expr: IdedExpr,
    pub(super) source: SourceInfo,
}

/// An error at a position in an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Issue {
    /// The line; the first line is 1.
    pub(super) line: usize,
    /// The column in characters; the first column is 1.
    pub(super) column: usize,
    pub(super) message: String,
}

/// The maximum estimated nesting depth of an expression. The parser, the checker and the evaluator are recursive: a deeper
/// expression could overflow the stack.
const MAX_DEPTH: usize = 250;

/// An estimate of the nesting depth of an expression: the number of nested operators and brackets. `&&` and `||` add no
/// depth, because the parser builds a balanced tree of their operands. The estimate is too low for chains of index
/// operators (`a[0][0]`) and of `in` operators.
fn estimated_depth(text: &str) -> usize {
    let (mut deepest, mut current) = (0, 0);
    // For each open bracket, the depth before the bracket.
    let mut open: Vec<usize> = Vec::new();
    let mut quote = None;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(_), '\\') => {
                characters.next();
            }
            (Some(end), c) => quote = Some(end).filter(|end| *end != c),
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[' | '{') => {
                open.push(current);
                current += 1;
            }
            (None, ')' | ']' | '}') => current = open.pop().unwrap_or(0),
            (None, '&' | '|' | ',') => current = open.last().map_or(0, |depth| depth + 1),
            (None, '+' | '-' | '*' | '/' | '%' | '.' | '<' | '>' | '=' | '!' | '?') => current += 1,
            _ => {}
        }
        deepest = deepest.max(current);
    }
    deepest
}

/// Parses an expression and expands its macros.
///
/// # Errors
/// The expression has syntax errors or is nested too deeply.
pub(super) fn parse(text: &str) -> Result<ParsedExpression, Vec<Issue>> {
    static ENVIRONMENT: LazyLock<Env> = LazyLock::new(macros::environment);
    parse_in(&ENVIRONMENT, text)
}

/// Like [`parse`], but also expands the macro `cel.bind`.
///
/// # Errors
/// The expression has syntax errors or is nested too deeply.
pub(super) fn parse_with_bind_macro(text: &str) -> Result<ParsedExpression, Vec<Issue>> {
    static ENVIRONMENT: LazyLock<Env> = LazyLock::new(macros::environment_with_bind_macro);
    parse_in(&ENVIRONMENT, text)
}

fn parse_in(environment: &Env, text: &str) -> Result<ParsedExpression, Vec<Issue>> {
    if estimated_depth(text) > MAX_DEPTH {
        let message = format!("expression recursion limit exceeded: {MAX_DEPTH}");
        return Err(vec![Issue { line: 1, column: 1, message }]);
    }
    match environment.parser().parse_with_source_info(text) {
        Ok((expr, source)) => Ok(ParsedExpression { expr, source }),
        Err(errors) => Err(errors
            .errors
            .into_iter()
            .map(|error| Issue {
                line: usize::try_from(error.pos.0).unwrap_or(1),
                column: usize::try_from(error.pos.1).unwrap_or(1),
                message: error.msg,
            })
            .collect()),
    }
}

impl ParsedExpression {
    /// Creates an error at the position of the AST node `id`.
    pub(super) fn issue_at(&self, id: u64, message: String) -> Issue {
        let offset = self.source.offset_for(id).map_or(0, |(start, _)| start as usize);
        // The offset is in bytes, but `column` is in characters.
        let before = self.source.source.get(..offset).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |index| index + 1);
        Issue {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message,
        }
    }
}

/// Formats the errors in an expression as the API server does: sorted by position, each with the line of the expression
/// and a mark below the column.
pub(super) fn format_issues(text: &str, issues: &[Issue]) -> String {
    /// The maximum length of a line that is included in an error, in bytes.
    const MAX_LINE_LENGTH: usize = 16384;
    const MAX_ISSUES: usize = 100;
    let mut sorted: Vec<&Issue> = issues.iter().collect();
    sorted.sort_by_key(|issue| (issue.line, issue.column));
    let mut out: Vec<String> = Vec::new();
    for issue in sorted.iter().take(MAX_ISSUES) {
        let mut one = format!("ERROR: <input>:{}:{}: {}", issue.line, issue.column, issue.message);
        // The parser reports some errors without a position: line 0 and column 0.
        let line = issue.line.checked_sub(1).and_then(|index| text.split('\n').nth(index));
        if let Some(line) = line.filter(|line| line.len() <= MAX_LINE_LENGTH) {
            let line = line.replace('\t', " ");
            let mut characters = line.chars();
            let before = characters.by_ref().take(issue.column.saturating_sub(1));
            let dots: String = before.map(|c| if c.len_utf8() > 1 { '\u{ff0e}' } else { '.' }).collect();
            let mark = if characters.next().is_some_and(|c| c.len_utf8() > 1) { '\u{ff3e}' } else { '^' };
            one = format!("{one}\n | {line}\n | {dots}{mark}");
        }
        out.push(one);
    }
    if issues.len() > MAX_ISSUES {
        out.push(format!("{} more errors were truncated", issues.len() - MAX_ISSUES));
    }
    out.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issue_without_a_position_has_no_excerpt() {
        let issue = Issue { line: 0, column: 0, message: "x".into() };
        assert_eq!(format_issues("a", &[issue]), "ERROR: <input>:0:0: x");
    }
}
