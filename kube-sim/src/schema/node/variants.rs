//! The Go types of apiextensions that decode a JSON value by its type. Their recorded schemas are empty.

use std::sync::Arc;

use serde_json::Value;

use super::{Kind, Reference, Schema};

/// The schemas of a value whose Go type depends on its JSON type, such as `JSONSchemaPropsOrArray`. The recorded schema
/// of its component is empty.
#[derive(Debug, Clone)]
pub(in crate::schema) struct Variants {
    object: Arc<Schema>,
    list: Option<Arc<Schema>>,
    /// Whether the value may be a boolean. Then Go refuses other values; otherwise it decodes them as null.
    pub(in crate::schema) allows_boolean: bool,
}

impl Variants {
    /// The variants of a component; `None` if the Go type of the component does not depend on the JSON type.
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

    /// The schema of a value; `None` if the value is neither an object nor a list, or may not be a list.
    pub(in crate::schema) fn schema_of(&self, value: &Value) -> Option<&Arc<Schema>> {
        match value {
            Value::Object(_) => Some(&self.object),
            Value::Array(_) => self.list.as_ref(),
            _ => None,
        }
    }
}
