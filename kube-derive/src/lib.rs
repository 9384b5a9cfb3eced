// The examples of the README use kube-client. The tests of kube-client depend on this crate, so a dependency
// on kube-client would be circular. Therefore kube-client runs these examples.
#![cfg_attr(not(doctest), doc = include_str!("../README.md"))]
//!
//! Implementation of `CustomResource`: `input` parses, `validate` checks, `model` sets defaults, `expand` generates the
//! code, and `fallback` generates minimal code after errors. `inherit` implements `#[derive(Resource)]`, `kube_schema`
//! implements `#[derive(KubeSchema)]`, and `apply` implements `#[derive(ApplyConfiguration)]`. This crate must not depend
//! on another crate of the workspace.

mod apply;
mod companion;
mod expand;
mod fallback;
mod inherit;
mod input;
mod kube_schema;
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
/// `HasSpec`, `HasStatus` and `CustomResourceExt`. Without the key `status`, it generates neither the field `status` nor
/// `HasStatus`. The [crate's front page](crate) lists all keys of `#[kube(..)]`.
///
/// # Errors
///
/// Values that an API server would reject (a name in upper case, a path without a leading dot) and unknown keys are
/// compile errors with the span of the value or key.
#[proc_macro_derive(CustomResource, attributes(kube))]
pub fn derive_custom_resource(tokens: TokenStream) -> TokenStream {
    let input = parse_macro_input!(tokens as DeriveInput);
    let (input, mut error) = Input::parse(input);
    if let Err(invalid) = validate::check_input(&input) {
        input::combine_error(&mut error, invalid);
    }
    match error {
        None => expand::custom_resource(&Model::new(input)).into(),
        Some(error) => {
            let fallback = fallback::custom_resource(&input);
            let errors = error.into_compile_error();
            quote::quote!(#errors #fallback).into()
        }
    }
}

/// Implements `Resource` for a struct: gives the struct the names, version and scope of another kind.
///
/// The struct must have a field `metadata: ObjectMeta`, and may have any other fields of the kind.
/// `#[resource(inherit = Kind)]` names a type that implements `Resource`;
/// `crates(..)` has the paths of renamed crates, as in `#[kube(crates(..))]`. The [crate's front page](crate) has an
/// example.
///
/// # Errors
///
/// A missing or unknown key, and a type without the field `metadata`, are compile errors.
#[proc_macro_derive(Resource, attributes(resource))]
pub fn derive_resource(tokens: TokenStream) -> TokenStream {
    let input = parse_macro_input!(tokens as DeriveInput);
    inherit::derive(&input).into()
}

/// Implements schemars' `JsonSchema` for a type, with validation rules and merge strategies of Kubernetes.
///
/// Use it instead of `#[derive(JsonSchema)]`; the attributes of serde and schemars have the same effect.
/// `#[x_kube(..)]` on the type or on a field has these keys:
///
/// - `validation = ..`, repeatable: adds a CEL rule, written as a string, a pair of rule and message, or a `Rule`.
///   `Rule`, `Message` and `Reason` need no import.
/// - `merge_strategy = ..`: sets how server-side apply merges a list, map or struct, with a variant of `ListMerge`,
///   `MapMerge` or `StructMerge`. These enums need no import.
/// - `cel`, on the type: generates `validate_cel(value, old)`, which evaluates the rules without a server. It needs the
///   Cargo feature `cel` of kube-client or kube-core.
/// - `crates(..)`, on the type: paths of renamed crates, as in `#[kube(crates(..))]`.
///
/// The [crate's front page](crate) has an example.
///
/// # Errors
///
/// Unknown keys and unions are compile errors.
#[proc_macro_derive(KubeSchema, attributes(x_kube, schemars, serde, validate, garde))]
pub fn derive_kube_schema(tokens: TokenStream) -> TokenStream {
    let input = parse_macro_input!(tokens as DeriveInput);
    kube_schema::derive(input).into()
}

/// Generates the apply configuration of a struct, called its companion: `SiteSpecApply` for `SiteSpec`. Each field of
/// the companion is optional.
///
/// A server-side apply of the companion sends only the fields that a program has set, so the program owns only these
/// fields. The companion has the fields of the struct with their `#[serde(..)]` names. The companion implements `Clone`,
/// `Debug`, `Default`, `Serialize` and `Deserialize`. The structs and enums in the fields need the derive, too: a field of
/// the type `Vec<Port>` becomes `Option<Vec<PortApply>>`. An apply sends the values of these types whole: numbers, strings,
/// sets, arrays, tuples, enums, tuple structs, and types with a serde representation of their own, such as
/// `#[serde(into = "..")]`.
///
/// - `#[apply(whole)]` on a field: an apply sends the value of the field whole. A field needs this key if its type is a
///   struct or enum without the derive, such as `PodSpec` of `k8s-openapi`.
/// - `#[apply(derive(PartialEq))]` on the type: further derives of the companion.
/// - `#[apply(crates(..))]` on the type: paths of renamed crates, as in `#[kube(crates(..))]`.
///
/// `#[kube(apply)]` generates the companion of the kind, `SiteApply`. The [crate's front page](crate) has an example.
///
/// # Errors
///
/// Unknown keys, unions, generics, and a missing `#[apply(whole)]` are compile errors.
#[proc_macro_derive(ApplyConfiguration, attributes(apply, serde))]
pub fn derive_apply_configuration(tokens: TokenStream) -> TokenStream {
    let input = parse_macro_input!(tokens as DeriveInput);
    apply::derive(&input).into()
}
