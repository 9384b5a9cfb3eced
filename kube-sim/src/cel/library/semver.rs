//! Functions for semantic versions.

use std::cmp::Ordering;
use std::rc::Rc;

use crate::cel::value::{Failure, Outcome, Val};
use crate::schema::quote;

/// A semantic version without its build metadata, which does not matter for comparisons.
#[derive(Debug, PartialEq)]
pub(in crate::cel) struct Semver {
    /// The major, minor and patch version.
    core: [u64; 3],
    /// The identifiers of the pre-release.
    pre_release: Vec<Identifier>,
}

/// An identifier of a pre-release. A numeric identifier precedes an alphanumeric identifier.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Text(String),
}

/// Calls a function of this library; see [`Library`](super::Library).
pub(super) fn call<'a>(name: &str, arguments: &[Val<'a>]) -> Option<Outcome<'a>> {
    let part =
        |index: usize, version: &Semver| Ok(Val::Int(i64::try_from(version.core[index]).unwrap_or(i64::MAX)));
    Some(match (name, arguments) {
        ("semver", [Val::String(text)]) => parse_version(text),
        ("semver", [Val::String(text), Val::Bool(normal)]) => {
            if *normal {
                normalize(text).and_then(|text| parse_version(&text))
            } else {
                parse_version(text)
            }
        }
        ("isSemver", [Val::String(text)]) => Ok(Val::Bool(parse_version(text).is_ok())),
        ("isSemver", [Val::String(text), Val::Bool(normal)]) => {
            let found = if *normal {
                normalize(text).and_then(|text| parse_version(&text))
            } else {
                parse_version(text)
            };
            Ok(Val::Bool(found.is_ok()))
        }
        ("isGreaterThan", [Val::Semver(a), Val::Semver(b)]) => Ok(Val::Bool(a.compare(b).is_gt())),
        ("isLessThan", [Val::Semver(a), Val::Semver(b)]) => Ok(Val::Bool(a.compare(b).is_lt())),
        ("compareTo", [Val::Semver(a), Val::Semver(b)]) => Ok(Val::Int(a.compare(b) as i64)),
        ("major", [Val::Semver(version)]) => part(0, version),
        ("minor", [Val::Semver(version)]) => part(1, version),
        ("patch", [Val::Semver(version)]) => part(2, version),
        _ => return None,
    })
}

/// Whether a text is a version in the form of Semantic Versioning 2.0.0. Accepts numbers that do not fit in 64 bits,
/// which CEL's function `semver` rejects.
pub(crate) fn is_semantic_version(text: &str) -> bool {
    Semver::parse_with(text, |_| Some(0)).is_ok()
}

fn parse_version<'a>(text: &str) -> Outcome<'a> {
    Semver::parse(text).map(|version| Val::Semver(Rc::new(version))).map_err(Failure::new)
}

/// Removes a leading `v`, and the leading zeros of each number. Adds zeros for an absent minor or patch version.
fn normalize(text: &str) -> Result<String, Failure> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let mut parts: Vec<String> = text.splitn(3, '.').map(str::to_owned).collect();
    for part in &mut parts {
        if part.len() > 1 {
            let trimmed = part.trim_start_matches('0');
            let digit = trimmed.starts_with(|c: char| c.is_ascii_digit());
            *part = if digit { trimmed.to_owned() } else { format!("0{trimmed}") };
        }
    }
    if parts.len() < 3 {
        if parts.last().is_some_and(|last| last.contains(['+', '-'])) {
            return Err(Failure::new("short version cannot contain PreRelease/Build meta data"));
        }
        parts.resize(3, "0".to_owned());
    }
    Ok(parts.join("."))
}

impl Semver {
    fn parse(text: &str) -> Result<Self, String> {
        Self::parse_with(text, |digits| digits.parse().ok())
    }

