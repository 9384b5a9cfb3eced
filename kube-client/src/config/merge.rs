//! Merges kubeconfigs by the same rules as kubectl.

use std::collections::HashSet;

use super::{
    error::KubeconfigError,
    kubeconfig::{Kubeconfig, NamedExtension},
};

impl Kubeconfig {
    /// Merges `next` into this kubeconfig. The entries of this kubeconfig take precedence.
    ///
    /// If both have an entry with the same name, the entry of this kubeconfig is kept unchanged: fields are not merged.
    /// If both have a current context, the current context of this kubeconfig is kept.
    ///
    /// # Errors
    /// If both kubeconfigs set `kind` or `apiVersion`, and the values differ.
    pub fn merge(mut self, next: Self) -> Result<Self, KubeconfigError> {
        check_compatible(&self.kind, &next.kind, &next)?;
        check_compatible(&self.api_version, &next.api_version, &next)?;
        self.kind = self.kind.filter(|kind| !kind.is_empty()).or(next.kind);
        self.api_version = self.api_version.filter(|version| !version.is_empty()).or(next.api_version);
        self.preferences = self.preferences.or(next.preferences);
        self.current_context = self.current_context.filter(|name| !name.is_empty()).or(next.current_context);
        append_missing(&mut self.clusters, next.clusters, |named| &named.name);
        append_missing(&mut self.auth_infos, next.auth_infos, |named| &named.name);
        append_missing(&mut self.contexts, next.contexts, |named| &named.name);
        self.extensions = match (self.extensions, next.extensions) {
            (Some(mut first), Some(second)) => {
                append_missing(&mut first, second, |extension: &NamedExtension| &extension.name);
                Some(first)
            }
            (first, second) => first.or(second),
        };
        for (key, value) in next.other {
            self.other.entry(key).or_insert(value);
        }
        self.sources.extend(next.sources);
        Ok(self)
    }
}

/// Returns an error if `first` and `second` are set and differ. `next` is the kubeconfig that the error names.
#[expect(clippy::ref_option, reason = "the fields have this type")]
fn check_compatible(
    first: &Option<String>,
    second: &Option<String>,
    next: &Kubeconfig,
) -> Result<(), KubeconfigError> {
    match (first, second) {
        // An empty value counts as absent, as in `load::validate`.
        (Some(first), Some(second)) if first != second && !first.is_empty() && !second.is_empty() => {
            Err(KubeconfigError::WrongKind {
                origin: next.origin(),
                api_version: next.api_version.clone().unwrap_or_default(),
                kind: next.kind.clone().unwrap_or_default(),
            })
        }
        _ => Ok(()),
    }
}

/// Appends the entries of `second` whose names do not occur in `first`.
fn append_missing<T>(first: &mut Vec<T>, second: Vec<T>, name: impl Fn(&T) -> &String) {
    let taken: HashSet<String> = first.iter().map(|item| name(item).clone()).collect();
    first.extend(second.into_iter().filter(|item| !taken.contains(name(item))));
}
