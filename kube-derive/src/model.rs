//! The input of `expand`: validated, with all defaults set.
//!
//! The model must not contain the tokens of structs or impls: `expand` generates these tokens.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::{Expr, Meta, Path, Type, Visibility};

use crate::{
    companion::{companion_name, companion_type},
    input::{Attrs, Column, Crates, Input, Scale, is_enabled},
    plural::plural_of,
};

/// A validated custom resource, from which the code is generated.
pub(crate) struct Model {
    /// The name of the spec's type.
    pub(crate) spec: Ident,
    /// The name of the generated struct.
    pub(crate) root: Ident,
    pub(crate) vis: Visibility,
    pub(crate) names: Names,
    /// The status type; `None` without a status subresource.
    pub(crate) status: Option<Type>,
    /// Whether the fields of the spec are siblings of `metadata`.
    pub(crate) no_spec: bool,
    pub(crate) schema: SchemaMode,
    /// The description of the root schema.
    pub(crate) description: String,
    pub(crate) version: Version,
    pub(crate) annotations: Vec<(String, String)>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) validations: Vec<Expr>,
    /// Whether to generate the methods that evaluate the validation rules without a server.
    pub(crate) cel: bool,
    /// The companions of the resource, its spec and its status; `None` without `apply`.
    pub(crate) apply: Option<CompanionTypes>,
    pub(crate) derives: Vec<Path>,
    pub(crate) attributes: Vec<Meta>,
    pub(crate) paths: Paths,
    /// The paths for the code in the generated block `const _`, which contains the impls. Default paths begin with
    /// [`support_alias`], so that they have fewer tokens.
    pub(crate) block_paths: Paths,
}

/// The name of [`Paths::support`] in the generated block `const _`, which contains the impls.
pub(crate) fn support_alias() -> TokenStream {
    quote!(__kube)
}

/// The companions, which are apply configurations: the companion of the resource, of its spec and of its status.
pub(crate) struct CompanionTypes {
    pub(crate) companion: Ident,
    /// The companion of the spec.
    pub(crate) spec: Ident,
    /// The companion of the status.
    pub(crate) status: Option<Type>,
}

/// The names of the resource in the API.
pub(crate) struct Names {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) shortnames: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
}

/// The entry of this version in the CRD, without the schema.
pub(crate) struct Version {
    pub(crate) served: bool,
    pub(crate) storage: bool,
    pub(crate) deprecated: bool,
    pub(crate) deprecation_warning: Option<String>,
    pub(crate) columns: Vec<Column>,
    pub(crate) selectable: Vec<String>,
    pub(crate) scale: Option<Scale>,
}

/// The source of the schema in `crd()`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum SchemaMode {
    /// The generated `JsonSchema` impl.
    Derived,
    /// The program's own `JsonSchema` impl.
    Manual,
    /// The CRD has no schema.
    Disabled,
}

/// Paths of the crates that the generated code uses.
pub(crate) struct Paths {
    /// The hidden module of `kube_client` for generated code.
    pub(crate) support: TokenStream,
    pub(crate) k8s_openapi: TokenStream,
    pub(crate) serde: TokenStream,
    pub(crate) schemars: TokenStream,
}

