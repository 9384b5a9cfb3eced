//! Numbers of custom resources in the form in which a server stores them.
//!
//! Go writes a float64 without a fraction as a whole number, and reads whole numbers back as int64 where they are one. Owns
//! only that; whether a number is allowed is for validation, which comes first.

use serde_json::Value;

/// Rewrites the numbers in `value`: `3.0` is stored as `3`, and what no int64 holds with the digits that a float64 has.
pub(crate) fn store_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.as_i64().is_none() => {
            let Some(float) = number.as_f64() else { return };
            if let Ok(stored) = serde_json::from_str(&float.to_string()) {
                *number = stored;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(store_numbers),
        Value::Object(map) => map.values_mut().for_each(store_numbers),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As kube-apiserver 1.37.2 stores.
    #[test]
    fn whole_numbers_lose_their_point_and_large_ones_their_last_digits() {
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
            store_numbers(&mut object);
            assert_eq!(object.to_string(), format!("{{\"a\":[{stored}]}}"), "{sent}");
            let once = object.clone();
            store_numbers(&mut object);
            assert_eq!(object, once, "{sent}");
        }
    }
}
