//! Generates the impl of `Resource`: the names and the scope of the kind, and access to the metadata.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

use crate::model::Model;

/// Generates the impl for `root`, which is the struct of the resource or the companion of this struct.
pub(super) fn expand(model: &Model, root: &Ident) -> TokenStream {
    let (support, k8s_openapi) = (&model.block_paths.support, &model.block_paths.k8s_openapi);
    let scope = if model.names.namespaced { "NamespaceResourceScope" } else { "ClusterResourceScope" };
    let scope = Ident::new(scope, Span::call_site());
    let names = ["kind", "group", "version", "api_version", "plural"].map(|name| {
        let name = Ident::new(name, Span::call_site());
        quote! {
            fn #name((): &()) -> ::std::borrow::Cow<'_, str> {
                ::std::borrow::Cow::Borrowed(DEFINITION.#name)
            }
        }
    });
    let meta = quote!(#support::ObjectMeta);
    quote! {
        impl #support::Resource for #root {
            type DynamicType = ();
            type Scope = #k8s_openapi::#scope;

            #(#names)*

            fn meta(&self) -> &#meta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut #meta {
                &mut self.metadata
            }
        }
    }
}
