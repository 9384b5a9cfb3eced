//! Evaluates checked expressions, and counts the cost of the evaluation as the API server does.
//!
//! This module owns the evaluation of identifiers, fields, indexes, `&&`, `||`, `? :`, `or`, `orValue`,
//! comprehensions with their internal operator `@not_strictly_false`, literals and messages. `authorization`
//! evaluates the function `check`. `library` evaluates all other operators and functions.

mod message;

use std::cell::Cell;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr, SelectExpr,
    operators as op,
};

use super::authorization::{self, Authorizer};
use super::cost::{LIST_CREATION_COST, MAP_CREATION_COST, actual_cost};
use super::functions;
use super::library;
use super::macros::RESULT;
use super::types::{RuntimeName, Type};
use super::value::{Failure, Outcome, Val};

/// The result and the cost of an evaluation.
#[derive(Debug)]
pub(super) struct EvaluationResult<'a> {
    pub(super) result: Outcome<'a>,
    pub(super) cost: u64,
}

/// Evaluates an expression. The evaluation ends when its cost exceeds `limit`. The CEL function `check` asks `authorizer`
/// whether an access is allowed. Without an authorizer, `check` fails.
pub(super) fn evaluate<'a>(
    expr: &IdedExpr,
    variables: &[(&str, Val<'a>)],
    limit: u64,
    authorizer: Option<&dyn Authorizer>,
) -> EvaluationResult<'a> {
    let scope = Scope { variables, local: None };
    let evaluator = Evaluator { cost: Cell::new(0), limit, authorizer };
    let result = evaluator.evaluate(expr, &scope);
    let cost = evaluator.cost.get();
    EvaluationResult { result, cost }
}

/// The variables in scope.
struct Scope<'s, 'a> {
    variables: &'s [(&'s str, Val<'a>)],
    /// The comprehension variable that was declared last; `None` outside of comprehensions.
    local: Option<&'s LocalVariable<'s, 'a>>,
}

/// A variable of a comprehension, in a linked list: `outer` is the variable that was declared before this variable.
struct LocalVariable<'s, 'a> {
    name: &'s str,
    value: Outcome<'a>,
    outer: Option<&'s LocalVariable<'s, 'a>>,
}

impl<'a> Scope<'_, 'a> {
    /// The value of a variable; `None` if no variable has this name.
    fn find_variable(&self, name: &str) -> Option<Outcome<'a>> {
        let mut local = self.local;
        while let Some(variable) = local {
            if variable.name == name {
                return Some(variable.value.clone());
            }
            local = variable.outer;
        }
        self.variables.iter().find(|(known, _)| *known == name).map(|(_, value)| Ok(value.clone()))
    }
}

/// The state of an evaluation: its cost so far, its maximum cost and its authorizer.
struct Evaluator<'e> {
    cost: Cell<u64>,
    limit: u64,
    authorizer: Option<&'e dyn Authorizer>,
}

