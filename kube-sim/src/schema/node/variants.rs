//! The Go types of `apiextensions` that represent values of several JSON types. The recorded schemas of these types are
//! empty.

use std::sync::Arc;

use serde_json::Value;

use super::{Kind, Reference, Schema};

/// The schemas for a Go type such as `JSONSchemaPropsOrArray`: one schema for values that are objects, and another schema
/// for values that are lists, if the Go type allows lists.
#[derive(Debug, Clone)]
pub(in crate::schema) struct Variants {
    object: Arc<Schema>,
    list: Option<Arc<Schema>>,
    /// Whether the Go type accepts booleans. This flag matters for a value for which [`Self::schema_of`]
    /// returns `None`. A type that accepts booleans rejects such a value unless it is a boolean. A type that
    /// does not accept booleans decodes such a value as null.
    pub(in crate::schema) allows_boolean: bool,
}

impl Variants {
    /// The variants of a component; `None` for every component that is not one of the `JSONSchemaPropsOr...` types.
    pub(super) fn of_component(name: &str) -> Option<Self> {
        let (package, kind) = name.rsplit_once('.')?;
        let props = format!("{package}.JSONSchemaProps");
        let object = Arc::new(Schema { base: Some(Reference::to(&props)), ..Schema::default() });
        let list = |items: Arc<Schema>| {
            Some(Arc::new(Schema { kind: Kind::Array, items: Some(items), ..Schema::default() }))
        };
        let text = || Arc::new(Schema { kind: Kind::String, ..Schema::default() });
        let (list, allows_boolean) = match kind {
            "JSONSchemaPropsOrArray" => (list(object.clone()), false),
            "JSONSchemaPropsOrStringArray" => (list(text()), false),
            "JSONSchemaPropsOrBool" => (None, true),
            _ => return None,
        };
        Some(Self { object, list, allows_boolean })
    }

    /// The schema of `value`; `None` if `value` is neither an object nor a list that the Go type allows.
    pub(in crate::schema) fn schema_of(&self, value: &Value) -> Option<&Arc<Schema>> {
        match value {
            Value::Object(_) => Some(&self.object),
            Value::Array(_) => self.list.as_ref(),
            _ => None,
        }
    }
}
