//! Evaluates validation rules in the client.
//!
//! This module traverses a schema and an object, and decides which rules apply to which values, as the API
//! server does. The crate kube-cel evaluates the expressions. This module must not evaluate expressions
//! itself.

use std::{collections::BTreeMap, fmt};

use kube_cel::CompiledSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::schema_validator::{Patterns, SchemaValidator, compile_patterns, without_disallowed_nulls};
use super::validation_error::{ErrorKind, ValidationError, ValidationErrors};
use super::{CustomResourceExt, Reason};

/// The keyword of the validation rules in a schema.
const RULES_KEYWORD: &str = "x-kubernetes-validations";

/// Evaluates the validation rules of a schema (`x-kubernetes-validations`, KEP-2876) without an API server. The rules
/// are compiled once.
///
/// Behaves like the server in these points:
///
/// - It sets the defaults of the schema before it evaluates the rules.
/// - It does not evaluate rules for null.
/// - It evaluates a transition rule (a rule with `oldSelf`) only for a value that existed before the update.
/// - In an update, it ignores the errors of an unchanged value, except the errors of transition rules (ratcheting,
///   KEP-4008).
///
/// [`validate`](Self::validate) evaluates only the rules; [`validate_schema`](Self::validate_schema) also checks the
/// other keywords of the schema, such as types, bounds and required fields. The crate kube-cel evaluates the
/// expressions. The validator differs from the server in these points:
///
/// - It returns an error of the kind [`ErrorKind::NotEvaluated`] for a rule with `optionalOldSelf`, optional syntax
///   (`self.?name`), `dyn`, `type`, `bool`, `optMap`, `sortBy`, or a macro with two variables.
/// - It returns an error of the same kind for a rule that reads a field whose name contains `__` or is a keyword of
///   CEL, such as `namespace`.
/// - The order of a list of type `set` matters in a comparison.
/// - `has(self.field)` is true for a field that is null.
/// - The results may differ for the functions `string(..)` and `format(..)`, the CEL library `format`, values with
///   `format: date` in the schema, named time zones and some escape sequences.
/// - The cost of a rule is not limited.
///
/// A test compares the results of about 200 rules with those of kube-apiserver. The file
/// `tests/derive_cel/differences.txt` of kube-client lists the rules whose results differ.
///
/// ```
/// use kube_core::cel::Validator;
/// use serde_json::json;
///
/// let validator = Validator::new(&json!({
///     "type": "object",
///     "properties": {
///         "ports": {"type": "array", "items": {
///             "type": "integer",
///             "x-kubernetes-validations": [{"rule": "self > 1024", "message": "must be unprivileged"}],
///         }},
///     },
/// }));
/// let errors = validator.validate(&json!({"ports": [8080, 80]}), None).unwrap_err();
/// assert_eq!(errors.to_string(), "ports[1]: must be unprivileged");
/// assert!(validator.validate(&json!({"ports": [8080]}), None).is_ok());
/// ```
pub struct Validator {
    evaluator: kube_cel::Validator,
    schema: Value,
    root: SchemaNode,
    patterns: Patterns,
}

impl fmt::Debug for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validator").finish_non_exhaustive()
    }
}

impl Validator {
    /// Compiles the rules of a structural schema. If a rule does not compile, the validation of each value to which the
    /// rule applies returns an error, unless an update leaves the value unchanged.
    #[must_use]
    pub fn new(schema: &Value) -> Self {
        let root = SchemaNode::compile(schema).unwrap_or_default();
        let patterns = compile_patterns(schema);
        Self { evaluator: kube_cel::Validator::new(), schema: schema.clone(), root, patterns }
    }

    /// Compiles the rules in the first version of the CRD of a kind. A version without a schema has no rules.
    #[must_use]
    pub fn of_kind<K: CustomResourceExt>() -> Self {
        let version = K::crd().spec.versions.into_iter().next();
        let schema = version.and_then(|version| version.schema?.open_api_v3_schema);
        Self::new(&schema.and_then(|schema| serde_json::to_value(schema).ok()).unwrap_or(Value::Null))
    }

    /// Compiles the rules in the structural schema of a type.
    #[must_use]
    pub fn of_type<T: schemars::JsonSchema>() -> Self {
        Self::new(&serde_json::to_value(super::schema::schema_for::<T>()).unwrap_or(Value::Null))
    }

