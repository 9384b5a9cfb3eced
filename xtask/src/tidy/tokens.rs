//! Rust source as a flat row of tokens: what of it is a test, and which paths it names. Knows no rule.
//!
//! Tokens rather than syntax: what stands inside a macro's parentheses is seen as well, and comments and strings are
//! never taken for code.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A token, and the line that it stands in, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Name(String),
    Sign(char),
    Open(char),
    Close(char),
    /// A number or text, as it is written.
    Literal(String),
}

impl Token {
    pub(super) fn is(&self, sign: char) -> bool {
        matches!(&self.kind, Kind::Sign(c) | Kind::Open(c) | Kind::Close(c) if *c == sign)
    }

    pub(super) fn name(&self) -> Option<&str> {
        if let Kind::Name(name) = &self.kind { Some(name) } else { None }
    }

    pub(super) fn literal(&self) -> Option<&str> {
        if let Kind::Literal(text) = &self.kind { Some(text) } else { None }
    }
}

/// The tokens of a file.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, (usize, String)> {
    let stream: TokenStream = text
        .parse()
        .map_err(|error: proc_macro2::LexError| (error.span().start().line, error.to_string()))?;
    let mut flat = Vec::new();
    flatten(stream, &mut flat);
    Ok(flat)
}

fn flatten(stream: TokenStream, flat: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Ident(name) => flat.push(Token { kind: Kind::Name(name.to_string()), line }),
            TokenTree::Punct(sign) => flat.push(Token { kind: Kind::Sign(sign.as_char()), line }),
            TokenTree::Literal(literal) => {
                flat.push(Token { kind: Kind::Literal(literal.to_string()), line });
            }
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ('(', ')'),
                    Delimiter::Brace => ('{', '}'),
                    Delimiter::Bracket => ('[', ']'),
                    Delimiter::None => {
                        flatten(group.stream(), flat);
                        continue;
                    }
                };
                flat.push(Token { kind: Kind::Open(open), line });
                flatten(group.stream(), flat);
                flat.push(Token { kind: Kind::Close(close), line: group.span_close().start().line });
            }
        }
    }
}

/// The index behind the bracket that closes the one at `open`.
fn behind(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Open(_) => depth += 1,
            Kind::Close(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}

/// The outer or inner attribute that begins at `index`: its content, and the index behind it.
pub(super) fn attribute(tokens: &[Token], index: usize) -> Option<(&[Token], usize)> {
    let sign = tokens.get(index).is_some_and(|token| token.is('#'));
    let inner = usize::from(tokens.get(index + 1).is_some_and(|token| token.is('!')));
    let open = index + 1 + inner;
    if !sign || !tokens.get(open)?.is('[') {
        return None;
    }
    let end = behind(tokens, open);
    Some((tokens.get(open + 1..end - 1)?, end))
}

/// A file's tokens without those of its tests, and the modules in files of their own that are tests.
pub(super) fn without_tests(tokens: &[Token]) -> (Vec<Token>, BTreeSet<String>) {
    let (mut kept, mut modules) = (Vec::new(), BTreeSet::new());
    let mut index = 0;
    while index < tokens.len() {
        match attribute(tokens, index) {
            Some((content, end)) if is_test(content) && !tokens[index + 1].is('!') => {
                let begin = behind_attributes(tokens, end);
                let end = behind_item(tokens, begin);
                modules.extend(module_declared(&tokens[begin..end]));
                index = end;
            }
            Some((_, end)) => {
                kept.extend_from_slice(&tokens[index..end]);
                index = end;
            }
            None => {
                kept.push(tokens[index].clone());
                index += 1;
            }
        }
    }
    (kept, modules)
}

fn is_test(attribute: &[Token]) -> bool {
    let names: Vec<_> = attribute.iter().filter_map(Token::name).collect();
    match names.first() {
        Some(&"cfg") => {
            names.iter().any(|name| matches!(*name, "test" | "doctest")) && !names.contains(&"not")
        }
        // `#[test]`, `#[tokio::test]`.
        Some(_) => {
            let end = attribute.iter().position(|token| token.is('(')).unwrap_or(attribute.len());
            attribute[..end].last().and_then(Token::name) == Some("test")
        }
        None => false,
    }
}

fn behind_attributes(tokens: &[Token], mut index: usize) -> usize {
    while let Some((_, end)) = attribute(tokens, index) {
        index = end;
    }
    index
}

/// Where the item ends that begins at `index`: behind its braces or semicolon, or, where it is a field or an arm, its
/// comma.
fn behind_item(tokens: &[Token], index: usize) -> usize {
    const ITEMS: [&str; 16] = [
        "pub",
        "fn",
        "mod",
        "use",
        "impl",
        "struct",
        "enum",
        "const",
        "static",
        "type",
        "trait",
        "async",
        "unsafe",
        "extern",
        "macro_rules",
        "union",
    ];
    let is_item = tokens.get(index).and_then(Token::name).is_some_and(|name| ITEMS.contains(&name));
    let mut at = index;
    while at < tokens.len() {
        let token = &tokens[at];
        match token.kind {
            Kind::Open(open) => {
                at = behind(tokens, at);
                if open == '{' && (!is_item || !tokens.get(at).is_some_and(|next| next.is(';'))) {
                    return at;
                }
            }
            Kind::Close(_) => return at,
            Kind::Sign(';') => return at + 1,
            Kind::Sign(',') if !is_item => return at + 1,
            _ => at += 1,
        }
    }
    at
}

fn module_declared(item: &[Token]) -> Option<String> {
    let at = item.iter().position(|token| token.name() == Some("mod"))?;
    if !item.get(at + 2)?.is(';') {
        return None;
    }
    item.get(at + 1)?.name().map(str::to_owned)
}

/// A path that a file names, and the module inside the file in which it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) path: Vec<String>,
    pub(super) inside: Vec<String>,
    pub(super) line: usize,
    /// Whether it is a `pub use`.
    pub(super) exported: bool,
}

