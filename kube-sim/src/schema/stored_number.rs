//! The conversion of JSON numbers to the form that an API server stores.
//!
//! Go parses an integer as int64 if it fits, otherwise as float64, and serializes a float64 without a fraction as an
//! integer. The value validation of custom resources must run first, because it needs the numbers as the client sent them.

use serde_json::Value;

/// Converts the numbers in `value`: `3.0` becomes `3`, and an integer outside of int64 is rounded to a float64.
pub(crate) fn normalize_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.as_i64().is_none() => {
            let Some(float) = number.as_f64() else { return };
            if let Ok(stored) = serde_json::from_str(&float.to_string()) {
                *number = stored;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(normalize_numbers),
        Value::Object(map) => map.values_mut().for_each(normalize_numbers),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The expected numbers are those that kube-apiserver 1.37.2 stores.
    #[test]
    fn whole_floats_become_integers_and_large_integers_become_floats() {
        let cases = [
            ("3.0", "3"),
            ("1e3", "1000"),
            ("30000000000.0", "30000000000"),
            ("3.5", "3.5"),
            ("9223372036854775807", "9223372036854775807"),
            ("9223372036854775808", "9223372036854776000"),
            ("1e19", "10000000000000000000"),
            ("-9223372036854775808", "-9223372036854775808"),
        ];
        for (sent, stored) in cases {
            let mut object = json!({"a": [serde_json::from_str::<Value>(sent).unwrap()]});
            normalize_numbers(&mut object);
            assert_eq!(object.to_string(), format!("{{\"a\":[{stored}]}}"), "{sent}");
            let stored_once = object.clone();
            normalize_numbers(&mut object);
            assert_eq!(object, stored_once, "{sent}");
        }
    }
}
