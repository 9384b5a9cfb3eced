//! CEL expressions that select devices (`resource.k8s.io`). This crate checks them, but does not evaluate them: its
//! scheduler allocates no devices.

use std::sync::{Arc, LazyLock};

use serde_json::json;

use super::declared::DeclaredType;
use super::types::Type;
use super::{check, cost, literals, parse};

/// The maximum estimated cost of an expression.
const MAX_COST: u64 = 1_000_000;

/// The type of the variable `device`. The types of attributes and capacities depend on the device.
static DEVICE: LazyLock<Option<Arc<DeclaredType>>> = LazyLock::new(|| {
    let entry = json!({"x-kubernetes-int-or-string": true, "maxLength": 16});
    let names = json!({"type": "object", "additionalProperties": entry, "maxProperties": 32});
    let domains = json!({"type": "object", "additionalProperties": names, "maxProperties": 32});
    DeclaredType::of(
        &json!({
            "type": "object",
            "properties": {
                "driver": {"type": "string", "maxLength": 16},
                "attributes": domains,
                "capacity": domains,
                "allowMultipleAllocations": {"type": "boolean"},
            },
        }),
        false,
    )
});

/// The reason that an expression is not a valid device selector.
#[derive(Debug)]
pub(crate) enum DeviceSelectorProblem {
    /// The API server's error text.
    Invalid(String),
    TooComplex,
}

/// Checks the syntax, the types, and the estimated cost of an expression; `None` if it is valid.
pub(crate) fn device_selector_problem(text: &str) -> Option<DeviceSelectorProblem> {
    let device = DEVICE.as_ref()?;
    let variables = [("device", device.to_type("kubernetes.DRADevice"))];
    let checked = parse::parse_with_bindings(text)
        .and_then(|parsed| check::check(parsed, &variables))
        .and_then(|checked| {
            let issues = literals::check(&checked);
            if issues.is_empty() { Ok(checked) } else { Err(issues) }
        });
    let invalid = |why: String| Some(DeviceSelectorProblem::Invalid(why));
    let checked = match checked {
        Ok(checked) => checked,
        Err(issues) => {
            return invalid(format!("compilation failed: {}", parse::format_issues(text, &issues)));
        }
    };
    let found = checked.result_type();
    if !matches!(found, Type::Bool | Type::Dyn) {
        return invalid(format!("must evaluate to bool or the unknown type, not {found}"));
    }
    (cost::estimate(&checked, device).max > MAX_COST).then_some(DeviceSelectorProblem::TooComplex)
}
