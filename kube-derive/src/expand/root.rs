//! Generates the root struct and its constructor. The struct has the fields `metadata` and `spec`, and the field `status`
//! if the kind has a status.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::Model;

/// Generates the struct. It must be outside of the generated block `const _`, which contains the impls: users cannot name
/// the items of the block.
pub(super) fn expand_struct(model: &Model) -> TokenStream {
    let Model { spec, root, vis, derives, attributes, .. } = model;
    let k8s_openapi = &model.paths.k8s_openapi;
    let doc = format!("{}\n\nThe custom resource whose spec is [`{spec}`].", model.description);
    let status = model.status.as_ref().map(|status| {
        quote! {
            /// The observed state, which a controller writes; `None` until the first write.
            #vis status: ::core::option::Option<#status>,
        }
    });
    quote! {
        #[doc = #doc]
        #[derive(::core::clone::Clone, ::core::fmt::Debug #(, #derives)*)]
        #(#[#attributes])*
        #vis struct #root {
            /// Standard object metadata.
            #vis metadata: #k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
            /// The desired state.
            #vis spec: #spec,
            #status
        }
    }
}

/// Generates `new`. It is `#[inline]` because it may have to drop the spec, which needs code of all types in the spec.
pub(super) fn expand_constructor(model: &Model) -> TokenStream {
    let Model { spec, root, vis, .. } = model;
    let support = &model.block_paths.support;
    let status = model.status.as_ref().map(|_| quote!(status: ::core::option::Option::None,));
    let doc = format!("Creates a `{root}` with this name and spec, and no other metadata.");
    quote! {
        impl #root {
            #[doc = #doc]
            #[inline]
            #[must_use]
            #[allow(dead_code, reason = "a program may only read such objects")]
            #vis fn new(name: &str, spec: #spec) -> Self {
                Self { metadata: #support::metadata_with_name(name), spec, #status }
            }
        }
    }
}
