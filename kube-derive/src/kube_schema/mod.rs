//! `#[derive(KubeSchema)]`: `JsonSchema` with the validation rules and merge strategies of `#[x_kube(..)]`.
//!
//! For plain types, `plain` generates the impl. This file generates the impl for all other types, with the derive of
//! schemars. A derive macro cannot change the attributes of its type, and the derive of schemars does not read `#[x_kube(..)]`.
//! Therefore this macro generates a private copy of the type. The copy derives `JsonSchema`, and has each rule and
//! strategy as `#[schemars(transform = ..)]`. The macro also implements `JsonSchema` for the type itself: this impl returns
//! the schema of the copy.

mod plain;

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::{
    Attribute, Data, DeriveInput, Expr, Field, GenericParam, Generics, Meta, Variant, ext::IdentExt,
    meta::ParseNestedMeta, parse_quote,
};

use crate::{
    input::{
        Crates, Flag, combine_error, is_enabled, key_name, parse_flag, parse_keys, parse_metas,
        reject_duplicate, unknown_key_error, value_of,
    },
    model::Paths,
};

/// The content of the `#[x_kube(..)]` attributes of a type or of a field.
#[derive(Default)]
struct Attrs {
    validations: Vec<Expr>,
    merge_strategy: Option<Expr>,
    cel: Option<Flag>,
    crates: Option<Crates>,
}

/// All keys of `#[x_kube(..)]`.
const KNOWN_KEYS: &[&str] = &["validation", "merge_strategy", "cel", "crates"];

/// The attributes that the derive macro of schemars reads. The generated copy of the type keeps only these
/// attributes.
const KEPT_ATTRIBUTES: &[&str] = &["serde", "schemars", "validate", "garde", "doc", "deprecated"];

fn is_kept(attribute: &Attribute) -> bool {
    KEPT_ATTRIBUTES.iter().any(|name| attribute.path().is_ident(name))
}

impl Attrs {
    /// Takes the `#[x_kube(..)]` attributes out of `attributes`, and removes all attributes that the copy must not
    /// have.
    fn take(attributes: &mut Vec<Attribute>, error: &mut Option<syn::Error>) -> Self {
        let mut attrs = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("x_kube")) {
            parse_keys(attribute, error, |meta| attrs.parse_key(meta));
        }
        attributes.retain(is_kept);
        attrs
    }

    fn parse_key(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        match key_name(meta).as_str() {
            "validation" => {
                self.validations.push(value_of(meta)?.parse()?);
                Ok(())
            }
            "merge_strategy" => {
                reject_duplicate(self.merge_strategy.as_ref(), meta)?;
                self.merge_strategy = Some(value_of(meta)?.parse()?);
                Ok(())
            }
            "crates" => {
                reject_duplicate(self.crates.as_ref(), meta)?;
                self.crates = Some(Crates::parse(meta)?);
                Ok(())
            }
            "cel" => parse_flag(&mut self.cel, meta),
            _ => Err(unknown_key_error(meta, "x_kube(..)", KNOWN_KEYS)),
        }
    }

    /// The attributes that add the validation rules and the merge strategy to a schema.
    fn schemars_attributes(&self, support: &TokenStream) -> impl Iterator<Item = Attribute> {
        let rules = (!self.validations.is_empty()).then(|| {
            let rules = &self.validations;
            parse_quote! {
                #[schemars(transform = {
                    #[allow(unused_imports, reason = "a rule may be a plain string")]
                    use #support::rules::*;
                    #support::add_rules(::std::vec![#(#support::Rule::from(#rules)),*])
                })]
            }
        });
        let strategy = self.merge_strategy.as_ref().map(|strategy| {
            parse_quote! {
                #[schemars(transform = {
                    #[allow(unused_imports, reason = "a strategy may have a path")]
                    use #support::merge_strategies::*;
                    #support::set_merge_strategy(#strategy)
                })]
            }
        });
        rules.into_iter().chain(strategy)
    }
}

