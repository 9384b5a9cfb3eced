//! Writes a [`Kubeconfig`] to a file. A write takes the lock that kubectl uses, creates a temporary file, and renames this
//! file to the path of the kubeconfig.

use secrecy::{ExposeSecret, SecretString};
use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::{error::KubeconfigError, kubeconfig::Kubeconfig, load};

/// The pause between two attempts to take the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// The number of attempts to take the lock: with [`LOCK_PAUSE`], five seconds in total.
const LOCK_ATTEMPTS: u32 = 100;

impl Kubeconfig {
    /// Creates or replaces a file with this kubeconfig. If an entry contains a path below the directory of the file, the
    /// path is written relative to this directory, as kubectl does. To change a file that other programs also write, use
    /// [`edit`](Self::edit).
    ///
    /// The file is replaced atomically: a reader never sees a partly written file. A replaced file keeps its permissions.
    /// On Unix, a new file has the mode 0600. The new content includes the unknown keys of this kubeconfig. Comments and the
    /// order of keys are lost. Other programs that use kubectl's lock file, `<path>.lock`, do not write at the same time.
    ///
    /// Blocks on the file system, and up to five seconds on the lock.
    ///
    /// # Errors
    /// If the file cannot be written, or stays locked.
    ///
    /// ```
    /// use kube_client::config::Kubeconfig;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("config");
    /// let kubeconfig = Kubeconfig::from_yaml("current-context: staging")?;
    /// kubeconfig.write_to(&path)?;
    /// assert_eq!(Kubeconfig::read_from(&path)?.current_context.as_deref(), Some("staging"));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_to<P: AsRef<Path>>(&self, path: P) -> Result<(), KubeconfigError> {
        let path = path.as_ref();
        let fail = |source| KubeconfigError::Write { path: path.to_owned(), source };
        let mut relative = self.clone();
        if let Some(folder) = std::path::absolute(path).map_err(fail)?.parent() {
            fs::create_dir_all(folder).map_err(fail)?;
            relative.make_relative(folder);
        }
        let text = relative.to_yaml().map_err(fail)?;
        let _lock = Lock::take(path)?;
        replace_file(path, &text).map_err(fail)
    }

    /// Edits a file: takes the lock, reads the file, calls `change` with the kubeconfig, and writes the changed kubeconfig.
    /// Returns the value that `change` returns. If the file does not exist, `change` gets an empty kubeconfig. If the
    /// content stays the same, the file is not written.
    ///
    /// `change` gets the paths as they are in the file: relative paths stay relative. The lock, the permissions of the
    /// file and the loss of comments are as for [`write_to`](Self::write_to).
    ///
    /// # Errors
    /// As for [`read_from`](Self::read_from) and [`write_to`](Self::write_to).
    ///
    /// ```
    /// use kube_client::config::Kubeconfig;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("config");
    /// Kubeconfig::edit(&path, |kubeconfig| kubeconfig.current_context = Some("staging".into()))?;
    /// # assert_eq!(Kubeconfig::read_from(&path)?.current_context.as_deref(), Some("staging"));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn edit<P: AsRef<Path>, T>(
        path: P,
        change: impl FnOnce(&mut Self) -> T,
    ) -> Result<T, KubeconfigError> {
        let path = path.as_ref();
        let fail = |source| KubeconfigError::Write { path: path.to_owned(), source };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(fail)?;
        }
        let _lock = Lock::take(path)?;
        let mut kubeconfig = match load::read_with_relative_paths(path) {
            Err(KubeconfigError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Self::default()
            }
            read => read?,
        };
        let before = kubeconfig.to_yaml().map_err(fail)?;
        let result = change(&mut kubeconfig);
        let after = kubeconfig.to_yaml().map_err(fail)?;
        if before != after {
            replace_file(path, &after).map_err(fail)?;
        }
        Ok(result)
    }

    /// The YAML text of the kubeconfig. If `kind` or `apiVersion` is not set, the text contains the default value.
    fn to_yaml(&self) -> io::Result<String> {
        let mut complete = self.clone();
        complete.kind.get_or_insert_with(|| "Config".to_owned());
        complete.api_version.get_or_insert_with(|| "v1".to_owned());
        yaml_serde::to_string(&complete).map_err(io::Error::other)
    }

    /// Replaces each absolute path below `folder` by the path relative to `folder`.
    fn make_relative(&mut self, folder: &Path) {
        self.for_each_path(|path| {
            let Some(relative) = Path::new(path.as_str()).strip_prefix(folder).ok().and_then(Path::to_str)
            else {
                return;
            };
            // A command without a path separator would be searched for in `PATH`.
            let is_name = !relative.contains(std::path::is_separator);
            *path = if is_name { format!("./{relative}") } else { relative.to_owned() };
        });
    }
}

