//! Generates `CustomResourceExt`: the `CustomResourceDefinition` and its names.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::{Model, SchemaMode};

pub(super) fn expand(model: &Model) -> TokenStream {
    let root = &model.root;
    let (support, k8s_openapi) = (&model.paths.support, &model.paths.k8s_openapi);
    let crd_type =
        quote!(#k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition);
    let crds = match model.schema {
        SchemaMode::Disabled => quote! {
            #[inline]
            fn crd() -> #crd_type {
                #support::crd(&DEFINITION, ::core::option::Option::None)
            }
        },
        SchemaMode::Derived | SchemaMode::Manual => with_schema(model, &crd_type),
    };
    quote! {
        impl #support::CustomResourceExt for #root {
            #crds

            #[inline]
            fn crd_name() -> &'static str {
                DEFINITION.crd_name
            }

            #[inline]
            fn api_resource() -> #support::ApiResource {
                #support::ApiResource::erase::<Self>(&())
            }

            #[inline]
            fn shortnames() -> &'static [&'static str] {
                DEFINITION.shortnames
            }
        }
    }
}

/// Generates `crd` and `try_crd` for a resource with a schema.
fn with_schema(model: &Model, crd_type: &TokenStream) -> TokenStream {
    let support = &model.paths.support;
    let rules = model.validations.iter();
    let rules = quote! {
        {
            #[allow(unused_imports, reason = "a rule may be a plain string")]
            use #support::rules::*;
            ::std::vec![#(#support::Rule::from(#rules)),*]
        }
    };
    let spec = &model.spec;
    let generated = if model.no_spec && model.schema == SchemaMode::Derived {
        quote!(#support::crd_with_flat_schema(&DEFINITION, #rules, #support::schema_of::<Self>, #support::schema_of::<#spec>))
    } else {
        quote!(#support::crd_with_schema(&DEFINITION, #rules, #support::schema_of::<Self>))
    };
    quote! {
        #[inline]
        fn crd() -> #crd_type {
            #generated.0
        }

        #[inline]
        fn try_crd() -> ::core::result::Result<#crd_type, #support::SchemaError> {
            #support::require_strict_schema::<Self>(&DEFINITION, #generated)
        }
    }
}
