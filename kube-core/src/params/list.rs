//! Parameters of the verbs `get` and `list`.

use super::{Error, Query, validation_error};
use crate::Selector;

/// How the server interprets the resource version of a request (`resourceVersionMatch`).
///
/// See [resource versions](https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-get-and-list).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionMatch {
    /// The server returns a state at least as new as the resource version. With the version `0`, the server returns any
    /// state in its cache.
    NotOlderThan,
    /// The server returns the state at exactly the resource version.
    Exact,
}

/// Parameters of a list request.
///
/// ```
/// use kube_core::ListParams;
///
/// let lp = ListParams::default().labels("app=web").limit(500);
/// assert_eq!(lp.limit, Some(500));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListParams {
    /// The label selector that objects must match, such as `app=web,tier!=db`.
    pub label_selector: Option<String>,
    /// The field selector that objects must match, such as `metadata.name=web`.
    pub field_selector: Option<String>,
    /// The maximum number of objects in one page; `None` and 0 mean no limit.
    pub limit: Option<u32>,
    /// The continue token of the previous page; `None` for the first page. A token contains the resource version of the
    /// list, so `resource_version` and `version_match` have no effect on later pages.
    pub continue_token: Option<String>,
    /// How the server interprets `resource_version`; `None` for the server's default.
    pub version_match: Option<VersionMatch>,
    /// The resource version of the list, exact or minimum (see `version_match`); `None` for the most recent.
    pub resource_version: Option<String>,
}

impl ListParams {
    /// Requests only objects that match the field selector.
    #[must_use]
    pub fn fields(mut self, field_selector: &str) -> Self {
        self.field_selector = Some(field_selector.to_owned());
        self
    }

    /// Requests only objects that match the label selector.
    #[must_use]
    pub fn labels(mut self, label_selector: &str) -> Self {
        self.label_selector = Some(label_selector.to_owned());
        self
    }

    /// Requests only objects whose labels match a [`Selector`].
    #[must_use]
    pub fn labels_from(mut self, selector: &Selector) -> Self {
        self.label_selector = Some(selector.to_string());
        self
    }

    /// Sets the maximum number of objects in one page; 0 means no limit. Request the next page with
    /// [`continue_token`](Self::continue_token).
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Requests the page that follows the page with this continue token.
    #[must_use]
    pub fn continue_token(mut self, token: &str) -> Self {
        self.continue_token = Some(token.to_owned());
        self
    }

    /// Sets the resource version of the list. [`matching`](Self::matching) sets whether this version is exact
    /// or a minimum.
    #[must_use]
    pub fn at(mut self, resource_version: &str) -> Self {
        self.resource_version = Some(resource_version.to_owned());
        self
    }

    /// Sets how the server interprets the resource version.
    #[must_use]
    pub fn matching(mut self, version_match: VersionMatch) -> Self {
        self.version_match = Some(version_match);
        self
    }

    /// Accepts any state in the server's cache. The request is cheap, but the returned state may be older than the result
    /// of an earlier read.
    #[must_use]
    pub fn match_any(self) -> Self {
        self.matching(VersionMatch::NotOlderThan).at("0")
    }

    /// Appends these parameters to a query.
    pub(crate) fn populate_query(&self, query: &mut Query) -> Result<(), Error> {
        let limit = self.limit.filter(|limit| *limit > 0).map(|limit| limit.to_string());
        query
            .append_optional("labelSelector", self.label_selector.as_deref())
            .append_optional("fieldSelector", self.field_selector.as_deref())
            .append_optional("limit", limit.as_deref());
        // A continue token contains a resource version. Servers reject a request with both a token and a resource
        // version.
        if let Some(token) = self.continue_token.as_deref().filter(|token| !token.is_empty()) {
            query.append_pair("continue", token);
            return Ok(());
        }
        let version = self.resource_version.as_deref().filter(|version| !version.is_empty());
        let matching = match (self.version_match, version) {
            (Some(VersionMatch::Exact), Some("0")) => {
                return validation_error(
                    "a list cannot match resource version \"0\" exactly: use NotOlderThan",
                );
            }
            (Some(_), None) => return validation_error("a version match of a list needs a resource version"),
            (Some(VersionMatch::Exact), _) => Some("Exact"),
            (Some(VersionMatch::NotOlderThan), _) => Some("NotOlderThan"),
            (None, _) => None,
        };
        // A request may have both a limit and the resource version "0". The server then reads from its cache
        // and ignores the limit.
        query.append_optional("resourceVersion", version).append_optional("resourceVersionMatch", matching);
        Ok(())
    }
}

/// Parameters of a get request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetParams {
    /// The minimum resource version; `None` for the most recent, `"0"` for any state in the server's cache.
    pub resource_version: Option<String>,
}

impl GetParams {
    /// Creates parameters that require a state at least as new as a resource version.
    pub fn at(resource_version: &str) -> Self {
        Self { resource_version: Some(resource_version.to_owned()) }
    }

    /// Creates parameters that accept any state in the server's cache.
    pub fn any() -> Self {
        Self::at("0")
    }

    /// Appends these parameters to a query.
    pub(crate) fn populate_query(&self, query: &mut Query) {
        query.append_optional("resourceVersion", self.resource_version.as_deref());
    }
}
