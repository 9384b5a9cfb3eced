//! Expressions of webhooks and admission policies, which are checked when their configuration is written.

use super::check;
use super::parse;
use super::types::Type;

/// The variables of an admission expression. Their types depend on the request.
const VARIABLES: [&str; 7] =
    ["authorizer", "namespaceObject", "object", "oldObject", "params", "request", "variables"];

/// The functions of `authorizer`, whose type is not checked.
const AUTHORIZER_FUNCTIONS: [&str; 14] = [
    "allowed",
    "check",
    "error",
    "errored",
    "fieldSelector",
    "group",
    "labelSelector",
    "name",
    "namespace",
    "path",
    "reason",
    "resource",
    "serviceAccount",
    "subresource",
];

/// The syntax errors and undeclared variables of an expression, as the API server prints them; `None` if there are none.
pub(crate) fn admission_expression_problem(text: &str) -> Option<String> {
    let variables = VARIABLES.map(|name| (name, Type::Dyn));
    let issues = match parse::parse(text) {
        Ok(parsed) => check::check(parsed, &variables).err()?,
        Err(issues) => issues,
    };
    let is_of_authorizer = |message: &str| {
        let name = message.strip_prefix("undeclared reference to '").and_then(|rest| rest.split_once('\''));
        text.contains("authorizer") && name.is_some_and(|(name, _)| AUTHORIZER_FUNCTIONS.contains(&name))
    };
    let issues: Vec<_> = issues.into_iter().filter(|issue| !is_of_authorizer(&issue.message)).collect();
    if issues.is_empty() {
        return None;
    }
    Some(format!("compilation failed: {}", parse::format_issues(text, &issues)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_syntax_errors_and_undeclared_variables() {
        assert_eq!(admission_expression_problem("object.spec.replicas < 5 && oldObject != null"), None);
        let check = "!authorizer.group('a.io').resource('x').check('breakglass').allowed()";
        assert_eq!(admission_expression_problem(check), None);
        assert!(admission_expression_problem("object.group('a')").is_some());
        assert!(admission_expression_problem("object.").is_some_and(|why| why.contains("Syntax error")));
        assert!(admission_expression_problem("self.a").is_some_and(|why| why.contains("undeclared")));
    }
}
