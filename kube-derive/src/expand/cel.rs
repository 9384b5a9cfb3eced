//! With `#[kube(cel)]`, generates the methods that validate an object by its schema and its validation rules.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::Model;

pub(super) fn expand(model: &Model) -> TokenStream {
    if !model.cel {
        return TokenStream::new();
    }
    let Model { root, vis, .. } = model;
    let support = &model.block_paths.support;
    quote!(#support::impl_validate_cel! { #vis kind #root })
}
