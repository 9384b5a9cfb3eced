//! Named formats, as in `format.dns1123Label().validate(text)`.

use crate::cel::value::{Outcome, Val};
use crate::names;
use crate::schema::is_format;

/// The names of the formats.
pub(in crate::cel) const NAMES: [&str; 13] = [
    "dns1123Label",
    "dns1123Subdomain",
    "dns1035Label",
    "qualifiedName",
    "dns1123LabelPrefix",
    "dns1123SubdomainPrefix",
    "dns1035LabelPrefix",
    "labelValue",
    "uri",
    "uuid",
    "byte",
    "date",
    "datetime",
];

/// Calls a function of this library; see [`Library`](super::Library).
pub(super) fn call<'a>(name: &str, arguments: &[Val<'a>]) -> Option<Outcome<'a>> {
    let known = |name: &str| NAMES.into_iter().find(|known| *known == name);
    Some(match (name, arguments) {
        ("format.named", [Val::String(name)]) => {
            Ok(known(name).map_or(Val::NONE, |name| Val::some(Val::Format(name))))
        }
        ("validate", [Val::Format(format), Val::String(text)]) => {
            let problems = problems(format, text);
            Ok(if problems.is_empty() {
                Val::NONE
            } else {
                Val::some(Val::list(problems.into_iter().map(Val::text).collect()))
            })
        }
        (name, []) => Ok(Val::Format(known(name.strip_prefix("format.")?)?)),
        _ => return None,
    })
}

/// The error texts for a string that is not valid in the format; empty if the string is valid.
fn problems(format: &str, text: &str) -> Vec<String> {
    let at_most_one = |problem: Option<&str>| problem.map(str::to_owned).into_iter().collect();
    // A prefix of a name may end with a dash.
    let masked = text.strip_suffix('-').filter(|rest| !rest.is_empty()).map(|rest| format!("{rest}a"));
    let text = if format.ends_with("Prefix") { masked.as_deref().unwrap_or(text) } else { text };
    match format {
        "dns1123Label" | "dns1123LabelPrefix" => {
            if text.len() <= 63 && text.contains('.') && names::is_subdomain(text) {
                return vec!["must not contain dots".to_owned()];
            }
            at_most_one(names::dns_label_problem(text))
        }
        "dns1123Subdomain" | "dns1123SubdomainPrefix" => at_most_one(names::subdomain_problem(text)),
        "dns1035Label" | "dns1035LabelPrefix" => at_most_one(names::label_1035_problem(text)),
        "qualifiedName" => at_most_one((!names::is_qualified_name(text)).then_some(names::INVALID_NAME_PART)),
        "labelValue" if text.len() > 63 => vec!["must be no more than 63 bytes".to_owned()],
        "labelValue" => at_most_one((!names::is_label_value(text)).then_some(names::INVALID_LABEL_VALUE)),
        "uri" if !is_format("uri", text) => {
            let why = if text.is_empty() { "empty url" } else { "invalid URI for request" };
            vec![format!("parse {}: {why}", crate::schema::quote(text))]
        }
        "uuid" => at_most_one((!is_format("uuid", text)).then_some("does not match the UUID format")),
        "byte" => at_most_one((!is_format("byte", text)).then_some("invalid base64")),
        "date" => at_most_one((!is_format("date", text)).then_some("invalid date")),
        "datetime" => at_most_one((!is_format("date-time", text)).then_some("invalid datetime")),
        _ => Vec::new(),
    }
}
