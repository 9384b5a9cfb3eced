//! The macros of expressions: `has`, `all`, `exists`, `exists_one` (also `existsOne`), `map`, `filter`, `transformList`,
//! `transformMap`, `transformMapEntry`, `optMap`, `optFlatMap` and `sortBy`. Device selectors can also use `cel.bind`.
//!
//! This module owns the expansions. Each expansion equals the expansion of the API server, because cost estimates
//! depend on the expansions.

use cel::Env;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr, operators as op,
};
use cel::parser::{Macro, MacroExprHelper, ParseError};

/// The variable that accumulates the result of a comprehension.
pub(super) const RESULT: &str = "@result";
/// The iteration variable of the comprehensions that [`new_binding`] creates. No expression uses this variable.
const UNUSED_VARIABLE: &str = "#unused";
/// The variable to which the expansion of `sortBy` binds the list.
const SORT_INPUT: &str = "@__sortBy_input__";

/// The parser's helper, which creates AST nodes and errors.
type Helper<'a, 'b> = &'a mut MacroExprHelper<'b>;
/// The expansion of a macro call; `None` if the call is an ordinary function call.
type Expansion = Result<Option<IdedExpr>, ParseError>;
/// A function that expands a macro with a target: `target.macro(..)`.
type Expander = fn(Helper<'_, '_>, IdedExpr, Vec<IdedExpr>) -> Expansion;

/// A CEL environment whose parser expands the macros.
pub(super) fn environment() -> Env {
    let mut env = Env::default();
    let receivers: [(&str, &[usize], Expander); 11] = [
        ("all", &[2, 3], expand_all),
        ("exists", &[2, 3], expand_exists),
        ("exists_one", &[2, 3], expand_exists_one),
        ("existsOne", &[2, 3], expand_exists_one),
        ("map", &[2, 3], expand_map),
        ("filter", &[2], expand_filter),
        ("transformList", &[3, 4], expand_transform_list),
        ("transformMap", &[3, 4], expand_transform_map),
        ("transformMapEntry", &[3, 4], expand_transform_map_entry),
        ("optMap", &[2], expand_opt_map),
        ("optFlatMap", &[2], expand_opt_flat_map),
    ];
    let with_sort = receivers.into_iter().chain([("sortBy", &[2][..], expand_sort_by as Expander)]);
    for (name, arities, expand) in with_sort {
        for arity in arities {
            let expander = move |helper: &mut MacroExprHelper<'_>,
                                 target: &mut Option<IdedExpr>,
                                 args: &mut Vec<IdedExpr>| {
                match target.take() {
                    Some(target) => expand(helper, target, std::mem::take(args)),
                    None => Ok(None),
                }
            };
            // `add_macro` fails only if two macros have the same name and number of arguments.
            let _ = env.add_macro(Macro::receiver(name, *arity, expander));
        }
    }
    let _ =
        env.add_macro(Macro::global("has", 1, |helper, _, args| expand_has(helper, std::mem::take(args))));
    env
}

/// Like [`environment`], but the parser also expands the macro `cel.bind`.
pub(super) fn environment_with_bind_macro() -> Env {
    let mut env = environment();
    let expander = |helper: &mut MacroExprHelper<'_>,
                    target: &mut Option<IdedExpr>,
                    args: &mut Vec<IdedExpr>| {
        let is_namespace =
            target.as_ref().is_some_and(|target| matches!(&target.expr, Expr::Ident(name) if name == "cel"));
        if is_namespace { expand_cel_bind(helper, std::mem::take(args)) } else { Ok(None) }
    };
    // `add_macro` does not fail: no other macro has this name.
    let _ = env.add_macro(Macro::receiver("bind", 3, expander));
    env
}

/// Expands `cel.bind(variable, value, expression)`.
fn expand_cel_bind(helper: Helper<'_, '_>, mut args: Vec<IdedExpr>) -> Expansion {
    let variable = args.remove(0);
    let Expr::Ident(name) = variable.expr else {
        return Err(helper.new_error(variable.id, "cel.bind() variable names must be simple identifiers"));
    };
    let value = args.remove(0);
    Ok(Some(new_binding(helper, &name, value, args.remove(0))))
}

fn expand_has(helper: Helper<'_, '_>, mut args: Vec<IdedExpr>) -> Expansion {
    let argument = args.remove(0);
    match argument.expr {
        Expr::Select(mut select) if !select.test => {
            select.test = true;
            Ok(Some(helper.next_expr(Expr::Select(select))))
        }
        _ => Err(helper.new_error(argument.id, "invalid argument to has() macro")),
    }
}