    /// Sets the defaults of the schema in a copy of `value`, and evaluates the rules for this copy. `old` is the value
    /// before an update; `None` on creation.
    ///
    /// # Errors
    ///
    /// Lists each rule that `value` violates and each rule that the validator cannot evaluate.
    pub fn validate(&self, value: &Value, old: Option<&Value>) -> Result<(), ValidationErrors> {
        let value = kube_cel::apply_defaults(&self.schema, value);
        let old = old.map(|old| kube_cel::apply_defaults(&self.schema, old));
        let mut errors = Vec::new();
        self.root.validate(&self.evaluator, &value, old.as_ref(), false, "", &mut errors);
        if errors.is_empty() { Ok(()) } else { Err(ValidationErrors(errors)) }
    }

    /// Validates a value as an API server does: removes fields that are null but not nullable, sets defaults, checks
    /// the schema, and evaluates the rules. As on the server, some schema errors, such as a wrong type, prevent the
    /// evaluation of the rules. `old` is the value before an update; `None` on creation. Unknown fields are ignored,
    /// because the server prunes them.
    ///
    /// Only the formats `date`, `date-time`, `uuid`, `int32`, `int64`, `uint32` and `uint64` are checked.
    ///
    /// # Errors
    ///
    /// Lists each violation of the schema, each rule that `value` violates, and each rule or pattern that the validator
    /// cannot evaluate.
    ///
    /// ```
    /// use kube_core::cel::Validator;
    /// use serde_json::json;
    ///
    /// let validator = Validator::new(&json!({
    ///     "type": "object", "required": ["size"], "properties": {"size": {"type": "integer", "minimum": 1}},
    /// }));
    /// let text = |value| validator.validate_schema(&value, None).unwrap_err().to_string();
    /// assert_eq!(text(json!({"size": 0})), "size: should be greater than or equal to 1");
    /// assert_eq!(text(json!({})), "size: required value");
    /// assert!(validator.validate_schema(&json!({"size": 1}), None).is_ok());
    /// ```
    pub fn validate_schema(&self, value: &Value, old: Option<&Value>) -> Result<(), ValidationErrors> {
        let value = without_disallowed_nulls(&self.schema, value.clone());
        let value = kube_cel::apply_defaults(&self.schema, &value);
        let (mut errors, is_blocked) = SchemaValidator::new(&self.patterns).validate(&self.schema, &value);
        if !is_blocked {
            errors.extend(self.validate(&value, old).err().into_iter().flatten());
        }
        if errors.is_empty() { Ok(()) } else { Err(ValidationErrors(errors)) }
    }

    /// Serializes an object, and validates it like [`validate_schema`](Self::validate_schema). `old` is the object
    /// before an update; `None` on creation.
    ///
    /// # Errors
    ///
    /// The same as for `validate_schema`. If the object cannot be serialized, the error has an empty `rule`.
    pub fn validate_object_schema<K: Serialize>(
        &self,
        object: &K,
        old: Option<&K>,
    ) -> Result<(), ValidationErrors> {
        let old = old.map(to_value).transpose()?;
        self.validate_schema(&to_value(object)?, old.as_ref())
    }

    /// Serializes an object, and validates it like [`validate`](Self::validate). `old` is the object before an update;
    /// `None` on creation.
    ///
    /// # Errors
    ///
    /// The same as for `validate`. If the object cannot be serialized, the error has an empty `rule`.
    pub fn validate_object<K: Serialize>(&self, object: &K, old: Option<&K>) -> Result<(), ValidationErrors> {
        let value = to_value(object)?;
        let old = old.map(to_value).transpose()?;
        self.validate(&value, old.as_ref())
    }
}

fn to_value<K: Serialize>(object: &K) -> Result<Value, ValidationErrors> {
    serde_json::to_value(object).map_err(|error| {
        ValidationErrors(vec![ValidationError {
            rule: String::new(),
            message: format!("the object cannot be serialized: {error}"),
            field_path: String::new(),
            reason: Reason::FieldValueInvalid,
            kind: ErrorKind::NotEvaluated,
        }])
    })
}

/// The validation rules of one node of a schema.
struct Rules {
    /// The schema of the node, without the rules of the nodes below it.
    schema: Value,
    compiled: CompiledSchema,
}