impl Evaluator<'_> {
    /// Adds `cost` to the cost of the evaluation.
    ///
    /// # Errors
    /// The cost of the evaluation exceeds the limit.
    fn charge(&self, cost: u64) -> Result<(), Failure> {
        let total = self.cost.get().saturating_add(cost);
        self.cost.set(total);
        if total > self.limit { Err(Failure::CostExceeded) } else { Ok(()) }
    }

    /// Evaluates an expression.
    fn evaluate<'a>(&self, expr: &IdedExpr, scope: &Scope<'_, 'a>) -> Outcome<'a> {
        match &expr.expr {
            Expr::Literal(literal) => Ok(literal_value(literal)),
            Expr::Ident(name) => self.evaluate_identifier(name, scope),
            Expr::Select(select) => self.evaluate_select(select, scope),
            Expr::Call(call) => self.evaluate_call(call, scope),
            Expr::List(list) => self.evaluate_list(list, scope),
            Expr::Map(map) => self.evaluate_map(map, scope),
            Expr::Comprehension(parts) => self.evaluate_comprehension(parts, scope),
            Expr::Struct(message) => self.evaluate_message(message, scope),
            Expr::Unspecified => Err(Failure::no_such_overload()),
        }
    }

    fn evaluate_identifier<'a>(&self, name: &str, scope: &Scope<'_, 'a>) -> Outcome<'a> {
        if let Some(found) = scope.find_variable(name) {
            self.charge(1)?;
            return found;
        }
        match functions::type_of_identifier(name) {
            Some(Type::Meta(ty)) => Ok(Val::Type(type_name(&ty).into())),
            _ => Err(Failure::new(format!("no such attribute(s): {name}"))),
        }
    }

    fn evaluate_select<'a>(&self, select: &SelectExpr, scope: &Scope<'_, 'a>) -> Outcome<'a> {
        let operand = self.evaluate(&select.operand, scope)?;
        let key = Val::text(&select.field);
        if select.test {
            return Ok(Val::Bool(find_value_at(&operand, &key)?.is_some()));
        }
        self.charge(1)?;
        value_at(&operand, &key)
    }

    fn evaluate_call<'a>(&self, call: &CallExpr, scope: &Scope<'_, 'a>) -> Outcome<'a> {
        let name = call.func_name.as_str();
        match (name, &call.args[..]) {
            (op::LOGICAL_AND, [left, right]) => self.evaluate_logical(left, right, false, scope),
            (op::LOGICAL_OR, [left, right]) => self.evaluate_logical(left, right, true, scope),
            (op::CONDITIONAL, [condition, then, otherwise]) => match self.evaluate(condition, scope)? {
                Val::Bool(true) => self.evaluate(then, scope),
                Val::Bool(false) => self.evaluate(otherwise, scope),
                _ => Err(Failure::no_such_overload()),
            },
            (op::NOT_STRICTLY_FALSE, [operand]) => {
                let value = self.evaluate(operand, scope);
                if matches!(value, Err(Failure::CostExceeded)) {
                    return value;
                }
                self.charge(1)?;
                Ok(Val::Bool(!matches!(value, Ok(Val::Bool(false)))))
            }
            (op::INDEX, [operand, key]) => {
                let (operand, key) = (self.evaluate(operand, scope)?, self.evaluate(key, scope)?);
                self.charge(1)?;
                value_at(&operand, &key)
            }
            (op::OPT_INDEX | op::OPT_SELECT, [operand, key]) => {
                let (operand, key) = (self.evaluate(operand, scope)?, self.evaluate(key, scope)?);
                self.charge(1)?;
                Ok(find_value_at(&operand, &key)?.map_or(Val::NONE, Val::some))
            }
            ("or" | "orValue", [alternative]) => {
                let Some(target) = &call.target else { return Err(Failure::no_such_overload()) };
                match self.evaluate(target, scope)? {
                    Val::Optional(None) => self.evaluate(alternative, scope),
                    Val::Optional(Some(value)) if name == "orValue" => Ok((*value).clone()),
                    some @ Val::Optional(_) => Ok(some),
                    _ => Err(Failure::no_such_overload()),
                }
            }
            (op::IN, [element, list]) if is_constant(list) => {
                // The API server converts a constant list to a set, and does not count lookups in this set.
                let element = self.evaluate(element, scope)?;
                let list = self.evaluate(list, scope)?;
                library::call(op::IN, &[element, list])
            }
            _ => {
                let target = call.target.as_deref();
                let arguments =
                    target.into_iter().chain(&call.args).map(|argument| self.evaluate(argument, scope));
                let arguments: Vec<Val<'a>> = arguments.collect::<Result<_, _>>()?;
                let result = match self.authorizer {
                    Some(authorizer) if name == "check" => {
                        authorization::evaluate_check(authorizer, &arguments)
                    }
                    _ => library::call(name, &arguments),
                };
                self.charge(actual_cost::call_cost(name, &arguments, result.as_ref().ok()))?;
                result
            }
        }
    }

    /// Evaluates `&&` or `||`. If an operand has the value `decisive` (false for `&&`, true for `||`), this value is the
    /// result, and an error of the other operand is ignored. [`Failure::CostExceeded`] is never ignored.
    fn evaluate_logical<'a>(
        &self,
        left: &IdedExpr,
        right: &IdedExpr,
        decisive: bool,
        scope: &Scope<'_, 'a>,
    ) -> Outcome<'a> {
        let left = self.evaluate(left, scope);
        match left {
            Ok(Val::Bool(value)) if value == decisive => return Ok(Val::Bool(decisive)),
            Err(Failure::CostExceeded) => return left,
            _ => {}
        }
        let right = self.evaluate(right, scope);
        match (left, right) {
            (_, Err(Failure::CostExceeded)) => Err(Failure::CostExceeded),
            (_, Ok(Val::Bool(value))) if value == decisive => Ok(Val::Bool(decisive)),
            (Err(failure), _) | (Ok(Val::Bool(_)), Err(failure)) => Err(failure),
            (Ok(Val::Bool(_)), Ok(Val::Bool(value))) => Ok(Val::Bool(value)),
            _ => Err(Failure::no_such_overload()),
        }
    }

    fn evaluate_list<'a>(&self, list: &ListExpr, scope: &Scope<'_, 'a>) -> Outcome<'a> {
        let mut items = Vec::with_capacity(list.elements.len());
        for (index, element) in list.elements.iter().enumerate() {
            let value = self.evaluate(element, scope)?;
            if list.optional_indices.contains(&index) {
                match value {
                    Val::Optional(Some(value)) => items.push((*value).clone()),
                    Val::Optional(None) => {}
                    _ => {
                        return Err(Failure::new(
                            "cannot initialize optional list element from non-optional value",
                        ));
                    }
                }
            } else {
                items.push(value);
            }
        }
        if !list.elements.iter().all(is_constant) {
            self.charge(LIST_CREATION_COST)?;
        }
        Ok(Val::list(items))
    }

    fn evaluate_map<'a>(&self, map: &MapExpr, scope: &Scope<'_, 'a>) -> Outcome<'a> {
        let mut entries: Vec<(Val<'a>, Val<'a>)> = Vec::with_capacity(map.entries.len());
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
            let key = self.evaluate(&entry.key, scope)?;
            entries.retain(|(known, _)| !known.equals(&key));
            match (self.evaluate(&entry.value, scope)?, entry.optional) {
                (Val::Optional(None), true) => {}
                (Val::Optional(Some(value)), true) => entries.push((key, (*value).clone())),
                (value, _) => entries.push((key, value)),
            }
        }
        self.charge(MAP_CREATION_COST)?;
        Ok(Val::map(entries))
    }

    fn evaluate_comprehension<'a>(&self, parts: &ComprehensionExpr, scope: &Scope<'_, 'a>) -> Outcome<'a> {
        let range = self.evaluate(&parts.iter_range, scope)?;
        let mut accumulated = self.evaluate(&parts.accu_init, scope);
        let pairs: Vec<(Outcome<'a>, Outcome<'a>)> = match &range {
            Val::List(list) if parts.iter_var2.is_some() => {
                let index = |index: usize| Ok(Val::Int(i64::try_from(index).unwrap_or(i64::MAX)));
                list.iter().enumerate().map(|(at, item)| (index(at), item)).collect()
            }
            Val::List(list) => list.iter().map(|item| (item, Ok(Val::Null))).collect(),
            Val::Map(map) => {
                let value = |key: &Val<'a>| map.get(key).unwrap_or(Ok(Val::Null));
                map.keys().into_iter().map(|key| (Ok(key.clone()), value(&key))).collect()
            }
            _ => return Err(Failure::new(format!("got '{}', expected iterable type", range.type_name()))),
        };
        if let Some((predicate, element)) = list_comprehension_parts(parts)
            && parts.iter_var2.is_none()
        {
            return self.evaluate_list_comprehension(parts, predicate, element, pairs, scope);
        }
        for (first, second) in pairs {
            let accumulator =
                LocalVariable { name: &parts.accu_var, value: accumulated.clone(), outer: scope.local };
            let one = LocalVariable { name: &parts.iter_var, value: first, outer: Some(&accumulator) };
            let two =
                parts.iter_var2.as_ref().map(|name| LocalVariable { name, value: second, outer: Some(&one) });
            let inner = Scope { variables: scope.variables, local: Some(two.as_ref().unwrap_or(&one)) };
            match self.evaluate(&parts.loop_cond, &inner) {
                Ok(Val::Bool(false)) => break,
                Err(Failure::CostExceeded) => return Err(Failure::CostExceeded),
                _ => {}
            }
            let step = self.evaluate(&parts.loop_step, &inner);
            if matches!(step, Err(Failure::CostExceeded)) {
                return step;
            }
            accumulated = step;
        }
        let accumulator = LocalVariable { name: &parts.accu_var, value: accumulated, outer: scope.local };
        self.evaluate(&parts.result, &Scope { variables: scope.variables, local: Some(&accumulator) })
    }
}

