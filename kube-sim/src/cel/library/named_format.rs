//! Named formats: `format.dns1123Label().validate(text)`.

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

pub(super) fn call<'a>(name: &str, arguments: &[Val<'a>]) -> Option<Outcome<'a>> {
    let known = |name: &str| NAMES.into_iter().find(|known| *known == name);
    Some(match (name, arguments) {
        ("format.named", [Val::String(name)]) => {
            Ok(known(name).map_or(Val::NONE, |name| Val::some(Val::Format(name))))
        }
        ("validate", [Val::Format(format), Val::String(text)]) => {
            let problems = validate(format, text);
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

/// The error texts for a string that is not valid in the format.
fn validate(format: &str, text: &str) -> Vec<String> {
    let one = |problem: Option<&str>| problem.map(str::to_owned).into_iter().collect();
    // In a prefix, a dash may be last.
    let masked = text.strip_suffix('-').filter(|rest| !rest.is_empty()).map(|rest| format!("{rest}a"));
    let text = if format.ends_with("Prefix") { masked.as_deref().unwrap_or(text) } else { text };
    match format {
        "dns1123Label" | "dns1123LabelPrefix" => {
            if text.len() <= 63 && text.contains('.') && names::is_subdomain(text) {
                return vec!["must not contain dots".to_owned()];
            }
            one(names::label_problem(text))
        }
        "dns1123Subdomain" | "dns1123SubdomainPrefix" => one(names::subdomain_problem(text)),
        "dns1035Label" | "dns1035LabelPrefix" => one(names::label_1035_problem(text)),
        "qualifiedName" => one((!names::is_qualified(text)).then_some(names::INVALID_QUALIFIED_NAME)),
        "labelValue" if text.len() > 63 => vec!["must be no more than 63 bytes".to_owned()],
        "labelValue" => one((!names::is_label_value(text)).then_some(names::INVALID_LABEL_VALUE)),
        "uri" if !is_format("uri", text) => {
            let why = if text.is_empty() { "empty url" } else { "invalid URI for request" };
            vec![format!("parse {}: {why}", crate::schema::quote(text))]
        }
        "uuid" => one((!is_format("uuid", text)).then_some("does not match the UUID format")),
        "byte" => one((!is_format("byte", text)).then_some("invalid base64")),
        "date" => one((!is_format("date", text)).then_some("invalid date")),
        "datetime" => one((!is_format("date-time", text)).then_some("invalid datetime")),
        _ => Vec::new(),
    }
}
