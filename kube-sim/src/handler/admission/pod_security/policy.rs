//! The policy that the labels of a namespace select.

use std::fmt;

use crate::schema::FieldError;

const PREFIX: &str = "pod-security.kubernetes.io/";

/// A level of the Pod Security Standards. A later variant is stricter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    #[default]
    Privileged,
    Baseline,
    Restricted,
}

/// A minor version of Kubernetes; `None` for the latest version.
pub(super) type Version = Option<u32>;

/// A level of the Pod Security Standards, as defined in a version of Kubernetes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standard {
    pub(super) level: Level,
    pub(super) version: Version,
}

/// The standards of a namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) enforce: Standard,
    pub(super) warn: Standard,
}

impl Policy {
    /// The policy that the labels of a namespace select, and the errors of invalid labels. `label_value` returns the
    /// value of a label. An invalid level of `enforce` counts as `restricted`; an invalid level of `warn` counts
    /// as `privileged`.
    pub(super) fn of<'a>(label_value: impl Fn(&str) -> Option<&'a str>) -> (Self, Vec<FieldError>) {
        let mut errors = Vec::new();
        let label = |suffix: &str| {
            let key = format!("{PREFIX}{suffix}");
            let value = label_value(&key)?;
            Some((key, value))
        };
        let mut refuse = |key: &str, value: &str, why: &str| {
            errors.push(FieldError::invalid(format!("metadata.labels[{key}]"), value, why));
        };
        let mut policy = Self::default();
        let mut levels = [None; 3];
        let mut versions = [None; 3];
        for (index, mode) in ["enforce", "audit", "warn"].into_iter().enumerate() {
            if let Some((key, value)) = label(mode) {
                let level = parse_level(value);
                if level.is_none() {
                    refuse(&key, value, "must be one of privileged, baseline, restricted");
                }
                levels[index] = Some(level);
            }
            if let Some((key, value)) = label(&format!("{mode}-version")) {
                let version = parse_version(value);
                if version.is_none() {
                    refuse(&key, value, "must be \"latest\" or \"v1.x\"");
                }
                versions[index] = Some(version.unwrap_or_default());
            }
        }
        let [enforce, _, warn] = levels;
        policy.enforce.level = enforce.map_or(Level::Privileged, |level| level.unwrap_or(Level::Restricted));
        policy.enforce.version = versions[0].unwrap_or_default();
        policy.warn.level = warn.flatten().unwrap_or_default();
        policy.warn.version = versions[2].unwrap_or_default();
        // Without the label `warn`, the server warns of violations of the enforced standard. This matters for pod
        // templates, for which the plugin enforces nothing.
        if warn.is_none() && enforce.flatten().is_some_and(|level| level > policy.warn.level) {
            policy.warn.level = policy.enforce.level;
            if versions[2].is_none() {
                policy.warn.version = policy.enforce.version;
            }
        }
        (policy, errors)
    }
}

fn parse_level(text: &str) -> Option<Level> {
    [Level::Privileged, Level::Baseline, Level::Restricted]
        .into_iter()
        .find(|level| level.to_string() == text)
}

/// Parses `latest` or `v1.MINOR`; `None` if the text is invalid.
fn parse_version(text: &str) -> Option<Version> {
    if text == "latest" {
        return Some(None);
    }
    let minor = text.strip_prefix("v1.")?;
    let is_canonical = minor == "0" || !minor.starts_with('0');
    if !is_canonical || !minor.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    minor.parse().ok().map(Some)
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        })
    }
}

impl fmt::Display for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            None => write!(f, "{}:latest", self.level),
            Some(minor) => write!(f, "{}:v1.{minor}", self.level),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Checks the standards `enforce` and `warn`, and the number of errors.
    #[track_caller]
    fn check(labels: &[(&str, &str)], expected: [&str; 2], error_count: usize) {
        let labels: serde_json::Map<_, _> =
            labels.iter().map(|(key, value)| (format!("{PREFIX}{key}"), Value::from(*value))).collect();
        let (policy, errors) = Policy::of(|key| labels.get(key)?.as_str());
        assert_eq!([policy.enforce.to_string(), policy.warn.to_string()], expected);
        assert_eq!(errors.len(), error_count, "{errors:?}");
    }

    #[test]
    fn labels_select_levels_and_versions() {
        check(&[], ["privileged:latest", "privileged:latest"], 0);
        check(&[("enforce", "baseline")], ["baseline:latest", "baseline:latest"], 0);
        check(
            &[("enforce", "baseline"), ("warn", "privileged")],
            ["baseline:latest", "privileged:latest"],
            0,
        );
        let versioned = [("enforce", "restricted"), ("enforce-version", "v1.30")];
        check(&versioned, ["restricted:v1.30", "restricted:v1.30"], 0);
        check(
            &[("enforce", "x"), ("warn", "x"), ("audit", "x")],
            ["restricted:latest", "privileged:latest"],
            3,
        );
        for version in ["v1", "v1.01", "v2.1", "v1.+1", "v1.99999999999", "1.30"] {
            check(&[("enforce-version", version)], ["privileged:latest", "privileged:latest"], 1);
        }
    }
}
