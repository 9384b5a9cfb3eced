//! The keys of `#[kube(..)]` and the syntax of their values.
//!
//! This module stores the value of each key in one field. It must not set defaults or validate values.

use proc_macro2::TokenTree;
use syn::{Attribute, Expr, Ident, LitStr, Meta, Path, Type, meta::ParseNestedMeta};

use super::{
    Column, Crates, Flag, MetadataEntry, Scale,
    keys::{
        key_name, parse_flag, parse_keys, parse_once, parse_text, parse_text_once, reject_duplicate,
        unknown_key_error, value_of,
    },
};

/// The merged content of all `#[kube(..)]` attributes.
#[derive(Default)]
pub(crate) struct Attrs {
    pub(crate) group: Option<LitStr>,
    pub(crate) version: Option<LitStr>,
    pub(crate) kind: Option<LitStr>,
    pub(crate) plural: Option<LitStr>,
    pub(crate) singular: Option<LitStr>,
    pub(crate) root: Option<Ident>,
    pub(crate) namespaced: Option<Flag>,
    pub(crate) no_spec: Option<Flag>,
    pub(crate) status: Option<Type>,
    pub(crate) shortnames: Vec<LitStr>,
    pub(crate) categories: Vec<LitStr>,
    pub(crate) derives: Vec<Path>,
    pub(crate) attributes: Vec<Meta>,
    pub(crate) doc: Option<LitStr>,
    pub(crate) served: Option<Flag>,
    pub(crate) storage: Option<Flag>,
    pub(crate) deprecated: Option<Deprecation>,
    pub(crate) schema: Option<LitStr>,
    pub(crate) scale: Option<Scale>,
    pub(crate) columns: Vec<Column>,
    pub(crate) selectable: Vec<LitStr>,
    pub(crate) annotations: Vec<MetadataEntry>,
    pub(crate) labels: Vec<MetadataEntry>,
    pub(crate) validations: Vec<Expr>,
    pub(crate) cel: Option<Flag>,
    pub(crate) apply: Option<Flag>,
    pub(crate) crates: Option<Crates>,
    /// All identifiers in the attributes, except those in nested parentheses. This list includes the keys whose values do
    /// not parse. `validate` does not report a required key in this list as missing.
    pub(crate) mentioned: Vec<Ident>,
}

/// `deprecated`, or `deprecated = "what to use instead"`.
pub(crate) struct Deprecation {
    pub(crate) warning: Option<LitStr>,
}

/// All keys of `#[kube(..)]`, for the error that reports an unknown key.
const KNOWN_KEYS: &[&str] = &[
    "annotation",
    "apply",
    "attr",
    "category",
    "cel",
    "crates",
    "deprecated",
    "derive",
    "doc",
    "group",
    "kind",
    "label",
    "namespaced",
    "no_spec",
    "plural",
    "printcolumn",
    "root",
    "scale",
    "schema",
    "selectable",
    "served",
    "shortname",
    "singular",
    "status",
    "storage",
    "validation",
    "version",
];

impl Attrs {
    /// Parses one `#[kube(..)]` attribute. Adds the values of the keys to `self`, and the errors of all keys to `error`.
    pub(super) fn parse(&mut self, attribute: &Attribute, error: &mut Option<syn::Error>) {
        if let Ok(list) = attribute.meta.require_list() {
            self.mentioned.extend(list.tokens.clone().into_iter().filter_map(|token| match token {
                TokenTree::Ident(name) => Some(name),
                _ => None,
            }));
        }
        parse_keys(attribute, error, |meta| self.parse_key(meta));
    }

