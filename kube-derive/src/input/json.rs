//! The JSON text of `printcolumn = "{..}"` and `scale = "{..}"`: one object whose values are literals.
//!
//! This module parses each JSON literal as a Rust literal. `null` is no Rust literal, and is parsed separately. The JSON
//! escapes `\b`, `\f`, `\/` and `\uXXXX` do not exist in Rust, and are compile errors.

use syn::{
    Ident, Lit, LitStr, Token, braced,
    ext::IdentExt,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
};

use super::combine_error;

/// The members of the object, in order. A member whose value is `null` is left out.
pub(super) struct JsonObject(Vec<(LitStr, Lit)>);

/// A member of a JSON object: the key and the value. The value is `None` for `null`.
struct JsonMember(LitStr, Option<Lit>);

impl Parse for JsonObject {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let content;
        braced!(content in input);
        let members = Punctuated::<JsonMember, Token![,]>::parse_terminated(&content)?;
        Ok(Self(members.into_iter().filter_map(|JsonMember(key, value)| Some((key, value?))).collect()))
    }
}

impl Parse for JsonMember {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let key = input.parse()?;
        input.parse::<Token![:]>()?;
        if input.peek(Ident::peek_any) && input.fork().call(Ident::parse_any)? == "null" {
            input.call(Ident::parse_any)?;
            return Ok(Self(key, None));
        }
        Ok(Self(key, Some(input.parse()?)))
    }
}

impl JsonObject {
    /// Parses the text of a string literal. The error contains `example`, a valid text.
    pub(super) fn from_literal(text: &LitStr, example: &str) -> syn::Result<Self> {
        text.parse().map_err(|error| {
            syn::Error::new(text.span(), format!("expected a JSON object such as {example}: {error}"))
        })
    }

    /// Passes each member to `set`.
    ///
    /// # Errors
    ///
    /// All errors of `set`, combined.
    pub(super) fn for_each(self, mut set: impl FnMut(&LitStr, Lit) -> syn::Result<()>) -> syn::Result<()> {
        let mut error = None;
        for (key, value) in self.0 {
            if let Err(wrong) = set(&key, value) {
                combine_error(&mut error, wrong);
            }
        }
        error.map_or(Ok(()), Err)
    }
}

/// Stores the string of the member `key` in `slot`. A value of another type, and a duplicate key, are errors.
pub(super) fn set_text(slot: &mut Option<LitStr>, key: &LitStr, value: Lit) -> syn::Result<()> {
    match value {
        Lit::Str(text) => set_once(slot, key, text),
        _ => Err(syn::Error::new(value.span(), format!("`{}` needs a text", key.value()))),
    }
}

/// Stores the value of the member `key` in `slot`. A duplicate key is an error.
pub(super) fn set_once<T>(slot: &mut Option<T>, key: &LitStr, value: T) -> syn::Result<()> {
    if slot.replace(value).is_some() {
        return Err(syn::Error::new(key.span(), format!("`{}` is given twice: keep one", key.value())));
    }
    Ok(())
}

/// The error for a member whose key is not in `known`.
pub(super) fn unknown_member_error(key: &LitStr, known: &[&str]) -> syn::Error {
    syn::Error::new(key.span(), format!("unknown key `{}`: known are {}", key.value(), known.join(", ")))
}

/// The error for missing required members. The error contains the key of each of the `members` without a value.
pub(super) fn missing_members_error(object: &LitStr, members: &[(&str, &Option<LitStr>)]) -> syn::Error {
    let missing: Vec<_> =
        members.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| format!("`\"{key}\"`")).collect();
    syn::Error::new(object.span(), format!("the JSON object needs {}", missing.join(" and ")))
}
