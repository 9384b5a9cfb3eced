//! Resource versions of objects (`ResourceVersion`, KEP-5504), and versions of APIs (`Version`).

use std::{cmp::Ordering, cmp::Reverse, convert::Infallible, str::FromStr};
use thiserror::Error;

/// The error for a resource version that cannot be compared.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("cannot compare resource version {0:?}: it is not a positive decimal number without leading zeros")]
pub struct ParseResourceVersionError(pub String);

/// A resource version that can be compared with other versions of the same resource (KEP-5504).
///
/// kube-apiserver guarantees comparable versions. Some aggregated API servers do not, so parsing can fail.
///
/// ```
/// use kube_core::ResourceVersion;
///
/// let (old, new): (ResourceVersion, ResourceVersion) = ("99".parse()?, "100".parse()?);
/// assert!(old < new);
/// # Ok::<(), kube_core::ParseResourceVersionError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResourceVersion(String);

impl ResourceVersion {
    /// The resource version as the server sent it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ResourceVersion {
    type Err = ParseResourceVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if digits && !text.starts_with('0') {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseResourceVersionError(text.to_owned()))
        }
    }
}

impl Ord for ResourceVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for ResourceVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The version of an API, such as `v1beta2`.
///
/// `kubectl` prefers stable versions to beta versions, beta versions to alpha versions, and alpha versions to
/// other versions. Among several stable, beta or alpha versions, it prefers the newest. It orders other
/// versions by their text. The most preferred version has the greatest [`priority`](Version::priority).
///
/// ```
/// use kube_core::Version;
///
/// let mut versions = ["v1beta1", "v2", "v1", "v1alpha1"].map(Version::parse);
/// versions.sort_by_key(|version| std::cmp::Reverse(version.priority()));
/// assert_eq!(versions[0], Version::Stable(2));
/// assert_eq!(versions[3], Version::Alpha(1, Some(1)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Version {
    /// A stable version, such as `v1`, with its major number.
    Stable(u32),
    /// A beta version, such as `v1beta2` or `v1beta`, with its major number and its beta number.
    Beta(u32, Option<u32>),
    /// An alpha version, such as `v1alpha3` or `v1alpha`, with its major number and its alpha number.
    Alpha(u32, Option<u32>),
    /// Any other text.
    Nonconformant(String),
}

impl Version {
    /// Parses a version; text in another form becomes [`Nonconformant`](Version::Nonconformant).
    pub fn parse(text: &str) -> Self {
        Self::try_parse(text).unwrap_or_else(|| Self::Nonconformant(text.to_owned()))
    }

    /// Parses a stable, beta or alpha version; `None` for other text.
    fn try_parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v')?;
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (major, rest) = text.split_at(digits);
        let major = major.parse().ok()?;
        let minor = |text: &str| match text {
            "" => Some(None),
            digits if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok().map(Some),
            _ => None,
        };
        match rest {
            "" => Some(Self::Stable(major)),
            _ => match (rest.strip_prefix("beta"), rest.strip_prefix("alpha")) {
                (Some(beta), _) => Some(Self::Beta(major, minor(beta)?)),
                (_, Some(alpha)) => Some(Self::Alpha(major, minor(alpha)?)),
                _ => None,
            },
        }
    }

    /// The sort key by kubectl's preference: the most preferred version has the greatest key.
    pub fn priority(&self) -> impl Ord + use<> {
        match self {
            Self::Stable(major) => (3, *major, None, Reverse(String::new())),
            Self::Beta(major, minor) => (2, *major, *minor, Reverse(String::new())),
            Self::Alpha(major, minor) => (1, *major, *minor, Reverse(String::new())),
            Self::Nonconformant(text) => (0, 0, None, Reverse(text.clone())),
        }
    }

    /// The sort key by age: the version with the greatest major number has the greatest key. Of versions with the same
    /// major number, a stable version is newer than a beta version, and a beta version is newer than an alpha version.
    pub fn generation(&self) -> impl Ord + use<> {
        match self {
            Self::Stable(major) => (*major, 3, None, Reverse(String::new())),
            Self::Beta(major, minor) => (*major, 2, *minor, Reverse(String::new())),
            Self::Alpha(major, minor) => (*major, 1, *minor, Reverse(String::new())),
            Self::Nonconformant(text) => (0, 0, None, Reverse(text.clone())),
        }
    }
}

impl FromStr for Version {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::parse(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_versions_compare_by_number() {
        let parse = |text: &str| text.parse::<ResourceVersion>().unwrap();
        assert!(parse("9") < parse("10"));
        assert!(parse("340282366920938463463374607431768211455") > parse("2"));
        for bad in ["", "0", "01", "1a", "-1"] {
            assert!(bad.parse::<ResourceVersion>().is_err(), "{bad}");
        }
    }

    #[test]
    fn api_versions_parse_and_other_texts_are_kept() {
        assert_eq!(Version::parse("v1beta2"), Version::Beta(1, Some(2)));
        assert_eq!(Version::parse("v1alpha"), Version::Alpha(1, None));
        for odd in ["1", "v", "v1gamma1", "v1beta-1", "vbeta1"] {
            assert_eq!(Version::parse(odd), Version::Nonconformant(odd.into()));
        }
    }

    #[test]
    fn versions_are_ordered_by_preference_or_by_age() {
        let sorted = |mut versions: Vec<&'static str>, by_age: bool| {
            if by_age {
                versions.sort_by_key(|v| Reverse(Version::parse(v).generation()));
            } else {
                versions.sort_by_key(|v| Reverse(Version::parse(v).priority()));
            }
            versions
        };
        let all = vec!["foo10", "v1", "v11alpha2", "v10beta3", "v2", "v10", "foo1"];
        assert_eq!(sorted(all.clone(), false), ["v10", "v2", "v1", "v10beta3", "v11alpha2", "foo1", "foo10"]);
        assert_eq!(sorted(all, true), ["v11alpha2", "v10", "v10beta3", "v2", "v1", "foo1", "foo10"]);
    }
}
