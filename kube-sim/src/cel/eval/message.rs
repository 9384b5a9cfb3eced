//! The evaluation of expressions that create messages: `TypeName{field: value}`.

use std::rc::Rc;

use cel::common::ast::{EntryExpr, StructExpr};

use super::{Evaluator, Scope};
use crate::cel::cost::MESSAGE_CREATION_COST;
use crate::cel::value::{Failure, Message, Outcome, Val};

impl Evaluator<'_> {
    pub(super) fn evaluate_message<'a>(&self, message: &StructExpr, scope: &Scope<'_, 'a>) -> Outcome<'a> {
        let mut fields: Vec<(Rc<str>, Val<'a>)> = Vec::with_capacity(message.entries.len());
        for entry in &message.entries {
            let EntryExpr::StructField(field) = &entry.expr else { continue };
            let value = match (self.evaluate(&field.value, scope)?, field.optional) {
                (Val::Optional(None), true) => continue,
                (Val::Optional(Some(value)), true) => (*value).clone(),
                (_, true) => {
                    let why = "cannot initialize optional entry from non-optional value";
                    return Err(Failure::new(format!("{why} '{}'", field.field)));
                }
                (value, false) => value,
            };
            fields.push((field.field.as_str().into(), value));
        }
        self.charge(MESSAGE_CREATION_COST)?;
        Ok(Val::Message(Rc::new(Message { name: message.type_name.as_str().into(), fields })))
    }
}
