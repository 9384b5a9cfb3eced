//! The strategy of each kind: the behaviour of the server that the schema of the kind does not specify.
//!
//! The terms are those of the strategies in the registry of the API server: prepare for create and update, validation,
//! reset fields. A kind with a long strategy has a file of its own, in the folder of its API group; the other kinds are
//! in the file of their group. A strategy must not read other objects. Therefore, it receives the labels of
//! the namespace as an argument. Code that reads other objects belongs to `admission` or `controllers`.

mod admissionregistration;
mod age;
mod apiextensions;
mod apps;
mod autoscaling;
mod batch;
mod certificates;
mod conditions;
mod coordination;
mod core;
mod defaulting;
mod deletion;
mod discovery;
mod events;
mod fields;
mod groups;
mod networking;
mod policy;
mod printer;
mod rbac;
mod resource;
mod rules;
mod scheduling;
mod storage;
mod storagemigration;
mod validation;

use serde_json::{Value, json};

use self::printer::Printer;
use crate::clock::Random;
use crate::names;
use crate::schema::{FieldError, Schema, enum_errors, zero_struct};
use crate::store::selector::Labels;

pub(crate) use self::age::human_age;
pub(crate) use self::apiextensions::{
    CLEANUP_FINALIZER, has_valid_ca_bundle, list_kind, set_condition, singular,
};
pub(crate) use self::apps::TEMPLATE_GENERATION_ANNOTATION;
pub(crate) use self::core::pod::resources as pod_resources;
pub(crate) use self::core::service::node_ports;
pub(crate) use self::deletion::DeletionStrategy;
pub(crate) use self::fields::SelectableField;
pub(crate) use self::printer::{Row, string_or_empty};
pub(crate) use self::scheduling::is_system_class;
pub(crate) use self::validation::Errors;

/// The strategy of a kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strategy {
    pub(crate) group: &'static str,
    pub(crate) kind: &'static str,
    /// Whether the server maintains `metadata.generation`.
    pub(crate) has_generation: bool,
    /// Whether an update creates the object if it does not exist.
    pub(crate) allow_create_on_update: bool,
    /// Whether an update may omit the resource version.
    pub(crate) allow_unconditional_update: bool,
    /// Returns the error text for an invalid name, or `None` for a valid name.
    pub(crate) name_problem: fn(&str) -> Option<String>,
    /// Runs after `schema::apply_defaults`, and sets the defaults that are not in the schema. The first argument is the
    /// stored object if the request is an update. Must be idempotent. The field manager of the request owns the fields that
    /// are set.
    pub(crate) set_defaults: fn(Option<&Value>, &mut Value),
    /// Runs after `set_defaults`, and sets time fields to the current time. The first argument is the stored object if the
    /// request is an update. The last argument is the current time as `metav1.Time`. The field manager of the request owns
    /// the fields that are set.
    pub(crate) set_times: Option<fn(Option<&Value>, &mut Value, &str)>,
    /// The status of a new object, if the kind has a status subresource.
    pub(crate) initial_status: InitialStatus,
    /// Adds the texts of the `Warning` headers for a new object that is not yet prepared for create.
    pub(crate) warn_of_new: fn(&Value, &mut Vec<String>),
    /// Prepare for create: sets the fields whose values the server allocates, and drops the fields of disabled feature
    /// gates. No field manager owns the fields that are set.
    pub(crate) prepare_for_create: fn(&mut Value, &mut Random),
    /// Prepare for update: restores the fields of the stored object that an update cannot change, and drops the fields of
    /// disabled feature gates. Does not run for a write to the status or to the subresource `approval`.
    pub(crate) prepare_for_update: fn(&Value, &mut Value),
    /// Runs instead of [`prepare_for_update`](Self::prepare_for_update) for a write to the status or to the subresource
    /// `approval`.
    pub(crate) prepare_status: fn(&SubresourceUpdate<'_>, &mut Value),
    /// Validates an update of an object through a subresource. The second argument is the new object.
    pub(crate) validate_subresource: fn(&SubresourceUpdate<'_>, &Value, &mut Errors),
    /// Validates a new object. Checks the metadata only against the rules of the kind. Adds the errors in the
    /// order of the API server.
    pub(crate) validate: fn(&Value, &mut Errors),
    /// Validates a new object of a namespaced kind. The second argument contains the labels of the namespace.
    pub(crate) validate_in_namespace: fn(&Value, &Labels, &mut Errors),
    /// Validates an update from the first object to the second object. If the function is `None`, `validate` validates
    /// updates too.
    pub(crate) validate_update: Option<fn(&Value, &Value, &mut Errors)>,
    /// Validates a write to the status. If the function is `None`, the write is validated like an update of the whole
    /// object.
    pub(crate) validate_status: Option<fn(&Value, &mut Errors)>,
    /// Adds the texts of the `Warning` headers for a valid object. The first argument is the stored object if the
    /// request is an update.
    pub(crate) warn: fn(Option<&Value>, &Value, &mut Vec<String>),
    /// The fields in `metadata` whose changes increment `metadata.generation`.
    pub(crate) generation_metadata: &'static [&'static str],
    /// The fields in `metadata` that a write to the status subresource may change.
    pub(crate) status_metadata: &'static [&'static str],
    /// The fields that a write to the main resource neither changes nor owns, if the kind has a status subresource.
    pub(crate) main_reset_fields: &'static [&'static str],
    /// The fields that a write to the status subresource neither changes nor owns.
    pub(crate) status_reset_fields: &'static [&'static str],
    /// Restricts what a write to a subresource other than `status` and `approval` may change. The arguments
    /// are the subresource, a clone of the stored object, and the object in the request. Copies to the clone
    /// the fields of the request that a write to the subresource may change, and returns true. Returns false
    /// for a subresource whose writes may change every field. If the function is `None`, writes to all these
    /// subresources may change every field.
    pub(crate) copy_subresource: Option<CopySubresource>,
    /// The fields that field selectors support, besides `metadata.name` and `metadata.namespace`, with their paths in
    /// the storage version.
    pub(crate) selectable_fields: &'static [SelectableField],
    /// Aliases in field selectors. Each pair has an alias and the name of the field.
    pub(crate) field_aliases: &'static [(&'static str, &'static str)],
    /// Prints objects as rows of a `Table`.
    pub(crate) printer: Printer,
    /// The behaviour for deletions.
    pub(crate) deletion: DeletionStrategy,
    /// Returns the `spec` and the `status` of the zero value of the Go struct for the kind. This zero value is the object
    /// of a bookmark. If the function is `None`, the object of a bookmark has neither field.
    pub(crate) zero_value: Option<fn() -> (Value, Value)>,
}

