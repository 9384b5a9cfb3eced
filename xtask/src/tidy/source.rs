//! What every Rust file keeps to by itself: it says what it owns, hides no test, and does not give up without a reason.

use super::tokens::{Token, attribute, tokens, without_tests};
use super::{Finding, Repository};

/// A file of more lines is told, one of more than the second number is refused; tests and data are exempt.
const LONG: usize = 500;
const TOO_LONG: usize = 800;

/// Writes code that never runs, since it stands beside a compile error.
const NEVER_RUNS: &str = "kube-derive/src/fallback.rs";

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    repository.ending(".rs").flat_map(|(path, text)| check_file(path, text)).collect()
}

fn check_file(path: &str, text: &str) -> Vec<Finding> {
    // What a compiler is expected to refuse.
    if path.contains("/tests/ui/") {
        return Vec::new();
    }
    let all = match tokens(text) {
        Ok(all) => all,
        Err((line, error)) => return vec![Finding::new(path, line, "lex", format!("{error}: is it Rust?"))],
    };
    let mut findings = Vec::new();
    findings.extend(opening(path, &all));
    findings.extend(length(path, text));
    findings.extend(doc_blocks(path, &all));
    findings.extend(ignored(path, &all));
    findings.extend(unfinished(path, &all));
    if !is_test_file(path) && path != NEVER_RUNS {
        findings.extend(surrender(path, &without_tests(&all).0));
    }
    findings
}

fn is_test_file(path: &str) -> bool {
    let parts: Vec<_> = path.split('/').collect();
    parts.iter().any(|part| matches!(*part, "tests" | "benches")) || path.ends_with("/tests.rs")
}

/// The file says first what it owns.
fn opening(path: &str, tokens: &[Token]) -> Option<Finding> {
    let mut index = 0;
    while let Some((content, end)) = attribute(tokens, index).filter(|_| tokens[index + 1].is('!')) {
        if content.iter().any(|token| token.name() == Some("doc")) {
            return None;
        }
        index = end;
    }
    let text = "it does not begin with `//!`: say what the file owns, and what it must not do";
    Some(Finding::new(path, 1, "opening", text))
}

fn length(path: &str, text: &str) -> Option<Finding> {
    let lines = text.lines().count();
    if lines <= LONG || is_test_file(path) || path.contains("/data/") {
        return None;
    }
    let text =
        format!("{lines} lines are more than {LONG}: it usually holds two things, split it by meaning");
    let finding = Finding::new(path, lines, "length", text);
    Some(if lines > TOO_LONG { finding } else { finding.warning() })
}

/// Examples in documentation run.
fn doc_blocks(path: &str, tokens: &[Token]) -> Vec<Finding> {
    let attributes = (0..tokens.len()).filter_map(|index| attribute(tokens, index));
    let docs = attributes.filter_map(|(content, _)| match content {
        [doc, _, text] if doc.name() == Some("doc") => Some((text.literal()?, text.line)),
        _ => None,
    });
    docs.flat_map(|(literal, line)| {
        let text = literal.trim_start_matches(['r', '#', '"']).trim_end_matches(['#', '"']);
        // The text of a block comment is one literal with all its lines.
        let lines = text.split("\\n").flat_map(str::lines).enumerate();
        lines
            .filter_map(move |(offset, text)| not_run(text).map(|word| (line + offset, word)))
            .collect::<Vec<_>>()
    })
    .map(|(line, word)| Finding::new(path, line, "doc-test", not_run_advice(word)))
    .collect()
}

/// The word by which the first line of a block says that it does not run.
pub(super) fn not_run(line: &str) -> Option<&str> {
    let info = line.trim().strip_prefix("```")?;
    info.split([',', ' ']).find(|word| matches!(*word, "ignore" | "no_run") || word.starts_with("ignore-"))
}

pub(super) fn not_run_advice(word: &str) -> String {
    format!("`{word}`: make the example run (against kube-sim if it needs a server), or mark it as `text`")
}

fn ignored(path: &str, tokens: &[Token]) -> Vec<Finding> {
    let attributes = (0..tokens.len()).filter_map(|index| attribute(tokens, index));
    let ignoring = attributes.filter(|(content, _)| {
        let first = content.first().and_then(Token::name);
        let conditional =
            first == Some("cfg_attr") && content.iter().rev().find_map(Token::name) == Some("ignore");
        first == Some("ignore") || conditional
    });
    let text =
        "an ignored test tests nothing: make it run everywhere, or skip it at run time with a printed reason";
    ignoring.map(|(content, _)| Finding::new(path, content[0].line, "ignored-test", text)).collect()
}

/// The calls of these macros, with what stands in their parentheses.
fn calls<'a>(tokens: &'a [Token], names: &'a [&str]) -> impl Iterator<Item = (&'a str, &'a [Token])> {
    tokens.windows(3).enumerate().filter_map(move |(index, window)| {
        let name = window[0].name().filter(|name| names.contains(name))?;
        let open = matches!(window[2].kind, super::tokens::Kind::Open(_));
        (window[1].is('!') && open).then(|| (name, &tokens[index..]))
    })
}

fn unfinished(path: &str, tokens: &[Token]) -> Vec<Finding> {
    calls(tokens, &["todo", "unimplemented", "dbg"])
        .map(|(name, call)| {
            let text = format!("`{name}!` is for work in progress: finish it, or take it out");
            Finding::new(path, call[0].line, "unfinished", text)
        })
        .collect()
}