    /// Parses a version. `number` converts digits to a number, and returns `None` if the number is too large.
    fn parse_with(text: &str, number: fn(&str) -> Option<u64>) -> Result<Self, String> {
        if text.is_empty() {
            return Err("Version string empty".to_owned());
        }
        let parts: Vec<&str> = text.splitn(3, '.').collect();
        let [major, minor, patch] = parts[..] else {
            return Err("No Major.Minor.Patch elements found".to_owned());
        };
        let (patch, build) =
            patch.split_once('+').map_or((patch, None), |(patch, build)| (patch, Some(build)));
        let (patch, pre) = patch.split_once('-').map_or((patch, None), |(patch, pre)| (patch, Some(pre)));
        let core = [
            parse_number("major", "Major", major, number)?,
            parse_number("minor", "Minor", minor, number)?,
            parse_number("patch", "Patch", patch, number)?,
        ];
        let pre_release = match pre {
            Some(pre) => {
                pre.split('.').map(|text| parse_identifier(text, number)).collect::<Result<_, _>>()?
            }
            None => Vec::new(),
        };
        for meta in build.into_iter().flat_map(|build| build.split('.')) {
            if meta.is_empty() {
                return Err("Build meta data is empty".to_owned());
            }
            if !meta.chars().all(is_identifier_character) {
                return Err(format!("Invalid character(s) found in build meta data {}", quote(meta)));
            }
        }
        Ok(Self { core, pre_release })
    }

    /// Compares the precedence of two versions.
    pub(in crate::cel) fn compare(&self, other: &Self) -> Ordering {
        self.core.cmp(&other.core).then_with(|| {
            match (self.pre_release.is_empty(), other.pre_release.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => self.pre_release.cmp(&other.pre_release),
            }
        })
    }
}

/// Parses the major, minor or patch version. `what` is the name of this version in errors: `major`, `minor`
/// or `patch`. `title` is the same word with a capital letter. `number` converts digits to a number, and
/// returns `None` if the number is too large.
fn parse_number(what: &str, title: &str, text: &str, number: fn(&str) -> Option<u64>) -> Result<u64, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("Invalid character(s) found in {what} number {}", quote(text)));
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(format!("{title} number must not contain leading zeroes {}", quote(text)));
    }
    number(text).ok_or_else(|| format!("strconv.ParseUint: parsing {}: value out of range", quote(text)))
}

fn is_identifier_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-'
}

/// Parses an identifier of a pre-release. `number` is as in [`Semver::parse_with`].
fn parse_identifier(text: &str, number: fn(&str) -> Option<u64>) -> Result<Identifier, String> {
    if text.is_empty() {
        return Err("Prerelease is empty".to_owned());
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        if text.len() > 1 && text.starts_with('0') {
            return Err(format!(
                "Numeric PreRelease version must not contain leading zeroes {}",
                quote(text)
            ));
        }
        return number(text).map(Identifier::Number).ok_or_else(|| "value out of range".to_owned());
    }
    if text.chars().all(is_identifier_character) {
        return Ok(Identifier::Text(text.to_owned()));
    }
    Err(format!("Invalid character(s) found in prerelease {}", quote(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_semantic_versions_are_valid() {
        for valid in ["1.2.3", "0.0.0", "1.2.3-alpha.1", "1.2.3-0a+build.01", "1.2.3+a-b"] {
            assert!(is_semantic_version(valid) && Semver::parse(valid).is_ok(), "{valid}");
        }
        for invalid in [
            "",
            "1.2",
            "1.2.3.4",
            "01.2.3",
            "1.2.3-",
            "1.2.3-01",
            "1.2.3+",
            "1.2.3-a..b",
            "v1.2.3",
            "1-a.2.3",
        ] {
            assert!(!is_semantic_version(invalid) && Semver::parse(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn only_the_cel_function_semver_rejects_numbers_of_more_than_64_bits() {
        for large in ["99999999999999999999.0.0", "1.0.0-99999999999999999999"] {
            assert!(is_semantic_version(large) && Semver::parse(large).is_err(), "{large}");
        }
    }
}