/// Creates a call of a function without a target: `function(args)`.
fn new_call(helper: Helper<'_, '_>, function: &str, args: Vec<IdedExpr>) -> IdedExpr {
    helper.next_expr(Expr::Call(CallExpr { func_name: function.to_owned(), target: None, args }))
}

/// Creates a call of a member function: `target.function(args)`.
fn new_member_call(
    helper: Helper<'_, '_>,
    function: &str,
    target: IdedExpr,
    args: Vec<IdedExpr>,
) -> IdedExpr {
    let target = Some(Box::new(target));
    helper.next_expr(Expr::Call(CallExpr { func_name: function.to_owned(), target, args }))
}

/// Creates an identifier.
fn new_identifier(helper: Helper<'_, '_>, name: &str) -> IdedExpr {
    helper.next_expr(Expr::Ident(name.to_owned()))
}

/// Creates a boolean literal.
fn new_boolean(helper: Helper<'_, '_>, value: bool) -> IdedExpr {
    helper.next_expr(Expr::Literal(LiteralValue::Boolean(value.into())))
}

/// Creates an integer literal.
fn new_integer(helper: Helper<'_, '_>, value: i64) -> IdedExpr {
    helper.next_expr(Expr::Literal(LiteralValue::Int(value.into())))
}

/// Creates a list literal.
fn new_list(helper: Helper<'_, '_>, elements: Vec<IdedExpr>) -> IdedExpr {
    helper.next_expr(Expr::List(ListExpr::new(elements)))
}

/// Removes the one or two iteration variables from the start of `args`, and returns the names of the variables. The last
/// `rest` arguments are not variables.
fn take_variables(
    helper: Helper<'_, '_>,
    args: &mut Vec<IdedExpr>,
    rest: usize,
) -> Result<(String, Option<String>), ParseError> {
    let count = args.len() - rest;
    let mut names = Vec::with_capacity(count);
    for argument in args.drain(..count) {
        let Expr::Ident(name) = argument.expr else {
            return Err(helper.new_error(argument.id, "argument must be a simple name"));
        };
        if name == RESULT || name == "__result__" {
            return Err(helper.new_error(argument.id, "iteration variable overwrites accumulator variable"));
        }
        if names.first() == Some(&name) {
            return Err(helper.new_error(argument.id, format!("duplicate variable name: {name}")));
        }
        names.push(name);
    }
    let mut names = names.into_iter();
    Ok((names.next().unwrap_or_default(), names.next()))
}

/// The parts of a comprehension, except its range and its variables.
struct Loop {
    init: IdedExpr,
    condition: IdedExpr,
    step: IdedExpr,
    result: IdedExpr,
}

/// Creates a comprehension with the accumulator [`RESULT`].
fn new_comprehension(
    helper: Helper<'_, '_>,
    range: IdedExpr,
    (iter_var, iter_var2): (String, Option<String>),
    parts: Loop,
) -> IdedExpr {
    helper.next_expr(Expr::Comprehension(Box::new(ComprehensionExpr {
        iter_range: range,
        iter_var,
        iter_var2,
        accu_var: RESULT.to_owned(),
        accu_init: parts.init,
        loop_cond: parts.condition,
        loop_step: parts.step,
        result: parts.result,
    })))
}

fn expand_all(helper: Helper<'_, '_>, range: IdedExpr, args: Vec<IdedExpr>) -> Expansion {
    expand_quantifier(helper, range, args, true)
}

fn expand_exists(helper: Helper<'_, '_>, range: IdedExpr, args: Vec<IdedExpr>) -> Expansion {
    expand_quantifier(helper, range, args, false)
}

/// Expands `all` if `universal` is true, and `exists` if it is false.
fn expand_quantifier(
    helper: Helper<'_, '_>,
    range: IdedExpr,
    mut args: Vec<IdedExpr>,
    universal: bool,
) -> Expansion {
    let names = take_variables(helper, &mut args, 1)?;
    let predicate = args.remove(0);
    let init = new_boolean(helper, universal);
    let accumulator = new_identifier(helper, RESULT);
    let condition =
        if universal { accumulator } else { new_call(helper, op::LOGICAL_NOT, vec![accumulator]) };
    let condition = new_call(helper, op::NOT_STRICTLY_FALSE, vec![condition]);
    let accumulator = new_identifier(helper, RESULT);
    let join = if universal { op::LOGICAL_AND } else { op::LOGICAL_OR };
    let step = new_call(helper, join, vec![accumulator, predicate]);
    let result = new_identifier(helper, RESULT);
    Ok(Some(new_comprehension(helper, range, names, Loop { init, condition, step, result })))
}

