//! The policy on the credential plugins that a kubeconfig may start.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use super::env::Env;

/// The credential plugins (exec) that may be started. The command in a kubeconfig runs with the rights of the program. If
/// the kubeconfig is not trusted, limit the commands with a policy.
///
/// kubectl reads the same policy from its file `kuberc` (`credentialPluginPolicy`, KEP-3104). This crate does not read
/// that file.
///
/// ```
/// use kube_client::{Client, Config, config::{CredentialPluginPolicy, Kubeconfig}};
///
/// let mut config = Config::try_from(Kubeconfig::from_yaml(
///     "
/// current-context: c
/// contexts: [{name: c, context: {cluster: k, user: u}}]
/// clusters: [{name: k, cluster: {server: 'http://localhost:8001'}}]
/// users:
/// - name: u
///   user:
///     exec: {apiVersion: client.authentication.k8s.io/v1, command: /tmp/login, interactiveMode: Never}
/// ",
/// )?)?;
/// config.credential_plugin_policy = CredentialPluginPolicy::Allowlist(vec!["aws".into(), "/opt/login".into()]);
/// assert!(Client::try_from(config).is_err());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialPluginPolicy {
    /// All plugins may be started.
    #[default]
    AllowAll,
    /// No plugin may be started.
    DenyAll,
    /// Only the plugins in this list may be started. An entry is a path, or a name that is searched for in `PATH`. A
    /// plugin is in the list if its absolute path is equal to the absolute path of an entry.
    Allowlist(Vec<String>),
}

/// The reason that a plugin is not started. The text of `Display` is the end of a sentence that begins with the name of
/// the plugin.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PluginRefusal {
    Denied,
    NotFound,
    NotListed(PathBuf),
}

impl PluginRefusal {
    pub(crate) fn is_not_found(&self) -> bool {
        *self == Self::NotFound
    }
}

impl fmt::Display for PluginRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied => f.write_str("is not started: Config::credential_plugin_policy allows no plugin"),
            Self::NotFound => f.write_str("cannot be found; is it installed and in PATH?"),
            Self::NotListed(path) => write!(
                f,
                "is not started: {} is not in the list of Config::credential_plugin_policy",
                path.display()
            ),
        }
    }
}

impl CredentialPluginPolicy {
    /// Returns the executable of a plugin, if the policy allows the plugin. With an allowlist, returns the
    /// absolute path that was compared with the list. The caller must start this path, because another lookup
    /// of `command` in `PATH` could find another file.
    pub(crate) fn allowed_executable(&self, command: &str) -> Result<OsString, PluginRefusal> {
        self.allowed_executable_in(command, Env::of_process())
    }

    fn allowed_executable_in(&self, command: &str, env: Env<'_>) -> Result<OsString, PluginRefusal> {
        let allowed = match self {
            Self::AllowAll => return Ok(command.into()),
            Self::DenyAll => return Err(PluginRefusal::Denied),
            Self::Allowlist(allowed) => allowed,
        };
        let path = find_executable(command, env).ok_or(PluginRefusal::NotFound)?;
        if allowed.iter().any(|entry| find_executable(entry, env).as_ref() == Some(&path)) {
            return Ok(path.into());
        }
        Err(PluginRefusal::NotListed(path))
    }
}

/// The absolute path of an executable. A name without a path separator is searched for in `PATH`.
fn find_executable(command: &str, env: Env<'_>) -> Option<PathBuf> {
    // `which_in` joins a relative path to the current directory.
    which::which_in(
        command,
        env.search_path(),
        std::env::current_dir().ok().as_deref().unwrap_or(Path::new("")),
    )
    .ok()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    #[test]
    fn an_allowlist_compares_absolute_paths() {
        let folder = tempfile::tempdir().unwrap();
        let executable = |name: &str, mode| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let (login, other) = (executable("bin/login", 0o755), executable("other/login", 0o755));
        executable("bin/text", 0o644);
        let path = folder.path().join("bin").into_os_string();
        let lookup = |name: &str| (name == "PATH").then(|| path.clone());
        let check = |policy: &CredentialPluginPolicy, command: &str| {
            policy.allowed_executable_in(command, Env::from_lookup(&lookup))
        };
        let text = |path: &Path| path.to_str().unwrap().to_owned();

        assert_eq!(check(&CredentialPluginPolicy::AllowAll, "missing"), Ok("missing".into()));
        assert_eq!(check(&CredentialPluginPolicy::DenyAll, "login"), Err(PluginRefusal::Denied));
        for entry in ["login".to_owned(), text(&login)] {
            let policy = CredentialPluginPolicy::Allowlist(vec!["missing".into(), entry]);
            for command in ["login".to_owned(), text(&login)] {
                assert_eq!(check(&policy, &command), Ok(login.clone().into()));
            }
            // The same name in another directory is another plugin.
            assert_eq!(check(&policy, &text(&other)), Err(PluginRefusal::NotListed(other.clone())));
            assert_eq!(check(&policy, "missing"), Err(PluginRefusal::NotFound));
            assert_eq!(check(&policy, "text"), Err(PluginRefusal::NotFound));
        }
        assert_eq!(
            check(&CredentialPluginPolicy::Allowlist(Vec::new()), "login"),
            Err(PluginRefusal::NotListed(login))
        );
    }
}
