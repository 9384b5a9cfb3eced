//! Parses the tokens of a `#[derive(CustomResource)]` into data with spans.
//!
//! This module defines the grammar of `#[kube(..)]`. It must not validate values (`validate` does) or set defaults
//! (`model` does).

mod attrs;
mod column;
mod crates;
mod field;
mod flag;
mod json;
mod keys;
mod metadata_entry;
mod other_derives;
mod scale;

use proc_macro2::Span;
use syn::{Attribute, Data, DeriveInput, Fields, Ident, Visibility};

pub(crate) use self::keys::{
    key_name, parse_flag, parse_keys, parse_nested_keys, reject_duplicate, unknown_key_error, value_of,
};
pub(crate) use self::{
    attrs::Attrs,
    column::Column,
    crates::Crates,
    field::Field,
    flag::{Flag, is_enabled},
    metadata_entry::MetadataEntry,
    other_derives::{parse_metas, text_of},
    scale::Scale,
};

/// The parsed input of the macro.
pub(crate) struct Input {
    pub(crate) ident: Ident,
    pub(crate) vis: Visibility,
    pub(crate) shape: Shape,
    /// The text of the type's doc comment; `None` without a text.
    pub(crate) doc: Option<String>,
    pub(crate) attrs: Attrs,
    /// Whether the type has generic parameters, which is an error. `fallback` generates no code for such a type.
    pub(crate) generic: bool,
}

/// The form of the spec's type.
pub(crate) enum Shape {
    /// A struct with named fields.
    Named(Vec<Field>),
    /// A tuple struct, a unit struct, an enum or a union.
    Other,
}

impl Input {
    /// Parses the derive input. Returns an input that is as complete as possible, and the combined errors, if any.
    /// The module `fallback` takes the names of types from an incomplete input.
    pub(crate) fn parse(input: DeriveInput) -> (Self, Option<syn::Error>) {
        let mut error = None;
        if matches!(input.data, Data::Union(_)) {
            combine_error(
                &mut error,
                syn::Error::new(
                    input.ident.span(),
                    "`CustomResource` needs a struct or an enum, not a union",
                ),
            );
        }
        let generic = !input.generics.params.is_empty();
        if generic {
            let message =
                "`CustomResource` does not support generics: a CRD has one schema, so name concrete types";
            combine_error(&mut error, syn::Error::new_spanned(&input.generics, message));
        }
        let mut attrs = Attrs::default();
        let mut found = false;
        for attribute in input.attrs.iter().filter(|a| a.path().is_ident("kube")) {
            found = true;
            attrs.parse(attribute, &mut error);
        }
        if !found {
            let message = "missing `#[kube(..)]`: add `#[kube(group = \"example.com\", version = \"v1\", kind = \"Name\")]`";
            combine_error(&mut error, syn::Error::new(Span::call_site(), message));
            attrs
                .mentioned
                .extend(["group", "version", "kind"].map(|key| Ident::new(key, Span::call_site())));
        }
        let shape = match input.data {
            Data::Struct(data) => match data.fields {
                Fields::Named(fields) => {
                    Shape::Named(fields.named.into_iter().filter_map(Field::parse).collect())
                }
                _ => Shape::Other,
            },
            _ => Shape::Other,
        };
        let doc = doc_text(&input.attrs);
        (Self { ident: input.ident, vis: input.vis, shape, doc, attrs, generic }, error)
    }
}

/// Combines `new` with the previous errors.
pub(crate) fn combine_error(error: &mut Option<syn::Error>, new: syn::Error) {
    match error {
        Some(error) => error.combine(new),
        None => *error = Some(new),
    }
}

/// Joins the `#[doc]` attributes, without the leading space of each line.
fn doc_text(attrs: &[Attribute]) -> Option<String> {
    let lines: Vec<String> = attrs
        .iter()
        .filter(|a| a.path().is_ident("doc"))
        .filter_map(|a| {
            let text = text_of(&a.meta)?.value();
            Some(text.strip_prefix(' ').unwrap_or(&text).trim_end().to_owned())
        })
        .collect();
    let text = lines.join("\n").trim().to_owned();
    (!text.is_empty()).then_some(text)
}