impl Evaluator<'_> {
    /// Evaluates a comprehension that appends elements to a list, such as `filter`. The general loop of
    /// [`Self::evaluate_comprehension`] would copy the list for each element.
    fn evaluate_list_comprehension<'a>(
        &self,
        parts: &ComprehensionExpr,
        predicate: Option<&IdedExpr>,
        element: &IdedExpr,
        pairs: Vec<(Outcome<'a>, Outcome<'a>)>,
        scope: &Scope<'_, 'a>,
    ) -> Outcome<'a> {
        let mut items = Vec::with_capacity(pairs.len());
        let mut failure = None;
        for (value, _) in pairs {
            let variable = LocalVariable { name: &parts.iter_var, value, outer: scope.local };
            let inner = Scope { variables: scope.variables, local: Some(&variable) };
            let passes = match predicate {
                Some(predicate) => match self.evaluate(predicate, &inner) {
                    Ok(Val::Bool(passes)) => Ok(passes),
                    Ok(_) => Err(Failure::no_such_overload()),
                    Err(failure) => Err(failure),
                },
                None => Ok(true),
            };
            // The cost of an appended element: 1 for the accumulator, `LIST_CREATION_COST` for the list literal around the
            // element, and 1 for the concatenation.
            let item = match passes {
                Ok(true) => self
                    .evaluate(element, &inner)
                    .and_then(|item| self.charge(LIST_CREATION_COST + 2).map(|()| Some(item))),
                Ok(false) => self.charge(1).map(|()| None),
                Err(failure) => Err(failure),
            };
            match item {
                Ok(item) => items.extend(item),
                Err(Failure::CostExceeded) => return Err(Failure::CostExceeded),
                // The first error is the result. The loop continues, because the API server counts the cost of the
                // remaining iterations.
                Err(one) => failure = failure.or(Some(one)),
            }
        }
        self.charge(1)?;
        failure.map_or_else(|| Ok(Val::list(items)), Err)
    }
}

