//! Generates `HasSpec` and `HasStatus`, with which generic code accesses spec and status.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::Model;

pub(super) fn expand(model: &Model) -> TokenStream {
    let Model { root, spec, .. } = model;
    let support = &model.block_paths.support;
    let has_status = model.status.as_ref().map(|status| {
        quote! {
            impl #support::HasStatus for #root {
                type Status = #status;

                fn status(&self) -> ::core::option::Option<&#status> {
                    ::core::option::Option::as_ref(&self.status)
                }

                fn status_mut(&mut self) -> &mut ::core::option::Option<#status> {
                    &mut self.status
                }
            }
        }
    });
    quote! {
        impl #support::HasSpec for #root {
            type Spec = #spec;

            fn spec(&self) -> &#spec {
                &self.spec
            }

            fn spec_mut(&mut self) -> &mut #spec {
                &mut self.spec
            }
        }
        #has_status
    }
}
