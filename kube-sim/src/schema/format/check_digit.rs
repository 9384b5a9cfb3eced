//! The formats with a check digit: `isbn`, `isbn10`, `isbn13` and `creditcard`.

/// Whether the string is an ISBN of ten digits. The last digit may be `X`. Spaces and dashes are ignored.
pub(super) fn is_isbn10(text: &str) -> bool {
    let text = remove_separators(text);
    let value = |(index, c): (usize, char)| match c {
        'X' if index == 9 => Some(10),
        c => c.to_digit(10),
    };
    let values: Option<Vec<u32>> = text.chars().enumerate().map(value).collect();
    let weighted =
        |values: Vec<u32>| -> u32 { (1..).zip(values).map(|(weight, value)| weight * value).sum() };
    text.len() == 10 && values.is_some_and(|values| weighted(values) % 11 == 0)
}

/// Whether the string is an ISBN of thirteen digits. Spaces and dashes are ignored.
pub(super) fn is_isbn13(text: &str) -> bool {
    let values: Option<Vec<u32>> = remove_separators(text).chars().map(|c| c.to_digit(10)).collect();
    values.is_some_and(|values| {
        let sum: u32 =
            values.iter().zip([1, 3].into_iter().cycle()).map(|(value, weight)| value * weight).sum();
        values.len() == 13 && sum.is_multiple_of(10)
    })
}

/// Whether the digits in the string have the length and prefix of a known card brand, and the check digit of the Luhn
/// algorithm. Other characters are ignored.
pub(super) fn is_credit_card(text: &str) -> bool {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let values: Vec<u32> = digits.chars().filter_map(|c| c.to_digit(10)).collect();
    let double = |(index, value): (usize, &u32)| match (index % 2, value * 2) {
        (0, _) => *value,
        (_, doubled) if doubled > 9 => doubled - 9,
        (_, doubled) => doubled,
    };
    let sum: u32 = values.iter().rev().enumerate().map(double).sum();
    has_known_brand(&digits) && sum.is_multiple_of(10)
}

fn has_known_brand(digits: &str) -> bool {
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| digits.starts_with(prefix));
    match digits.len() {
        13 => begins(&["4"]),
        14 => begins(&["300", "301", "302", "303", "304", "305", "36", "38"]),
        15 => begins(&["34", "37", "2131", "1800"]),
        16 => begins(&["4", "51", "52", "53", "54", "55", "6011", "65", "35"]),
        _ => false,
    }
}

fn remove_separators(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, ' ' | '-' | '\t' | '\n' | '\r' | '\u{c}')).collect()
}
