//! CEL expressions that select devices (`resource.k8s.io`). This crate checks them, but does not evaluate them: its
//! scheduler allocates no devices.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::declared_types::{DeclaredType, Field, Shape};
use super::types::{RuntimeName, Type};
use super::{check, cost, literals, parse};

/// The maximum estimated cost of an expression.
const MAX_COST: u64 = 1_000_000;

/// The maximum lengths of the name of a driver, of the domain and of the identifier in the name of an attribute or a
/// capacity, and of the value of an attribute.
const MAX_DRIVER: u64 = 63;
const MAX_DOMAIN: u64 = 63;
const MAX_IDENTIFIER: u64 = 32;
const MAX_VALUE: u64 = 64;
/// The maximum number of attributes and capacities of a device.
const MAX_ENTRIES: u64 = 32;

/// The type of the variable `device`. Attributes and capacities are maps by domain and identifier.
static DEVICE: LazyLock<Arc<DeclaredType>> = LazyLock::new(|| {
    let of = |shape: Shape, max_elements: u64| {
        Arc::new(DeclaredType { shape, max_elements, min_size: 0, nullable: false })
    };
    let by_name = |entry: Arc<DeclaredType>| {
        let by_identifier = of(Shape::Map { key_size: MAX_IDENTIFIER, entry }, MAX_ENTRIES);
        of(Shape::Map { key_size: MAX_DOMAIN, entry: by_identifier }, MAX_ENTRIES)
    };
    let fields = [
        ("driver", of(Shape::String, MAX_DRIVER)),
        ("attributes", by_name(of(Shape::DeviceAttribute, MAX_VALUE))),
        ("capacity", by_name(of(Shape::Quantity, 0))),
        // The API server counts the size 1 for this boolean.
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

/// Checks the syntax, the types, and the estimated cost of an expression; `None` if it is valid.
pub(crate) fn device_selector_problem(text: &str) -> Option<DeviceSelectorProblem> {
    let device = &*DEVICE;
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
    if !matches!(found, Type::Bool | Type::Any) {
        return invalid(format!("must evaluate to bool or the unknown type, not {}", RuntimeName(&found)));
    }
    (cost::estimate(&checked, device).max > MAX_COST).then_some(DeviceSelectorProblem::TooComplex)
}
