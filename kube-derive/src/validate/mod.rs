//! Validates the parsed input: rejects values that an API server would reject or that `expand` does not support.
//!
//! This module collects all errors. The error for an invalid value has the span of the value. This module must not change
//! the input.

mod names;
mod paths;

use proc_macro2::Span;
use syn::{LitStr, Meta, Path, ext::IdentExt};

use crate::input::{Attrs, Column, Flag, Input, MetadataEntry, Shape, combine_error};

/// The collected errors.
#[derive(Default)]
pub(crate) struct Errors(Option<syn::Error>);

impl Errors {
    /// Adds an error at `span`.
    fn report(&mut self, span: Span, message: impl std::fmt::Display) {
        combine_error(&mut self.0, syn::Error::new(span, message));
    }

    /// Checks the text of `literal`. Reports a failure at the span of `literal`.
    fn check_text(&mut self, literal: &LitStr, check: impl FnOnce(&str) -> Result<(), String>) {
        if let Err(message) = check(&literal.value()) {
            self.report(literal.span(), message);
        }
    }
}

/// Checks the whole input.
pub(crate) fn check_input(input: &Input) -> Result<(), syn::Error> {
    let mut errors = Errors::default();
    let attrs = &input.attrs;
    check_required_keys(&mut errors, attrs);
    check_names(&mut errors, attrs);
    check_root_name(&mut errors, input);
    check_derives(&mut errors, attrs);
    attrs.attributes.iter().for_each(|meta| check_attribute(&mut errors, meta));
    check_schema_mode(&mut errors, attrs);
    check_cel(&mut errors, attrs);
    if let Some(warning) = attrs.deprecated.as_ref().and_then(|deprecated| deprecated.warning.as_ref()) {
        errors.check_text(warning, names::check_deprecation_warning);
    }
    check_scale(&mut errors, attrs);
    attrs.columns.iter().for_each(|c| check_column(&mut errors, c));
    attrs.selectable.iter().for_each(|path| errors.check_text(path, paths::check_selectable_path));
    for (index, path) in attrs.selectable.iter().enumerate() {
        if attrs.selectable[..index].iter().any(|earlier| earlier.value() == path.value()) {
            errors.report(path.span(), format!("\"{}\" is selectable twice: keep one", path.value()));
        }
    }
    if attrs.selectable.len() > paths::MAX_SELECTABLE_FIELDS {
        errors.report(
            attrs.selectable[paths::MAX_SELECTABLE_FIELDS].span(),
            "a version has at most 8 selectable fields",
        );
    }
    attrs
        .annotations
        .iter()
        .chain(&attrs.labels)
        .for_each(|pair| errors.check_text(&pair.key, names::check_qualified_name));
    attrs
        .labels
        .iter()
        .for_each(|MetadataEntry { value, .. }| errors.check_text(value, names::check_label_value));
    check_approval(&mut errors, attrs);
    check_no_spec(&mut errors, input);
    errors.0.map_or(Ok(()), Err)
}

/// Checks that a kind with `cel` has a schema.
fn check_cel(errors: &mut Errors, attrs: &Attrs) {
    let Some(Flag { key, value: true }) = &attrs.cel else { return };
    if attrs.schema.as_ref().is_some_and(|mode| mode.value() == "disabled") {
        errors.report(
            key.span(),
            "`cel` evaluates the rules of the schema, but `schema = \"disabled\"`: remove one",
        );
    }
}

/// Checks that the attributes contain the keys `group`, `version` and `kind`.
fn check_required_keys(errors: &mut Errors, attrs: &Attrs) {
    let all = [
        ("group", "example.com", attrs.group.is_some()),
        ("version", "v1", attrs.version.is_some()),
        ("kind", "Name", attrs.kind.is_some()),
    ];
    for (key, example, is_set) in all {
        if !is_set && !attrs.mentioned.iter().any(|name| name == key) {
            errors
                .report(Span::call_site(), format!("missing `{key}`: add `#[kube({key} = \"{example}\")]`"));
        }
    }
}

/// Checks the group, version, kind and all other names of the resource.
fn check_names(errors: &mut Errors, attrs: &Attrs) {
    if let Some(group) = &attrs.group {
        errors.check_text(group, names::check_group);
    }
    if let Some(version) = &attrs.version {
        errors.check_text(version, |v| names::check_dns_label("version", v));
    }
    if let Some(kind) = &attrs.kind {
        errors.check_text(kind, names::check_kind);
    }
    if let Some(plural) = &attrs.plural {
        errors.check_text(plural, |v| names::check_dns_label("plural", v));
    }
    if let Some(singular) = &attrs.singular {
        errors.check_text(singular, |v| names::check_dns_label("singular", v));
    }
    for (what, list) in [("shortname", &attrs.shortnames), ("category", &attrs.categories)] {
        for (index, name) in list.iter().enumerate() {
            errors.check_text(name, |v| names::check_dns_label(what, v));
            if list[..index].iter().any(|earlier| earlier.value() == name.value()) {
                errors.report(name.span(), format!("{what} \"{}\" is given twice: keep one", name.value()));
            }
        }
    }
}

/// Checks that a definition in a protected API group has the annotation `api-approved.kubernetes.io` (KEP-2337).
fn check_approval(errors: &mut Errors, attrs: &Attrs) {
    const APPROVAL_KEY: &str = "api-approved.kubernetes.io";
    let Some(group) = &attrs.group else { return };
    if !names::is_protected_group(&group.value()) {
        return;
    }
    match attrs.annotations.iter().find(|pair| pair.key.value() == APPROVAL_KEY) {
        Some(pair) => errors.check_text(&pair.value, names::check_approval),
        None => errors.report(
            group.span(),
            format!(
                "group \"{}\" belongs to the Kubernetes project: use a domain of your own, or add \
                 `annotation(\"{APPROVAL_KEY}\", \"unapproved, ..\")`",
                group.value()
            ),
        ),
    }
}