/// Every path of two or more parts, with the trees of `use` spread out.
pub(super) fn paths(tokens: &[Token]) -> Vec<Named> {
    let mut found = Vec::new();
    let mut modules: Vec<(String, usize)> = Vec::new();
    let (mut depth, mut index) = (0_usize, 0);
    while let Some(token) = tokens.get(index) {
        match &token.kind {
            Kind::Open(_) => depth += 1,
            Kind::Close(_) => {
                depth = depth.saturating_sub(1);
                modules.retain(|(_, at)| *at < depth);
            }
            Kind::Name(name) if name == "mod" && tokens.get(index + 2).is_some_and(|open| open.is('{')) => {
                modules
                    .extend(tokens.get(index + 1).and_then(Token::name).map(|name| (name.to_owned(), depth)));
                index += 1;
            }
            Kind::Name(name) if name == "use" => {
                let inside: Vec<_> = modules.iter().map(|(name, _)| name.clone()).collect();
                let exported = is_public(&tokens[..index]);
                index = tree(tokens, index + 1, &[], &mut |path, line| {
                    found.push(Named { path, inside: inside.clone(), line, exported });
                });
                continue;
            }
            Kind::Name(_) if begins_path(&tokens[..index]) => {
                let inside = modules.iter().map(|(name, _)| name.clone()).collect();
                let (path, end) = straight(tokens, index);
                if path.len() > 1 {
                    found.push(Named { path, inside, line: token.line, exported: false });
                }
                index = end;
                continue;
            }
            _ => {}
        }
        index += 1;
    }
    found
}

fn is_public(before: &[Token]) -> bool {
    before.last().is_some_and(|token| token.name() == Some("pub"))
}

fn begins_path(before: &[Token]) -> bool {
    match before {
        [.., token] if token.is('.') || token.name() == Some("fn") => false,
        [.., previous, one, two] if one.is(':') && two.is(':') => previous.name().is_none(),
        _ => true,
    }
}

fn joined(tokens: &[Token], index: usize) -> bool {
    tokens.get(index).is_some_and(|token| token.is(':'))
        && tokens.get(index + 1).is_some_and(|token| token.is(':'))
}

