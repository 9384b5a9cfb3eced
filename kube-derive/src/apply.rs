//! `#[derive(ApplyConfiguration)]` generates the apply configuration of a type, called its companion. The companion of a
//! struct has only optional fields, so that a server-side apply sends only the fields that a program has set. The companion
//! of a type that an apply sends whole, such as an enum, is an alias of the type.
//!
//! In JSON, the companion has the field names of the type. This module must not depend on `#[kube(..)]`: `expand`
//! generates the companion of a kind.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::{
    Attribute, Data, DeriveInput, Field, Fields, FieldsNamed, Meta, Path, Type, ext::IdentExt,
    meta::ParseNestedMeta, spanned::Spanned,
};

use crate::{
    companion::{companion_name, replace_by_companions},
    input::{
        Crates, combine_error, key_name, parse_keys, parse_metas, parse_nested_keys, reject_duplicate,
        text_of, unknown_key_error,
    },
    model::Paths,
};

/// The keys of `#[apply(..)]` on a type.
const TYPE_KEYS: &[&str] = &["crates", "derive"];
/// The keys of `#[apply(..)]` on a field.
const FIELD_KEYS: &[&str] = &["whole"];

/// A type with one of these `#[serde(..)]` keys is opaque: its JSON may differ from an object with the fields of the type.
/// The companion of an opaque type is an alias of the type.
const OPAQUE_TYPE_KEYS: &[&str] = &["transparent", "into", "from", "try_from", "remote", "tag"];

/// The content of `#[apply(..)]` on a type.
#[derive(Default)]
struct Attrs {
    crates: Option<Crates>,
    derives: Vec<Path>,
}

impl Attrs {
    fn parse(attributes: &[Attribute], error: &mut Option<syn::Error>) -> Self {
        let mut attrs = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("apply")) {
            parse_keys(attribute, error, |meta| attrs.parse_key(meta));
        }
        attrs
    }

    fn parse_key(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        match key_name(meta).as_str() {
            "crates" => {
                reject_duplicate(self.crates.as_ref(), meta)?;
                self.crates = Some(Crates::parse(meta)?);
                Ok(())
            }
            "derive" => parse_nested_keys(meta, |path| {
                self.derives.push(path.path.clone());
                Ok(())
            }),
            "whole" => Err(meta.error("`whole` belongs to a field: write `#[apply(whole)]` above the field")),
            _ => Err(unknown_key_error(meta, "apply(..)", TYPE_KEYS)),
        }
    }
}

/// The settings of a field in `#[serde(..)]` and `#[apply(..)]`.
#[derive(Default)]
struct FieldAttrs {
    /// The keys of serde that the companion keeps.
    kept: Vec<Meta>,
    serialize_with: Option<Path>,
    deserialize_with: Option<Path>,
    is_skipped: bool,
    /// Whether the field has `#[apply(whole)]`: an apply then sends the whole value of the field.
    is_whole: bool,
}

impl FieldAttrs {
    fn parse(attributes: &[Attribute], error: &mut Option<syn::Error>) -> Self {
        let mut attrs = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("apply")) {
            parse_keys(attribute, error, |meta| match key_name(meta).as_str() {
                "whole" => {
                    attrs.is_whole = true;
                    Ok(())
                }
                name if TYPE_KEYS.contains(&name) => Err(meta.error(format!(
                    "`{name}` belongs to the type: write `#[apply({name}(..))]` above the type"
                ))),
                _ => Err(unknown_key_error(meta, "apply(..)", FIELD_KEYS)),
            });
        }
        for meta in serde_keys(attributes) {
            attrs.add_serde_key(meta);
        }
        attrs
    }

    fn add_serde_key(&mut self, meta: Meta) {
        let name = meta.path().get_ident().map(ToString::to_string).unwrap_or_default();
        match name.as_str() {
            "rename" | "alias" | "flatten" => self.kept.push(meta),
            "skip" | "skip_serializing" => self.is_skipped = true,
            "with" => {
                let module = path_in(&meta);
                self.serialize_with = module.clone().map(|module| function_in(module, "serialize"));
                self.deserialize_with = module.map(|module| function_in(module, "deserialize"));
            }
            "serialize_with" => self.serialize_with = path_in(&meta),
            "deserialize_with" => self.deserialize_with = path_in(&meta),
            _ => {}
        }
    }

    fn has_serde_functions(&self) -> bool {
        self.serialize_with.is_some() || self.deserialize_with.is_some()
    }
}