    /// Parses the value of one key into its field.
    fn parse_key(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        match key_name(meta).as_str() {
            "group" => parse_text_once(&mut self.group, meta),
            "version" => parse_text_once(&mut self.version, meta),
            "kind" => parse_text_once(&mut self.kind, meta),
            "plural" => parse_text_once(&mut self.plural, meta),
            "singular" => parse_text_once(&mut self.singular, meta),
            "doc" => parse_text_once(&mut self.doc, meta),
            "schema" => parse_text_once(&mut self.schema, meta),
            "served" => parse_flag(&mut self.served, meta),
            "storage" => parse_flag(&mut self.storage, meta),
            "namespaced" => parse_flag(&mut self.namespaced, meta),
            "no_spec" => parse_flag(&mut self.no_spec, meta),
            "cel" => parse_flag(&mut self.cel, meta),
            "apply" => parse_flag(&mut self.apply, meta),
            "root" => parse_quoted_once(&mut self.root, meta, "the name of a struct"),
            "status" => parse_type(&mut self.status, meta),
            "shortname" => parse_text_repeated(&mut self.shortnames, meta),
            "category" => parse_text_repeated(&mut self.categories, meta),
            "selectable" => parse_text_repeated(&mut self.selectable, meta),
            "derive" => parse_quoted_repeated(&mut self.derives, meta, "the path of a derive macro"),
            "attr" => parse_quoted_repeated(
                &mut self.attributes,
                meta,
                "the inside of an attribute, as in `must_use`",
            ),
            "validation" => {
                self.validations.push(value_of(meta)?.parse()?);
                Ok(())
            }
            "deprecated" => self.parse_deprecated(meta),
            "scale" => {
                reject_duplicate(self.scale.as_ref(), meta)?;
                self.scale = Some(Scale::parse(meta)?);
                Ok(())
            }
            "printcolumn" => {
                self.columns.push(Column::parse(meta)?);
                Ok(())
            }
            "annotation" => {
                self.annotations.push(MetadataEntry::parse(meta)?);
                Ok(())
            }
            "label" => {
                self.labels.push(MetadataEntry::parse(meta)?);
                Ok(())
            }
            "crates" => {
                reject_duplicate(self.crates.as_ref(), meta)?;
                self.crates = Some(Crates::parse(meta)?);
                Ok(())
            }
            _ => Err(unknown_key_error(meta, "kube(..)", KNOWN_KEYS)),
        }
    }

    /// Parses `deprecated` with or without a warning.
    fn parse_deprecated(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        reject_duplicate(self.deprecated.as_ref(), meta)?;
        let warning = if meta.input.is_empty() { None } else { Some(parse_text(meta)?) };
        self.deprecated = Some(Deprecation { warning });
        Ok(())
    }
}

/// Reads a type, or a string literal that contains a type.
fn parse_type(slot: &mut Option<Type>, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    if meta.input.peek2(LitStr) {
        return parse_quoted_once(slot, meta, "a type");
    }
    parse_once(slot, meta)
}

/// Reads the text of a repeatable key, and adds the text to `list`.
fn parse_text_repeated(list: &mut Vec<LitStr>, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    list.push(parse_text(meta)?);
    Ok(())
}

/// Parses the content of a string literal as Rust. If the content does not parse, the error contains `what`, the expected
/// syntax.
fn parse_quoted<T: syn::parse::Parse>(meta: &ParseNestedMeta<'_>, what: &str) -> syn::Result<T> {
    let text = parse_text(meta)?;
    text.parse().map_err(|error| {
        let key = key_name(meta);
        syn::Error::new(
            text.span(),
            format!("`{key}` needs {what}, but \"{}\" does not parse: {error}", text.value()),
        )
    })
}

/// Reads a quoted value into `slot`; a duplicate key is an error.
fn parse_quoted_once<T: syn::parse::Parse>(
    slot: &mut Option<T>,
    meta: &ParseNestedMeta<'_>,
    what: &str,
) -> syn::Result<()> {
    reject_duplicate(slot.as_ref(), meta)?;
    *slot = Some(parse_quoted(meta, what)?);
    Ok(())
}

/// Reads the quoted value of a repeatable key, and adds the value to `list`.
fn parse_quoted_repeated<T: syn::parse::Parse>(
    list: &mut Vec<T>,
    meta: &ParseNestedMeta<'_>,
    what: &str,
) -> syn::Result<()> {
    list.push(parse_quoted(meta, what)?);
    Ok(())
}
