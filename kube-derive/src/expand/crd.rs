//! Generates the impl of `DerivedKind`. kube-client implements `CustomResourceExt` for each `DerivedKind`.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::{Model, SchemaMode};

pub(super) fn expand(model: &Model) -> TokenStream {
    let root = &model.root;
    let support = &model.block_paths.support;
    let generate = match model.schema {
        SchemaMode::Disabled => quote!(#support::crd_without_schema(&DEFINITION)),
        SchemaMode::Derived | SchemaMode::Manual => tokens_of_crd_with_schema(model),
    };
    // Without `#[inline]`, the compiler would generate machine code for `generate_crd` even if the program does not
    // call `generate_crd`.
    quote! {
        impl #support::DerivedKind for #root {
            fn definition() -> &'static #support::Definition {
                &DEFINITION
            }

            #[inline]
            fn generate_crd() -> #support::GeneratedCrd {
                #generate
            }
        }
    }
}

fn tokens_of_crd_with_schema(model: &Model) -> TokenStream {
    let (support, schemars) = (&model.block_paths.support, &model.block_paths.schemars);
    let (spec, rules) = (&model.spec, &model.validations);
    let rules = if rules.is_empty() {
        quote!(::std::vec::Vec::new())
    } else {
        quote! {{
            #[allow(unused_imports, reason = "a rule may be a plain string")]
            use #support::rules::*;
            ::std::vec![#(#support::Rule::from(#rules)),*]
        }}
    };
    let schema = quote! {
        <Self as #schemars::JsonSchema>::schema_name(), <Self as #schemars::JsonSchema>::json_schema
    };
    if model.no_spec && model.schema == SchemaMode::Derived {
        let spec_schema = quote!(<#spec as #schemars::JsonSchema>::json_schema);
        quote!(#support::crd_with_flat_schema(&DEFINITION, #rules, #schema, #spec_schema))
    } else {
        quote!(#support::crd_with_schema(&DEFINITION, #rules, #schema))
    }
}
