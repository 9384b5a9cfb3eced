//! Generates the methods that evaluate the validation rules of an object; nothing without `#[kube(cel)]`.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::Model;

pub(super) fn expand(model: &Model) -> TokenStream {
    if !model.cel {
        return TokenStream::new();
    }
    let Model { root, vis, .. } = model;
    let support = &model.paths.support;
    quote!(#support::impl_validate_cel! { #vis kind #root })
}
