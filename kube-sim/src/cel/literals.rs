//! Checks the literals of an expression after its types are checked. A literal argument of `duration`, `timestamp` or
//! `matches` must be valid. Except in calls of `format`, all elements of one list must have the same type; likewise all
//! keys of one map, and all values of one map.

use std::collections::HashSet;

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue};

use super::check::CheckedExpression;
use super::library::time;
use super::parse::Issue;
use super::types::Type;
use crate::schema::compile_regex;

/// Checks the literals of an expression, and returns the errors.
pub(super) fn check(checked: &CheckedExpression) -> Vec<Issue> {
    let mut issues = Vec::new();
    // The ids of the AST nodes in calls of `format`. The elements of lists and maps in these calls may have
    // different types.
    let mut in_format = HashSet::new();
    walk_expression(&checked.parsed.expr, &mut |expr| {
        if let Expr::Call(call) = &expr.expr
            && call.func_name == "format"
        {
            walk_expression(expr, &mut |inner| {
                in_format.insert(inner.id);
            });
        }
    });
    walk_expression(&checked.parsed.expr, &mut |expr| match &expr.expr {
        Expr::Call(call) => {
            let Some(argument) = call.args.first() else { return };
            let Expr::Literal(LiteralValue::String(text)) = &argument.expr else { return };
            let valid = match call.func_name.as_str() {
                "duration" => time::parse_duration(text).is_some(),
                "timestamp" => time::parse_timestamp(text).is_some(),
                "matches" => compile_regex(text).is_ok(),
                _ => true,
            };
            if !valid {
                issues.push(
                    checked.parsed.issue_at(argument.id, format!("invalid {} argument", call.func_name)),
                );
            }
        }
        Expr::List(list) => {
            let types = list.elements.iter().enumerate().map(|(index, element)| {
                let ty = checked.type_of(element);
                (element.id, if list.optional_indices.contains(&index) { without_optional(ty) } else { ty })
            });
            if !in_format.contains(&expr.id) {
                issues.extend(report_mixed_types(checked, types).into_iter().take(1));
            }
        }
        Expr::Map(map) if !in_format.contains(&expr.id) => {
            let entries = || {
                map.entries.iter().filter_map(|entry| match &entry.expr {
                    EntryExpr::MapEntry(entry) => Some(entry),
                    EntryExpr::StructField(_) => None,
                })
            };
            issues.extend(report_mixed_types(
                checked,
                entries().map(|entry| (entry.key.id, checked.type_of(&entry.key))),
            ));
            let values = entries().map(|entry| {
                let ty = checked.type_of(&entry.value);
                (entry.value.id, if entry.optional { without_optional(ty) } else { ty })
            });
            issues.extend(report_mixed_types(checked, values));
        }
        _ => {}
    });
    issues
}

/// The type `T` if `ty` is `optional_type(T)`; otherwise `ty` itself.
fn without_optional(ty: Type) -> Type {
    ty.type_in_optional().cloned().unwrap_or(ty)
}

/// Returns an error for each element whose type differs from the type of the first element.
fn report_mixed_types(
    checked: &CheckedExpression,
    mut types: impl Iterator<Item = (u64, Type)>,
) -> Vec<Issue> {
    let Some((_, first)) = types.next() else { return Vec::new() };
    let others = types.filter(|(_, other)| !other.is_same(&first));
    let issue =
        |(id, other)| checked.parsed.issue_at(id, format!("expected type '{first}' but found '{other}'"));
    others.map(issue).collect()
}

/// Calls `visit` for `expr` and for each expression in `expr`.
pub(super) fn walk_expression(expr: &IdedExpr, visit: &mut impl FnMut(&IdedExpr)) {
    visit(expr);
    match &expr.expr {
        Expr::Call(call) => {
            for child in call.target.as_deref().into_iter().chain(&call.args) {
                walk_expression(child, visit);
            }
        }
        Expr::Comprehension(parts) => {
            let children =
                [&parts.iter_range, &parts.accu_init, &parts.loop_cond, &parts.loop_step, &parts.result];
            for child in children {
                walk_expression(child, visit);
            }
        }
        Expr::List(list) => list.elements.iter().for_each(|child| walk_expression(child, visit)),
        Expr::Select(select) => walk_expression(&select.operand, visit),
        Expr::Map(map) => {
            for entry in &map.entries {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    walk_expression(&entry.key, visit);
                    walk_expression(&entry.value, visit);
                }
            }
        }
        Expr::Struct(message) => {
            for entry in &message.entries {
                if let EntryExpr::StructField(field) = &entry.expr {
                    walk_expression(&field.value, visit);
                }
            }
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}
