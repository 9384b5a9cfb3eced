//! Generates the root struct, which has the fields `metadata`, `spec` and, if the kind has a status, `status` of the
//! resource, and the constructor of the struct.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::Model;

pub(super) fn expand(model: &Model) -> TokenStream {
    let Model { spec, root, vis, derives, attributes, .. } = model;
    let k8s_openapi = &model.paths.k8s_openapi;
    let doc = format!("{}\n\nThe custom resource whose spec is [`{spec}`].", model.description);
    let (status_field, status_init) = match &model.status {
        Some(status) => (
            quote! {
                /// The observed state, which a controller writes; `None` until the first write.
                #vis status: ::core::option::Option<#status>,
            },
            quote!(status: ::core::option::Option::None,),
        ),
        None => (TokenStream::new(), TokenStream::new()),
    };
    let new_doc = format!("Creates a `{root}` with this name and spec, and no other metadata.");
    quote! {
        #[doc = #doc]
        #[derive(::core::clone::Clone, ::core::fmt::Debug #(, #derives)*)]
        #(#[#attributes])*
        #vis struct #root {
            /// Standard object metadata.
            #vis metadata: #k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
            /// The desired state.
            #vis spec: #spec,
            #status_field
        }

        impl #root {
            #[doc = #new_doc]
            #[inline]
            #[must_use]
            #[allow(dead_code, reason = "a program may only read such objects")]
            #vis fn new(name: &str, spec: #spec) -> Self {
                Self {
                    metadata: #k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                        name: ::core::option::Option::Some(::std::borrow::ToOwned::to_owned(name)),
                        ..::core::default::Default::default()
                    },
                    spec,
                    #status_init
                }
            }
        }
    }
}