impl Rules {
    /// The rules at the root of `schema`; `None` if there are none.
    fn compile(schema: &Map<String, Value>) -> Option<Self> {
        schema.get(RULES_KEYWORD)?.as_array().filter(|rules| !rules.is_empty())?;
        let mut schema = schema.clone();
        remove_rules_below(&mut schema);
        let schema = Value::Object(schema);
        Some(Self { compiled: kube_cel::compile_schema(&schema), schema })
    }

    /// Whether a rule with this expression refers to the variable `oldSelf`.
    fn has_transition_rule(&self, expression: &str) -> bool {
        let mut rules = self.compiled.validations.iter().flatten();
        rules.any(|compiled| compiled.is_transition_rule && compiled.rule.rule == expression)
    }

    /// Converts an error that kube-cel returned for one of the rules in `self`. `path` is the path of the
    /// validated value.
    fn convert_error(&self, path: &str, error: kube_cel::ValidationError) -> ValidationError {
        let kind = match error.kind {
            kube_cel::ErrorKind::ValidationFailure => ErrorKind::ValidationFailure,
            _ => ErrorKind::NotEvaluated,
        };
        // The server drops a message that is blank or that has several lines.
        let message = error.message.trim();
        ValidationError {
            field_path: append_field_path(path, &error.field_path, &self.schema),
            reason: error.reason.as_deref().and_then(|reason| reason.parse().ok()).unwrap_or_default(),
            kind,
            message: match kind {
                ErrorKind::NotEvaluated => {
                    format!("not evaluated: {}", message.lines().next().unwrap_or_default())
                }
                _ if message.is_empty() || message.contains('\n') => {
                    format!("failed rule: {}", error.rule.trim())
                }
                ErrorKind::ValidationFailure | ErrorKind::SchemaViolation => message.to_owned(),
            },
            rule: error.rule,
        }
    }
}

/// A node of a schema. [`compile`](Self::compile) creates only nodes that have rules or a descendant with rules. The
/// default node is empty; it stands for a schema without rules.
#[derive(Default)]
struct SchemaNode {
    rules: Option<Rules>,
    properties: BTreeMap<String, SchemaNode>,
    /// The node of the values of a map (`additionalProperties`).
    values: Option<Box<SchemaNode>>,
    items: Option<Box<SchemaNode>>,
    /// The names of the fields that identify an item of a list of type `map`; empty for other lists.
    item_keys: Vec<String>,
}

impl SchemaNode {
    /// The node of a schema; `None` if neither the schema nor a subschema has rules.
    fn compile(schema: &Value) -> Option<Self> {
        let schema = schema.as_object()?;
        let properties = schema.get("properties").and_then(Value::as_object);
        let properties = properties.into_iter().flatten();
        let child = |key: &str| schema.get(key).and_then(Self::compile).map(Box::new);
        let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
        let node = Self {
            rules: Rules::compile(schema),
            properties: properties
                .filter_map(|(name, schema)| Some((name.clone(), Self::compile(schema)?)))
                .collect(),
            values: child("additionalProperties"),
            items: child("items"),
            item_keys: keys.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect(),
        };
        let empty = node.rules.is_none()
            && node.properties.is_empty()
            && node.values.is_none()
            && node.items.is_none();
        (!empty).then_some(node)
    }

    /// Adds the errors of a value and of its fields or items to `errors`. `old` is the old value; it is `None` for each
    /// item of a list without keys. A value without an old value counts as unchanged if `parent_unchanged` is `true`.
    fn validate(
        &self,
        evaluator: &kube_cel::Validator,
        value: &Value,
        old: Option<&Value>,
        parent_unchanged: bool,
        path: &str,
        errors: &mut Vec<ValidationError>,
    ) {
        if value.is_null() {
            return;
        }
        // A transition rule is not evaluated if the old value is null.
        let old = old.filter(|old| !old.is_null());
        let unchanged = old.map_or(parent_unchanged, |old| old == value);
        if let Some(rules) = &self.rules
            && let Err(found) = evaluator.validate_compiled(&rules.compiled, value, old)
        {
            let found =
                found.into_iter().filter(|error| !unchanged || rules.has_transition_rule(&error.rule));
            errors.extend(found.map(|error| rules.convert_error(path, error)));
        }
        if let Value::Object(fields) = value {
            for (name, field) in fields {
                let old = old.and_then(|old| old.get(name));
                if let Some(node) = self.properties.get(name) {
                    let separator = if path.is_empty() { "" } else { "." };
                    node.validate(
                        evaluator,
                        field,
                        old,
                        unchanged,
                        &format!("{path}{separator}{name}"),
                        errors,
                    );
                } else if let Some(node) = &self.values {
                    node.validate(evaluator, field, old, unchanged, &format!("{path}[{name}]"), errors);
                }
            }
        }
        if let (Value::Array(items), Some(node)) = (value, &self.items) {
            for (index, item) in items.iter().enumerate() {
                let old = self.old_item(item, old);
                node.validate(evaluator, item, old, unchanged, &format!("{path}[{index}]"), errors);
            }
        }
    }

