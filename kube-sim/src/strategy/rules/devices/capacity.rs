//! The rules of `requestPolicy` in a capacity of a shared device. This policy limits how much of the capacity each claim
//! may request.

use serde_json::Value;

use crate::schema::{FieldError, NANOS_PER_MILLI, NANOS_PER_UNIT};
use crate::strategy::validation::{Errors, Quantity, is_empty, join};

/// The maximum number of items in `validValues`.
const MAX_VALID_VALUES: usize = 10;

impl Quantity<'_> {
    fn is_fractional(self) -> bool {
        self.nanos % NANOS_PER_UNIT != 0
    }
}

/// Checks the request policy of a capacity, if it has one.
pub(super) fn check_request_policy(path: &str, capacity: &Value, out: &mut Errors) {
    let policy = &capacity["requestPolicy"];
    if policy.is_null() {
        return;
    }
    let path = join(path, "requestPolicy");
    let total = Quantity::of(&capacity["value"]).unwrap_or(Quantity { text: "0", nanos: 0 });
    let (values, range) = (&policy["validValues"], &policy["validRange"]);
    let field = match (is_empty(values), range.is_null()) {
        (false, false) => {
            let why = "exactly one policy can be specified, cannot specify \"validValues\" and \"validRange\" at the same time";
            return out.push(FieldError::forbidden(path, why));
        }
        (true, true) => return,
        (false, true) => "validValues",
        (true, false) => "validRange",
    };
    let Some(default) = Quantity::of(&policy["default"]) else {
        let why = format!("required when {field} is defined");
        return out.push(FieldError::required(join(&path, "default"), why));
    };
    let path = join(&path, field);
    if field == "validValues" {
        check_valid_values(&path, values, default, total, out);
    } else {
        check_valid_range(&path, range, default, total, out);
    }
}

/// Checks `validValues`: the list is sorted, has no duplicates and contains the default. No value exceeds the capacity.
fn check_valid_values(
    path: &str,
    values: &Value,
    default: Quantity<'_>,
    total: Quantity<'_>,
    out: &mut Errors,
) {
    let zero = Quantity { text: "0", nanos: 0 };
    let values: Vec<_> =
        values.as_array().into_iter().flatten().map(|value| Quantity::of(value).unwrap_or(zero)).collect();
    for (index, pair) in values.windows(2).enumerate() {
        if pair[0].nanos > pair[1].nanos {
            let why = "values must be sorted in ascending order";
            out.push(FieldError::invalid(format!("{path}[{}]", index + 1), pair[1].text, why));
        }
    }
    if values.len() > MAX_VALID_VALUES {
        out.push(FieldError::too_many(path, values.len() as u64, MAX_VALID_VALUES as u64));
    } else {
        for (index, value) in values.iter().enumerate() {
            let path = format!("{path}[{index}]");
            if value.nanos > total.nanos {
                let why = format!("option is larger than capacity value: {}", total.text);
                out.push(FieldError::invalid(path.as_str(), value.text, why));
            }
            if values[..index].iter().any(|earlier| earlier.nanos == value.nanos) {
                out.push(FieldError::duplicate(path, value.text));
            }
        }
    }
    let has_default =
        values.len() <= MAX_VALID_VALUES && values.iter().any(|value| value.nanos == default.nanos);
    if !has_default {
        let why = "default value is not valid according to the requestPolicy";
        out.push(FieldError::invalid(path, default.text, why));
    }
}

/// Checks `validRange`: the range and its step fit in the capacity, and the default is a value of the range.
fn check_valid_range(
    path: &str,
    range: &Value,
    default: Quantity<'_>,
    total: Quantity<'_>,
    out: &mut Errors,
) {
    let Some(min) = Quantity::of(&range["min"]) else {
        return out.push(FieldError::required(join(path, "min"), "required when validRange is defined"));
    };
    let (max, step) = (Quantity::of(&range["max"]), Quantity::of(&range["step"]));
    let mut reject = |field: &str, value: Quantity<'_>, why: String| {
        out.push(FieldError::invalid(join(path, field), value.text, why));
    };
    if min.nanos > total.nanos {
        reject("min", min, format!("min is larger than capacity value: {}", total.text));
    }
    if default.nanos < min.nanos {
        reject("default", default, format!("default is less than min: {}", min.text));
    }
    if let Some(max) = max {
        if min.nanos > max.nanos {
            reject("max", min, format!("min is larger than max: {}", max.text));
        }
        if max.nanos > total.nanos {
            reject("max", max, format!("max is larger than capacity value: {}", total.text));
        }
        if default.nanos > max.nanos {
            reject("default", default, format!("default is more than max: {}", max.text));
        }
    }
    let parts = [("default", Some(default)), ("min", Some(min)), ("max", max), ("step", step)];
    let present = || parts.iter().filter_map(|(field, value)| Some((*field, (*value)?)));
    let has_fraction = present().any(|(_, value)| value.is_fractional());
    let too_fine: Vec<_> = present().filter(|(_, value)| value.nanos % NANOS_PER_MILLI != 0).collect();
    if has_fraction && !too_fine.is_empty() {
        for (field, value) in too_fine {
            reject(field, value, "value cannot be represented as a milli value".to_owned());
        }
        return;
    }
    let Some(step) = step else { return };
    if step.nanos <= 0 {
        return reject("step", step, "must be greater than zero".to_owned());
    }
    if min.nanos.saturating_add(step.nanos) > total.nanos {
        let why = format!("one step from {} is larger than capacity value: {}", min.text, total.text);
        reject("step", step, why);
    }
    let largest = i128::from(i64::MAX) * NANOS_PER_UNIT;
    let outside = |value: &Quantity<'_>| !has_fraction && !(0..=largest).contains(&value.nanos);
    let mut is_safe = true;
    for (field, value) in present().filter(|(_, value)| outside(value)) {
        let why = match value.nanos {
            ..0 => "must be greater than or equal to 0".to_owned(),
            _ => format!("must not be larger than {}", i64::MAX),
        };
        is_safe = false;
        reject(field, value, why);
    }
    for value in [Some(default), max].into_iter().flatten().filter(|_| is_safe) {
        if value.nanos.saturating_sub(min.nanos) % step.nanos != 0 {
            let why = format!("value is not a multiple of a given step ({}) from ({})", step.text, min.text);
            reject("step", value, why);
        }
    }
}
