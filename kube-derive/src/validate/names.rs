//! Kubernetes' rules for names, label values, approvals and deprecation warnings. Each error contains the rule.
//!
//! The functions receive the value as text. They must not read the keys of `#[kube(..)]`.

/// Checks that `value` is an RFC 1035 label. Versions, plurals, singulars, short names and categories have this format.
pub(super) fn check_dns_label(what: &str, value: &str) -> Result<(), String> {
    let legal =
        is_subdomain_label(value) && value.starts_with(|c: char| c.is_ascii_lowercase()) && value.len() <= 63;
    if legal {
        return Ok(());
    }
    Err(format!(
        "{what} \"{value}\" must be 1 to 63 lower-case letters, digits or `-`, beginning with a letter and not ending with `-`"
    ))
}

/// Whether `part` is one label of an RFC 1123 subdomain. Does not check the maximum length.
fn is_subdomain_label(part: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.starts_with(alphanumeric)
        && part.ends_with(alphanumeric)
        && part.chars().all(|c| alphanumeric(c) || c == '-')
}

/// Checks the group of a custom resource: a DNS subdomain with at least one dot.
pub(super) fn check_group(value: &str) -> Result<(), String> {
    if value.contains('/') {
        return Err(format!("group \"{value}\" must not contain the version: set `version` instead"));
    }
    let part = |part: &str| part.len() <= 63 && is_subdomain_label(part);
    if !value.split('.').all(part) || value.len() > 253 {
        return Err(format!("group \"{value}\" must be a lower-case domain name, as in \"example.com\""));
    }
    if !value.contains('.') {
        return Err(format!("group \"{value}\" must have at least one dot, as in \"{value}.example.com\""));
    }
    Ok(())
}

/// Whether the API server requires an approval for CRDs in this group.
pub(super) fn is_protected_group(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|domain| group.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

/// Checks the approval of a CRD in a protected group. The approval must be the URL of the pull request that
/// approved the API, or a text that begins with `unapproved`.
pub(super) fn check_approval(value: &str) -> Result<(), String> {
    let address = value.split_once("://").is_some_and(|(scheme, rest)| {
        !scheme.is_empty() && !rest.is_empty() && !value.contains(char::is_whitespace)
    });
    if address || value.starts_with("unapproved") {
        return Ok(());
    }
    Err(format!(
        "\"{value}\" is no approval: give the address of the pull request that approved the API, or a text that begins with \
         \"unapproved\""
    ))
}

/// Checks the warning for users of a deprecated version: 1 to 256 bytes, without control characters such as a line break.
pub(super) fn check_deprecation_warning(value: &str) -> Result<(), String> {
    let printable = value.chars().all(|c| !c.is_control());
    if !value.is_empty() && value.len() <= 256 && printable {
        return Ok(());
    }
    Err("a deprecation warning has 1 to 256 bytes of printable text; write `deprecated` for the server's default \
         warning"
        .to_owned())
}

/// Checks that a kind begins with an upper-case ASCII letter, and consists of at most 59 ASCII letters and
/// digits. The limit is 59, because the list kind is the kind with the suffix `List`, and may have at most 63
/// characters. In lower case, the list kind must be an RFC 1035 label.
pub(super) fn check_kind(value: &str) -> Result<(), String> {
    let legal = value.starts_with(|c: char| c.is_ascii_uppercase())
        && value.chars().all(|c| c.is_ascii_alphanumeric())
        && value.len() <= 59;
    if legal {
        return Ok(());
    }
    Err(format!("kind \"{value}\" must be in CamelCase, ASCII letters and digits only, at most 59 of them"))
}

/// Checks the key of a label or an annotation: `name`, or `domain/name`.
pub(super) fn check_qualified_name(key: &str) -> Result<(), String> {
    let name = match key.split_once('/') {
        Some((prefix, name)) => {
            if !prefix.split('.').all(is_subdomain_label) || prefix.len() > 253 {
                return Err(format!("key \"{key}\": the part before `/` must be a lower-case domain name"));
            }
            name
        }
        None => key,
    };
    if !name.is_empty() && is_name_segment(name) {
        return Ok(());
    }
    Err(format!(
        "key \"{key}\" must be a name of 1 to 63 letters, digits, `-`, `_` or `.`, with an optional `domain/` before it"
    ))
}

pub(super) fn check_label_value(value: &str) -> Result<(), String> {
    if value.is_empty() || is_name_segment(value) {
        return Ok(());
    }
    Err(format!(
        "label value \"{value}\" must be at most 63 letters, digits, `-`, `_` or `.`, and begin and end with a letter or digit"
    ))
}

/// Whether `text` is a valid name segment: the part of a label or annotation key after the optional `domain/`. A label
/// value is empty or has the same format.
fn is_name_segment(text: &str) -> bool {
    text.len() <= 63
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_dns_subdomains_with_a_dot() {
        assert!(check_group("example.com").is_ok());
        assert!(check_group("a-b.c1.example.com").is_ok());
        for bad in ["", "example", "Example.com", "example.com/v1", "-a.com", "a..com", "a_b.com"] {
            assert!(check_group(bad).is_err(), "{bad:?} should be rejected");
        }
    }

    #[test]
    fn protected_groups_need_an_approval() {
        for protected in ["k8s.io", "kubernetes.io", "x.k8s.io", "a.b.kubernetes.io"] {
            assert!(is_protected_group(protected), "{protected:?}");
        }
        for free in ["example.com", "notk8s.io", "k8s.io.example.com"] {
            assert!(!is_protected_group(free), "{free:?}");
        }
        assert!(check_approval("https://example.com/pull/1").is_ok());
        assert!(check_approval("unapproved, for tests").is_ok());
        for bad in ["", "yes", "https://", "a b://c"] {
            assert!(check_approval(bad).is_err(), "{bad:?} should be rejected");
        }
    }

    #[test]
    fn deprecation_warnings_are_one_printable_line() {
        assert!(check_deprecation_warning("use v2").is_ok());
        for bad in ["", "a\nb", "a\tb", &"a".repeat(257)] {
            assert!(check_deprecation_warning(bad).is_err(), "{bad:?} should be rejected");
        }
    }

    #[test]
    fn kinds_are_camel_case() {
        assert!(check_kind("Foo2").is_ok());
        let (longest, too_long) = ("F".repeat(59), "F".repeat(60));
        assert!(check_kind(&longest).is_ok());
        for bad in ["", "foo", "Foo-Bar", "Foo_", "2Foo", "Fü", &too_long] {
            assert!(check_kind(bad).is_err(), "{bad:?} should be rejected");
        }
    }

    #[test]
    fn invalid_dns_labels_and_qualified_names_and_label_values_are_rejected() {
        assert!(check_dns_label("plural", "foo-bars").is_ok());
        assert!(check_dns_label("version", "v1beta1").is_ok());
        for bad in ["", "Foos", "1foos", "foos-", "foo.bars"] {
            assert!(check_dns_label("plural", bad).is_err(), "{bad:?} should be rejected");
        }
        assert!(check_qualified_name("example.com/owner").is_ok());
        assert!(check_qualified_name("owner").is_ok());
        for bad in ["", "/owner", "example.com/", "Example.com/x", "a b"] {
            assert!(check_qualified_name(bad).is_err(), "{bad:?} should be rejected");
        }
        assert!(check_label_value("").is_ok());
        assert!(check_label_value("a_b.c-1").is_ok());
        assert!(check_label_value("-a").is_err());
    }
}