fn expand_exists_one(helper: Helper<'_, '_>, range: IdedExpr, mut args: Vec<IdedExpr>) -> Expansion {
    let names = take_variables(helper, &mut args, 1)?;
    let predicate = args.remove(0);
    let init = new_integer(helper, 0);
    let condition = new_boolean(helper, true);
    let (accumulator, one) = (new_identifier(helper, RESULT), new_integer(helper, 1));
    let sum = new_call(helper, op::ADD, vec![accumulator, one]);
    let accumulator = new_identifier(helper, RESULT);
    let step = new_call(helper, op::CONDITIONAL, vec![predicate, sum, accumulator]);
    let (accumulator, one) = (new_identifier(helper, RESULT), new_integer(helper, 1));
    let result = new_call(helper, op::EQUALS, vec![accumulator, one]);
    Ok(Some(new_comprehension(helper, range, names, Loop { init, condition, step, result })))
}

fn expand_map(helper: Helper<'_, '_>, range: IdedExpr, mut args: Vec<IdedExpr>) -> Expansion {
    let rest = args.len() - 1;
    let names = take_variables(helper, &mut args, rest)?;
    let transform = args.pop().unwrap_or_default();
    Ok(Some(new_list_comprehension(helper, range, names, args.pop(), transform)))
}

fn expand_transform_list(helper: Helper<'_, '_>, range: IdedExpr, mut args: Vec<IdedExpr>) -> Expansion {
    let rest = args.len() - 2;
    let names = take_variables(helper, &mut args, rest)?;
    let transform = args.pop().unwrap_or_default();
    Ok(Some(new_list_comprehension(helper, range, names, args.pop(), transform)))
}

fn expand_filter(helper: Helper<'_, '_>, range: IdedExpr, mut args: Vec<IdedExpr>) -> Expansion {
    let names = take_variables(helper, &mut args, 1)?;
    let predicate = args.remove(0);
    let element = new_identifier(helper, &names.0);
    Ok(Some(new_list_comprehension(helper, range, names, Some(predicate), element)))
}

/// Creates a comprehension that returns a list: the values of `transform` for the elements that satisfy `predicate`.
fn new_list_comprehension(
    helper: Helper<'_, '_>,
    range: IdedExpr,
    names: (String, Option<String>),
    predicate: Option<IdedExpr>,
    transform: IdedExpr,
) -> IdedExpr {
    let init = new_list(helper, Vec::new());
    let condition = new_boolean(helper, true);
    let accumulator = new_identifier(helper, RESULT);
    let element = new_list(helper, vec![transform]);
    let step = new_call(helper, op::ADD, vec![accumulator, element]);
    let step = new_guarded_step(helper, predicate, step);
    let result = new_identifier(helper, RESULT);
    new_comprehension(helper, range, names, Loop { init, condition, step, result })
}

/// Creates the expression `predicate ? step : accumulator`. Returns `step` if there is no predicate.
fn new_guarded_step(helper: Helper<'_, '_>, predicate: Option<IdedExpr>, step: IdedExpr) -> IdedExpr {
    match predicate {
        Some(predicate) => {
            let accumulator = new_identifier(helper, RESULT);
            new_call(helper, op::CONDITIONAL, vec![predicate, step, accumulator])
        }
        None => step,
    }
}

fn expand_transform_map(helper: Helper<'_, '_>, range: IdedExpr, args: Vec<IdedExpr>) -> Expansion {
    expand_map_transformation(helper, range, args, true)
}

fn expand_transform_map_entry(helper: Helper<'_, '_>, range: IdedExpr, args: Vec<IdedExpr>) -> Expansion {
    expand_map_transformation(helper, range, args, false)
}

/// Expands `transformMap` if `same_keys` is true, and `transformMapEntry` if it is false.
fn expand_map_transformation(
    helper: Helper<'_, '_>,
    range: IdedExpr,
    mut args: Vec<IdedExpr>,
    same_keys: bool,
) -> Expansion {
    let rest = args.len() - 2;
    let names = take_variables(helper, &mut args, rest)?;
    let transform = args.pop().unwrap_or_default();
    let predicate = args.pop();
    let init = helper.next_expr(Expr::Map(MapExpr::default()));
    let condition = new_boolean(helper, true);
    let mut inserted = vec![new_identifier(helper, RESULT)];
    if same_keys {
        inserted.push(new_identifier(helper, &names.0));
    }
    inserted.push(transform);
    let step = new_call(helper, "cel.@mapInsert", inserted);
    let step = new_guarded_step(helper, predicate, step);
    let result = new_identifier(helper, RESULT);
    Ok(Some(new_comprehension(helper, range, names, Loop { init, condition, step, result })))
}

