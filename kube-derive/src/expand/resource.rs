//! Generates `Resource`: the names and scope of the kind, for `Api`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

use crate::model::Model;

/// The impl for `root`: the struct of the resource, or its companion.
pub(super) fn expand(model: &Model, root: &Ident) -> TokenStream {
    let (support, k8s_openapi) = (&model.paths.support, &model.paths.k8s_openapi);
    let scope = if model.names.namespaced { "NamespaceResourceScope" } else { "ClusterResourceScope" };
    let scope = Ident::new(scope, Span::call_site());
    let names = ["kind", "group", "version", "api_version", "plural"].map(|name| {
        let name = Ident::new(name, Span::call_site());
        quote! {
            #[inline]
            fn #name((): &()) -> ::std::borrow::Cow<'_, str> {
                ::std::borrow::Cow::Borrowed(DEFINITION.#name)
            }
        }
    });
    let meta = quote!(#k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta);
    quote! {
        impl #support::Resource for #root {
            type DynamicType = ();
            type Scope = #k8s_openapi::#scope;

            #(#names)*

            #[inline]
            fn meta(&self) -> &#meta {
                &self.metadata
            }

            #[inline]
            fn meta_mut(&mut self) -> &mut #meta {
                &mut self.metadata
            }
        }
    }
}