/// Checks that the root struct and the spec have different names.
fn check_root_name(errors: &mut Errors, input: &Input) {
    let attrs = &input.attrs;
    match (&attrs.root, &attrs.kind) {
        (Some(root), _) if *root == input.ident => {
            errors.report(
                root.span(),
                "`root` names the spec itself: the generated struct needs a name of its own",
            );
        }
        (None, Some(kind)) if input.ident == kind.value() => {
            let message = format!(
                "the generated struct would also be called `{0}`: rename this type, as in `{0}Spec`, or set `root`",
                input.ident
            );
            errors.report(input.ident.span(), message);
        }
        _ => {}
    }
}

/// Rejects derives that would conflict with a generated impl.
fn check_derives(errors: &mut Errors, attrs: &Attrs) {
    let manual = attrs.schema.as_ref().is_some_and(|s| s.value() == "manual");
    let last = |path: &Path| path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default();
    for path in &attrs.derives {
        let span = path.segments.last().map_or_else(Span::call_site, |s| s.ident.span());
        match last(path).as_str() {
            name @ ("Clone" | "Debug" | "Serialize" | "Deserialize") => {
                errors.report(span, format!("the generated struct always implements `{name}`: remove this"));
            }
            "JsonSchema" if !manual => {
                errors.report(
                    span,
                    "`JsonSchema` is generated; set `schema = \"manual\"` to implement it yourself",
                );
            }
            _ => {}
        }
    }
}

/// Rejects attributes that the generated struct cannot have.
fn check_attribute(errors: &mut Errors, meta: &Meta) {
    let path = meta.path();
    let name = path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default();
    let message = match name.as_str() {
        "derive" => "use `#[kube(derive = \"..\")]` to derive on the generated struct",
        "serde" | "schemars" | "kube" => {
            "the generated struct has no such helper attributes: its serialization and schema are fixed by Kubernetes"
        }
        _ => return,
    };
    combine_error(&mut errors.0, syn::Error::new_spanned(path, message));
}

/// Checks the value of `schema`. Rejects `validation` if the value is `disabled`.
fn check_schema_mode(errors: &mut Errors, attrs: &Attrs) {
    let Some(mode) = &attrs.schema else { return };
    match mode.value().as_str() {
        "derived" | "manual" => {}
        "disabled" => {
            if let Some(first) = attrs.validations.first() {
                let message =
                    "`validation` adds rules to the schema, which `schema = \"disabled\"` leaves out";
                combine_error(&mut errors.0, syn::Error::new_spanned(first, message));
            }
        }
        other => errors.report(
            mode.span(),
            format!("unknown schema mode \"{other}\": use \"derived\", \"manual\" or \"disabled\""),
        ),
    }
}

/// Checks the paths of the scale subresource.
fn check_scale(errors: &mut Errors, attrs: &Attrs) {
    let Some(scale) = &attrs.scale else { return };
    errors.check_text(&scale.spec_replicas, |p| paths::check_path_below(p, &[".spec."]));
    errors.check_text(&scale.status_replicas, |p| paths::check_path_below(p, &[".status."]));
    if let Some(selector) = &scale.label_selector {
        errors.check_text(selector, |p| paths::check_path_below(p, &[".spec.", ".status."]));
    }
}

/// Checks the name, type, path, format and priority of a printer column.
fn check_column(errors: &mut Errors, column: &Column) {
    errors.check_text(&column.name, |name| {
        if name.is_empty() { Err("a column needs a name".into()) } else { Ok(()) }
    });
    errors.check_text(&column.type_, |t| match t {
        "integer" | "number" | "string" | "boolean" | "date" => Ok(()),
        _ => Err(format!("unknown column type \"{t}\": use integer, number, string, boolean or date")),
    });
    errors.check_text(&column.json_path, paths::check_column_path);
    if let Some(format) = &column.format {
        errors.check_text(format, |f| match f {
            "int32" | "int64" | "float" | "double" | "byte" | "date" | "date-time" | "password" => Ok(()),
            _ => Err(format!(
                "unknown column format \"{f}\": use int32, int64, float, double, byte, date, date-time or password"
            )),
        });
    }
    if let Some(priority) = &column.priority
        && priority.base10_parse::<i32>().is_err()
    {
        errors.report(priority.span(), "a column's priority is a 32-bit integer");
    }
}

/// With `no_spec`, checks that the spec is a struct with named fields. Rejects a field of the spec if the root object has
/// a field with the same name, such as `metadata`.
fn check_no_spec(errors: &mut Errors, input: &Input) {
    let Some(Flag { key, .. }) = input.attrs.no_spec.as_ref().filter(|flag| flag.value) else { return };
    let Shape::Named(fields) = &input.shape else {
        errors.report(
            key.span(),
            "`no_spec` puts fields beside `metadata`, so it needs a struct with named fields",
        );
        return;
    };
    for field in fields {
        let name = field.ident.unraw().to_string();
        let renames = field.renames.iter().map(|rename| (rename.value(), rename.span()));
        for (name, span) in std::iter::once((name, field.ident.span())).chain(renames) {
            if matches!(name.as_str(), "metadata" | "kind" | "api_version" | "apiVersion" | "status") {
                let message = format!(
                    "with `no_spec` a field cannot be called `{name}`: the generated struct has a field of this name"
                );
                errors.report(span, message);
            }
        }
    }
}
