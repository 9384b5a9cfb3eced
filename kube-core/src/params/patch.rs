//! Patches and their parameters.

use super::{Error, Query, ValidationDirective, validation_error};
use crate::request;
use serde::Serialize;

/// A change to an object, in one of the four patch formats of the Kubernetes API.
///
/// ```
/// use kube_core::Patch;
/// use serde_json::json;
///
/// let merge = Patch::Merge(json!({"metadata": {"labels": {"app": "web"}}}));
/// # let _: Patch<serde_json::Value> = merge;
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Patch<T: Serialize> {
    /// An apply configuration (server-side apply): all fields that the field manager in [`PatchParams`] wants to own,
    /// and no others.
    ///
    /// See [server-side apply](https://kubernetes.io/docs/reference/using-api/server-side-apply/).
    Apply(T),
    /// A list of operations (RFC 6902).
    Json(json_patch::Patch),
    /// Fields to set, and `null` for fields to remove; lists are replaced as a whole (RFC 7386).
    Merge(T),
    /// Like [`Merge`](Self::Merge), but lists with a `patchMergeKey` are merged by that key. Built-in kinds only.
    Strategic(T),
}

impl<T: Serialize> Patch<T> {
    /// The value of the `Content-Type` header.
    pub(crate) fn content_type(&self) -> &'static str {
        match self {
            Self::Apply(_) => "application/apply-patch+yaml",
            Self::Json(_) => "application/json-patch+json",
            Self::Merge(_) => "application/merge-patch+json",
            Self::Strategic(_) => "application/strategic-merge-patch+json",
        }
    }

    /// The request body, as JSON.
    pub(crate) fn body(&self) -> Result<Vec<u8>, Error> {
        let body = match self {
            Self::Apply(patch) | Self::Merge(patch) | Self::Strategic(patch) => serde_json::to_vec(patch),
            Self::Json(operations) => serde_json::to_vec(operations),
        };
        body.map_err(request::Error::SerializeBody)
    }

    fn is_apply(&self) -> bool {
        matches!(self, Self::Apply(_))
    }
}

/// Parameters of a patch request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatchParams {
    /// Whether the server only checks the patch and stores nothing.
    pub dry_run: bool,
    /// Whether to take ownership of fields that other field managers own. Only for [`Patch::Apply`].
    pub force: bool,
    /// The name of the field manager. Required for [`Patch::Apply`]. For other patches, `None` means the text before the
    /// first `/` in the request's `User-Agent`.
    pub field_manager: Option<String>,
    /// The server's handling of unknown and duplicate fields; `None` for the server's default, `Warn`.
    pub field_validation: Option<ValidationDirective>,
}

impl PatchParams {
    /// Creates the parameters of an apply patch. `manager` is the name of the field manager.
    ///
    /// ```
    /// use kube_core::PatchParams;
    ///
    /// let pp = PatchParams::apply("my-controller").force();
    /// assert!(pp.force);
    /// ```
    pub fn apply(manager: &str) -> Self {
        Self { field_manager: Some(manager.to_owned()), ..Self::default() }
    }

    /// Takes ownership of fields that other field managers own. Only for [`Patch::Apply`].
    #[must_use]
    pub fn force(mut self) -> Self {
        self.force = true;
        self
    }

    /// Sets `dry_run`: the server checks the patch but stores nothing.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// Sets the server's handling of unknown and duplicate fields.
    #[must_use]
    pub fn validation(mut self, directive: ValidationDirective) -> Self {
        self.field_validation = Some(directive);
        self
    }

    /// Makes the server drop unknown and duplicate fields, without a warning.
    #[must_use]
    pub fn validation_ignore(self) -> Self {
        self.validation(ValidationDirective::Ignore)
    }

    /// Makes the server drop unknown and duplicate fields, and send a warning.
    #[must_use]
    pub fn validation_warn(self) -> Self {
        self.validation(ValidationDirective::Warn)
    }

    /// Makes the server reject a request with unknown or duplicate fields.
    #[must_use]
    pub fn validation_strict(self) -> Self {
        self.validation(ValidationDirective::Strict)
    }

    /// Appends these parameters to a query.
    pub(crate) fn populate_query<T: Serialize>(
        &self,
        patch: &Patch<T>,
        query: &mut Query,
    ) -> Result<(), Error> {
        if self.force && !patch.is_apply() {
            return validation_error("`force` goes with Patch::Apply only");
        }
        if patch.is_apply() && self.field_manager.as_deref().unwrap_or_default().is_empty() {
            return validation_error("Patch::Apply needs a field manager: use PatchParams::apply(\"name\")");
        }
        query
            .append_optional("dryRun", self.dry_run.then_some("All"))
            .append_flag("force", self.force)
            .append_optional("fieldManager", self.field_manager.as_deref())
            .append_optional(
                "fieldValidation",
                self.field_validation.as_ref().map(ValidationDirective::as_str),
            );
        Ok(())
    }
}
