//! `JsonSchema` for plain types, without the derive of schemars.
//!
//! Most types of a custom resource are plain: structs with named fields, and enums of unit variants, with doc comments
//! and the usual attributes of serde. For these types, `#[derive(KubeSchema)]` generates a table of the fields, and
//! `kube_client::core::__private` builds the schema from the table. The generated code is little more than data, so the
//! compiler has much less work than with schemars' derive, which generates a function for each type and each field type.
//!
//! The schema must equal the schema of schemars' derive. [`expand`] returns `None` for all other types.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Attribute, Data, DeriveInput, ExprPath, Field, Fields, Meta, Type, Variant, ext::IdentExt};

use super::Attrs;
use crate::{
    input::{parse_metas, text_of},
    model::Paths,
};

/// The keys of `#[serde(..)]` that a plain type may have.
const TYPE_KEYS: &[&str] = &["rename_all"];
/// The keys of `#[serde(..)]` that a plain field may have.
const FIELD_KEYS: &[&str] = &["rename", "default", "skip_serializing_if"];
/// The keys of `#[serde(..)]` that a plain variant may have.
const VARIANT_KEYS: &[&str] = &["rename"];

/// The attributes of a type, a field or a variant that is plain.
#[derive(Default)]
struct PlainAttrs {
    docs: Vec<String>,
    /// The value of `#[serde(rename_all = "..")]`.
    rename_all: Option<String>,
    rename: Option<String>,
    default: Option<FieldDefault>,
    skip_serializing_if: Option<ExprPath>,
}

/// The value of `#[serde(default)]` on a field.
enum FieldDefault {
    /// `Default::default()` of the field's type.
    OfType,
    Function(ExprPath),
}

/// A field of a plain struct.
struct PlainField<'a> {
    name: String,
    description: String,
    ty: &'a Type,
    default: Option<FieldDefault>,
    skip_serializing_if: Option<ExprPath>,
}

/// Generates the impl of `JsonSchema` for a plain type; `None` for any other type.
pub(super) fn expand(input: &DeriveInput) -> Option<TokenStream> {
    if !input.generics.params.is_empty() {
        return None;
    }
    let is_own = |attribute: &&Attribute| attribute.path().is_ident("x_kube");
    let attrs = PlainAttrs::parse(input.attrs.iter().filter(|attribute| !is_own(attribute)), TYPE_KEYS)?;
    let Paths { support, schemars, .. } = &paths(input.attrs.iter().filter(is_own).cloned().collect())?;
    let description = description(&attrs.docs)?;
    let schema = match &input.data {
        Data::Struct(data) => {
            let Fields::Named(fields) = &data.fields else { return None };
            let rename = field_rename(attrs.rename_all.as_deref())?;
            let fields = fields.named.iter().map(|field| PlainField::parse(field, rename));
            expand_object_schema(&description, &fields.collect::<Option<Vec<_>>>()?, support)
        }
        Data::Enum(data) if !data.variants.is_empty() => {
            let rename = variant_rename(attrs.rename_all.as_deref())?;
            let names = data.variants.iter().map(|variant| variant_name(variant, rename));
            let names = names.collect::<Option<Vec<_>>>()?;
            quote!(#support::enum_schema(#description, &[#(#names),*]))
        }
        Data::Enum(_) | Data::Union(_) => return None,
    };
    let name = &input.ident;
    let schema_name = name.unraw().to_string();
    Some(quote! {
        #[automatically_derived]
        #[allow(unused_braces, unused_qualifications, reason = "they are in the types of the fields")]
        impl #schemars::JsonSchema for #name {
            fn schema_name() -> #support::SchemaName { #support::SchemaName::Borrowed(#schema_name) }

            fn schema_id() -> #support::SchemaName {
                #support::SchemaName::Borrowed(::core::concat!(::core::module_path!(), "::", #schema_name))
            }

            fn json_schema(__generator: &mut #schemars::SchemaGenerator) -> #schemars::Schema { #schema }
        }

        #[automatically_derived]
        impl #support::KnownType for #name {}
    })
}

/// The paths in `#[x_kube(crates(..))]`. `None` if the attributes `x_kube` of the type contain anything else, or a mistake.
fn paths(mut attributes: Vec<Attribute>) -> Option<Paths> {
    let mut error = None;
    let Attrs { validations, merge_strategy, cel, crates } = Attrs::take(&mut attributes, &mut error);
    let has_rules = !validations.is_empty() || merge_strategy.is_some() || cel.is_some();
    (error.is_none() && !has_rules).then(|| Paths::new(crates.as_ref()))
}