impl Model {
    /// Creates the model and sets the defaults. `input` must have passed validation, which requires `group`, `version`
    /// and `kind`.
    pub(crate) fn new(input: Input) -> Self {
        let attrs = input.attrs;
        let names = Names::new(&attrs);
        let root = attrs.root.unwrap_or_else(|| {
            Ident::new(&names.kind, attrs.kind.as_ref().map_or_else(Span::call_site, syn::LitStr::span))
        });
        let description = attrs
            .doc
            .map(|d| d.value())
            .or(input.doc)
            .unwrap_or_else(|| format!("A {} of {}/{}.", names.kind, names.group, names.version));
        let schema = match attrs.schema.map(|s| s.value()).as_deref() {
            Some("manual") => SchemaMode::Manual,
            Some("disabled") => SchemaMode::Disabled,
            _ => SchemaMode::Derived,
        };
        let apply = attrs.apply.filter(|flag| flag.value).map(|_| CompanionTypes {
            companion: companion_name(&root),
            spec: companion_name(&input.ident),
            status: attrs.status.as_ref().map(companion_type),
        });
        let pairs = |list: Vec<crate::input::MetadataEntry>| {
            list.into_iter().map(|p| (p.key.value(), p.value.value())).collect()
        };
        Self {
            spec: input.ident,
            root,
            vis: input.vis,
            names,
            status: attrs.status,
            no_spec: attrs.no_spec.is_some_and(|flag| flag.value),
            schema,
            description,
            version: Version {
                served: is_enabled(attrs.served.as_ref(), true),
                storage: is_enabled(attrs.storage.as_ref(), true),
                deprecated: attrs.deprecated.is_some(),
                deprecation_warning: attrs.deprecated.and_then(|d| d.warning).map(|w| w.value()),
                columns: attrs.columns,
                selectable: attrs.selectable.iter().map(syn::LitStr::value).collect(),
                scale: attrs.scale,
            },
            annotations: pairs(attrs.annotations),
            labels: pairs(attrs.labels),
            validations: attrs.validations,
            cel: attrs.cel.is_some_and(|flag| flag.value),
            apply,
            derives: attrs.derives,
            attributes: attrs.attributes,
            paths: Paths::new(attrs.crates.as_ref()),
            block_paths: Paths::with_support(attrs.crates.as_ref(), support_alias()),
        }
    }
}

impl Names {
    /// Takes the names from the attributes, and sets the default singular and plural.
    fn new(attrs: &Attrs) -> Self {
        let text = |literal: &Option<syn::LitStr>| literal.as_ref().map(syn::LitStr::value);
        let list = |literals: &[syn::LitStr]| literals.iter().map(syn::LitStr::value).collect();
        let kind = text(&attrs.kind).unwrap_or_default();
        let singular = text(&attrs.singular).unwrap_or_else(|| kind.to_ascii_lowercase());
        Self {
            group: text(&attrs.group).unwrap_or_default(),
            version: text(&attrs.version).unwrap_or_default(),
            plural: text(&attrs.plural).unwrap_or_else(|| plural_of(&singular)),
            shortnames: list(&attrs.shortnames),
            categories: list(&attrs.categories),
            namespaced: attrs.namespaced.as_ref().is_some_and(|flag| flag.value),
            kind,
            singular,
        }
    }
}

impl Paths {
    /// Takes the paths from `crates(..)`. The default paths are re-exports of `kube_client`, so that the generated code
    /// needs no other dependency.
    pub(crate) fn new(crates: Option<&Crates>) -> Self {
        let given = |pick: fn(&Crates) -> &Option<Path>| crates.and_then(|c| pick(c).as_ref());
        let core = given(|c| &c.core).map_or_else(
            || {
                let client = given(|c| &c.kube_client);
                let client = client.map_or_else(|| quote!(::kube_client), |path| quote!(#path));
                quote!(#client::core)
            },
            |path| quote!(#path),
        );
        Self::with_support(crates, quote!(#core::__private))
    }

    /// Like [`Paths::new`], but the parameter `support` is the path of the hidden module.
    fn with_support(crates: Option<&Crates>, support: TokenStream) -> Self {
        let given = |pick: fn(&Crates) -> &Option<Path>| crates.and_then(|c| pick(c).as_ref());
        let or_reexport = |path: Option<&Path>, name: TokenStream| {
            path.map_or_else(|| quote!(#support::#name), |path| quote!(#path))
        };
        Self {
            k8s_openapi: or_reexport(given(|c| &c.k8s_openapi), quote!(k8s_openapi)),
            serde: or_reexport(given(|c| &c.serde), quote!(serde)),
            schemars: or_reexport(given(|c| &c.schemars), quote!(schemars)),
            support,
        }
    }
}