/// The predicate, if any, and the element of a comprehension that appends elements to a list; `None` for any other
/// comprehension.
fn list_comprehension_parts(parts: &ComprehensionExpr) -> Option<(Option<&IdedExpr>, &IdedExpr)> {
    fn arguments_of_call<'e>(expr: &'e IdedExpr, function: &str) -> Option<&'e [IdedExpr]> {
        match &expr.expr {
            Expr::Call(call) if call.func_name == function && call.target.is_none() => Some(&call.args),
            _ => None,
        }
    }
    let accumulator = |expr: &IdedExpr| matches!(&expr.expr, Expr::Ident(name) if *name == parts.accu_var);
    let always =
        matches!(&parts.loop_cond.expr, Expr::Literal(LiteralValue::Boolean(value)) if *value.inner());
    if !(always && accumulator(&parts.result) && parts.accu_var == RESULT) {
        return None;
    }
    let (predicate, step) = match arguments_of_call(&parts.loop_step, op::CONDITIONAL) {
        Some([predicate, step, otherwise]) if accumulator(otherwise) => (Some(predicate), step),
        Some(_) => return None,
        None => (None, &parts.loop_step),
    };
    let [list, added] = arguments_of_call(step, op::ADD)? else { return None };
    match &added.expr {
        Expr::List(added) if accumulator(list) => match &added.elements[..] {
            [element] if added.optional_indices.is_empty() => Some((predicate, element)),
            _ => None,
        },
        _ => None,
    }
}

