//! Escapes field names: reserved words, names with characters such as `-`, and names that contain `__`. Rules use the
//! escaped names.

/// The reserved words of CEL.
const RESERVED_WORDS: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Returns the name that rules use for the field `name`; `None` if rules cannot access the field.
pub(super) fn escape(name: &str) -> Option<String> {
    if RESERVED_WORDS.contains(&name) {
        return Some(format!("__{name}__"));
    }
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '_' if rest.starts_with("__") => {
                out.push_str("__underscores__");
                2
            }
            '.' => {
                out.push_str("__dot__");
                1
            }
            '-' => {
                out.push_str("__dash__");
                1
            }
            '/' => {
                out.push_str("__slash__");
                1
            }
            c if c.is_ascii_alphanumeric() || c == '_' => {
                out.push(c);
                1
            }
            _ => return None,
        };
        rest = &rest[length..];
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_names_become_cel_identifiers() {
        let cases = [
            ("a", Some("a")),
            ("namespace", Some("__namespace__")),
            ("a.b-c/d", Some("a__dot__b__dash__c__slash__d")),
            ("a__b", Some("a__underscores__b")),
            ("__namespace__", Some("__underscores__namespace__underscores__")),
            ("_a_", Some("_a_")),
            ("1a", None),
            ("", None),
            ("a b", None),
            ("ä", None),
        ];
        for (name, expected) in cases {
            assert_eq!(escape(name).as_deref(), expected, "{name}");
        }
    }
}