/// An update of an object through a subresource, such as `status`.
#[derive(Clone, Copy)]
pub(crate) struct SubresourceUpdate<'a> {
    pub(crate) subresource: &'a str,
    /// The stored object.
    pub(crate) old: &'a Value,
    /// Looks up the labels of the namespace. Returns no labels for a cluster-scoped object. This is a function, because
    /// few strategies need the labels.
    pub(crate) namespace_labels: &'a dyn Fn() -> Labels,
    /// The current time as `metav1.Time`.
    pub(crate) now: &'a str,
}

/// The type of the function [`Strategy::copy_subresource`].
pub(crate) type CopySubresource = fn(&str, &mut Value, &Value) -> bool;

/// The status of a new object of a kind with a status subresource.
#[derive(Clone, Copy, Debug)]
pub(crate) enum InitialStatus {
    /// The status in the request.
    Kept,
    /// No status.
    Removed,
    /// The zero value of the Go struct.
    Zero,
    /// The status that the function returns for the object.
    Set(fn(&Value) -> Value),
}

impl Strategy {
    /// The strategy of a built-in kind without behaviour of its own.
    pub(crate) const DEFAULT: Self = Self {
        group: "",
        kind: "",
        has_generation: false,
        allow_create_on_update: false,
        allow_unconditional_update: true,
        name_problem: |name| names::subdomain_problem(name).map(str::to_owned),
        set_defaults: |_, _| {},
        set_times: None,
        initial_status: InitialStatus::Zero,
        warn_of_new: |_, _| {},
        prepare_for_create: |_, _| {},
        prepare_for_update: |_, _| {},
        prepare_status: |_, _| {},
        validate_subresource: |_, _, _| {},
        validate: |_, _| {},
        validate_in_namespace: |_, _, _| {},
        validate_update: None,
        validate_status: None,
        warn: |_, _, _| {},
        generation_metadata: &[],
        status_metadata: &["managedFields", "annotations", "finalizers", "labels"],
        main_reset_fields: &["status"],
        status_reset_fields: &["metadata", "spec"],
        copy_subresource: None,
        selectable_fields: &[],
        field_aliases: &[],
        printer: Printer::DEFAULT,
        deletion: DeletionStrategy::DEFAULT,
        zero_value: None,
    };

