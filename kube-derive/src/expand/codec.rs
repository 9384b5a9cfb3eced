//! Generates `Serialize`, which writes `apiVersion` and `kind`, and `Deserialize`, which verifies both.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

use crate::model::Model;

pub(super) fn expand(model: &Model) -> TokenStream {
    let root = &model.root;
    let (support, serde) = (&model.block_paths.support, &model.block_paths.serde);
    let (decode, encode) = if model.no_spec { ("decode_flat", "encode_flat") } else { ("decode", "encode") };
    let spec =
        if model.no_spec { quote!(&self.spec) } else { quote!(::core::option::Option::Some(&self.spec)) };
    let decode = Ident::new(decode, Span::call_site());
    let encode = Ident::new(encode, Span::call_site());
    let (init, read, written) = match model.status {
        Some(_) => (quote!(status,), quote!(_), quote!(::core::option::Option::as_ref(&self.status))),
        None => (TokenStream::new(), quote!(#support::NoStatus), quote!(::core::option::Option::None::<&()>)),
    };
    let status = if model.status.is_some() { quote!(status) } else { quote!(_) };
    quote! {
        impl #serde::Serialize for #root {
            fn serialize<S>(&self, serializer: S) -> ::core::result::Result<S::Ok, S::Error>
            where
                S: #serde::Serializer,
            {
                #support::#encode(serializer, &DEFINITION, &self.metadata, #spec, #written)
            }
        }

        impl<'de> #serde::Deserialize<'de> for #root {
            fn deserialize<D>(deserializer: D) -> ::core::result::Result<Self, D::Error>
            where
                D: #serde::Deserializer<'de>,
            {
                let (metadata, spec, #status): (_, _, #read) = #support::#decode(deserializer, &DEFINITION)?;
                ::core::result::Result::Ok(Self { metadata, spec, #init })
            }
        }
    }
}
