//! Generates the code from the model. Each file generates one part of the code, such as the impl of `Resource`.
//!
//! The generated code is small: a static (`definition`), and calls to `kube_client::core::__private`, which is compiled
//! once for all resources. Functions that use code of other derives are `#[inline]`, so that the compiler generates machine
//! code only if the program calls them. For example, `generate_crd` needs the `JsonSchema` impls of all types. Short
//! functions are not `#[inline]`: the metadata of the crate would contain their bodies, and each build writes all
//! metadata again.
//! This module must not report errors: the model is already validated.

mod accessors;
mod apply;
mod cel;
mod codec;
mod crd;
mod definition;
mod resource;
mod root;
mod schema;

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::{Model, support_alias};

/// The tokens of an `Option` expression.
fn option_tokens(value: Option<TokenStream>) -> TokenStream {
    value.map_or_else(
        || quote!(::core::option::Option::None),
        |value| quote!(::core::option::Option::Some(#value)),
    )
}

/// Generates all items of one custom resource.
pub(crate) fn custom_resource(model: &Model) -> TokenStream {
    let (support, alias) = (&model.paths.support, support_alias());
    let root = root::expand_struct(model);
    let constructor = root::expand_constructor(model);
    let definition = definition::expand(model);
    let codec = codec::expand(model);
    let resource = resource::expand(model, &model.root);
    let companion = apply::expand_struct(model);
    let companion_resource = model.apply.as_ref().map(|apply| resource::expand(model, &apply.companion));
    let companion_codec = apply::expand_impls(model);
    let accessors = accessors::expand(model);
    let schema = schema::expand(model);
    let crd = crd::expand(model);
    let cel = cel::expand(model);
    quote! {
        #root
        #companion
        const _: () = {
            use #support as #alias;
            #definition
            #constructor
            #codec
            #resource
            #accessors
            #schema
            #crd
            #cel
            #companion_resource
            #companion_codec
        };
    }
}
