//! Validation of names, with the API server's error texts.

/// The error text for an invalid name part of a qualified name.
pub(crate) const INVALID_NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/// The error text for a qualified name with more than one slash.
pub(crate) const TOO_MANY_SLASHES: &str = "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";

/// The error text for an invalid label value.
pub(crate) const INVALID_LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// The error text for an invalid DNS label.
pub(crate) const INVALID_DNS_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

/// The error text for an invalid name of an environment variable.
pub(crate) const INVALID_VARIABLE_NAME: &str =
    "a valid environment variable name must consist only of printable ASCII characters other than '='";

/// Whether the text is a qualified name: a name, optionally with a DNS subdomain and a slash as prefix.
pub(crate) fn is_qualified_name(text: &str) -> bool {
    qualified_name_problems(text).is_empty()
}

/// Validates a qualified name. Returns all error texts: if the name is too long and also has invalid characters, the
/// API server reports two errors.
pub(crate) fn qualified_name_problems(text: &str) -> Vec<String> {
    if text.matches('/').count() > 1 {
        return vec![TOO_MANY_SLASHES.to_owned()];
    }
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let prefix_problems = match prefix {
        Some("") => vec!["must be non-empty"],
        Some(prefix) => subdomain_problems(prefix),
        None => Vec::new(),
    };
    let mut problems: Vec<String> =
        prefix_problems.into_iter().map(|problem| format!("prefix part {problem}")).collect();
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    } else if name.len() > MAX_LABEL_BYTES {
        problems.push(format!("name part must be no more than {MAX_LABEL_BYTES} bytes"));
    }
    if name.is_empty() || !has_label_value_form(name) {
        problems.push(INVALID_NAME_PART.to_owned());
    }
    problems
}

/// The largest number of bytes of a label value, and of the name part of a qualified name.
pub(crate) const MAX_LABEL_BYTES: usize = 63;

/// Whether the text is a label value: empty, or at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at
/// both ends.
pub(crate) fn is_label_value(text: &str) -> bool {
    text.len() <= MAX_LABEL_BYTES && has_label_value_form(text)
}

/// Whether the text has the form of a label value. The length is not checked.
pub(crate) fn has_label_value_form(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && text.chars().next().is_none_or(edge)
        && text.chars().next_back().is_none_or(edge)
}

/// Validates a key of a config map or secret. Returns the error text if the key is invalid.
pub(crate) fn config_key_problem(key: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if key.is_empty() || !key.chars().all(plain) {
        return Some(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
             'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                .into(),
        );
    }
    matches!(key, "." | "..").then(|| format!("must not be '{key}'"))
}

/// Whether the text is a DNS-1123 label of at most 63 bytes.
pub(crate) fn is_dns_label(text: &str) -> bool {
    text.len() <= 63 && is_subdomain_part(text)
}

/// Whether the text is a DNS-1035 label: a DNS-1123 label that begins with a letter.
pub(crate) fn is_label_1035(text: &str) -> bool {
    is_dns_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase())
}

/// The largest number of bytes of a DNS-1123 subdomain.
const MAX_SUBDOMAIN_BYTES: usize = 253;

/// Whether the text is a DNS-1123 subdomain. As in Kubernetes, the length of each DNS label is not limited.
pub(crate) fn is_subdomain(text: &str) -> bool {
    subdomain_problems(text).is_empty()
}

/// Whether the text has the form of a DNS-1123 label. The length is not checked.
fn is_subdomain_part(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && text.chars().all(|c| alphanumeric(c) || c == '-')
}

/// Validates a DNS-1123 label. Returns the error text if the label is invalid.
pub(crate) fn dns_label_problem(name: &str) -> Option<&'static str> {
    if name.len() > 63 {
        return Some("must be no more than 63 bytes");
    }
    if name.contains('.') && name.split('.').all(is_subdomain_part) {
        return Some("must not contain dots");
    }
    (!is_dns_label(name)).then_some(INVALID_DNS_LABEL)
}

/// Validates a DNS-1035 label. Returns the error text if the label is invalid.
pub(crate) fn label_1035_problem(name: &str) -> Option<&'static str> {
    (!is_label_1035(name)).then_some(
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
    )
}

/// Validates a DNS-1123 subdomain. Returns the first error text if the subdomain is invalid.
pub(crate) fn subdomain_problem(name: &str) -> Option<&'static str> {
    subdomain_problems(name).first().copied()
}

/// Validates a DNS-1123 subdomain. Returns all error texts.
fn subdomain_problems(name: &str) -> Vec<&'static str> {
    let mut problems = Vec::new();
    if name.len() > MAX_SUBDOMAIN_BYTES {
        problems.push("must be no more than 253 bytes");
    }
    if !name.split('.').all(is_subdomain_part) {
        problems.push(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        );
    }
    problems
}

/// Returns the name of a resource or kind, followed by its API group, such as `deployments.apps`. For the core
/// group, returns `resource` unchanged.
pub(crate) fn with_group(resource: &str, group: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}
