//! Parameters of an eviction.

use super::{DeleteParams, PostParams};
use serde::Serialize;

/// Parameters of an eviction (`policy/v1 Eviction`).
///
/// ```
/// use kube_core::{DeleteParams, EvictParams};
///
/// let ep = EvictParams { delete_options: Some(DeleteParams::background()), ..EvictParams::default() };
/// assert!(!ep.post_options.dry_run);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvictParams {
    /// Parameters of the deletion, such as its grace period and its preconditions; `None` for the server's defaults.
    pub delete_options: Option<DeleteParams>,
    /// Parameters of the request. For a dry run, set `dry_run` here.
    pub post_options: PostParams,
}

/// The body of an eviction request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Eviction<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: EvictionMeta<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delete_options: Option<&'a DeleteParams>,
}

#[derive(Serialize)]
struct EvictionMeta<'a> {
    name: &'a str,
}

impl<'a> Eviction<'a> {
    pub(crate) fn new(name: &'a str, ep: &'a EvictParams) -> Self {
        Self {
            api_version: "policy/v1",
            kind: "Eviction",
            metadata: EvictionMeta { name },
            delete_options: ep.delete_options.as_ref(),
        }
    }
}
