//! Parsing of `key = value` lists: collects the errors of all keys, and rejects duplicate, unknown and missing keys.
//!
//! This module must not contain the names of keys.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::{
    Attribute, Lit, LitStr, Path, Token,
    meta::ParseNestedMeta,
    parse::{Parse, ParseStream, Parser as _},
};

use super::{combine_error, flag::Flag};

/// Passes each key of an attribute to `parse_key`. After an error, continues with the next key.
pub(crate) fn parse_keys(
    attribute: &Attribute,
    error: &mut Option<syn::Error>,
    parse_key: impl FnMut(&ParseNestedMeta<'_>) -> syn::Result<()>,
) {
    match attribute.meta.require_list() {
        Ok(list) => parse_list(list.tokens.clone(), error, parse_key),
        Err(wrong) => combine_error(error, wrong),
    }
}

/// Parses the parentheses after a key, and passes each key in them to `parse_key`.
///
/// # Errors
///
/// All errors of `parse_key`, combined.
pub(crate) fn parse_nested_keys(
    meta: &ParseNestedMeta<'_>,
    parse_key: impl FnMut(&ParseNestedMeta<'_>) -> syn::Result<()>,
) -> syn::Result<()> {
    let mut error = None;
    parse_list(parse_parentheses(meta)?.stream(), &mut error, parse_key);
    error.map_or(Ok(()), Err)
}

/// Parses the parentheses after a key.
pub(super) fn parse_parentheses(meta: &ParseNestedMeta<'_>) -> syn::Result<Group> {
    match meta.input.fork().parse::<Group>() {
        Ok(group) if group.delimiter() == Delimiter::Parenthesis => meta.input.parse(),
        _ => Err(meta.error(format!("`{0}` needs parentheses: write `{0}(..)`", key_name(meta)))),
    }
}

/// Parses each key of a list on its own, so that an error in one value does not affect the next key.
fn parse_list(
    tokens: TokenStream,
    error: &mut Option<syn::Error>,
    mut parse_key: impl FnMut(&ParseNestedMeta<'_>) -> syn::Result<()>,
) {
    for key in split_at_commas(tokens) {
        if let Err(wrong) = syn::meta::parser(|meta| parse_key(&meta)).parse2(key) {
            combine_error(error, wrong);
        }
    }
}

/// Splits a list at its commas, but not at commas in brackets or between the arguments of a generic type.
fn split_at_commas(tokens: TokenStream) -> Vec<TokenStream> {
    let (mut parts, mut depth) = (vec![TokenStream::new()], 0_usize);
    let mut previous = ' ';
    for token in tokens {
        let sign = if let TokenTree::Punct(punct) = &token { punct.as_char() } else { ' ' };
        match sign {
            ',' if depth == 0 => parts.push(TokenStream::new()),
            _ => {
                match sign {
                    '<' => depth += 1,
                    '>' if !matches!(previous, '-' | '=') => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if let Some(part) = parts.last_mut() {
                    part.extend([token]);
                }
            }
        }
        previous = sign;
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// Reads `key = value` into `slot`; a duplicate key is an error.
pub(super) fn parse_once<T: Parse>(slot: &mut Option<T>, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    reject_duplicate(slot.as_ref(), meta)?;
    *slot = Some(value_of(meta)?.parse()?);
    Ok(())
}

/// Reads `key = "text"` into `slot`; a duplicate key is an error.
pub(super) fn parse_text_once(slot: &mut Option<LitStr>, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    reject_duplicate(slot.as_ref(), meta)?;
    *slot = Some(parse_text(meta)?);
    Ok(())
}

/// Reads `key = "text"`. If the value is not a string literal, the error shows the key and the value with
/// quotes.
pub(super) fn parse_text(meta: &ParseNestedMeta<'_>) -> syn::Result<LitStr> {
    let value = value_of(meta)?;
    if value.peek(LitStr) {
        return value.parse();
    }
    let tokens: TokenStream = value.parse()?;
    let text = match syn::parse2::<Lit>(tokens.clone()) {
        Ok(literal) => literal.to_token_stream().to_string().trim_matches(['\'', '"']).to_owned(),
        Err(_) => tokens.to_string().replace(" :: ", "::"),
    };
    let message = format!("`{0}` needs a string: write `{0} = \"{text}\"`", key_name(meta));
    Err(syn::Error::new_spanned(tokens, message))
}

/// Reads the path of a crate or module, in quotes or without them.
pub(crate) fn parse_path(meta: &ParseNestedMeta<'_>) -> syn::Result<Path> {
    let value = value_of(meta)?;
    let text = value.peek(LitStr).then(|| value.parse::<LitStr>()).transpose()?;
    let span = text.as_ref().map_or_else(|| value.span(), LitStr::span);
    let parsed = match &text {
        Some(text) => text.parse_with(Path::parse_mod_style),
        None => value.call(Path::parse_mod_style),
    };
    parsed.map_err(|_| {
        syn::Error::new(span, "expected the path of a crate, as in \"::serde\" or \"crate::deps::serde\"")
    })
}

/// Reads `key`, `key = true` or `key = false`; the value may be in quotes. A duplicate key is an error.
pub(crate) fn parse_flag(slot: &mut Option<Flag>, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    reject_duplicate(slot.as_ref(), meta)?;
    let wrong = |span| {
        let message = format!("`{0}` is true or false: write `{0}` or `{0} = false`", key_name(meta));
        syn::Error::new(span, message)
    };
    let value = if meta.input.is_empty() {
        true
    } else {
        let value = value_of(meta)?;
        let span = value.span();
        match value.parse::<Lit>().map_err(|_| wrong(span))? {
            Lit::Bool(value) => value.value,
            Lit::Str(text) => text.value().parse().map_err(|_| wrong(span))?,
            _ => return Err(wrong(span)),
        }
    };
    *slot = Some(Flag { key: meta.path.require_ident()?.clone(), value });
    Ok(())
}

/// The tokens after `key =`.
pub(crate) fn value_of<'a>(meta: &ParseNestedMeta<'a>) -> syn::Result<ParseStream<'a>> {
    let missing = || meta.error(format!("`{0}` needs a value: write `{0} = ..`", key_name(meta)));
    if !meta.input.peek(Token![=]) {
        return Err(missing());
    }
    let value = meta.value()?;
    if value.is_empty() { Err(missing()) } else { Ok(value) }
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

/// The error for missing required keys. The error contains each of the `keys` without a value.
pub(super) fn missing_keys_error(meta: &ParseNestedMeta<'_>, keys: &[(&str, &Option<LitStr>)]) -> syn::Error {
    let missing: Vec<_> = keys
        .iter()
        .filter(|(_, value)| value.is_none())
        .map(|(key, _)| format!("`{key} = \"..\"`"))
        .collect();
    meta.error(format!("`{}` needs {}", key_name(meta), missing.join(" and ")))
}

/// The known key with the smallest edit distance from `name`; `None` if all distances are greater than 2.
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
    use super::{nearest_key, split_at_commas};

    #[test]
    fn lists_are_split_at_commas_outside_of_generic_arguments() {
        let parts = |text: &str| {
            let parts = split_at_commas(text.parse().unwrap());
            parts.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(parts("a = \"1, 2\", b(c, d), e,"), ["a = \"1, 2\"", "b (c , d)", "e"]);
        assert_eq!(parts("a = F<B, C<D, E>>, f"), ["a = F < B , C < D , E >>", "f"]);
        assert_eq!(parts("a = |x| -> F<B> { x }, b"), ["a = | x | -> F < B > { x }", "b"]);
    }

    #[test]
    fn the_nearest_known_key_is_suggested() {
        let known = ["shortname", "singular", "status"];
        assert_eq!(nearest_key("shortnames", &known), Some("shortname"));
        assert_eq!(nearest_key("statsu", &known), Some("status"));
        assert_eq!(nearest_key("colour", &known), None);
    }
}
