//! The type checker: finds undeclared fields, identifiers and functions, and wrong types of operands and arguments.
//!
//! This module owns the typing rules of CEL, and the texts of type errors, which are those of the API server. The
//! checker also resolves qualified names: it replaces `net.IP` with one identifier and `sets.contains(..)` with a
//! call of the function `sets.contains`. Each field selection that remains is an access to a field.

mod message;

use std::collections::{BTreeSet, HashMap};

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr, SelectExpr,
    operators as op,
};

use super::functions::{self, Overload};
use super::parse::{Issue, ParsedExpression};
use super::types::{Param, Type};
use super::unify::{Substitution, more_general_type};

/// A checked expression.
#[derive(Debug)]
pub(super) struct CheckedExpression {
    pub(super) parsed: ParsedExpression,
    /// The type of each AST node, by the id of the node.
    pub(super) types: HashMap<u64, Type>,
    /// The overloads that fit each call, by the id of the call.
    pub(super) overloads: HashMap<u64, Vec<&'static Overload>>,
}

impl CheckedExpression {
    /// The type of an AST node.
    pub(super) fn type_of(&self, expr: &IdedExpr) -> Type {
        self.types.get(&expr.id).cloned().unwrap_or(Type::Dyn)
    }

    /// The type of the whole expression.
    pub(super) fn result_type(&self) -> Type {
        self.type_of(&self.parsed.expr)
    }
}

/// Checks the types of an expression. `variables` are the names and types of the declared variables.
///
/// # Errors
/// The type errors of the expression.
pub(super) fn check(
    parsed: ParsedExpression,
    variables: &[(&str, Type)],
) -> Result<CheckedExpression, Vec<Issue>> {
    check_with_environment(Environment::Common, parsed, variables)
}

/// Like [`check`], but for the expression of a mutation of a mutating policy. This expression can also create messages of
/// the types `Object` and `JSONPatch`, and call `jsonpatch.escapeKey`.
///
/// # Errors
/// The type errors of the expression.
pub(super) fn check_patch(
    parsed: ParsedExpression,
    variables: &[(&str, Type)],
) -> Result<CheckedExpression, Vec<Issue>> {
    check_with_environment(Environment::Patches, parsed, variables)
}

/// The declarations that an expression can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Environment {
    /// The declarations that all expressions can use.
    Common,
    /// The declarations that the mutations of mutating policies can use: the declarations of `Common`, the
    /// message types `JSONPatch`, `Object` and `Object.FIELD`, and the function `jsonpatch.escapeKey`.
    Patches,
}

fn check_with_environment(
    environment: Environment,
    mut parsed: ParsedExpression,
    variables: &[(&str, Type)],
) -> Result<CheckedExpression, Vec<Issue>> {
    let mut expr = std::mem::take(&mut parsed.expr);
    let variables_in_scope = variables.iter().map(|(name, ty)| ((*name).to_owned(), ty.clone())).collect();
    let mut checker = Checker {
        environment,
        parsed: &parsed,
        variables_in_scope,
        types: HashMap::new(),
        overloads: HashMap::new(),
        substitution: Substitution::default(),
        type_variables: 0,
        issues: Vec::new(),
    };
    checker.visit(&mut expr);
    let Checker { types, overloads, substitution, issues, .. } = checker;
    if !issues.is_empty() {
        return Err(issues);
    }
    let types = types.into_iter().map(|(id, ty)| (id, substitution.apply_or_dyn(&ty))).collect();
    parsed.expr = expr;
    Ok(CheckedExpression { parsed, types, overloads })
}

/// A check in progress.
struct Checker<'a> {
    environment: Environment,
    parsed: &'a ParsedExpression,
    /// The variables in scope; a later one hides an earlier one of the same name.
    variables_in_scope: Vec<(String, Type)>,
    /// See [`CheckedExpression::types`].
    types: HashMap<u64, Type>,
    /// See [`CheckedExpression::overloads`].
    overloads: HashMap<u64, Vec<&'static Overload>>,
    substitution: Substitution,
    /// The number of type variables that the checker has created.
    type_variables: usize,
    issues: Vec<Issue>,
}

