//! The macros of rules: `has`, `all`, `exists`, `exists_one`, `map`, `filter`, the comprehensions with two variables
//! (`transformList`, ..), `optMap`, `optFlatMap` and `sortBy`; for device selectors also `cel.bind`.
//!
//! Owns the expansions. Each expansion equals that of the API server, because cost estimates depend on the expansion.

use cel::Env;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr, operators as op,
};
use cel::parser::{Macro, MacroExprHelper, ParseError};

/// The variable that accumulates the result of a comprehension.
pub(super) const RESULT: &str = "@result";
/// The iteration variable of a comprehension that only binds its accumulator.
const UNUSED: &str = "#unused";
/// The variable to which the expansion of `sortBy` binds the list.
const SORT_INPUT: &str = "@__sortBy_input__";

/// The parser's helper, which creates nodes and errors.
type Helper<'a, 'b> = &'a mut MacroExprHelper<'b>;
/// The expansion of a macro; `None` if the call is not a macro.
type Expansion = Result<Option<IdedExpr>, ParseError>;
/// A function that expands a macro with a target.
type Expand = fn(Helper<'_, '_>, IdedExpr, Vec<IdedExpr>) -> Expansion;

/// A CEL environment whose parser expands the macros.
pub(super) fn environment() -> Env {
    let mut env = Env::default();
    let receivers: [(&str, &[usize], Expand); 11] = [
        ("all", &[2, 3], all),
        ("exists", &[2, 3], exists),
        ("exists_one", &[2, 3], exists_one),
        ("existsOne", &[2, 3], exists_one),
        ("map", &[2, 3], map),
        ("filter", &[2], filter),
        ("transformList", &[3, 4], transform_list),
        ("transformMap", &[3, 4], transform_map),
        ("transformMapEntry", &[3, 4], transform_map_entry),
        ("optMap", &[2], opt_map),
        ("optFlatMap", &[2], opt_flat_map),
    ];
    let with_sort = receivers.into_iter().chain([("sortBy", &[2][..], sort_by as Expand)]);
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
    let _ = env.add_macro(Macro::global("has", 1, |helper, _, args| has(helper, std::mem::take(args))));
    env
}

/// Like [`environment`], with the macro `cel.bind`.
pub(super) fn environment_with_bindings() -> Env {
    let mut env = environment();
    let expander = |helper: &mut MacroExprHelper<'_>,
                    target: &mut Option<IdedExpr>,
                    args: &mut Vec<IdedExpr>| {
        let is_namespace =
            target.as_ref().is_some_and(|target| matches!(&target.expr, Expr::Ident(name) if name == "cel"));
        if is_namespace { cel_bind(helper, std::mem::take(args)) } else { Ok(None) }
    };
    // No other macro has this name.
    let _ = env.add_macro(Macro::receiver("bind", 3, expander));
    env
}

/// Expands `cel.bind(variable, value, expression)`.
fn cel_bind(helper: Helper<'_, '_>, mut args: Vec<IdedExpr>) -> Expansion {
    let variable = args.remove(0);
    let Expr::Ident(name) = variable.expr else {
        return Err(helper.new_error(variable.id, "cel.bind() variable names must be simple identifiers"));
    };
    let value = args.remove(0);
    Ok(Some(bind(helper, &name, value, args.remove(0))))
}

fn has(helper: Helper<'_, '_>, mut args: Vec<IdedExpr>) -> Expansion {
    let argument = args.remove(0);
    match argument.expr {
        Expr::Select(mut select) if !select.test => {
            select.test = true;
            Ok(Some(helper.next_expr(Expr::Select(select))))
        }
        _ => Err(helper.new_error(argument.id, "invalid argument to has() macro")),
    }
}

/// Creates a call.
fn call(helper: Helper<'_, '_>, function: &str, args: Vec<IdedExpr>) -> IdedExpr {
    helper.next_expr(Expr::Call(CallExpr { func_name: function.to_owned(), target: None, args }))
}

/// Creates a call of a member function: `target.function(args)`.
fn member_call(helper: Helper<'_, '_>, function: &str, target: IdedExpr, args: Vec<IdedExpr>) -> IdedExpr {
    let target = Some(Box::new(target));
    helper.next_expr(Expr::Call(CallExpr { func_name: function.to_owned(), target, args }))
}

/// Creates an identifier.
fn ident(helper: Helper<'_, '_>, name: &str) -> IdedExpr {
    helper.next_expr(Expr::Ident(name.to_owned()))
}

/// Creates a boolean literal.
fn boolean(helper: Helper<'_, '_>, value: bool) -> IdedExpr {
    helper.next_expr(Expr::Literal(LiteralValue::Boolean(value.into())))
}