    /// The item of the old list whose `item_keys` have the same values as in `item`. `None` if the old list has no such
    /// item, or if `item_keys` is empty.
    fn old_item<'v>(&self, item: &Value, old: Option<&'v Value>) -> Option<&'v Value> {
        if self.item_keys.is_empty() {
            return None;
        }
        let has_same_key_values =
            |old: &&Value| self.item_keys.iter().all(|key| old.get(key) == item.get(key));
        old?.as_array()?.iter().find(has_same_key_values)
    }
}

/// Removes the rules of all nodes below the root.
fn remove_rules_below(schema: &mut Map<String, Value>) {
    let remove = |schema: &mut Value| {
        if let Value::Object(schema) = schema {
            schema.remove(RULES_KEYWORD);
            remove_rules_below(schema);
        }
    };
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.values_mut().for_each(remove);
    }
    for key in ["items", "additionalProperties"] {
        schema.get_mut(key).map(remove);
    }
}

/// Appends the `fieldPath` of a rule, such as `.a.b` or `['a'].b`, to `path`, the path of the rule's node. `schema` is
/// the schema of this node. As in the errors of the server, keys of a map are in brackets.
fn append_field_path(path: &str, field_path: &str, schema: &Value) -> String {
    let mut out = path.to_owned();
    let mut node = Some(schema);
    let mut rest = field_path;
    while !rest.is_empty() {
        let name;
        (name, rest) = split_first_name(rest);
        let map_values =
            node.and_then(|node| node.get("additionalProperties")).filter(|values| values.is_object());
        if map_values.is_some() {
            out.extend(["[", &name, "]"]);
            node = map_values;
        } else {
            let separator = if out.is_empty() { "" } else { "." };
            out.extend([separator, &name]);
            node = node.and_then(|node| node.get("properties")?.get(&name));
        }
    }
    out
}

/// Splits a `fieldPath` into its first name and the rest of the path.
fn split_first_name(path: &str) -> (String, &str) {
    if let Some((name, rest)) = path.strip_prefix("['").and_then(|path| path.split_once("']")) {
        return (name.replace("\\'", "'"), rest);
    }
    let path = path.strip_prefix('.').unwrap_or(path);
    let end = path.find(['.', '[']).filter(|end| *end > 0).unwrap_or(path.len());
    (path[..end].to_owned(), &path[end..])
}

/// Evaluates the validation rules of a kind for a new object. See [`Validator`].
///
/// The rules are compiled in each call; `#[kube(cel)]` generates a method that compiles them once.
///
/// # Errors
///
/// Lists each rule that the object violates and each rule that the validator cannot evaluate.
pub fn validate_cel<K: CustomResourceExt + Serialize>(object: &K) -> Result<(), ValidationErrors> {
    Validator::of_kind::<K>().validate_object(object, None)
}

/// Evaluates the validation rules of a kind for an update of `old` to `object`. See [`Validator`].
///
/// # Errors
///
/// The same as for [`validate_cel`].
pub fn validate_cel_update<K: CustomResourceExt + Serialize>(
    object: &K,
    old: &K,
) -> Result<(), ValidationErrors> {
    Validator::of_kind::<K>().validate_object(object, Some(old))
}

/// Evaluates the validation rules of a type for a serialized value. `old` is the value before an update. See
/// [`Validator`].
///
/// # Errors
///
/// The same as for [`validate_cel`].
pub fn validate_cel_schema<T: schemars::JsonSchema>(
    value: &Value,
    old: Option<&Value>,
) -> Result<(), ValidationErrors> {
    Validator::of_type::<T>().validate(value, old)
}