impl Checker<'_> {
    /// Checks `expr` and all expressions in it, and returns the type of `expr`.
    fn visit(&mut self, expr: &mut IdedExpr) -> Type {
        let id = expr.id;
        let ty = match &mut expr.expr {
            Expr::Literal(literal) => literal_type(literal),
            Expr::Ident(name) => self.check_identifier(id, name),
            Expr::Select(_) => self.check_select(expr),
            Expr::Call(_) => self.check_call(expr),
            Expr::List(list) => self.check_list(list),
            Expr::Map(map) => self.check_map(map),
            Expr::Struct(message) => self.check_message(id, message),
            Expr::Comprehension(parts) => self.check_comprehension(parts),
            Expr::Unspecified => Type::Error,
        };
        self.types.insert(id, ty.clone());
        ty
    }

    /// Adds an error about the AST node `id`.
    fn report(&mut self, id: u64, message: String) {
        let issue = self.parsed.issue_at(id, message);
        self.issues.push(issue);
    }

    /// Adds the error about an AST node that has the type `found` instead of `expected`.
    fn report_mismatch(&mut self, id: u64, expected: &Type, found: &Type) {
        self.report(id, format!("expected type '{expected}' but found '{found}'"));
    }

    /// Adds the error about an undeclared identifier or function, and returns [`Type::Error`].
    fn report_undeclared(&mut self, id: u64, name: &str) -> Type {
        self.report(id, format!("undeclared reference to '{name}' (in container '')"));
        Type::Error
    }

    /// Creates a type variable.
    fn new_type_variable(&mut self) -> Type {
        self.type_variables += 1;
        Type::Param(Param::Fresh(self.type_variables - 1))
    }

    /// The type of a variable or type identifier; `None` if the name is not declared.
    fn lookup(&self, name: &str) -> Option<Type> {
        let name = name.strip_prefix('.').unwrap_or(name);
        let variable = self.variables_in_scope.iter().rev().find(|(known, _)| known == name);
        variable.map(|(_, ty)| ty.clone()).or_else(|| functions::type_of_identifier(name))
    }

    fn check_identifier(&mut self, id: u64, name: &mut String) -> Type {
        match self.lookup(name) {
            Some(ty) => {
                *name = name.trim_start_matches('.').to_owned();
                ty
            }
            None => self.report_undeclared(id, &name.clone()),
        }
    }

    fn check_select(&mut self, expr: &mut IdedExpr) -> Type {
        // `net.IP` is a type identifier and not the field `IP` of a variable `net`, and `authorizer.requestResource` is a
        // variable of its own.
        if let Some(name) = qualified_name(expr)
            && let Some(ty) = self.lookup(&name)
        {
            expr.expr = Expr::Ident(name.trim_start_matches('.').to_owned());
            return ty;
        }
        let id = expr.id;
        let Expr::Select(SelectExpr { operand, field, test }) = &mut expr.expr else { return Type::Error };
        let (field, test) = (field.clone(), *test);
        let ty = self.check_field_selection(id, operand, &field, false);
        if test { Type::Bool } else { self.substitution.apply(&ty) }
    }

    /// Checks the selection of a field of `operand`, and returns the type of the selection. `optional` is whether the
    /// selection has the form `operand.?field`.
    fn check_field_selection(
        &mut self,
        id: u64,
        operand: &mut IdedExpr,
        field: &str,
        optional: bool,
    ) -> Type {
        let operand = self.visit(operand);
        let operand = self.substitution.apply(&operand);
        let target = operand.type_in_optional().unwrap_or(&operand);
        let result = match target {
            Type::Map(_, value) => (**value).clone(),
            Type::Object(object) => {
                if let Some(found) = object.declared.field(field) {
                    found.declared.to_type(&format!("{}.{field}", object.name))
                } else {
                    self.report(id, format!("undefined field '{field}'"));
                    Type::Error
                }
            }
            Type::Message(name) => self.message_field_type(id, name, field),
            Type::Named(name) if name.starts_with("kubernetes.") => {
                self.report(id, format!("undefined field '{field}'"));
                Type::Error
            }
            Type::Param(_) => {
                self.substitution.assign(&Type::Dyn, target);
                Type::Dyn
            }
            other => {
                if !other.is_dyn_or_error() {
                    self.report(id, format!("type '{other}' does not support field selection"));
                }
                Type::Dyn
            }
        };
        if optional || operand.type_in_optional().is_some() { Type::optional(result) } else { result }
    }

    fn check_call(&mut self, expr: &mut IdedExpr) -> Type {
        let id = expr.id;
        let Expr::Call(call) = &mut expr.expr else { return Type::Error };
        if call.func_name == op::OPT_SELECT {
            let [operand, field] = &mut call.args[..] else { return Type::Error };
            let Expr::Literal(LiteralValue::String(name)) = &field.expr else { return Type::Error };
            let name = name.to_string();
            let ty = self.check_field_selection(id, operand, &name, true);
            self.types.insert(field.id, Type::String);
            self.overloads.insert(id, Vec::new());
            return self.substitution.apply(&ty);
        }
        for argument in &mut call.args {
            self.visit(argument);
        }
        if let Some(target) = &call.target
            && let Some(prefix) = qualified_name(target)
        {
            let name = format!("{}.{}", prefix.trim_start_matches('.'), call.func_name);
            if self.overloads_of(&name).is_some() {
                call.func_name = name;
                call.target = None;
            }
        }
        if let Some(target) = &mut call.target {
            self.visit(target);
        }
        let name = call.func_name.strip_prefix('.').unwrap_or(&call.func_name).to_owned();
        call.func_name.clone_from(&name);
        match self.overloads_of(&name) {
            Some(overloads) => self.resolve_overloads(id, call, overloads),
            None => self.report_undeclared(id, &name),
        }
    }

    /// The overloads of a function; `None` if the environment does not declare the function.
    fn overloads_of(&self, name: &str) -> Option<&'static [Overload]> {
        let is_of_patches = name.starts_with("jsonpatch.");
        functions::overloads(name).filter(|_| !is_of_patches || self.environment == Environment::Patches)
    }

    /// Selects the overloads of a call that fit its arguments, and returns the result type of the call: `dyn` if these
    /// overloads have different result types.
    fn resolve_overloads(&mut self, id: u64, call: &CallExpr, overloads: &'static [Overload]) -> Type {
        let operands: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        let arguments: Vec<Type> = operands
            .iter()
            .map(|operand| self.types.get(&operand.id).cloned().unwrap_or(Type::Error))
            .collect();
        if matches!(call.func_name.as_str(), op::LOGICAL_AND | op::LOGICAL_OR) {
            return self.resolve_logical_operator(id, &operands, &arguments, overloads);
        }
        let mut result: Option<Type> = None;
        let mut fitting = Vec::new();
        for overload in overloads.iter().filter(|overload| overload.member == call.target.is_some()) {
            let (parameters, returned) = self.instantiate(overload);
            if !self.substitution.assign_all(&arguments, &parameters) {
                continue;
            }
            fitting.push(overload);
            let returned = self.substitution.apply(&returned);
            result = Some(match result {
                None => returned,
                Some(first) if first.is_dyn() || first.is_same(&returned) => first,
                Some(_) => Type::Dyn,
            });
        }
        let Some(result) = result else {
            let printed: Vec<String> =
                arguments.iter().map(|ty| self.substitution.apply_or_dyn(ty).to_string()).collect();
            let signature = match (&call.target, printed.split_first()) {
                (Some(_), Some((target, rest))) => format!("{target}.({})", rest.join(", ")),
                _ => format!("({})", printed.join(", ")),
            };
            let name = &call.func_name;
            self.report(id, format!("found no matching overload for '{name}' applied to '{signature}'"));
            return Type::Error;
        };
        self.overloads.insert(id, fitting);
        result
    }

    /// Checks that the operands of `&&` or `||` are booleans, and returns the type of the call.
    fn resolve_logical_operator(
        &mut self,
        id: u64,
        operands: &[&IdedExpr],
        arguments: &[Type],
        overloads: &'static [Overload],
    ) -> Type {
        let mut result = Type::Bool;
        for (operand, ty) in operands.iter().zip(arguments) {
            if !self.substitution.assign(ty, &Type::Bool) {
                self.report_mismatch(operand.id, &Type::Bool, ty);
                result = Type::Error;
            }
        }
        self.overloads.insert(id, overloads.iter().collect());
        result
    }

    /// The parameter types and the result type of an overload, with a new type variable for each type parameter.
    fn instantiate(&mut self, overload: &Overload) -> (Vec<Type>, Type) {
        let mut fresh = Substitution::default();
        let mut seen = BTreeSet::new();
        let types = overload.arguments.iter().chain([&overload.result]);
        for ty in types {
            collect_type_parameters(ty, &mut seen);
        }
        for param in seen {
            let value = self.new_type_variable();
            fresh.bind(Param::Declared(param), value);
        }
        (overload.arguments.iter().map(|ty| fresh.apply(ty)).collect(), fresh.apply(&overload.result))
    }

    fn check_list(&mut self, list: &mut ListExpr) -> Type {
        let mut element: Option<Type> = None;
        for (index, item) in list.elements.iter_mut().enumerate() {
            let mut ty = self.visit(item);
            if list.optional_indices.contains(&index) {
                ty = self.unwrap_optional_type(item.id, ty);
            }
            element = Some(self.common_type(element, ty));
        }
        Type::list(element.unwrap_or_else(|| self.new_type_variable()))
    }

    fn check_map(&mut self, map: &mut MapExpr) -> Type {
        let (mut keys, mut values): (Option<Type>, Option<Type>) = (None, None);
        for entry in &mut map.entries {
            let EntryExpr::MapEntry(entry) = &mut entry.expr else { continue };
            let key = self.visit(&mut entry.key);
            keys = Some(self.common_type(keys, key));
            let mut value = self.visit(&mut entry.value);
            if entry.optional {
                value = self.unwrap_optional_type(entry.value.id, value);
            }
            values = Some(self.common_type(values, value));
        }
        if let (Some(keys), Some(values)) = (keys, values) {
            return Type::map(keys, values);
        }
        let key = self.new_type_variable();
        Type::map(key, self.new_type_variable())
    }

    /// Returns `T` if `ty` is `optional_type(T)`, and otherwise `ty` itself. `ty` is the type of the value of
    /// an optional list element, map entry or message field, such as `x` in `[?x]`. Reports an error if `ty`
    /// is neither `optional_type(T)` nor `dyn`.
    fn unwrap_optional_type(&mut self, id: u64, ty: Type) -> Type {
        if let Some(inner) = ty.type_in_optional() {
            return inner.clone();
        }
        if !ty.is_dyn() {
            self.report_mismatch(id, &Type::optional(ty.clone()), &ty);
        }
        ty
    }

    /// Returns the common type of the elements in a list or map literal. `current` is the type of one
    /// element, and `previous` is the common type of the elements before it. If `previous` is assignable to
    /// `current`, the result is the more general of both types; otherwise, the result is `dyn`.
    /// [`super::literals::check`] decides whether different types are an error.
    fn common_type(&mut self, previous: Option<Type>, current: Type) -> Type {
        let Some(previous) = previous else { return current };
        if self.substitution.assign(&previous, &current) {
            return more_general_type(&previous, &current).clone();
        }
        Type::Dyn
    }

    fn check_comprehension(&mut self, parts: &mut ComprehensionExpr) -> Type {
        let range = self.visit(&mut parts.iter_range);
        let accumulated = self.visit(&mut parts.accu_init);
        let range = self.substitution.apply(&range);
        let depth = self.variables_in_scope.len();
        self.variables_in_scope.push((parts.accu_var.clone(), accumulated.clone()));
        let two = parts.iter_var2.is_some();
        let (first, second) = match &range {
            Type::List(element) if two => (Type::Int, (**element).clone()),
            Type::List(element) => ((**element).clone(), Type::Dyn),
            Type::Map(key, value) => ((**key).clone(), (**value).clone()),
            Type::Dyn | Type::Error | Type::Param(_) => {
                self.substitution.assign(&Type::Dyn, &range);
                (Type::Dyn, Type::Dyn)
            }
            other => {
                let message = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.report(parts.iter_range.id, message);
                (Type::Error, Type::Error)
            }
        };
        self.variables_in_scope.push((parts.iter_var.clone(), first));
        if let Some(name) = &parts.iter_var2 {
            self.variables_in_scope.push((name.clone(), second));
        }
        let condition = self.visit(&mut parts.loop_cond);
        self.expect_type(parts.loop_cond.id, &Type::Bool, &condition);
        let step = self.visit(&mut parts.loop_step);
        self.expect_type(parts.loop_step.id, &accumulated, &step);
        self.variables_in_scope.truncate(depth + 1);
        let result = self.visit(&mut parts.result);
        self.variables_in_scope.truncate(depth);
        self.substitution.apply(&result)
    }

    /// Reports an error about the AST node `id` if its type `found` does not fit the type `expected`.
    fn expect_type(&mut self, id: u64, expected: &Type, found: &Type) {
        if !self.substitution.assign(expected, found) {
            self.report_mismatch(id, expected, found);
        }
    }
}

fn literal_type(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(_) => Type::Bytes,
        LiteralValue::Double(_) => Type::Double,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(_) => Type::String,
        LiteralValue::UInt(_) => Type::Uint,
    }
}

/// Adds the type parameters in `ty` to `seen`.
fn collect_type_parameters(ty: &Type, seen: &mut BTreeSet<char>) {
    match ty {
        Type::Param(Param::Declared(name)) => {
            seen.insert(*name);
        }
        Type::List(inner) | Type::Optional(inner) | Type::Meta(inner) => collect_type_parameters(inner, seen),
        Type::Map(key, value) => {
            collect_type_parameters(key, seen);
            collect_type_parameters(value, seen);
        }
        _ => {}
    }
}

/// The name of an expression that is an identifier, or a chain of field selections on an identifier, such as `net.IP`.
/// `None` for any other expression.
fn qualified_name(expr: &IdedExpr) -> Option<String> {
    match &expr.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => {
            Some(format!("{}.{}", qualified_name(&select.operand)?, select.field))
        }
        _ => None,
    }
}
