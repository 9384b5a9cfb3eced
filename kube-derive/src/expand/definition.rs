//! Generates `DEFINITION`, a static with all constants of the resource. Other files must not generate API names.

use proc_macro2::{Literal, TokenStream};
use quote::{ToTokens, quote};

use super::option_tokens;
use crate::{
    input::{Column, Scale},
    model::Model,
};

pub(super) fn expand(model: &Model) -> TokenStream {
    let support = &model.block_paths.support;
    let names = &model.names;
    let (group, version, kind) = (&names.group, &names.version, &names.kind);
    let (plural, singular, namespaced) = (&names.plural, &names.singular, names.namespaced);
    let (shortnames, categories) = (&names.shortnames, &names.categories);
    let api_version = format!("{group}/{version}");
    let crd_name = format!("{plural}.{group}");
    let about = &model.version;
    let (served, storage, deprecated) = (about.served, about.storage, about.deprecated);
    let warning = string_option_tokens(about.deprecation_warning.as_ref());
    let columns = about.columns.iter().map(|c| column_tokens(support, c));
    let selectable = &about.selectable;
    let status = model.status.is_some();
    let scale = option_tokens(about.scale.as_ref().map(|scale| scale_tokens(support, scale)));
    let pairs = |list: &[(String, String)]| {
        let pairs = list.iter().map(|(key, value)| quote!((#key, #value)));
        quote!(&[#(#pairs),*])
    };
    let annotations = pairs(&model.annotations);
    let labels = pairs(&model.labels);
    quote! {
        static DEFINITION: #support::Definition = #support::Definition {
            group: #group,
            version: #version,
            api_version: #api_version,
            kind: #kind,
            plural: #plural,
            singular: #singular,
            crd_name: #crd_name,
            shortnames: &[#(#shortnames),*],
            categories: &[#(#categories),*],
            namespaced: #namespaced,
            served: #served,
            storage: #storage,
            deprecated: #deprecated,
            deprecation_warning: #warning,
            columns: &[#(#columns),*],
            selectable: &[#(#selectable),*],
            status: #status,
            scale: #scale,
            annotations: #annotations,
            labels: #labels,
        };
    }
}

/// The tokens of an optional string literal.
fn string_option_tokens(value: Option<&impl ToTokens>) -> TokenStream {
    option_tokens(value.map(ToTokens::to_token_stream))
}

/// The tokens of a printer column.
fn column_tokens(support: &TokenStream, column: &Column) -> TokenStream {
    let (name, type_, json_path) = (&column.name, &column.type_, &column.json_path);
    let description = string_option_tokens(column.description.as_ref());
    let format = string_option_tokens(column.format.as_ref());
    let priority = column.priority.as_ref().and_then(|p| p.base10_parse().ok());
    let priority =
        option_tokens(priority.map(|priority| Literal::i32_suffixed(priority).into_token_stream()));
    quote! {
        #support::Column {
            name: #name,
            type_: #type_,
            json_path: #json_path,
            description: #description,
            format: #format,
            priority: #priority,
        }
    }
}

/// The tokens of the paths of the scale subresource.
fn scale_tokens(support: &TokenStream, scale: &Scale) -> TokenStream {
    let (spec, status) = (&scale.spec_replicas, &scale.status_replicas);
    let selector = string_option_tokens(scale.label_selector.as_ref());
    quote! {
        #support::Scale {
            spec_replicas_path: #spec,
            status_replicas_path: #status,
            label_selector_path: #selector,
        }
    }
}
