//! The `fieldPath` of a CEL validation rule: a JSON path of fields and map keys, relative to the value that the rule
//! validates.

use serde_json::Value;

/// Converts a JSON path such as `.spec.labels['a.b']` to the form that field errors contain: `spec.labels[a.b]`. The
/// result is empty if `path` is empty. `schema` is the schema of the value at which `path` begins.
///
/// # Errors
/// The path is malformed, or the schema does not specify a field of the path.
pub(crate) fn field_path(path: &str, mut schema: &Value) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = path;
    while !rest.is_empty() {
        let name;
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[', ']']).unwrap_or(after.len());
            if end == 0 {
                return Err("unexpected end of JSON path".to_owned());
            }
            name = after[..end].to_owned();
            rest = &after[end..];
        } else if let Some(after) = rest.strip_prefix('[') {
            let (literal, after) = parse_quoted(after)?;
            name = literal;
            rest = after.strip_prefix(']').ok_or("expected ]")?;
        } else {
            let end = rest.find(['.', '[', ']']).unwrap_or(rest.len()).max(1);
            return Err(format!("expected [ or . but got: {}", rest.get(..end).unwrap_or(rest)));
        }
        let missing = || "does not refer to a valid field".to_owned();
        if let Some(properties) = schema.get("properties") {
            schema = properties.get(&name).ok_or_else(missing)?;
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(&name);
        } else {
            schema =
                schema.get("additionalProperties").filter(|entry| entry.is_object()).ok_or_else(missing)?;
            out = format!("{out}[{name}]");
        }
    }
    Ok(out)
}

/// Parses a literal in single quotes. Returns its content and the text after the closing quote.
fn parse_quoted(text: &str) -> Result<(String, &str), String> {
    let Some(inner) = text.strip_prefix('\'') else {
        let end = text.find(['.', '[', ']']).unwrap_or(text.len());
        return Err(format!("expected single quoted string but got {}", &text[..end]));
    };
    let mut out = String::new();
    let mut characters = inner.char_indices();
    while let Some((index, c)) = characters.next() {
        match c {
            '\'' => return Ok((out, &inner[index + 1..])),
            '\\' => match characters.next().map(|(_, c)| c) {
                Some('a') => out.push('\u{7}'),
                Some('b') => out.push('\u{8}'),
                Some('f') => out.push('\u{c}'),
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('t') => out.push('\t'),
                Some('v') => out.push('\u{b}'),
                Some(c @ ('\'' | '\\')) => out.push(c),
                Some(c) => return Err(format!("invalid string literal: invalid escape char \\{c}")),
                None => break,
            },
            c => out.push(c),
        }
    }
    Err("unexpected end of JSON path".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_paths_of_fields_and_map_keys_are_converted_for_field_errors() {
        let text = json!({"type": "string"});
        let schema = json!({"properties": {
            "a": {"properties": {"b.c": text}},
            "m": {"additionalProperties": text},
        }});
        let cases = [
            (".a", Ok("a")),
            (".a['b.c']", Ok("a.b.c")),
            (".m['it\\'s']", Ok("m[it's]")),
            (".m.k", Ok("m[k]")),
            ("a", Err("expected [ or . but got: a")),
            (".b", Err("does not refer to a valid field")),
            (".a[b]", Err("expected single quoted string but got b")),
            (".a.b", Err("does not refer to a valid field")),
            (".", Err("unexpected end of JSON path")),
        ];
        for (path, expected) in cases {
            assert_eq!(field_path(path, &schema).as_deref().map_err(String::as_str), expected, "{path}");
        }
    }
}