/// Generates the impl of `JsonSchema` and, unless the type is plain, the copy of the type. After errors, generates the
/// errors, and an impl that prevents follow-up errors.
pub(crate) fn derive(mut input: DeriveInput) -> TokenStream {
    if let Some(impl_of_plain_type) = plain::expand(&input) {
        return impl_of_plain_type;
    }
    let mut error = None;
    if matches!(input.data, Data::Union(_)) {
        let message = "`KubeSchema` needs a struct or an enum, not a union";
        combine_error(&mut error, syn::Error::new(input.ident.span(), message));
    }
    let has_default =
        has_container_key(&input.attrs, |key| matches!(key, Meta::Path(path) if path.is_ident("default")));
    let has_rename = has_container_key(&input.attrs, |key| key.path().is_ident("rename"));
    let own = Attrs::take(&mut input.attrs, &mut error);
    let paths = Paths::new(own.crates.as_ref());
    let support = &paths.support;
    convert_field_attributes(&mut input.data, support, &mut error);
    match error {
        None => expand(input, &own, &paths, has_default, has_rename),
        Some(error) => {
            let fallback = fallback(&input, &own, &paths);
            let errors = error.into_compile_error();
            quote!(#errors #fallback)
        }
    }
}

/// Replaces the `#[x_kube(..)]` attributes of the fields by equivalent `#[schemars(..)]` attributes.
fn convert_field_attributes(data: &mut Data, support: &TokenStream, error: &mut Option<syn::Error>) {
    for field in clean_variants_and_return_fields(data, error) {
        let attrs = Attrs::take(&mut field.attrs, error);
        if attrs.crates.is_some() {
            let message = "`crates` belongs to the type: write `#[x_kube(crates(..))]` above the type";
            combine_error(error, syn::Error::new_spanned(&field.ident, message));
        }
        if let Some(flag) = &attrs.cel {
            let message = "`cel` belongs to the type: write `#[x_kube(cel)]` above the type";
            combine_error(error, syn::Error::new(flag.key.span(), message));
        }
        field.attrs.extend(attrs.schemars_attributes(support));
    }
}

/// Generates the code that the derive returns instead of its normal output if the input has errors: an impl
/// of `JsonSchema` that is never called and, with `cel`, the method `validate_cel`.
fn fallback(input: &DeriveInput, own: &Attrs, Paths { support, schemars, .. }: &Paths) -> TokenStream {
    let (name, vis) = (&input.ident, &input.vis);
    let (impl_generics, type_generics, conditions) = input.generics.split_for_impl();
    let cel =
        is_enabled(own.cel.as_ref(), false).then(|| quote!(#support::validate_cel_of_type! { #vis fn }));
    let cel = cel.map(|method| quote!(impl #impl_generics #name #type_generics #conditions { #method }));
    quote! {
        impl #impl_generics #schemars::JsonSchema for #name #type_generics #conditions {
            fn schema_name() -> ::std::borrow::Cow<'static, str> { ::core::unreachable!() }
            fn json_schema(_: &mut #schemars::SchemaGenerator) -> #schemars::Schema { ::core::unreachable!() }
        }
        #cel
    }
}

/// Generates the copy of the type and the impl of `JsonSchema`.
fn expand(
    mut input: DeriveInput,
    own: &Attrs,
    paths: &Paths,
    has_default: bool,
    has_rename: bool,
) -> TokenStream {
    let Paths { support, schemars, .. } = paths;
    let name = input.ident.clone();
    let vis = input.vis.clone();
    let copy = format_ident!("Schema{name}");
    let schemars_path = schemars.to_string().replace(' ', "");
    input.ident = copy.clone();
    input.vis = syn::Visibility::Inherited;
    input.attrs.extend(own.schemars_attributes(support));
    input.attrs.push(parse_quote!(#[schemars(crate = #schemars_path)]));
    if !has_rename {
        let schema_name = schema_name(&name, &input.generics);
        input.attrs.push(parse_quote!(#[schemars(rename = #schema_name)]));
    }
    let (impl_generics, type_generics, conditions) = input.generics.split_for_impl();
    if has_default {
        // The copy does not implement `Default`. Therefore the schema of the copy uses the default value of the original
        // type. Both types have the same fields.
        let default = quote!(<#name #type_generics as ::core::default::Default>::default).to_string();
        input.attrs.push(parse_quote!(#[schemars(default = #default)]));
    }
    // The derive of schemars decides which type parameters of the copy need `JsonSchema`. Therefore the condition below
    // requires `JsonSchema` for the copy, not for each parameter.
    let copy = quote!(#copy #type_generics);
    let mut conditions = conditions.cloned().unwrap_or_else(|| parse_quote!(where));
    if !input.generics.params.is_empty() {
        conditions.predicates.push(parse_quote!(#copy: #schemars::JsonSchema));
    }
    let cel = is_enabled(own.cel.as_ref(), false).then(|| {
        quote! {
            #[automatically_derived]
            impl #impl_generics #name #type_generics #conditions {
                #support::validate_cel_of_type! { #vis fn }
            }
        }
    });
    quote! {
        const _: () = {
            #[derive(#schemars::JsonSchema)]
            #[allow(dead_code, reason = "only the schema of this type is used")]
            #input

            #[automatically_derived]
            impl #impl_generics #schemars::JsonSchema for #name #type_generics #conditions {
                fn schema_name() -> ::std::borrow::Cow<'static, str> {
                    <#copy as #schemars::JsonSchema>::schema_name()
                }

                fn schema_id() -> ::std::borrow::Cow<'static, str> {
                    <#copy as #schemars::JsonSchema>::schema_id()
                }

                fn inline_schema() -> bool {
                    <#copy as #schemars::JsonSchema>::inline_schema()
                }

                fn json_schema(generator: &mut #schemars::SchemaGenerator) -> #schemars::Schema {
                    <#copy as #schemars::JsonSchema>::json_schema(generator)
                }
            }

            #cel
        };
    }
}

/// The name of the schema: the name of the type with the derive, not the name of the copy that this macro
/// generates. For a generic type, the name is a format string with the names of the parameters, as in the
/// derive of schemars.
fn schema_name(name: &Ident, generics: &Generics) -> String {
    let parameters = generics.params.iter().filter_map(|parameter| match parameter {
        GenericParam::Type(parameter) => Some(&parameter.ident),
        GenericParam::Const(parameter) => Some(&parameter.ident),
        GenericParam::Lifetime(_) => None,
    });
    let parameters: Vec<_> = parameters.map(|parameter| format!("{{{parameter}}}")).collect();
    let name = name.unraw();
    if parameters.is_empty() { name.to_string() } else { format!("{name}_for_{}", parameters.join("_and_")) }
}

/// Returns all fields of `data`, including the fields of variants. Removes all attributes of each variant
/// except the [`KEPT_ATTRIBUTES`]. Reports `#[x_kube(..)]` on a variant as an error.
fn clean_variants_and_return_fields<'a>(
    data: &'a mut Data,
    error: &mut Option<syn::Error>,
) -> Vec<&'a mut Field> {
    match data {
        Data::Struct(data) => data.fields.iter_mut().collect(),
        Data::Enum(data) => {
            let mut fields = Vec::new();
            for Variant { attrs, fields: own, ident, .. } in &mut data.variants {
                if attrs.iter().any(|attribute| attribute.path().is_ident("x_kube")) {
                    let message = "`x_kube` belongs to a type or a field, not to a variant";
                    combine_error(error, syn::Error::new(ident.span(), message));
                }
                attrs.retain(is_kept);
                fields.extend(own.iter_mut());
            }
            fields
        }
        Data::Union(_) => Vec::new(),
    }
}

/// Whether `matches` accepts a key in the `#[serde(..)]` and `#[schemars(..)]` attributes of the type.
fn has_container_key(attributes: &[Attribute], matches: impl Fn(&Meta) -> bool) -> bool {
    let lists = attributes.iter().filter(|a| a.path().is_ident("serde") || a.path().is_ident("schemars"));
    let mut keys = lists.filter_map(|list| parse_metas(list).ok());
    keys.any(|keys| keys.iter().any(&matches))
}
