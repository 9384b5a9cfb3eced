//! Small helpers that every list of `key = value` needs: set once, name what is allowed.
//!
//! Must not know any particular key.

use syn::{LitStr, meta::ParseNestedMeta, parse::Parse};

/// Reads `key = value` into `slot`, refusing a second one.
pub(super) fn once<T: Parse>(slot: &mut Option<T>, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    refuse_twice(slot.as_ref(), meta)?;
    *slot = Some(meta.value()?.parse()?);
    Ok(())
}

/// Fails if `slot` is taken.
pub(super) fn refuse_twice<T>(slot: Option<&T>, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    if slot.is_some() {
        return Err(meta.error(format!("`{}` is given twice: keep one", name(meta))));
    }
    Ok(())
}

/// The error for a key that does not exist, or exists elsewhere only.
pub(super) fn unknown(meta: &ParseNestedMeta<'_>, place: &str, known: &[&str]) -> syn::Error {
    let name = name(meta);
    let hint = match nearest(&name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", known.join(", ")),
    };
    meta.error(format!("unknown attribute `{name}` in `{place}`: {hint}"))
}

/// The key as it was written.
pub(super) fn name(meta: &ParseNestedMeta<'_>) -> String {
    meta.path.segments.iter().map(|s| s.ident.to_string()).collect::<Vec<_>>().join("::")
}

/// A required string of a list; `place` names the list.
pub(super) fn required(slot: Option<LitStr>, meta: &ParseNestedMeta<'_>, key: &str) -> syn::Result<LitStr> {
    slot.ok_or_else(|| meta.error(format!("`{}` needs `{key} = \"..\"`", name(meta))))
}

/// The known key that is at most two edits away, to name a likely typing error.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    known.iter().map(|k| (distance(name, k), *k)).filter(|(d, _)| *d <= 2).min().map(|(_, k)| k)
}

/// Edit distance, one row at a time.
fn distance(a: &str, b: &str) -> usize {
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
    use super::nearest;

    #[test]
    fn names_the_key_that_was_meant() {
        let known = ["shortname", "singular", "status"];
        assert_eq!(nearest("shortnames", &known), Some("shortname"));
        assert_eq!(nearest("statsu", &known), Some("status"));
        assert_eq!(nearest("colour", &known), None);
    }
}
