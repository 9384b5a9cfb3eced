//! Parameters of create and replace.

use super::Query;

/// What the server does with fields that it does not know, or that are there twice (`fieldValidation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValidationDirective {
    /// It drops them.
    Ignore,
    /// It drops them and sends a warning.
    Warn,
    /// It refuses the request.
    Strict,
}

impl ValidationDirective {
    /// As the query has it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ignore => "Ignore",
            Self::Warn => "Warn",
            Self::Strict => "Strict",
        }
    }
}

/// Parameters of create and replace.
///
/// ```
/// use kube_client::core::PostParams;
///
/// let pp = PostParams { dry_run: true, ..PostParams::default() };
/// assert_eq!(pp.field_manager, None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostParams {
    /// The server checks the request but stores nothing.
    pub dry_run: bool,
    /// In whose name the fields are managed.
    pub field_manager: Option<String>,
    /// What becomes of unknown fields; `None` leaves it to the server, which warns.
    pub field_validation: Option<ValidationDirective>,
}

impl PostParams {
    pub(crate) fn populate(&self, query: &mut Query) {
        query
            .optional("dryRun", self.dry_run.then_some("All"))
            .optional("fieldManager", self.field_manager.as_deref())
            .optional("fieldValidation", self.field_validation.as_ref().map(ValidationDirective::as_str));
    }
}