/// Creates an expression that evaluates `result` with the variable `name` bound to `value`. The expression is a
/// comprehension over an empty list. Its accumulator is the variable `name`.
fn new_binding(helper: Helper<'_, '_>, name: &str, value: IdedExpr, result: IdedExpr) -> IdedExpr {
    let iter_range = new_list(helper, Vec::new());
    let loop_cond = new_boolean(helper, false);
    let loop_step = new_identifier(helper, name);
    helper.next_expr(Expr::Comprehension(Box::new(ComprehensionExpr {
        iter_range,
        iter_var: UNUSED_VARIABLE.to_owned(),
        iter_var2: None,
        accu_var: name.to_owned(),
        accu_init: value,
        loop_cond,
        loop_step,
        result,
    })))
}

fn expand_opt_map(helper: Helper<'_, '_>, target: IdedExpr, args: Vec<IdedExpr>) -> Expansion {
    expand_opt_map_variant(helper, target, args, "optMap() variable name must be a simple identifier", true)
}

fn expand_opt_flat_map(helper: Helper<'_, '_>, target: IdedExpr, args: Vec<IdedExpr>) -> Expansion {
    expand_opt_map_variant(
        helper,
        target,
        args,
        "optFlatMap() variable name must be a simple identifier",
        false,
    )
}

/// Expands `optMap` if `wrap` is true, and `optFlatMap` if it is false. `problem` is the error text for an invalid
/// variable name.
fn expand_opt_map_variant(
    helper: Helper<'_, '_>,
    target: IdedExpr,
    mut args: Vec<IdedExpr>,
    problem: &str,
    wrap: bool,
) -> Expansion {
    let variable = args.remove(0);
    let Expr::Ident(name) = variable.expr else { return Err(helper.new_error(variable.id, problem)) };
    let mapped = args.remove(0);
    let copy = copy_expression(helper, &target);
    let has_value = new_member_call(helper, "hasValue", target, Vec::new());
    let value = new_member_call(helper, "value", copy, Vec::new());
    let bound = new_binding(helper, &name, value, mapped);
    let optional = |helper: Helper<'_, '_>, function, args| {
        let namespace = new_identifier(helper, "optional");
        new_member_call(helper, function, namespace, args)
    };
    let some = if wrap { optional(helper, "of", vec![bound]) } else { bound };
    let none = optional(helper, "none", Vec::new());
    Ok(Some(new_call(helper, op::CONDITIONAL, vec![has_value, some, none])))
}

fn expand_sort_by(helper: Helper<'_, '_>, target: IdedExpr, args: Vec<IdedExpr>) -> Expansion {
    if matches!(target.expr, Expr::Literal(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified) {
        let problem =
            "sortBy can only be applied to a list, identifier, comprehension, call or select expression";
        return Err(helper.new_error(target.id, problem));
    }
    let input = new_identifier(helper, SORT_INPUT);
    let Some(keys) = expand_map(helper, input, args)? else { return Ok(None) };
    let input = new_identifier(helper, SORT_INPUT);
    let sorted = new_member_call(helper, "@sortByAssociatedKeys", input, vec![keys]);
    Ok(Some(new_binding(helper, SORT_INPUT, target, sorted)))
}

/// Copies an expression. The AST nodes of the copy have new ids.
fn copy_expression(helper: Helper<'_, '_>, original: &IdedExpr) -> IdedExpr {
    let mut expr = original.expr.clone();
    let children: Vec<&mut IdedExpr> = match &mut expr {
        Expr::Call(call) => {
            call.target.iter_mut().map(|target| &mut **target).chain(&mut call.args).collect()
        }
        Expr::Comprehension(parts) => {
            let parts = &mut **parts;
            vec![
                &mut parts.iter_range,
                &mut parts.accu_init,
                &mut parts.loop_cond,
                &mut parts.loop_step,
                &mut parts.result,
            ]
        }
        Expr::List(list) => list.elements.iter_mut().collect(),
        Expr::Select(select) => vec![&mut *select.operand],
        Expr::Map(map) => map
            .entries
            .iter_mut()
            .filter_map(|entry| match &mut entry.expr {
                EntryExpr::MapEntry(entry) => Some([&mut entry.key, &mut entry.value]),
                EntryExpr::StructField(_) => None,
            })
            .flatten()
            .collect(),
        Expr::Struct(message) => message
            .entries
            .iter_mut()
            .filter_map(|entry| match &mut entry.expr {
                EntryExpr::StructField(field) => Some(&mut field.value),
                EntryExpr::MapEntry(_) => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    for child in children {
        let copied = copy_expression(helper, child);
        *child = copied;
    }
    helper.next_expr(expr)
}