/// Generates the call of `object_schema`. `OtherType` is used only by fields whose type is not a `KnownType`.
fn expand_object_schema(description: &str, fields: &[PlainField<'_>], support: &TokenStream) -> TokenStream {
    let table = fields.iter().map(|PlainField { name, description, ty, .. }| {
        let field_type = expand_field_type(ty);
        quote!((#name, #description, #field_type))
    });
    let defaults = fields.iter().enumerate().filter_map(|(index, field)| {
        let function = expand_default(field, support)?;
        Some(quote!((#index, #function)))
    });
    let skippable = fields.iter().enumerate().filter(|(_, field)| field.skip_serializing_if.is_some());
    let skippable = skippable.map(|(index, _)| index);
    quote! {
        use #support::{OtherType as _, TypeOf as __KubeTypeOf};
        #support::object_schema(
            __generator, #description, &[#(#table),*], &[#(#defaults),*], &[#(#skippable),*],
        )
    }
}

/// Generates the path of the function that returns the type of a field. The path has the span of the type: the compiler
/// shows the error for a type without a schema there.
fn expand_field_type(ty: &Type) -> TokenStream {
    let mut visible = ty;
    while let Type::Group(group) = visible {
        visible = &group.elem;
    }
    let mut spans = visible.to_token_stream().into_iter().map(|token| token.span());
    let first = spans.next().unwrap_or_else(Span::call_site);
    let last = spans.last().unwrap_or(first);
    let (start, end) = (quote_spanned!(first=> __KubeTypeOf::<), quote_spanned!(last=> >::__kube_field_type));
    quote!(#start #ty #end)
}

/// Generates a closure that returns the JSON of the field's default value; `None` if the field has no default. The
/// closure returns `None` if serde skips the default value, or if the type does not implement `Serialize`.
fn expand_default(field: &PlainField<'_>, support: &TokenStream) -> Option<TokenStream> {
    let ty = field.ty;
    let default = match field.default.as_ref()? {
        FieldDefault::OfType => quote!(<#ty as ::core::default::Default>::default()),
        FieldDefault::Function(function) => quote!(#function()),
    };
    let value = quote!(#support::SerializeProbe(__kube_default).default_to_value());
    let value = match &field.skip_serializing_if {
        Some(skip) => quote!(if #skip(&__kube_default) { ::core::option::Option::None } else { #value }),
        None => value,
    };
    Some(quote!(|| {
        #[allow(unused_imports, reason = "only a type without `Serialize` needs the trait")]
        use #support::SerializeFallback as _;
        let __kube_default: #ty = #default;
        #value
    }))
}

/// The name of a unit variant in JSON; `None` if the variant is not plain.
fn variant_name(variant: &Variant, rename: fn(String) -> String) -> Option<String> {
    let attrs = PlainAttrs::parse(&variant.attrs, VARIANT_KEYS)?;
    let is_plain = matches!(variant.fields, Fields::Unit) && attrs.docs.is_empty();
    is_plain.then(|| attrs.rename.unwrap_or_else(|| rename(variant.ident.unraw().to_string())))
}

impl<'a> PlainField<'a> {
    /// Reads the attributes of a field; `None` if the field is not plain.
    fn parse(field: &'a Field, rename: fn(String) -> String) -> Option<Self> {
        let attrs = PlainAttrs::parse(&field.attrs, FIELD_KEYS)?;
        let name = match attrs.rename {
            Some(name) => name,
            None => rename(field.ident.as_ref()?.unraw().to_string()),
        };
        let (default, skip_serializing_if) = (attrs.default, attrs.skip_serializing_if);
        Some(Self {
            name,
            description: description(&attrs.docs)?,
            ty: &field.ty,
            default,
            skip_serializing_if,
        })
    }
}

impl PlainAttrs {
    /// Reads the doc comments and the keys `serde_keys`; `None` if the attributes contain anything else that can change the
    /// schema.
    fn parse<'a>(attributes: impl IntoIterator<Item = &'a Attribute>, serde_keys: &[&str]) -> Option<Self> {
        let mut attrs = Self::default();
        for attribute in attributes {
            let path = attribute.path();
            if path.is_ident("doc") {
                attrs.docs.push(text_of(&attribute.meta)?.value());
            } else if path.is_ident("serde") {
                for key in parse_metas(attribute).ok()? {
                    let name = serde_keys.iter().find(|name| key.path().is_ident(name))?;
                    attrs.parse_serde_key(name, &key)?;
                }
            } else if path.is_ident("x_kube") || super::is_kept(attribute) {
                return None;
            }
        }
        Some(attrs)
    }

    fn parse_serde_key(&mut self, name: &str, key: &Meta) -> Option<()> {
        match name {
            "default" if matches!(key, Meta::Path(_)) => self.default = Some(FieldDefault::OfType),
            "default" => self.default = Some(FieldDefault::Function(text_of(key)?.parse().ok()?)),
            "skip_serializing_if" => self.skip_serializing_if = Some(text_of(key)?.parse().ok()?),
            "rename" => self.rename = Some(text_of(key)?.value()),
            "rename_all" => self.rename_all = Some(text_of(key)?.value()),
            _ => return None,
        }
        Some(())
    }
}

/// The description in a schema; empty without doc comments. `None` if the comment starts with a heading, which would be
/// the title of the schema.
fn description(docs: &[String]) -> Option<String> {
    let lines: Vec<_> = docs.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    let text = lines.join("\n");
    let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
    (!text.starts_with('#')).then(|| text.to_owned())
}

/// Returns the function that renames fields for a value of `rename_all`. `None` for the rare values.
fn field_rename(rule: Option<&str>) -> Option<fn(String) -> String> {
    match rule {
        None | Some("snake_case") => Some(|name| name),
        Some("camelCase") => Some(|name| camel_case(&name)),
        _ => None,
    }
}

/// Converts the name of a field to camel case, as serde does.
fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut starts_word = false;
    for c in name.chars() {
        match c {
            '_' => {}
            c if camel.is_empty() => camel.push(c.to_ascii_lowercase()),
            c if starts_word => camel.push(c.to_ascii_uppercase()),
            c => camel.push(c),
        }
        starts_word = c == '_';
    }
    camel
}

/// Returns the function that renames variants for a value of `rename_all`. `None` for the rare values.
fn variant_rename(rule: Option<&str>) -> Option<fn(String) -> String> {
    match rule {
        None | Some("PascalCase") => Some(|name| name),
        Some("lowercase") => Some(|name| name.to_ascii_lowercase()),
        Some("UPPERCASE") => Some(|name| name.to_ascii_uppercase()),
        Some("camelCase") => Some(|mut name| {
            if let Some(first) = name.get_mut(..1) {
                first.make_ascii_lowercase();
            }
            name
        }),
        _ => None,
    }
}
