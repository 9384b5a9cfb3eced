//! `GroupFailure`: a part of the API that discovery could not read.

use std::{fmt, sync::Arc};

use crate::{
    core::GroupVersion,
    error::{DiscoveryError, Error},
};

/// A group or a version whose discovery failed, or a malformed entry of a discovery document.
///
/// `Display` names the group version; [`error`](Self::error) is the cause.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GroupFailure {
    /// The group, `""` for the core group. For an entry without a usable name, the path of the document, such as
    /// `/apis`, or `an unnamed group`.
    pub group: String,
    /// The version; `None` if the failure is about a group, or about an entry without a usable name.
    pub version: Option<String>,
    /// The cause.
    pub error: Arc<Error>,
}

impl GroupFailure {
    /// A failure of a group, or of one version of a group.
    pub(super) fn new(group: &str, version: Option<&str>, error: impl Into<Error>) -> Self {
        Self { group: group.to_owned(), version: version.map(str::to_owned), error: Arc::new(error.into()) }
    }

    /// A failure because of the content of a document.
    pub(super) fn invalid_document(group: &str, version: Option<&str>, what: impl fmt::Display) -> Self {
        let document = display_name(group, version);
        let what = what.to_string();
        Self::new(group, version, DiscoveryError::InvalidDocument { document, what })
    }
}

impl fmt::Display for GroupFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the discovery of {} failed", display_name(&self.group, self.version.as_deref()))
    }
}

/// `group/version`, or the group alone, for error texts.
pub(super) fn display_name(group: &str, version: Option<&str>) -> String {
    match version {
        Some(version) => GroupVersion::gv(group, version).api_version(),
        None if group.is_empty() => "the core group".to_owned(),
        None => group.to_owned(),
    }
}
