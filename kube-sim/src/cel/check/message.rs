//! The type checks of messages, which an expression creates with `TypeName{field: value}`.

use cel::common::ast::{EntryExpr, StructExpr};

use super::{Checker, Environment};
use crate::cel::functions;
use crate::cel::types::Type;

impl Checker<'_> {
    /// Checks the creation of a message. Only the mutations of mutating policies can create messages.
    pub(super) fn check_message(&mut self, id: u64, message: &mut StructExpr) -> Type {
        let name = message.type_name.trim_start_matches('.').to_owned();
        let result = if self.environment == Environment::Patches && is_patch_message(&name) {
            message.type_name.clone_from(&name);
            Type::Message(name.as_str().into())
        } else if functions::type_of_identifier(&name).is_none() {
            self.report_undeclared(id, &message.type_name.clone())
        } else {
            self.report(id, format!("'{name}' is not a message type"));
            Type::Error
        };
        for entry in &mut message.entries {
            let EntryExpr::StructField(field) = &mut entry.expr else { continue };
            let mut value = self.visit(&mut field.value);
            if field.optional {
                value = self.unwrap_optional_type(field.value.id, value);
            }
            let Type::Message(_) = &result else { continue };
            let expected = self.message_field_type(entry.id, &name, &field.field);
            if !self.substitution.assign(&value, &expected) {
                let (field, value) = (&field.field, self.substitution.apply_or_dyn(&value));
                let why = format!(
                    "expected type of field '{field}' is '{expected}' but provided type is '{value}'"
                );
                self.report(entry.id, why);
            }
        }
        result
    }

    /// The type of a field of a message. Reports an error if a `JSONPatch` has no such field. An `Object` can have every
    /// field.
    pub(super) fn message_field_type(&mut self, id: u64, message: &str, field: &str) -> Type {
        match (message, field) {
            ("JSONPatch", "op" | "path" | "from") => Type::String,
            ("JSONPatch", "value") => Type::Dyn,
            ("JSONPatch", _) => {
                self.report(id, format!("undefined field '{field}'"));
                Type::Error
            }
            _ => Type::Dyn,
        }
    }
}

fn is_patch_message(name: &str) -> bool {
    name == "JSONPatch" || name == "Object" || name.starts_with("Object.")
}
