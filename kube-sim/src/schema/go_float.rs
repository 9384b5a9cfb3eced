//! Formats a float as Go's `%v` and `%g` do.

/// Formats a float with the fewest digits that identify it. The text has an exponent if the absolute value is
/// at least 1e6, or if it is less than 1e-4 and not zero.
pub(crate) fn format_go_float(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let magnitude = number.abs();
    if number.is_nan() || magnitude == 0.0 || (1e-4..1e6).contains(&magnitude) {
        return number.to_string();
    }
    let text = format!("{number:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_formatted_as_in_go() {
        let cases = [
            (0.0, "0"),
            (10.0, "10"),
            (0.5, "0.5"),
            (-2.0, "-2"),
            (123_456.7, "123456.7"),
            (999_999.5, "999999.5"),
            (1e6, "1e+06"),
            (-1_234_567.8, "-1.2345678e+06"),
            (1e21, "1e+21"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1e-7, "1e-07"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (number, text) in cases {
            assert_eq!(format_go_float(number), text);
        }
    }
}
