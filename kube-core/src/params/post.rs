//! Parameters of the verbs `create` and `replace`.

use super::Query;

/// The server's handling of unknown and duplicate fields (`fieldValidation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValidationDirective {
    /// Drops unknown and duplicate fields.
    Ignore,
    /// Drops unknown and duplicate fields, and sends a warning.
    Warn,
    /// Rejects a request with unknown or duplicate fields.
    Strict,
}

impl ValidationDirective {
    /// The value of the query parameter `fieldValidation`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ignore => "Ignore",
            Self::Warn => "Warn",
            Self::Strict => "Strict",
        }
    }
}

/// Parameters of a request that creates or replaces an object.
///
/// ```
/// use kube_core::PostParams;
///
/// let pp = PostParams { dry_run: true, ..PostParams::default() };
/// assert_eq!(pp.field_manager, None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostParams {
    /// Whether the server only checks the request and stores nothing.
    pub dry_run: bool,
    /// The name of the field manager; `None` for the text before the first `/` in the request's `User-Agent`.
    pub field_manager: Option<String>,
    /// The server's handling of unknown and duplicate fields; `None` for the server's default, `Warn`.
    pub field_validation: Option<ValidationDirective>,
}

impl PostParams {
    /// Appends these parameters to a query.
    pub(crate) fn populate_query(&self, query: &mut Query) {
        query
            .append_optional("dryRun", self.dry_run.then_some("All"))
            .append_optional("fieldManager", self.field_manager.as_deref())
            .append_optional(
                "fieldValidation",
                self.field_validation.as_ref().map(ValidationDirective::as_str),
            );
    }
}