/// The keys in the `#[serde(..)]` attributes. Errors are ignored, because serde reports them.
fn serde_keys(attributes: &[Attribute]) -> impl Iterator<Item = Meta> {
    let lists = attributes.iter().filter(|attribute| attribute.path().is_ident("serde"));
    lists.filter_map(|list| parse_metas(list).ok()).flatten()
}

/// The path in `key = "path"`.
fn path_in(meta: &Meta) -> Option<Path> {
    text_of(meta)?.parse().ok()
}

fn function_in(mut module: Path, name: &str) -> Path {
    module.segments.push(Ident::new(name, module.span()).into());
    module
}

/// Generates the companion of a type. If the input is invalid, generates compile errors and also the
/// companion: a missing companion would cause further compile errors. Generates no companion for a generic
/// type.
pub(crate) fn derive(input: &DeriveInput) -> TokenStream {
    let mut error = None;
    let attrs = Attrs::parse(&input.attrs, &mut error);
    if matches!(input.data, Data::Union(_)) {
        let message = "`ApplyConfiguration` needs a struct or an enum, not a union";
        combine_error(&mut error, syn::Error::new(input.ident.span(), message));
    }
    if !input.generics.params.is_empty() {
        let message = "`ApplyConfiguration` does not support generics: name concrete types";
        combine_error(&mut error, syn::Error::new_spanned(&input.generics, message));
        return error.map(syn::Error::into_compile_error).unwrap_or_default();
    }
    let paths = Paths::new(attrs.crates.as_ref());
    let is_opaque =
        serde_keys(&input.attrs).any(|key| OPAQUE_TYPE_KEYS.iter().any(|opaque| key.path().is_ident(opaque)));
    let expanded = match &input.data {
        Data::Struct(data) if !is_opaque => match &data.fields {
            Fields::Named(fields) => companion(input, fields, &attrs.derives, &paths, &mut error),
            Fields::Unnamed(_) | Fields::Unit => companion_alias(input, &mut error),
        },
        _ => companion_alias(input, &mut error),
    };
    let errors = error.map(syn::Error::into_compile_error);
    quote!(#errors #expanded)
}

/// Generates an alias of the type as its companion: a server-side apply sends a value of this type as a
/// whole. Reports an error for `#[apply(..)]` on a field of the type, because the attribute has no effect.
fn companion_alias(input: &DeriveInput, error: &mut Option<syn::Error>) -> TokenStream {
    let has_attribute =
        |attributes: &[Attribute]| attributes.iter().any(|attribute| attribute.path().is_ident("apply"));
    let fields: Vec<&Field> = match &input.data {
        Data::Struct(data) => data.fields.iter().collect(),
        Data::Enum(data) => data.variants.iter().flat_map(|variant| &variant.fields).collect(),
        Data::Union(_) => Vec::new(),
    };
    for field in fields.into_iter().filter(|field| has_attribute(&field.attrs)) {
        let message = "`#[apply(..)]` has no effect here: only a struct with named fields has a companion, and other types \
                       are sent whole";
        combine_error(error, syn::Error::new_spanned(field, message));
    }
    let (name, vis, companion) = (&input.ident, &input.vis, companion_name(&input.ident));
    let doc = format!("The companion of [`{name}`] for a server-side apply, which sends it whole.");
    quote! {
        #[doc = #doc]
        #[allow(dead_code, reason = "a program may apply no such field")]
        #vis type #companion = #name;
    }
}

/// Generates the companion of a struct with named fields.
fn companion(
    input: &DeriveInput,
    fields: &FieldsNamed,
    derives: &[Path],
    paths: &Paths,
    error: &mut Option<syn::Error>,
) -> TokenStream {
    let serde = &paths.serde;
    let (name, vis) = (&input.ident, &input.vis);
    let companion = companion_name(name);
    let mut functions = Vec::new();
    let mut members = Vec::new();
    for field in &fields.named {
        let attrs = FieldAttrs::parse(&field.attrs, error);
        if !attrs.is_skipped {
            members.push(companion_field(&companion, field, &attrs, paths, &mut functions));
        }
    }
    let renames = serde_keys(&input.attrs).filter(|key| key.path().is_ident("rename_all"));
    let serde_path = serde.to_string().replace(' ', "");
    let doc = format!("The fields of a [`{name}`] that a server-side apply sends: those that are set.");
    quote! {
        #[doc = #doc]
        #[derive(
            ::core::clone::Clone, ::core::fmt::Debug, ::core::default::Default, #serde::Serialize, #serde::Deserialize
            #(, #derives)*
        )]
        #[serde(crate = #serde_path, default #(, #renames)*)]
        #[allow(dead_code, reason = "a program may apply no such field")]
        #vis struct #companion {
            #(#members)*
        }

        #(#functions)*
    }
}

