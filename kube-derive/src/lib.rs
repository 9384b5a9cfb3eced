// The examples of the README need kube-client, whose tests depend on this crate. Therefore kube-client runs these
// examples.
#![cfg_attr(not(doctest), doc = include_str!("../README.md"))]
//!
//! Implementation: `input` parses, `validate` checks, `model` sets defaults, `expand` generates one impl per file, and
//! `fallback` generates a minimal impl after errors. This crate must not depend on another crate of the workspace.

mod expand;
mod fallback;
mod input;
mod model;
mod plural;
mod validate;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

use crate::{input::Input, model::Model};

/// Generates a custom resource, and its `CustomResourceDefinition`, from the struct or enum of its spec.
///
/// For `struct FooSpec` with `kind = "Foo"` it generates `struct Foo { metadata, spec, status }` with
/// `Foo::new(name, spec)`, `Serialize`, `Deserialize` (which rejects another kind or API version), `Resource`,
/// `HasSpec`, `HasStatus` and `CustomResourceExt`. The [crate's front page](crate) lists all keys of `#[kube(..)]`.
///
/// # Errors
///
/// Values that an API server would reject (a name in upper case, a path without a leading dot, a scale without a
/// status) and unknown keys are compile errors with the span of the value.
#[proc_macro_derive(CustomResource, attributes(kube))]
pub fn derive_custom_resource(tokens: TokenStream) -> TokenStream {
    let input = parse_macro_input!(tokens as DeriveInput);
    let (input, parse_error) = Input::parse(input);
    let checked = match parse_error {
        Some(error) => Err(error),
        None => validate::check_input(&input),
    };
    match checked {
        Ok(()) => expand::custom_resource(&Model::new(input)).into(),
        Err(error) => {
            let fallback = fallback::custom_resource(&input);
            let errors = error.into_compile_error();
            quote::quote!(#errors #fallback).into()
        }
    }
}