/// Creates an integer literal.
fn int(helper: Helper<'_, '_>, value: i64) -> IdedExpr {
    helper.next_expr(Expr::Literal(LiteralValue::Int(value.into())))
}

/// Creates a list literal.
fn list(helper: Helper<'_, '_>, elements: Vec<IdedExpr>) -> IdedExpr {
    helper.next_expr(Expr::List(ListExpr::new(elements)))
}

/// Removes the iteration variables, one or two, from the start of `args` and returns their names. The last `rest`
/// arguments are not variables.
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

/// The parts of a comprehension besides its range and its variables.
struct Loop {
    init: IdedExpr,
    condition: IdedExpr,
    step: IdedExpr,
    result: IdedExpr,
}

/// Creates a comprehension with the accumulator [`RESULT`].
fn comprehension(
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

fn all(helper: Helper<'_, '_>, range: IdedExpr, args: Vec<IdedExpr>) -> Expansion {
    quantifier(helper, range, args, true)
}

fn exists(helper: Helper<'_, '_>, range: IdedExpr, args: Vec<IdedExpr>) -> Expansion {
    quantifier(helper, range, args, false)
}

/// Expands `all` (`universal` is true) or `exists`.
fn quantifier(
    helper: Helper<'_, '_>,
    range: IdedExpr,
    mut args: Vec<IdedExpr>,
    universal: bool,
) -> Expansion {
    let names = take_variables(helper, &mut args, 1)?;
    let predicate = args.remove(0);
    let init = boolean(helper, universal);
    let accumulator = ident(helper, RESULT);
    let condition = if universal { accumulator } else { call(helper, op::LOGICAL_NOT, vec![accumulator]) };
    let condition = call(helper, op::NOT_STRICTLY_FALSE, vec![condition]);
    let accumulator = ident(helper, RESULT);
    let join = if universal { op::LOGICAL_AND } else { op::LOGICAL_OR };
    let step = call(helper, join, vec![accumulator, predicate]);
    let result = ident(helper, RESULT);
    Ok(Some(comprehension(helper, range, names, Loop { init, condition, step, result })))
}

fn exists_one(helper: Helper<'_, '_>, range: IdedExpr, mut args: Vec<IdedExpr>) -> Expansion {
    let names = take_variables(helper, &mut args, 1)?;
    let predicate = args.remove(0);
    let init = int(helper, 0);
    let condition = boolean(helper, true);
    let (accumulator, one) = (ident(helper, RESULT), int(helper, 1));
    let sum = call(helper, op::ADD, vec![accumulator, one]);
    let accumulator = ident(helper, RESULT);
    let step = call(helper, op::CONDITIONAL, vec![predicate, sum, accumulator]);
    let (accumulator, one) = (ident(helper, RESULT), int(helper, 1));
    let result = call(helper, op::EQUALS, vec![accumulator, one]);
    Ok(Some(comprehension(helper, range, names, Loop { init, condition, step, result })))
}

fn map(helper: Helper<'_, '_>, range: IdedExpr, mut args: Vec<IdedExpr>) -> Expansion {
    let rest = args.len() - 1;
    let names = take_variables(helper, &mut args, rest)?;
    let transform = args.pop().unwrap_or_default();
    Ok(Some(collect(helper, range, names, args.pop(), transform)))
}

fn transform_list(helper: Helper<'_, '_>, range: IdedExpr, mut args: Vec<IdedExpr>) -> Expansion {
    let rest = args.len() - 2;
    let names = take_variables(helper, &mut args, rest)?;
    let transform = args.pop().unwrap_or_default();
    Ok(Some(collect(helper, range, names, args.pop(), transform)))
}

fn filter(helper: Helper<'_, '_>, range: IdedExpr, mut args: Vec<IdedExpr>) -> Expansion {
    let names = take_variables(helper, &mut args, 1)?;
    let predicate = args.remove(0);
    let element = ident(helper, &names.0);
    Ok(Some(collect(helper, range, names, Some(predicate), element)))
}

/// Creates a comprehension that collects the values of `transform` in a list, for the elements that satisfy
/// `predicate`.
fn collect(
    helper: Helper<'_, '_>,
    range: IdedExpr,
    names: (String, Option<String>),
    predicate: Option<IdedExpr>,
    transform: IdedExpr,
) -> IdedExpr {
    let init = list(helper, Vec::new());
    let condition = boolean(helper, true);
    let accumulator = ident(helper, RESULT);
    let element = list(helper, vec![transform]);
    let step = call(helper, op::ADD, vec![accumulator, element]);
    let step = guarded(helper, predicate, step);
    let result = ident(helper, RESULT);
    comprehension(helper, range, names, Loop { init, condition, step, result })
}

/// Creates `predicate ? step : accumulator`; only `step` if there is no predicate.
fn guarded(helper: Helper<'_, '_>, predicate: Option<IdedExpr>, step: IdedExpr) -> IdedExpr {
    match predicate {
        Some(predicate) => {
            let accumulator = ident(helper, RESULT);
            call(helper, op::CONDITIONAL, vec![predicate, step, accumulator])
        }
        None => step,
    }
}

fn transform_map(helper: Helper<'_, '_>, range: IdedExpr, args: Vec<IdedExpr>) -> Expansion {
    collect_map(helper, range, args, true)
}

fn transform_map_entry(helper: Helper<'_, '_>, range: IdedExpr, args: Vec<IdedExpr>) -> Expansion {
    collect_map(helper, range, args, false)
}

/// Expands `transformMap` (`same_keys` is true) or `transformMapEntry`.
fn collect_map(
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
    let condition = boolean(helper, true);
    let mut inserted = vec![ident(helper, RESULT)];
    if same_keys {
        inserted.push(ident(helper, &names.0));
    }
    inserted.push(transform);
    let step = call(helper, "cel.@mapInsert", inserted);
    let step = guarded(helper, predicate, step);
    let result = ident(helper, RESULT);
    Ok(Some(comprehension(helper, range, names, Loop { init, condition, step, result })))
}

/// Binds `name` to `value` in the expression `result`: creates a comprehension over an empty list, whose accumulator is
/// `name`.
fn bind(helper: Helper<'_, '_>, name: &str, value: IdedExpr, result: IdedExpr) -> IdedExpr {
    let iter_range = list(helper, Vec::new());
    let loop_cond = boolean(helper, false);
    let loop_step = ident(helper, name);
    helper.next_expr(Expr::Comprehension(Box::new(ComprehensionExpr {
        iter_range,
        iter_var: UNUSED.to_owned(),
        iter_var2: None,
        accu_var: name.to_owned(),
        accu_init: value,
        loop_cond,
        loop_step,
        result,
    })))
}

fn opt_map(helper: Helper<'_, '_>, target: IdedExpr, args: Vec<IdedExpr>) -> Expansion {
    optional_map(helper, target, args, "optMap() variable name must be a simple identifier", true)
}

fn opt_flat_map(helper: Helper<'_, '_>, target: IdedExpr, args: Vec<IdedExpr>) -> Expansion {
    optional_map(helper, target, args, "optFlatMap() variable name must be a simple identifier", false)
}

/// Expands `optMap` (`wrap` is true) or `optFlatMap`. `problem` is the error text for an invalid variable name.
fn optional_map(
    helper: Helper<'_, '_>,
    target: IdedExpr,
    mut args: Vec<IdedExpr>,
    problem: &str,
    wrap: bool,
) -> Expansion {
    let variable = args.remove(0);
    let Expr::Ident(name) = variable.expr else { return Err(helper.new_error(variable.id, problem)) };
    let mapped = args.remove(0);
    let copy = copy(helper, &target);
    let has_value = member_call(helper, "hasValue", target, Vec::new());
    let value = member_call(helper, "value", copy, Vec::new());
    let bound = bind(helper, &name, value, mapped);
    let optional = |helper: Helper<'_, '_>, function, args| {
        let namespace = ident(helper, "optional");
        member_call(helper, function, namespace, args)
    };
    let some = if wrap { optional(helper, "of", vec![bound]) } else { bound };
    let none = optional(helper, "none", Vec::new());
    Ok(Some(call(helper, op::CONDITIONAL, vec![has_value, some, none])))
}

fn sort_by(helper: Helper<'_, '_>, target: IdedExpr, args: Vec<IdedExpr>) -> Expansion {
    if matches!(target.expr, Expr::Literal(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified) {
        let problem =
            "sortBy can only be applied to a list, identifier, comprehension, call or select expression";
        return Err(helper.new_error(target.id, problem));
    }
    let input = ident(helper, SORT_INPUT);
    let Some(keys) = map(helper, input, args)? else { return Ok(None) };
    let input = ident(helper, SORT_INPUT);
    let sorted = member_call(helper, "@sortByAssociatedKeys", input, vec![keys]);
    Ok(Some(bind(helper, SORT_INPUT, target, sorted)))
}

/// Copies an expression. The nodes of the copy have new ids.
fn copy(helper: Helper<'_, '_>, original: &IdedExpr) -> IdedExpr {
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
        let copied = copy(helper, child);
        *child = copied;
    }
    helper.next_expr(expr)
}