/// Generates the companion's field for `field`. The type of the generated field is an `Option`. If the type
/// of `field` is not an `Option`, the user's functions in `serialize_with` and `deserialize_with` are for
/// another type than the generated field. For each of these functions, appends to `functions` a function for
/// the `Option`.
fn companion_field(
    companion: &Ident,
    field: &Field,
    attrs: &FieldAttrs,
    paths: &Paths,
    functions: &mut Vec<TokenStream>,
) -> TokenStream {
    let serde = &paths.serde;
    let (name, vis, given, kept) = (&field.ident, &field.vis, &field.ty, &attrs.kept);
    let docs = field.attrs.iter().filter(|attribute| attribute.path().is_ident("doc"));
    let mut set = given.clone();
    if !attrs.is_whole && !attrs.has_serde_functions() {
        replace_by_companions(&mut set);
    }
    let mut ty = if is_option(given) { quote!(#set) } else { quote!(::core::option::Option<#set>) };
    let mut keys = quote!(skip_serializing_if = "::core::option::Option::is_none" #(, #kept)*);
    let serde_functions =
        [("serialize_with", &attrs.serialize_with), ("deserialize_with", &attrs.deserialize_with)];
    let serde_functions: Vec<_> =
        serde_functions.iter().filter_map(|(key, path)| Some((*key, path.as_ref()?))).collect();
    if attrs.has_serde_functions() && !is_option(given) {
        // The user's functions are for the type of the field, but the companion's field is an `Option` of this type.
        ty = quote!(::core::option::Option<#given>);
        for (key, path) in serde_functions {
            let key_ident = Ident::new(key, given.span());
            let function =
                format_ident!("{key}_{}", name.as_ref().map(IdentExt::unraw).into_token_stream().to_string());
            let target = format!("{companion}::{function}");
            keys.extend(quote!(, #key_ident = #target));
            functions.push(function_for_option(companion, key, &function, path, given, serde));
        }
    } else {
        for (key, path) in serde_functions {
            let (key, path) =
                (Ident::new(key, given.span()), path.to_token_stream().to_string().replace(' ', ""));
            keys.extend(quote!(, #key = #path));
        }
    }
    quote! {
        #(#docs)*
        #[serde(#keys)]
        #vis #name: #ty,
    }
}

/// Generates a function that serializes or deserializes an `Option`. For the value in the `Option`, the generated
/// function calls `path`, the user's function.
fn function_for_option(
    companion: &Ident,
    key: &str,
    function: &Ident,
    path: &Path,
    given: &Type,
    serde: &TokenStream,
) -> TokenStream {
    let body = if key == "serialize_with" {
        quote! {
            fn #function<S: #serde::Serializer>(
                value: &::core::option::Option<#given>,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                match value {
                    ::core::option::Option::Some(value) => #path(value, serializer),
                    ::core::option::Option::None => #serde::Serializer::serialize_none(serializer),
                }
            }
        }
    } else {
        quote! {
            fn #function<'de, D: #serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<::core::option::Option<#given>, D::Error> {
                ::core::result::Result::map(#path(deserializer), ::core::option::Option::Some)
            }
        }
    };
    quote!(impl #companion { #body })
}

/// Whether a type is written as an `Option`.
fn is_option(ty: &Type) -> bool {
    match ty {
        Type::Path(path) => path.path.segments.last().is_some_and(|segment| segment.ident == "Option"),
        Type::Group(group) => is_option(&group.elem),
        Type::Paren(paren) => is_option(&paren.elem),
        _ => false,
    }
}
