//! Generates `JsonSchema` for the root struct. Generates nothing for `schema = "manual"` and `schema = "disabled"`.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::{Model, SchemaMode};

pub(super) fn expand(model: &Model) -> TokenStream {
    if model.schema != SchemaMode::Derived {
        return TokenStream::new();
    }
    let Model { root, spec, description, .. } = model;
    let (support, schemars) = (&model.block_paths.support, &model.block_paths.schemars);
    let name = root.to_string();
    let status = super::option_tokens(
        model.status.as_ref().map(|status| quote!(generator.subschema_for::<#status>())),
    );
    let flat = model.no_spec;
    quote! {
        impl #schemars::JsonSchema for #root {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                ::std::borrow::Cow::Borrowed(#name)
            }

            fn schema_id() -> ::std::borrow::Cow<'static, str> {
                ::std::borrow::Cow::Borrowed(::core::concat!(::core::module_path!(), "::", #name))
            }

            #[inline]
            fn json_schema(generator: &mut #schemars::SchemaGenerator) -> #schemars::Schema {
                let spec = <#spec as #schemars::JsonSchema>::json_schema(generator);
                let status = #status;
                #support::root_schema(#description, spec, #flat, status)
            }
        }
    }
}
