//! Collects the paths that a Rust file uses outside of its tests. Scans tokens, because a syntax tree does not contain
//! the paths in macro arguments.

use proc_macro2::{Delimiter, LexError, TokenStream, TokenTree};

/// A path of two or more segments, and its line number. Instead of leading `super` segments, the path has `crate` and the
/// path of a module.
pub(super) type UsedPath = (Vec<String>, usize);

/// The paths that `text` uses outside of tests. `text` is the source code of `module`.
pub(super) fn used_paths(text: &str, module: &[String]) -> Result<Vec<UsedPath>, LexError> {
    let mut found = Vec::new();
    collect_paths(text.parse()?, module, &[], &mut found);
    Ok(found)
}

/// Collects the paths in the tokens of `module`. `prefix` is the path before the `{..}` group of a `use`, else empty.
fn collect_paths(tokens: TokenStream, module: &[String], prefix: &[String], found: &mut Vec<UsedPath>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let (mut path, mut colons, mut line, mut at) = (prefix.to_vec(), 2, 0, 0);
    while let Some(token) = tokens.get(at) {
        let continued = colons == 2 && !path.is_empty();
        match token {
            TokenTree::Punct(sign) if sign.as_char() == ':' => colons += 1,
            TokenTree::Ident(name) if continued => {
                (colons, line) = (0, token.span().start().line);
                path.push(name.to_string());
            }
            TokenTree::Group(group) if continued => {
                collect_paths(group.stream(), module, &std::mem::take(&mut path), found);
            }
            TokenTree::Punct(sign) if sign.as_char() == '#' => {
                at += test_item_length(&tokens[at..]).saturating_sub(1);
            }
            _ => {
                found.extend(absolute_path(std::mem::take(&mut path), module).map(|path| (path, line)));
                (colons, line) = (0, token.span().start().line);
                match token {
                    TokenTree::Ident(name) => path.push(name.to_string()),
                    TokenTree::Punct(sign) if sign.as_char() == ',' => {
                        (path, colons) = (prefix.to_vec(), 2);
                    }
                    TokenTree::Group(group) => {
                        let inner = match &tokens[at.saturating_sub(2)..at] {
                            [TokenTree::Ident(word), name] if word == "mod" => vec![name.to_string()],
                            _ => Vec::new(),
                        };
                        collect_paths(group.stream(), &[module, &inner].concat(), &[], found);
                    }
                    _ => {}
                }
            }
        }
        at += 1;
    }
    found.extend(absolute_path(path, module).map(|path| (path, line)));
}

/// Replaces leading `super` segments by `crate` and the path of the module to which these segments refer. Returns `None` for
/// a single segment.
fn absolute_path(mut path: Vec<String>, module: &[String]) -> Option<Vec<String>> {
    let (up, named) = (path.iter().take_while(|part| *part == "super").count(), path.len() > 1);
    if up > 0 {
        path.splice(..up, [&["crate".to_owned()], &module[..module.len().saturating_sub(up)]].concat());
    }
    named.then_some(path)
}

/// Returns the number of tokens of the item at the start of `tokens`, including its attributes, if the item
/// is compiled only for tests. Otherwise returns 0.
fn test_item_length(tokens: &[TokenTree]) -> usize {
    let text = tokens.get(1).map(ToString::to_string).unwrap_or_default();
    let has = |word| text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|other| other == word);
    let cfg = has("cfg") && (has("test") || has("doctest")) && !has("not");
    let is_test =
        text.split('(').next().is_some_and(|path| path.trim_end_matches([']', ' ']).ends_with("test"));
    let items = "pub fn mod use impl struct enum const static type trait async unsafe extern macro_rules";
    let begin = tokens.iter().position(|token| matches!(token, TokenTree::Ident(_))).unwrap_or_default();
    // A field or a `match` arm counts as code outside of tests, even after `#[cfg(test)]`.
    if !(cfg || is_test) || !items.split(' ').any(|item| tokens[begin].to_string() == item) {
        return 0;
    }
    let is_end = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        _ => token.to_string() == ";",
    };
    let end = tokens.iter().position(is_end).map_or(tokens.len(), |end| end + 1);
    end + usize::from(tokens.get(end).is_some_and(|token| token.to_string() == ";"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_used_paths(text: &str, expected: &[&str]) {
        let found = used_paths(text, &["x".to_owned()]).unwrap();
        let paths: Vec<_> = found.iter().map(|(path, _)| path.join("::")).collect();
        assert_eq!(paths, expected, "{text}");
    }

    #[test]
    fn used_paths_finds_paths_in_imports_types_bodies_and_macros() {
        check_used_paths(
            "use crate::a::{b::C, d::*, self as e}; use a as b;",
            &["crate::a::b::C", "crate::a::d", "crate::a::self"],
        );
        let function = "fn f(x: &super::X) -> a::B<c::D> { use g::{H, i::J}; ::e::f::<g::H>(x.y()) }";
        check_used_paths(function, &["crate::X", "a::B", "c::D", "g::H", "g::i::J", "e::f", "g::H"]);
        check_used_paths(
            "fn f() { m!(crate::x y, \"crate::y\", [z => a::b::c]); } // a::b",
            &["crate::x", "a::b::c"],
        );
        check_used_paths(
            "mod a { mod b { use super::c; } use super::super::d; }",
            &["crate::x::a::c", "crate::d"],
        );
    }

    #[test]
    fn used_paths_skips_items_that_only_tests_compile() {
        check_used_paths("#[cfg(test)] mod tests { use a::b; } use c::d;", &["c::d"]);
        check_used_paths("#[cfg(all(test, unix))] #[path = \"x\"] pub(crate) mod help; use c::d;", &["c::d"]);
        check_used_paths(
            "#[tokio::test(a = true)] async fn f<A, B>() { a::b() } fn g() { c::d() }",
            &["c::d"],
        );
        check_used_paths(
            "impl A { #[cfg(test)] fn f() { a::b() } #[cfg(not(test))] fn g() { c::d() } }",
            &["c::d"],
        );
        check_used_paths("#[cfg(test)] const X: A = a::B { c: 1 }; use e::f;", &["e::f"]);
        check_used_paths("struct S { #[cfg(test)] b: a::b, c: c::d }", &["a::b", "c::d"]);
    }
}
