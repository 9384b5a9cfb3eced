//! Compiles rules: parses the expressions, checks their types and literals, and estimates their costs.

use std::sync::Arc;

use cel::common::ast::{Expr, IdedExpr, LiteralValue};
use serde_json::Value;

use super::declared_types::DeclaredType;
use super::keywords::{flag, text};
use super::types::Type;
use super::value::Val;
use super::{check, cost, eval, literals, parse};
use crate::schema::{compile_regex, field_path};

/// The maximum cost of one evaluation.
const EVALUATION_COST_LIMIT: u64 = 1_000_000;
/// The name of the type of `self`. The API server generates a new name for each compilation.
const SELF_TYPE: &str = "selfType0";

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Program {
    expr: IdedExpr,
    /// The upper bound of the estimated cost of one evaluation.
    pub(super) cost: u64,
    pub(super) uses_old_self: bool,
}

/// A compiled rule of `x-kubernetes-validations`.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) program: Result<Program, String>,
    /// The compiled `messageExpression`; `None` if the rule has no `messageExpression`, or `program` is an error.
    pub(super) message: Option<Result<Program, String>>,
    /// The `fieldPath` of the rule, converted to the format that field errors contain: `spec.a` for `.spec.a`.
    /// The path is relative to the value of `self`, and may be empty.
    pub(super) field_path: String,
    pub(super) optional_old_self: bool,
    pub(super) source: RuleSource,
}

/// The texts of the fields of a rule, as in the schema.
#[derive(Debug)]
pub(super) struct RuleSource {
    pub(super) rule: String,
    pub(super) message: String,
    pub(super) message_expression: String,
    pub(super) reason: String,
}

impl RuleSource {
    /// The description of the rule in errors: the message, or the expression of the rule if the message is empty.
    pub(super) fn summary(&self) -> &str {
        let message = self.message.trim();
        if message.is_empty() { self.rule.trim() } else { message }
    }
}

impl Program {
    /// Compiles an expression that must have the type `wanted`. `declared` is the type of `self`. If `optional` is
    /// true, `oldSelf` has an optional type. `prefix` is the beginning of the error text about syntax, types or
    /// literals: empty for a rule, and `messageExpression ` for a message expression.
    ///
    /// # Errors
    /// The expression is invalid. The error is the API server's error text.
    fn compile(
        source: &str,
        declared: &Arc<DeclaredType>,
        optional: bool,
        wanted: &Type,
        prefix: &str,
    ) -> Result<Self, String> {
        let failed = |issues: &[parse::Issue]| {
            Err(format!("{prefix}compilation failed: {}", parse::format_issues(source, issues)))
        };
        let ty = declared.to_type(SELF_TYPE);
        let old = if optional { Type::optional(ty.clone()) } else { ty.clone() };
        let checked = match parse::parse(source) {
            Ok(parsed) => check::check(parsed, &[("self", ty), ("oldSelf", old)]),
            Err(issues) => Err(issues),
        };
        let checked = match checked {
            Ok(checked) => checked,
            Err(issues) => return failed(&issues),
        };
        let issues = literals::check(&checked);
        if !issues.is_empty() {
            return failed(&issues);
        }
        if !checked.result_type().is_same(wanted) {
            return Err(match wanted {
                Type::String => "messageExpression must evaluate to a string".to_owned(),
                _ => "cel expression must evaluate to a bool".to_owned(),
            });
        }
        if let Some(error) = regex_problem(&checked.parsed.expr) {
            let what = if prefix.is_empty() { "program" } else { "messageExpression" };
            return Err(format!("{what} instantiation failed: {error}"));
        }
        let cost = cost::estimate(&checked, declared).max;
        let mut uses_old_self = false;
        literals::walk_expression(&checked.parsed.expr, &mut |expr| {
            uses_old_self |= matches!(&expr.expr, Expr::Ident(name) if name == "oldSelf");
        });
        Ok(Self { expr: checked.parsed.expr, cost, uses_old_self })
    }

    /// Evaluates the expression with these values of the variables.
    pub(super) fn evaluate<'a>(&self, variables: &[(&str, Val<'a>)]) -> eval::EvaluationResult<'a> {
        eval::evaluate(&self.expr, variables, EVALUATION_COST_LIMIT, None)
    }
}

/// The error text for the first literal that is an invalid regular expression; `None` if there is no such literal. The
/// API server compiles the regular expressions in literals before the first evaluation.
fn regex_problem(expr: &IdedExpr) -> Option<String> {
    let mut error = None;
    literals::walk_expression(expr, &mut |expr| {
        let Expr::Call(call) = &expr.expr else { return };
        let pattern = match call.func_name.as_str() {
            "find" | "findAll" => call.args.first(),
            "matches" => call.args.last(),
            _ => None,
        };
        if let Some(Expr::Literal(LiteralValue::String(pattern))) = pattern.map(|pattern| &pattern.expr)
            && error.is_none()
        {
            error = compile_regex(pattern).err();
        }
    });
    error
}

/// Compiles the rules of a schema, without those of its subschemas. The result contains `None` for each rule
/// whose expression is empty.
pub(super) fn compile_rules(schema: &Value, declared: &Arc<DeclaredType>) -> Vec<Option<Rule>> {
    super::keywords::list(schema, "x-kubernetes-validations")
        .iter()
        .map(|rule| compile_rule(rule, schema, declared))
        .collect()
}

fn compile_rule(rule: &Value, schema: &Value, declared: &Arc<DeclaredType>) -> Option<Rule> {
    let own = |key: &str| text(rule, key).to_owned();
    let source = RuleSource {
        rule: own("rule"),
        message: own("message"),
        message_expression: own("messageExpression"),
        reason: own("reason"),
    };
    if source.rule.trim().is_empty() {
        return None;
    }
    let optional = flag(rule, "optionalOldSelf");
    let program = Program::compile(&source.rule, declared, optional, &Type::Bool, "");
    let message = (program.is_ok() && !source.message_expression.is_empty()).then(|| {
        Program::compile(&source.message_expression, declared, optional, &Type::String, "messageExpression ")
    });
    let field_path = field_path(text(rule, "fieldPath"), schema).unwrap_or_default();
    Some(Rule { program, message, field_path, optional_old_self: optional, source })
}