    /// The strategy of all custom resources.
    pub(crate) const CUSTOM: Self = Self {
        has_generation: true,
        allow_unconditional_update: false,
        initial_status: InitialStatus::Removed,
        status_metadata: &["managedFields"],
        ..Self::DEFAULT
    };

    /// The strategy of a built-in kind in one API version; `None` if the server does not store the kind.
    pub(crate) fn of(group: &str, version: &str, kind: &str) -> Option<&'static Self> {
        if (group, version, kind) == ("autoscaling", "v1", "HorizontalPodAutoscaler") {
            return Some(&autoscaling::AUTOSCALER_V1);
        }
        STRATEGIES.iter().copied().flatten().find(|strategy| strategy.group == group && strategy.kind == kind)
    }

    /// Sets the initial status of a new object. Then calls the function in the field `prepare_for_create`.
    pub(crate) fn prepare_for_create(
        &self,
        object: &mut Value,
        schema: &Schema,
        has_status: bool,
        random: &mut Random,
    ) {
        let initial = if has_status { self.initial_status } else { InitialStatus::Kept };
        match initial {
            InitialStatus::Kept => {}
            InitialStatus::Removed => {
                object.as_object_mut().map(|map| map.remove("status"));
            }
            InitialStatus::Zero => {
                object["status"] =
                    schema.property("status").map_or_else(|| json!({}), |status| zero_struct(status));
            }
            InitialStatus::Set(status) => object["status"] = status(object),
        }
        (self.prepare_for_create)(object, random);
    }

    /// Validates an object of a built-in kind. Checks the metadata only against the rules of the kind, such
    /// as the rule for the name of an APIService. `old` is the stored object if the request is an update.
    /// Implements only a part of the validation in the API server.
    pub(crate) fn validate(&self, schema: &Schema, old: Option<&Value>, new: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        match (old, self.validate_update) {
            (Some(old), Some(validate_update)) => validate_update(old, new, &mut errors),
            _ => (self.validate)(new, &mut errors),
        }
        rules::check_object(self.group, self.kind, new, &mut errors);
        let mut errors = errors.with_enum_errors(enum_errors(schema, new));
        rules::replace_error_paths(self.group, self.kind, &mut errors);
        errors
    }

    /// The errors from `validate_in_namespace` for a new object. `labels` are the labels of the namespace.
    pub(crate) fn errors_in_namespace(&self, object: &Value, labels: &Labels) -> Vec<FieldError> {
        let mut errors = Errors::default();
        (self.validate_in_namespace)(object, labels, &mut errors);
        errors.0
    }

    /// The errors of a write to the status; `None` if the write is validated like an update of the whole object.
    pub(crate) fn status_errors(&self, new: &Value) -> Option<Vec<FieldError>> {
        let mut errors = Errors::default();
        (self.validate_status?)(new, &mut errors);
        Some(errors.0)
    }

    /// The errors from `validate_subresource` for an update of the object to `new`.
    pub(crate) fn subresource_errors(&self, update: &SubresourceUpdate<'_>, new: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        (self.validate_subresource)(update, new, &mut errors);
        errors.0
    }

    /// The fields that a write to `subresource` neither changes nor owns (`GetResetFields`). `subresource` is empty for
    /// the main resource.
    pub(crate) fn reset_fields(&self, subresource: &str, has_status: bool) -> &'static [&'static str] {
        match subresource {
            "" | "finalize" if has_status => self.main_reset_fields,
            "status" => self.status_reset_fields,
            "approval" => &["spec", "status.certificate"],
            _ => &[],
        }
    }
}

/// The strategies of the built-in kinds that the server stores. Each slice is for one API group, except for the slice
/// of `groups`, which is for several API groups.
static STRATEGIES: [&[Strategy]; 18] = [
    &core::STRATEGIES,
    &apps::STRATEGIES,
    &batch::STRATEGIES,
    &certificates::STRATEGIES,
    &events::STRATEGIES,
    &autoscaling::STRATEGIES,
    &networking::STRATEGIES,
    &policy::STRATEGIES,
    &rbac::STRATEGIES,
    &resource::STRATEGIES,
    &storage::STRATEGIES,
    &storagemigration::STRATEGIES,
    &admissionregistration::STRATEGIES,
    &apiextensions::STRATEGIES,
    &scheduling::STRATEGIES,
    &coordination::STRATEGIES,
    &discovery::STRATEGIES,
    &groups::STRATEGIES,
];

#[cfg(test)]
mod tests;
