//! With `#[kube(apply)]`, generates the companion of a kind. The companion is the apply configuration of the kind.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::{CompanionTypes, Model};

/// Generates the struct of the companion. This struct must be outside of the generated block `const _`, which contains the
/// impls: users cannot name the items of the block.
pub(super) fn expand_struct(model: &Model) -> Option<TokenStream> {
    let CompanionTypes { companion, spec, status } = model.apply.as_ref()?;
    let Model { root, vis, .. } = model;
    let k8s_openapi = &model.paths.k8s_openapi;
    // With `no_spec`, the JSON of the object has no field `spec`: the fields of the spec are beside `metadata`. All fields
    // of the spec's companion are optional, so `spec` itself needs no `Option`.
    let spec = if model.no_spec { quote!(#spec) } else { quote!(::core::option::Option<#spec>) };
    let status = status.as_ref().map(|status| {
        quote! {
            /// The observed state.
            #vis status: ::core::option::Option<#status>,
        }
    });
    let doc = format!(
        "The fields of a [`{root}`] that a server-side apply sends: those that are set.\n\n\
         It is a `Resource` of the same kind: `Api::<{companion}>::apply` applies it."
    );
    Some(quote! {
        #[doc = #doc]
        #[derive(::core::clone::Clone, ::core::fmt::Debug, ::core::default::Default)]
        #vis struct #companion {
            /// Standard object metadata; the name is required.
            #vis metadata: #k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
            /// The desired state.
            #vis spec: #spec,
            #status
        }
    })
}

/// Generates the constructor of the companion, and the impls of `Serialize` and `Deserialize`, which use `DEFINITION`.
pub(super) fn expand_impls(model: &Model) -> Option<TokenStream> {
    let CompanionTypes { companion, .. } = model.apply.as_ref()?;
    let Model { vis, .. } = model;
    let (support, serde) = (&model.block_paths.support, &model.block_paths.serde);
    let (read, pattern, init, status) = match model.status {
        Some(_) => {
            (quote!(_), quote!(status), quote!(status,), quote!(::core::option::Option::as_ref(&self.status)))
        }
        None => {
            (quote!(#support::NoStatus), quote!(_), quote!(), quote!(::core::option::Option::None::<&()>))
        }
    };
    let encode = if model.no_spec {
        quote!(#support::encode_flat(serializer, &DEFINITION, &self.metadata, &self.spec, #status))
    } else {
        let spec = quote!(::core::option::Option::as_ref(&self.spec));
        quote!(#support::encode(serializer, &DEFINITION, &self.metadata, #spec, #status))
    };
    let decode = if model.no_spec { quote!(decode_flat) } else { quote!(decode_partial) };
    let new_doc = format!("Creates a `{companion}` with this name, and nothing else that is set.");
    Some(quote! {
        impl #companion {
            #[doc = #new_doc]
            #[must_use]
            #[allow(dead_code, reason = "a program may set the name in the metadata")]
            #vis fn new(name: &str) -> Self {
                Self {
                    metadata: #support::metadata_with_name(name),
                    ..::core::default::Default::default()
                }
            }
        }

        impl #serde::Serialize for #companion {
            fn serialize<S>(&self, serializer: S) -> ::core::result::Result<S::Ok, S::Error>
            where
                S: #serde::Serializer,
            {
                #encode
            }
        }

        impl<'de> #serde::Deserialize<'de> for #companion {
            fn deserialize<D>(deserializer: D) -> ::core::result::Result<Self, D::Error>
            where
                D: #serde::Deserializer<'de>,
            {
                let (metadata, spec, #pattern): (_, _, #read) = #support::#decode(deserializer, &DEFINITION)?;
                ::core::result::Result::Ok(Self { metadata, spec, #init })
            }
        }
    })
}
