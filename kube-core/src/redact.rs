//! Removes quoted values from the error messages of decoders.
//!
//! serde quotes the invalid value in its messages, and the value may be a secret. Field names and positions are kept.

use serde::de::Error as _;

/// The start of serde's message for an unknown variant. The name of the variant follows in quotes.
const UNKNOWN_VARIANT: &str = "unknown variant ";

/// The names of types in serde's messages.
const TYPE_NAMES: [&str; 18] = [
    "boolean",
    "integer",
    "floating point",
    "character",
    "string",
    "byte array",
    "unit value",
    "Option value",
    "newtype struct",
    "sequence",
    "map",
    "enum",
    "unit variant",
    "newtype variant",
    "tuple variant",
    "struct variant",
    "null",
    "number",
];

/// Removes the invalid value from an error, and keeps the type and the position of the value.
pub fn redact_decode_error(error: serde_json::Error) -> serde_json::Error {
    let message = error.to_string();
    let redacted = remove_quoted_values(&message);
    // The new error has the same position, because `Error::custom` parses line and column from the end of the
    // message.
    if redacted == message { error } else { serde_json::Error::custom(redacted) }
}

/// Returns the message of a decoder without the values that the message quotes.
pub fn remove_quoted_values(message: &str) -> String {
    // A message of serde is a prefix, the value, and a suffix. The value may contain text that looks like a prefix or a
    // suffix, so only the first prefix and the last suffix are those of serde.
    let prefixes = ["invalid type: ", "invalid value: ", UNKNOWN_VARIANT];
    let first = prefixes.into_iter().filter_map(|text| Some((message.find(text)?, text))).min();
    if let Some((at, prefix)) = first {
        let start = at + prefix.len();
        let ends = [", expected", ", there are no variants"];
        let end = ends.into_iter().filter_map(|after| message[start..].rfind(after)).max();
        let end = end.map_or(message.len(), |at| start + at);
        let found = &message[start..end];
        let name = TYPE_NAMES.into_iter().find(|name| found.starts_with(name)).unwrap_or("a value");
        return match prefix {
            UNKNOWN_VARIANT => format!("{}{}{}", &message[..at], UNKNOWN_VARIANT.trim_end(), &message[end..]),
            _ => format!("{}{name}{}", &message[..start], &message[end..]),
        };
    }
    // Parsers of times and numbers quote their input in double quotes.
    match (message.find('"'), message.rfind('"')) {
        (Some(first), Some(last)) if first < last => {
            format!("{}...{}", &message[..=first], &message[last..])
        }
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redacted_message_keeps_type_and_position_and_drops_the_value() {
        for (message, expected) in [
            (
                "users[0].user: invalid type: string \"hunter2, expected\", expected struct AuthInfo at line 2",
                "users[0].user: invalid type: string, expected struct AuthInfo at line 2",
            ),
            ("invalid value: integer `300`, expected u8", "invalid value: integer, expected u8"),
            ("invalid value: hunter2", "invalid value: a value"),
            (
                "invalid value: string \"hunter2 invalid type: x\", expected u8",
                "invalid value: string, expected u8",
            ),
            (
                "invalid type: string \"hunter2 invalid value: x\", expected u8",
                "invalid type: string, expected u8",
            ),
            ("unknown variant `hunter2 invalid type: x`, expected `a`", "unknown variant, expected `a`"),
            (
                "unknown variant `a, expected`, there are no variants",
                "unknown variant, there are no variants",
            ),
            (
                "unknown variant `hunter2`, expected `a` or `b` at line 1 column 9",
                "unknown variant, expected `a` or `b` at line 1 column 9",
            ),
            ("unknown variant `hunter2`, there are no variants", "unknown variant, there are no variants"),
            (
                "failed to parse \"hunter\"2\" as a year at line 1",
                "failed to parse \"...\" as a year at line 1",
            ),
            ("missing field `name` at line 1 column 2", "missing field `name` at line 1 column 2"),
            ("did not find expected key", "did not find expected key"),
        ] {
            assert_eq!(remove_quoted_values(message), expected);
        }
    }

    #[test]
    fn a_redacted_error_keeps_line_and_column() {
        let error = serde_json::from_str::<Vec<u8>>("[1,\n \"hunter2\"]").unwrap_err();
        let error = redact_decode_error(error);
        assert_eq!((error.line(), error.column()), (2, 10));
        assert!(!format!("{error:?} {error}").contains("hunter2"), "{error:?}");
    }
}