/// Outside of tests nothing panics but where an invariant is named.
fn surrender(path: &str, tokens: &[Token]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, window) in tokens.windows(4).enumerate() {
        let [dot, name, open, argument] = window else { continue };
        if !dot.is('.') || !open.is('(') {
            continue;
        }
        let text = match name.name() {
            Some("unwrap" | "unwrap_err") if argument.is(')') => {
                "`unwrap` does not say why it cannot fail: return the error, or use `expect` and name the invariant"
            }
            Some("expect" | "expect_err") if !names_invariant(&tokens[index + 3..]) => {
                "`expect` has to name, in words, the invariant that makes it safe"
            }
            _ => continue,
        };
        findings.push(Finding::new(path, name.line, "panic", text));
    }
    for (name, call) in calls(tokens, &["panic", "unreachable"]) {
        if !names_invariant(&call[3..]) {
            let text =
                format!("`{name}!` has to name, in words, the invariant that was broken; or return an error");
            findings.push(Finding::new(path, call[0].line, "panic", text));
        }
    }
    findings
}

/// Whether these arguments begin with a text of several words, or are no text at all (a parser's own `expect`, say).
fn names_invariant(arguments: &[Token]) -> bool {
    match arguments.first() {
        Some(token) if token.is(')') => false,
        Some(token) => {
            token.literal().is_none_or(|text| !text.contains('"') || text.split_whitespace().nth(1).is_some())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, text: &str, expected: &[&str]) {
        let findings: Vec<_> = check_file(path, text).iter().map(ToString::to_string).collect();
        assert_eq!(findings.len(), expected.len(), "{text}: {findings:#?}");
        for (finding, expected) in findings.iter().zip(expected) {
            assert!(finding.starts_with(expected), "{finding}");
        }
    }

    #[test]
    fn a_file_opens_with_what_it_owns() {
        check("a.rs", "// A comment.\n#![forbid(x)]\n//! Text.\nfn f() {}", &[]);
        check("a.rs", "#![doc = include_str!(\"../README.md\")]\nfn f() {}", &[]);
        check("a.rs", "/// Text.\nfn f() {}", &["a.rs:1: opening"]);
        check("a.rs", "fn f() { let x = 1; }", &["a.rs:1: opening"]);
    }

    #[test]
    fn long_files_are_told_and_longer_ones_refused() {
        let file = |lines: usize| format!("//! Text.{}", "\n".repeat(lines));
        check("a.rs", &file(LONG - 1), &[]);
        check("a.rs", &file(LONG + 1), &["a.rs:501: warning: length"]);
        check("a.rs", &file(TOO_LONG + 1), &["a.rs:801: length"]);
        check("x/tests/a.rs", &file(TOO_LONG + 1), &[]);
    }

    #[test]
    fn examples_have_to_run() {
        check("a.rs", "//! Text.\n//! ```ignore\n//! ```\n", &["a.rs:2: doc-test"]);
        check("a.rs", "//! Text.\n/// ```rust,no_run\n/// ```\nfn f() {}", &["a.rs:2: doc-test"]);
        check("a.rs", "//! Text.\n/// ```text\n/// ```\n// ```ignore\nfn f() {}", &[]);
        check("a.rs", "//! Text.\n/** a\n```ignore\n*/\nfn f() {}", &["a.rs:3: doc-test"]);
    }

    #[test]
    fn tests_are_not_ignored() {
        check("a.rs", "//! T.\n#[test]\n#[ignore]\nfn f() {}", &["a.rs:3: ignored-test"]);
        check("a.rs", "//! T.\n#[test] #[ignore = \"slow\"] fn f() {}", &["a.rs:2: ignored-test"]);
        check("a.rs", "//! T.\n#[cfg_attr(unix, ignore)] fn f() {}", &["a.rs:2: ignored-test"]);
    }

    #[test]
    fn nothing_is_left_unfinished() {
        check("a.rs", "//! T.\nfn f() { todo!() }", &["a.rs:2: unfinished"]);
        check("a.rs", "//! T.\nfn f() { unimplemented!(\"x\") }", &["a.rs:2: unfinished"]);
        check("x/tests/a.rs", "//! T.\nfn f() { dbg!(1); }", &["x/tests/a.rs:2: unfinished"]);
        check("a.rs", "//! T.\nfn f() { g(\"todo!()\") } // todo!()", &[]);
    }

    #[test]
    fn panics_name_their_invariant() {
        check("a.rs", "//! T.\nfn f() { x.unwrap() }", &["a.rs:2: panic"]);
        check("a.rs", "//! T.\nfn f() { x.expect(\"failed\") }", &["a.rs:2: panic"]);
        check("a.rs", "//! T.\nfn f() { panic!() }", &["a.rs:2: panic"]);
        check("a.rs", "//! T.\nfn f() { unreachable!(\"x\") }", &["a.rs:2: panic"]);
        check("a.rs", "//! T.\nfn f() { x.expect(\"the list is never empty\"); x.unwrap_or(1); }", &[]);
        check("a.rs", "//! T.\nfn f() { lexer.expect(Kind::Comma)?; lexer.expect(b','); }", &[]);
        check("a.rs", "//! T.\n#[cfg(test)] mod tests { fn f() { x.unwrap() } }", &[]);
        check("x/tests/a.rs", "//! T.\nfn f() { x.unwrap() }", &[]);
    }

    #[test]
    fn what_does_not_lex_is_told() {
        check("a.rs", "//! T.\nfn f() { \"x }", &["a.rs:"]);
    }
}