/// The names from `index` on that are joined by `::`, and the index behind them.
fn straight(tokens: &[Token], mut index: usize) -> (Vec<String>, usize) {
    let mut path = Vec::new();
    while let Some(name) = tokens.get(index).and_then(Token::name) {
        path.push(name.to_owned());
        index += 1;
        if !joined(tokens, index) || tokens.get(index + 2).and_then(Token::name).is_none() {
            break;
        }
        index += 2;
    }
    (path, index)
}

/// Spreads a tree of `use`, and gives the index behind it.
fn tree(
    tokens: &[Token],
    index: usize,
    prefix: &[String],
    found: &mut impl FnMut(Vec<String>, usize),
) -> usize {
    let index = if joined(tokens, index) { index + 2 } else { index };
    let Some(first) = tokens.get(index) else { return index };
    let (names, mut end) = straight(tokens, index);
    let path: Vec<_> = prefix.iter().cloned().chain(names).collect();
    let group = if joined(tokens, end) { end + 2 } else { end };
    match tokens.get(group) {
        Some(open) if open.is('{') => {
            let close = behind(tokens, group);
            let mut at = group + 1;
            while at + 1 < close {
                let next = tree(tokens, at, &path, found);
                at = next.max(at + 1);
                if tokens.get(at).is_some_and(|token| token.is(',')) {
                    at += 1;
                }
            }
            end = close;
        }
        Some(star) if star.is('*') => {
            found([path, vec!["*".to_owned()]].concat(), first.line);
            end = group + 1;
        }
        _ => found(path, first.line),
    }
    if tokens.get(end).and_then(Token::name) == Some("as") {
        end += 2;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_paths(text: &str, expected: &[&str]) {
        let tokens = tokens(text).unwrap();
        let found: Vec<_> = paths(&tokens)
            .into_iter()
            .map(|named| format!("{}|{}", named.inside.join("::"), named.path.join("::")))
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn finds_paths_wherever_they_stand() {
        check_paths(
            "use crate::a::{b::C, d::*, self};",
            &["|crate::a::b::C", "|crate::a::d::*", "|crate::a::self"],
        );
        check_paths("use a as b; use c::d as e;", &["|a", "|c::d"]);
        check_paths("pub use {a::b, ::c::d};", &["|a::b", "|c::d"]);
        check_paths(
            "fn f(x: &super::X) -> a::B<c::D> { ::e::f::<g::H>(x.y()) }",
            &["|super::X", "|a::B", "|c::D", "|e::f", "|g::H"],
        );
        check_paths("m!(crate::x, \"crate::y\") // crate::z", &["|crate::x"]);
        check_paths(
            "mod a { mod b { use super::c; } use super::d; } use e::f;",
            &["a::b|super::c", "a|super::d", "|e::f"],
        );
    }

    #[track_caller]
    fn check_tests(text: &str, expected: &str, modules: &[&str]) {
        let (kept, found) = without_tests(&tokens(text).unwrap());
        let names: Vec<_> = kept.iter().filter_map(Token::name).collect();
        assert_eq!(names.join(" "), expected, "{text}");
        assert!(found.iter().eq(modules), "{text}: {found:?}");
    }

    #[test]
    fn leaves_out_what_only_tests_see() {
        check_tests("fn a() {} #[cfg(test)] mod tests { fn b() {} } fn c() {}", "fn a fn c", &[]);
        check_tests("#[cfg(test)] mod tests; mod a;", "mod a", &["tests"]);
        check_tests(
            "#[cfg(all(test, unix))] #[path = \"x\"] pub(crate) mod help; mod a;",
            "mod a",
            &["help"],
        );
        check_tests("#[test] #[should_panic] fn f<A, B>() -> A { x } fn g() {}", "fn g", &[]);
        check_tests("#[tokio::test(start_paused = true)] async fn f() {} fn g() {}", "fn g", &[]);
        check_tests("struct S { a: A, #[cfg(test)] b: B, c: C }", "struct S a A c C", &[]);
        check_tests("#[cfg(not(test))] fn f() {}", "cfg not test fn f", &[]);
        check_tests("#[cfg(test)] const X: A = B { c: 1 }; fn f() {}", "fn f", &[]);
    }

    #[test]
    fn a_lexing_error_has_its_line() {
        let (line, _) = tokens("fn f() {\n\"x\n").unwrap_err();
        assert!(line >= 1, "{line}");
    }
}