/// The value of `operand` at a field, key or index. If `operand` is an optional value, the result is also an optional
/// value, which is empty if there is no such field, key or index.
///
/// # Errors
/// `operand` is not an optional value, and has no such field, key or index. Or the lookup itself fails, for example because
/// an index is not an integer.
fn value_at<'a>(operand: &Val<'a>, key: &Val<'a>) -> Outcome<'a> {
    if let Val::Optional(inner) = operand {
        return Ok(match inner {
            Some(value) => find_value_at(value, key)?.map_or(Val::NONE, Val::some),
            None => Val::NONE,
        });
    }
    match find_value_at(operand, key)? {
        Some(value) => Ok(value),
        None => Err(Failure::new(match operand {
            Val::List(_) => format!("index out of bounds: {}", library::convert::format_for_error(key)),
            _ => format!("no such key: {}", library::convert::format_for_error(key)),
        })),
    }
}

/// The value of `operand` at a field, key or index; `None` if `operand` has no such field, key or index.
fn find_value_at<'a>(operand: &Val<'a>, key: &Val<'a>) -> Result<Option<Val<'a>>, Failure> {
    match operand {
        Val::Map(map) => map.get(key).transpose(),
        Val::List(list) => {
            let index = match key {
                Val::Int(index) => usize::try_from(*index).ok(),
                Val::Uint(index) => usize::try_from(*index).ok(),
                _ => return Err(Failure::no_such_overload()),
            };
            index.and_then(|index| list.get(index)).transpose()
        }
        Val::Optional(Some(value)) => find_value_at(value, key),
        Val::Message(message) => message.field(key),
        _ => Ok(None),
    }
}

/// Whether an expression is a literal, or a list literal whose elements are constant.
fn is_constant(expr: &IdedExpr) -> bool {
    match &expr.expr {
        Expr::Literal(_) => true,
        Expr::List(list) => list.optional_indices.is_empty() && list.elements.iter().all(is_constant),
        _ => false,
    }
}

fn literal_value(literal: &LiteralValue) -> Val<'static> {
    match literal {
        LiteralValue::Boolean(value) => Val::Bool(*value.inner()),
        LiteralValue::Bytes(value) => Val::Bytes(value.inner().into()),
        LiteralValue::Double(value) => Val::Double(*value.inner()),
        LiteralValue::Int(value) => Val::Int(*value.inner()),
        LiteralValue::Null => Val::Null,
        LiteralValue::String(value) => Val::text(value.inner()),
        LiteralValue::UInt(value) => Val::Uint(*value.inner()),
    }
}

/// The name of a type that an expression uses as a value: `google.protobuf.Duration` for the identifier `duration`.
fn type_name(ty: &Type) -> String {
    match ty {
        Type::List(_) => "list".to_owned(),
        Type::Map(..) => "map".to_owned(),
        Type::Optional(_) => "optional_type".to_owned(),
        Type::Meta(_) => "type".to_owned(),
        other => RuntimeName(other).to_string(),
    }
}
