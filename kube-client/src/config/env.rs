//! Reads environment variables. Only this module and tests read the environment.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

/// A lookup of environment variables, in the environment of the process or of a test.
#[derive(Clone, Copy)]
pub(super) struct Env<'a>(&'a dyn Fn(&str) -> Option<OsString>);

impl std::fmt::Debug for Env<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Env")
    }
}

impl Env<'static> {
    /// The environment of this process.
    pub(super) fn of_process() -> Self {
        fn lookup(name: &str) -> Option<OsString> {
            #[expect(clippy::disallowed_methods, reason = "only this function reads the environment")]
            std::env::var_os(name)
        }
        Self(&lookup)
    }
}

#[cfg(test)]
impl<'a> Env<'a> {
    /// The environment of a test.
    pub(super) fn from_lookup(lookup: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        Self(lookup)
    }
}

impl Env<'_> {
    /// The value of a variable. An empty value counts as absent.
    fn non_empty_value(self, name: &str) -> Option<OsString> {
        self.0(name).filter(|value| !value.is_empty())
    }

    /// The value of a variable as text. Invalid UTF-8 is replaced.
    pub(super) fn text_value(self, name: &str) -> Option<String> {
        self.non_empty_value(name).as_deref().map(OsStr::to_string_lossy).map(std::borrow::Cow::into_owned)
    }

    /// `KUBECONFIG`: a list of paths; `None` if the variable is not set or is empty.
    pub(super) fn kubeconfig(self) -> Option<OsString> {
        self.non_empty_value("KUBECONFIG")
    }

    /// `PATH`: the directories in which commands are searched for.
    pub(super) fn search_path(self) -> Option<OsString> {
        self.non_empty_value("PATH")
    }

    /// The path of the kubeconfig in the home directory. Does not check whether the file exists.
    pub(super) fn home_kubeconfig(self) -> Option<PathBuf> {
        let home = self
            .non_empty_value("HOME")
            .or_else(|| if cfg!(windows) { self.non_empty_value("USERPROFILE") } else { None })?;
        Some(Path::new(&home).join(".kube").join("config"))
    }
}
