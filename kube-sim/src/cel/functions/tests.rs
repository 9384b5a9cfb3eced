//! Compares the table of functions with the checker and with the evaluator.

use cel::common::ast::{CallExpr, Expr, IdedExpr};

use super::*;
use crate::cel::authorization::{Authorizer, CheckedAccess, ResourceCheck, Subject};
use crate::cel::value::Val;
use crate::cel::{check, eval, library, parse};

/// An authorizer that denies all accesses.
#[derive(Debug)]
struct DenyingAuthorizer;

impl Authorizer for DenyingAuthorizer {
    fn request_resource(&self) -> ResourceCheck {
        ResourceCheck::default()
    }

    fn decide(&self, _: &Subject, _: &CheckedAccess, _: &str) -> Option<String> {
        None
    }
}

/// A value of the type `ty`; an int for a type parameter.
fn sample_value(ty: &Type) -> Val<'static> {
    let call = |name: &str, text: &'static str| library::call(name, &[Val::text(text)]).unwrap();
    match ty {
        Type::Null => Val::Null,
        Type::Bool => Val::Bool(true),
        Type::Int | Type::Dyn | Type::Param(_) => Val::Int(1),
        Type::Uint => Val::Uint(1),
        Type::Double => Val::Double(1.0),
        Type::String => Val::text("1"),
        Type::Bytes => call("bytes", "1"),
        Type::Duration => call("duration", "1s"),
        Type::Timestamp => call("timestamp", "2026-01-01T00:00:00Z"),
        Type::List(item) => Val::list(vec![sample_value(item)]),
        Type::Map(key, value) => Val::map(vec![(sample_value(key), sample_value(value))]),
        Type::Optional(inner) => Val::some(sample_value(inner)),
        Type::Named("net.IP") => call("ip", "10.0.0.1"),
        Type::Named("net.CIDR") => call("cidr", "10.0.0.0/8"),
        Type::Named("kubernetes.URL") => call("url", "https://example.com/a"),
        Type::Named("kubernetes.Quantity") => call("quantity", "1Gi"),
        Type::Named("kubernetes.Semver") => call("semver", "1.2.3"),
        Type::Named("kubernetes.NamedFormat") => library::call("format.dns1123Label", &[]).unwrap(),
        Type::Named(name) => authorization_sample(name),
        other => panic!("there is no sample of the type {other}"),
    }
}

/// A value of a type of the authorization library.
fn authorization_sample(name: &str) -> Val<'static> {
    let [(_, start), (_, resource)] = authorization::variables(&DenyingAuthorizer);
    let call = |name: &str| library::call(name, &[start.clone(), Val::text("a")]).unwrap();
    match name {
        authorization::AUTHORIZER => start,
        authorization::RESOURCE_CHECK => resource,
        "kubernetes.authorization.PathCheck" => call("path"),
        "kubernetes.authorization.GroupCheck" => call("group"),
        "kubernetes.authorization.Decision" => {
            authorization::evaluate_check(&DenyingAuthorizer, &[call("path"), Val::text("get")]).unwrap()
        }
        other => panic!("there is no sample of the type {other}"),
    }
}

/// Calls the function `name` with a sample for each argument of `overload`. Returns the result or the error text.
fn call_with_samples(name: &str, overload: &Overload) -> Result<Val<'static>, String> {
    let names: Vec<String> = (0..overload.arguments.len()).map(|index| format!("a{index}")).collect();
    let values: Vec<_> =
        names.iter().zip(&overload.arguments).map(|(name, ty)| (name.as_str(), sample_value(ty))).collect();
    let mut args = names.iter().map(|name| IdedExpr { id: 1, expr: Expr::Ident(name.clone()) });
    let target = if overload.member { args.next().map(Box::new) } else { None };
    let call = CallExpr { func_name: name.to_owned(), target, args: args.collect() };
    let expr = IdedExpr { id: 0, expr: Expr::Call(call) };
    let evaluated = eval::evaluate(&expr, &values, u64::MAX, Some(&DenyingAuthorizer));
    evaluated.result.map_err(|failure| failure.text().to_owned())
}

#[test]
fn the_evaluator_has_every_overload_of_the_table() {
    let missing: Vec<_> = TABLE
        .iter()
        .flat_map(|(name, overloads)| overloads.iter().map(move |overload| (name, overload)))
        .filter(|(name, overload)| {
            call_with_samples(name, overload).is_err_and(|why| why == "no such overload")
        })
        .map(|(name, overload)| format!("{name} {}", overload.id))
        .collect();
    assert_eq!(missing, [""; 0]);
}

/// Whether the checker accepts a call of `name` with arguments of these types. If `member` is true, `name` is called as
/// a member function.
fn call_passes_check(name: &str, member: bool, arguments: &[Type]) -> bool {
    let types = arguments.iter().map(|ty| if matches!(ty, Type::Param(_)) { Type::Int } else { ty.clone() });
    let names = ["a0", "a1", "a2", "a3", "a4"];
    let variables: Vec<_> = names.into_iter().zip(types).collect();
    let used = &names[..arguments.len()];
    let text = match used {
        [target, rest @ ..] if member => format!("{target}.{name}({})", rest.join(", ")),
        _ => format!("{name}({})", used.join(", ")),
    };
    parse::parse(&text).and_then(|parsed| check::check(parsed, &variables)).is_ok()
}

#[test]
fn a_function_is_callable_only_as_declared() {
    assert!(!call_passes_check("undeclared", false, &[Type::Int]));
    for (name, overloads) in TABLE.iter().filter(|(name, _)| name.chars().all(char::is_alphanumeric)) {
        let declares = |member: bool, count: usize| {
            overloads.iter().any(|overload| overload.member == member && overload.arguments.len() == count)
        };
        for overload in overloads.iter().filter(|overload| !overload.arguments.is_empty()) {
            let count = overload.arguments.len();
            if !declares(!overload.member, count) {
                assert!(
                    !call_passes_check(name, !overload.member, &overload.arguments),
                    "{name} {}",
                    overload.id
                );
            }
            let mut more = overload.arguments.clone();
            more.push(Type::Int);
            if !declares(overload.member, count + 1) {
                assert!(!call_passes_check(name, overload.member, &more), "{name} {}", overload.id);
            }
        }
    }
}

#[test]
fn every_type_of_the_table_is_known() {
    for (name, overloads) in TABLE.iter() {
        for overload in overloads {
            let types = overload.arguments.iter().chain([&overload.result]);
            assert!(types.clone().all(|ty| !format!("{ty}").contains("error")), "{name} {}", overload.id);
        }
    }
    assert!(TABLE.len() > 100, "{}", TABLE.len());
}

#[test]
fn a_line_of_the_table_may_declare_many_overloads() {
    let sorted = overloads("isSorted").unwrap();
    assert_eq!(sorted.len(), 8);
    assert_eq!(sorted[6].id, "list_string_is_sorted_bool");
    assert_eq!(sorted[6].arguments[0].to_string(), "list(string)");
}
