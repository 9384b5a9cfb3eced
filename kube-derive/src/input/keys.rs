//! Parsing of `key = value` lists: rejects duplicate, unknown and missing keys.
//!
//! This module must not contain the names of keys.

use syn::{LitStr, meta::ParseNestedMeta, parse::Parse};

/// Reads `key = value` into `slot`; a duplicate key is an error.
pub(super) fn parse_once<T: Parse>(slot: &mut Option<T>, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    reject_duplicate(slot.as_ref(), meta)?;
    *slot = Some(meta.value()?.parse()?);
    Ok(())
}

/// Fails if `slot` is already set.
pub(crate) fn reject_duplicate<T>(slot: Option<&T>, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    if slot.is_some() {
        return Err(meta.error(format!("`{}` is given twice: keep one", key_name(meta))));
    }
    Ok(())
}

/// The error for a key that the attribute `parent` does not support.
pub(crate) fn unknown_key_error(meta: &ParseNestedMeta<'_>, parent: &str, known: &[&str]) -> syn::Error {
    let name = key_name(meta);
    let hint = match nearest_key(&name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", known.join(", ")),
    };
    meta.error(format!("unknown attribute `{name}` in `{parent}`: {hint}"))
}

/// The key, as written in the attribute.
pub(crate) fn key_name(meta: &ParseNestedMeta<'_>) -> String {
    meta.path.segments.iter().map(|s| s.ident.to_string()).collect::<Vec<_>>().join("::")
}

/// The value of a required key.
pub(super) fn required_value(
    slot: Option<LitStr>,
    meta: &ParseNestedMeta<'_>,
    key: &str,
) -> syn::Result<LitStr> {
    slot.ok_or_else(|| meta.error(format!("`{}` needs `{key} = \"..\"`", key_name(meta))))
}

/// The known key with the smallest edit distance, at most 2.
fn nearest_key<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    known.iter().map(|k| (edit_distance(name, k), *k)).filter(|(d, _)| *d <= 2).min().map(|(_, k)| k)
}

/// The Levenshtein distance, with one row of the matrix in memory.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest_key;

    #[test]
    fn suggests_the_nearest_key() {
        let known = ["shortname", "singular", "status"];
        assert_eq!(nearest_key("shortnames", &known), Some("shortname"));
        assert_eq!(nearest_key("statsu", &known), Some("status"));
        assert_eq!(nearest_key("colour", &known), None);
    }
}
