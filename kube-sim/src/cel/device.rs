//! Checks CEL expressions that select devices (`resource.k8s.io`). This crate does not evaluate these expressions,
//! because its scheduler allocates no devices.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::declared_types::{DeclaredType, Field, Shape};
use super::types::{RuntimeName, Type};
use super::{check, cost, literals, parse};

/// The maximum estimated cost of an expression.
const MAX_COST: u64 = 1_000_000;

/// The maximum length of the name of a driver.
const MAX_DRIVER_LENGTH: u64 = 63;
/// The maximum length of the domain in the name of an attribute or a capacity (`domain/identifier`).
const MAX_DOMAIN_LENGTH: u64 = 63;
/// The maximum length of the identifier in the name of an attribute or a capacity.
const MAX_IDENTIFIER_LENGTH: u64 = 32;
/// The maximum length of the value of an attribute.
const MAX_ATTRIBUTE_VALUE_LENGTH: u64 = 64;
/// The maximum number of attributes and capacities of a device.
const MAX_ATTRIBUTES_AND_CAPACITIES: u64 = 32;

/// The type of the variable `device`. The fields `attributes` and `capacity` are maps: each key is a domain, and each value
/// is a map whose keys are identifiers.
static DEVICE_TYPE: LazyLock<Arc<DeclaredType>> = LazyLock::new(|| {
    let of = |shape: Shape, max_elements: u64| {
        Arc::new(DeclaredType { shape, max_elements, min_size: 0, nullable: false })
    };
    let by_name = |entry: Arc<DeclaredType>| {
        let by_identifier =
            of(Shape::Map { key_size: MAX_IDENTIFIER_LENGTH, entry }, MAX_ATTRIBUTES_AND_CAPACITIES);
        of(Shape::Map { key_size: MAX_DOMAIN_LENGTH, entry: by_identifier }, MAX_ATTRIBUTES_AND_CAPACITIES)
    };
    let fields = [
        ("driver", of(Shape::String, MAX_DRIVER_LENGTH)),
        ("attributes", by_name(of(Shape::DeviceAttribute, MAX_ATTRIBUTE_VALUE_LENGTH))),
        ("capacity", by_name(of(Shape::Quantity, 0))),
        // In cost estimates, the API server assumes the size 1 for this boolean.
        ("allowMultipleAllocations", of(Shape::Bool, 1)),
    ];
    let fields = fields.map(|(name, declared)| (name.to_owned(), Field { name: name.to_owned(), declared }));
    of(Shape::Object(BTreeMap::from(fields)), 0)
});

/// The reason that an expression is not a valid device selector.
#[derive(Debug)]
pub(crate) enum DeviceSelectorProblem {
    /// The API server's error text.
    Invalid(String),
    TooComplex,
}

/// Checks the syntax, the types, the literals and the estimated cost of an expression. Returns `None` if the expression
/// is valid.
pub(crate) fn device_selector_problem(text: &str) -> Option<DeviceSelectorProblem> {
    let device = &*DEVICE_TYPE;
    let variables = [("device", device.to_type("kubernetes.DRADevice"))];
    let checked = parse::parse_with_bind_macro(text)
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
    if !matches!(found, Type::Bool | Type::Any) {
        return invalid(format!("must evaluate to bool or the unknown type, not {}", RuntimeName(&found)));
    }
    (cost::estimate(&checked, device).max > MAX_COST).then_some(DeviceSelectorProblem::TooComplex)
}
