//! `#[derive(Resource)]` gives a type the names, version and scope of another kind. For example, a program can define a
//! struct with only a few fields of `ConfigMap`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Fields, LitStr, Path, meta::ParseNestedMeta, parse_quote, spanned::Spanned};

use crate::{
    input::{Crates, combine_error, key_name, parse_keys, reject_duplicate, unknown_key_error, value_of},
    model::Paths,
};

/// The content of `#[resource(..)]`.
#[derive(Default)]
struct Attrs {
    /// The value of `inherit`: a type. The generated impl returns the names, version and scope of this type.
    kind: Option<Path>,
    crates: Option<Crates>,
}

/// All keys of `#[resource(..)]`.
const KNOWN_KEYS: &[&str] = &["inherit", "crates"];

impl Attrs {
    fn parse_key(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        match key_name(meta).as_str() {
            "inherit" => {
                reject_duplicate(self.kind.as_ref(), meta)?;
                let value = value_of(meta)?;
                let quoted = value.peek(LitStr);
                self.kind = Some(if quoted { value.parse::<LitStr>()?.parse()? } else { value.parse()? });
                Ok(())
            }
            "crates" => {
                reject_duplicate(self.crates.as_ref(), meta)?;
                self.crates = Some(Crates::parse(meta)?);
                Ok(())
            }
            _ => Err(unknown_key_error(meta, "resource(..)", KNOWN_KEYS)),
        }
    }
}

/// Generates the impl of `Resource`. After errors, generates the errors, and an impl that prevents follow-up errors.
pub(crate) fn derive(input: &DeriveInput) -> TokenStream {
    let mut attrs = Attrs::default();
    let mut error = None;
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("resource")) {
        parse_keys(attribute, &mut error, |meta| attrs.parse_key(meta));
    }
    if attrs.kind.is_none() && error.is_none() {
        let message =
            "`Resource` needs `#[resource(inherit = Kind)]` with the type of the kind, such as `ConfigMap`";
        combine_error(&mut error, syn::Error::new(input.ident.span(), message));
    }
    if let Some(span) = span_of_missing_metadata(input) {
        combine_error(
            &mut error,
            syn::Error::new(span, "`Resource` needs a struct with the field `metadata: ObjectMeta`"),
        );
    }
    let paths = Paths::new(attrs.crates.as_ref());
    let k8s_openapi = &paths.k8s_openapi;
    let kind = attrs.kind.unwrap_or_else(|| parse_quote!(#k8s_openapi::api::core::v1::ConfigMap));
    match error {
        None => expand(input, &kind, &paths, [quote!(&self.metadata), quote!(&mut self.metadata)]),
        Some(error) => {
            let fallback = expand(input, &kind, &paths, [(); 2].map(|()| quote!(::core::unreachable!())));
            let errors = error.into_compile_error();
            quote!(#errors #fallback)
        }
    }
}

/// The span at which to report a missing field `metadata`; `None` if the type has this field.
fn span_of_missing_metadata(input: &DeriveInput) -> Option<proc_macro2::Span> {
    let Data::Struct(data) = &input.data else { return Some(input.ident.span()) };
    let Fields::Named(fields) = &data.fields else { return Some(data.fields.span()) };
    let found = fields.named.iter().filter_map(|field| field.ident.as_ref()).any(|name| name == "metadata");
    (!found).then(|| input.ident.span())
}

/// The impl of `Resource`. `meta_bodies` are the bodies of `meta` and `meta_mut`.
fn expand(input: &DeriveInput, kind: &Path, paths: &Paths, meta_bodies: [TokenStream; 2]) -> TokenStream {
    let [meta_body, meta_mut_body] = meta_bodies;
    let Paths { support, k8s_openapi, .. } = paths;
    let name = &input.ident;
    let (impl_generics, type_generics, conditions) = input.generics.split_for_impl();
    let inherited = quote!(<#kind as #support::Resource>);
    let names = ["kind", "group", "version", "api_version", "plural"].map(|function| {
        let function = proc_macro2::Ident::new(function, proc_macro2::Span::call_site());
        quote! {
            fn #function(dt: &Self::DynamicType) -> ::std::borrow::Cow<'_, str> {
                #inherited::#function(dt)
            }
        }
    });
    let meta = quote!(#k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta);
    quote! {
        #[automatically_derived]
        impl #impl_generics #support::Resource for #name #type_generics #conditions {
            type DynamicType = #inherited::DynamicType;
            type Scope = #inherited::Scope;

            #(#names)*

            fn meta(&self) -> &#meta {
                #meta_body
            }

            fn meta_mut(&mut self) -> &mut #meta {
                #meta_mut_body
            }
        }
    }
}
