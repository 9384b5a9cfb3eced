//! Generates `HasSpec` and `HasStatus`, with which generic code accesses spec and status.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::Model;

pub(super) fn expand(model: &Model) -> TokenStream {
    let Model { root, spec, .. } = model;
    let support = &model.paths.support;
    let has_status = model.status.as_ref().map(|status| {
        quote! {
            impl #support::HasStatus for #root {
                type Status = #status;

                #[inline]
                fn status(&self) -> ::core::option::Option<&#status> {
                    ::core::option::Option::as_ref(&self.status)
                }

                #[inline]
                fn status_mut(&mut self) -> &mut ::core::option::Option<#status> {
                    &mut self.status
                }
            }
        }
    });
    quote! {
        impl #support::HasSpec for #root {
            type Spec = #spec;

            #[inline]
            fn spec(&self) -> &#spec {
                &self.spec
            }

            #[inline]
            fn spec_mut(&mut self) -> &mut #spec {
                &mut self.spec
            }
        }
        #has_status
    }
}
