//! The code that is generated after an error: the struct of the resource (`root`), with impls that type-check and are
//! never called.
//!
//! Without this code, every use of the struct would cause a further compile error.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

use crate::{
    companion::{companion_name, companion_type},
    input::Input,
    model::Paths,
};

/// Generates the struct of the resource and its impls. Generates nothing for a generic spec, or if the name of the struct
/// is unknown or equals the name of the spec.
pub(crate) fn custom_resource(input: &Input) -> TokenStream {
    let attrs = &input.attrs;
    let named_by_kind = attrs.kind.as_ref().and_then(|k| syn::parse_str::<Ident>(&k.value()).ok());
    let Some(root) =
        attrs.root.clone().or(named_by_kind).filter(|root| *root != input.ident && !input.generic)
    else {
        return TokenStream::new();
    };
    let (spec, vis) = (&input.ident, &input.vis);
    let Paths { support, k8s_openapi, serde, schemars } = Paths::new(attrs.crates.as_ref());
    // Skip the derives that `validate` rejects. They derive traits that the generated code implements:
    // `Clone`, `Debug`, `Serialize`, `Deserialize` and `JsonSchema`. With `schema = "manual"`, `validate`
    // accepts `JsonSchema`, but this function still skips it.
    let derives = attrs.derives.iter().filter(|path| {
        let name = path.segments.last().map(|s| s.ident.to_string());
        !matches!(name.as_deref(), Some("Clone" | "Debug" | "Serialize" | "Deserialize" | "JsonSchema"))
    });
    let meta = quote!(#k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta);
    let status = attrs.status.as_ref().map(|status| quote!(#vis status: ::core::option::Option<#status>,));
    let status_init = attrs.status.as_ref().map(|_| quote!(status: ::core::option::Option::None,));
    let has_status = attrs.status.as_ref().map(|status| {
        quote! {
            impl #support::HasStatus for #root {
                type Status = #status;
                fn status(&self) -> ::core::option::Option<&#status> { ::core::unreachable!() }
                fn status_mut(&mut self) -> &mut ::core::option::Option<#status> { ::core::unreachable!() }
            }
        }
    });
    let validate_cel = attrs
        .cel
        .as_ref()
        .filter(|flag| flag.value)
        .map(|_| quote!(#support::impl_validate_cel! { #vis kind #root }));
    let with_schema = attrs.schema.as_ref().is_none_or(|mode| mode.value() == "derived").then(|| {
        quote! {
            impl #schemars::JsonSchema for #root {
                fn schema_name() -> ::std::borrow::Cow<'static, str> { ::core::unreachable!() }
                fn json_schema(_: &mut #schemars::SchemaGenerator) -> #schemars::Schema { ::core::unreachable!() }
            }
        }
    });
    let scope = if attrs.namespaced.as_ref().is_some_and(|flag| flag.value) {
        quote!(NamespaceResourceScope)
    } else {
        quote!(ClusterResourceScope)
    };
    let companion = companion(input, &root, &scope);
    let names = ["kind", "group", "version", "plural"].map(|name| {
        let name = Ident::new(name, Span::call_site());
        quote!(fn #name((): &()) -> ::std::borrow::Cow<'_, str> { ::core::unreachable!() })
    });
    quote! {
        #[derive(::core::clone::Clone, ::core::fmt::Debug #(, #derives)*)]
        #vis struct #root { #vis metadata: #meta, #vis spec: #spec, #status }
        #companion
        const _: () = {
            impl #root {
                #vis fn new(_: &str, spec: #spec) -> Self {
                    Self { metadata: ::core::default::Default::default(), spec, #status_init }
                }
            }
            impl #serde::Serialize for #root {
                fn serialize<S: #serde::Serializer>(&self, _: S) -> ::core::result::Result<S::Ok, S::Error> {
                    ::core::unreachable!()
                }
            }
            impl<'de> #serde::Deserialize<'de> for #root {
                fn deserialize<D: #serde::Deserializer<'de>>(_: D) -> ::core::result::Result<Self, D::Error> {
                    ::core::unreachable!()
                }
            }
            impl #support::Resource for #root {
                type DynamicType = ();
                type Scope = #k8s_openapi::#scope;
                #(#names)*
                fn meta(&self) -> &#meta { &self.metadata }
                fn meta_mut(&mut self) -> &mut #meta { &mut self.metadata }
            }
            impl #support::HasSpec for #root {
                type Spec = #spec;
                fn spec(&self) -> &#spec { &self.spec }
                fn spec_mut(&mut self) -> &mut #spec { &mut self.spec }
            }
            #has_status
            #with_schema
            #validate_cel
            impl #support::DerivedKind for #root {
                fn definition() -> &'static #support::Definition { ::core::unreachable!() }
                fn generate_crd() -> #support::GeneratedCrd { ::core::unreachable!() }
            }
        };
    }
}

/// Generates the companion for server-side apply, with the impls that its users need. Returns `None` without `apply`.
fn companion(input: &Input, root: &Ident, scope: &TokenStream) -> Option<TokenStream> {
    let attrs = &input.attrs;
    attrs.apply.as_ref().filter(|flag| flag.value)?;
    let (vis, companion, spec) = (&input.vis, companion_name(root), companion_name(&input.ident));
    let Paths { support, k8s_openapi, serde, .. } = Paths::new(attrs.crates.as_ref());
    let status = attrs.status.as_ref().map(companion_type);
    let status = status.map(|status| quote!(#vis status: ::core::option::Option<#status>,));
    let meta = quote!(#k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta);
    let names = ["kind", "group", "version", "plural"].map(|name| {
        let name = Ident::new(name, Span::call_site());
        quote!(fn #name((): &()) -> ::std::borrow::Cow<'_, str> { ::core::unreachable!() })
    });
    Some(quote! {
        #[derive(::core::clone::Clone, ::core::fmt::Debug, ::core::default::Default)]
        #vis struct #companion { #vis metadata: #meta, #vis spec: ::core::option::Option<#spec>, #status }
        const _: () = {
            impl #companion {
                #vis fn new(_: &str) -> Self { ::core::unreachable!() }
            }
            impl #serde::Serialize for #companion {
                fn serialize<S: #serde::Serializer>(&self, _: S) -> ::core::result::Result<S::Ok, S::Error> {
                    ::core::unreachable!()
                }
            }
            impl<'de> #serde::Deserialize<'de> for #companion {
                fn deserialize<D: #serde::Deserializer<'de>>(_: D) -> ::core::result::Result<Self, D::Error> {
                    ::core::unreachable!()
                }
            }
            impl #support::Resource for #companion {
                type DynamicType = ();
                type Scope = #k8s_openapi::#scope;
                #(#names)*
                fn meta(&self) -> &#meta { &self.metadata }
                fn meta_mut(&mut self) -> &mut #meta { &mut self.metadata }
            }
        };
    })
}
