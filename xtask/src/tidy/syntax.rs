//! Which paths a Rust file names outside of its tests, also inside of macro calls. Knows no rule.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, File, ImplItemFn, Item, ItemMod, ItemUse, Macro, UseTree, Visibility};

/// A path of two or more parts, and the module inside the file in which it stands.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) path: Vec<String>,
    pub(super) inside: Vec<String>,
    pub(super) line: usize,
    /// Whether it is a `pub use`.
    pub(super) exported: bool,
}

/// What a file names.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) paths: Vec<Named>,
    /// Modules in files of their own that only tests see.
    pub(super) test_modules: Vec<String>,
    inside: Vec<String>,
}

impl Names {
    pub(super) fn of(file: &File) -> Self {
        let mut names = Self::default();
        names.visit_file(file);
        names
    }

    fn add(&mut self, path: Vec<String>, line: usize, exported: bool) {
        if path.len() > 1 {
            self.paths.push(Named { path, inside: self.inside.clone(), line, exported });
        }
    }

    fn spread(&mut self, tree: &UseTree, mut path: Vec<String>, exported: bool) {
        let last = match tree {
            UseTree::Path(part) => {
                path.push(part.ident.to_string());
                return self.spread(&part.tree, path, exported);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.spread(tree, path.clone(), exported));
            }
            UseTree::Name(name) => name.ident.to_string(),
            UseTree::Rename(rename) => rename.ident.to_string(),
            UseTree::Glob(_) => "*".to_owned(),
        };
        path.push(last);
        let line = syn::spanned::Spanned::span(tree).start().line;
        self.add(path, line, exported);
    }

    /// The paths among the tokens of a macro call, whose syntax is its own.
    fn tokens(&mut self, tokens: TokenStream) {
        let (mut path, mut line, mut colons) = (Vec::new(), 0, 0);
        for token in tokens {
            match &token {
                TokenTree::Punct(sign) if sign.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Ident(name) if colons == 2 && !path.is_empty() => path.push(name.to_string()),
                _ => {
                    self.add(std::mem::take(&mut path), line, false);
                    match &token {
                        TokenTree::Ident(name) => path.push(name.to_string()),
                        TokenTree::Group(group) => self.tokens(group.stream()),
                        _ => {}
                    }
                    line = token.span().start().line;
                }
            }
            colons = 0;
        }
        self.add(path, line, false);
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        } else if let Item::Mod(module) = item {
            self.test_modules.push(module.ident.to_string());
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        self.inside.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.inside.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.spread(&item.tree, Vec::new(), matches!(item.vis, Visibility::Public(_)));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let line = path.segments.first().map_or(0, |first| first.ident.span().start().line);
        self.add(path.segments.iter().map(|part| part.ident.to_string()).collect(), line, false);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    macro_rules! of {
        ($($kind:ident),+) => {
            match item { $(Item::$kind(item) => &item.attrs,)+ _ => &[] }
        };
    }
    of!(Const, Enum, Fn, Impl, Macro, Mod, Static, Struct, Trait, Type, Use)
}

/// Whether these are the attributes of something that only tests see: `#[test]`, `#[tokio::test]`, `#[cfg(all(test, ..))]`.
pub(super) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        let mentions = |name| {
            let list = attribute.meta.require_list();
            list.is_ok_and(|list| contains(list.tokens.clone(), name))
        };
        path.segments.last().is_some_and(|last| last.ident == "test")
            || path.is_ident("cfg") && (mentions("test") || mentions("doctest")) && !mentions("not")
    })
}

fn contains(tokens: TokenStream, name: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(other) => other == name,
        TokenTree::Group(group) => contains(Group::new(Delimiter::None, group.stream()).stream(), name),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str], test_modules: &[&str]) {
        let names = Names::of(&syn::parse_file(text).unwrap());
        let found: Vec<_> = names.paths.iter().map(|named| {
            format!("{}|{}", named.inside.join("::"), named.path.join("::"))
        }).collect();
        assert_eq!(found, expected, "{text}");
        assert_eq!(names.test_modules, test_modules, "{text}");
    }

    #[test]
    fn finds_paths_wherever_they_stand() {
        check("use crate::a::{b::C, d::*, self as e};", &["|crate::a::b::C", "|crate::a::d::*", "|crate::a::self"], &[]);
        check("pub use {a::b, ::c::d};", &["|a::b", "|c::d"], &[]);
        let function = "fn f(x: &super::X) -> a::B<c::D> { ::e::f::<g::H>(x.y()) }";
        check(function, &["|super::X", "|a::B", "|c::D", "|e::f", "|g::H"], &[]);
        check("fn f() { m!(crate::x y, \"crate::y\", [z => a::b::c]); }", &["|crate::x", "|a::b::c"], &[]);
        let nested = "mod a { mod b { use super::c; } use super::d; } use e::f;";
        check(nested, &["a::b|super::c", "a|super::d", "|e::f"], &[]);
    }

    #[test]
    fn leaves_out_what_only_tests_see() {
        check("#[cfg(test)] mod tests { use a::b; } use c::d;", &["|c::d"], &["tests"]);
        check("#[cfg(all(test, unix))] #[path = \"x\"] pub(crate) mod help; mod a;", &[], &["help"]);
        check("#[tokio::test(start_paused = true)] async fn f() { a::b() } fn g() { c::d() }", &["|c::d"], &[]);
        check("impl A { #[cfg(test)] fn f() { a::b() } #[cfg(not(test))] fn g() { c::d() } }", &["|c::d"], &[]);
    }
}