/// The lock of a file: the lock file `<path>.lock` exists while a program holds the lock. `Drop` removes the lock file.
struct Lock(PathBuf);

impl Lock {
    fn take(path: &Path) -> Result<Self, KubeconfigError> {
        let mut lock = path.as_os_str().to_owned();
        lock.push(".lock");
        let lock = PathBuf::from(lock);
        for _ in 0..LOCK_ATTEMPTS {
            match OpenOptions::new().write(true).create_new(true).open(&lock) {
                Ok(_) => return Ok(Self(lock)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => thread::sleep(LOCK_PAUSE),
                Err(source) => return Err(KubeconfigError::Write { path: lock, source }),
            }
        }
        Err(KubeconfigError::Locked { lock })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "cannot remove the lock of a kubeconfig: remove it");
        }
    }
}

/// Creates or replaces a file. If `path` is a symbolic link to an existing file, the link stays, and the target of the link
/// is replaced.
fn replace_file(path: &Path, text: &str) -> io::Result<()> {
    let (target, permissions) = match fs::canonicalize(path) {
        Ok(target) => {
            let permissions = fs::metadata(&target)?.permissions();
            (target, Some(permissions))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => (std::path::absolute(path)?, None),
        Err(error) => return Err(error),
    };
    let folder = target.parent().ok_or_else(|| io::Error::other("the path is not that of a file"))?;
    let next = folder.join(format!(".kubeconfig-{:016x}", fastrand::u64(..)));
    let written =
        write_new_file(&next, text.as_bytes(), permissions).and_then(|()| fs::rename(&next, &target));
    if written.is_err() {
        // Ignore an error of the removal: the error of the write or of the rename is more useful.
        let _ = fs::remove_file(&next);
    }
    written
}

/// Creates a file, and waits until its content is on the disk. It is an error if the file exists. Without `permissions`,
/// only the owner can read and write the file (on Unix).
fn write_new_file(path: &Path, content: &[u8], permissions: Option<fs::Permissions>) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    if let Some(permissions) = permissions {
        file.set_permissions(permissions)?;
    }
    file.sync_all()
}

/// The files of a kubeconfig, and the name of a user in one of them.
#[derive(Clone, Debug)]
pub(crate) struct UserOrigin {
    pub(super) files: Vec<PathBuf>,
    pub(super) user: String,
}

impl UserOrigin {
    /// Writes settings of the user's auth provider to the first file that contains the user.
    pub(crate) fn write_auth_provider_settings(
        &self,
        settings: &[(&'static str, SecretString)],
    ) -> Result<(), KubeconfigError> {
        for path in &self.files {
            let is_done = Kubeconfig::edit(path, |kubeconfig| {
                let user = kubeconfig.auth_infos.iter_mut().find(|named| named.name == self.user);
                let Some(user) = user else { return false };
                if let Some(provider) = user.auth_info.as_mut().and_then(|user| user.auth_provider.as_mut()) {
                    for (name, value) in settings {
                        provider.config.insert((*name).to_owned(), value.expose_secret().to_owned());
                    }
                }
                true
            })?;
            // A merge ignores a user with the same name in a later file.
            if is_done {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
