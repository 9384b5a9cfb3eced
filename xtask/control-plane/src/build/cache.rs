//! `Cache`: the cache folder for finished builds. Each build has a lock, so that only one process creates the build.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use xtask_process::progress::Progress;

/// The environment variable that sets the path of the cache folder. By default the folder is `kube-xtask` in the user's
/// cache folder.
pub const CACHE_VARIABLE: &str = "KUBE_XTASK_CACHE";

/// The cache folder for finished builds.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Opens the cache folder, and creates it if it is missing. [`CACHE_VARIABLE`] sets the path of the
    /// folder. If this variable is not set, the folder is `$XDG_CACHE_HOME/kube-xtask`. If `XDG_CACHE_HOME`
    /// is not set either, the folder is `~/.cache/kube-xtask`.
    ///
    /// # Errors
    /// When none of [`CACHE_VARIABLE`], `XDG_CACHE_HOME` and `HOME` is set, or the folder cannot be created.
    pub fn open() -> anyhow::Result<Self> {
        let folder =
            find_folder(|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))?;
        Self::open_at(&folder)
    }

    /// Opens `folder`, and creates it if it is missing.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn open_at(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| {
            format!("cannot create the cache folder {}; set {CACHE_VARIABLE} to another", folder.display())
        })?;
        // Go and the components run in other working directories, where a relative path would name another folder.
        let folder = folder.canonicalize().with_context(|| format!("cannot find {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// The absolute path of the cache folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn path_of_build(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Waits until no other process holds the lock of the build with this name, and takes the lock. Dropping the
    /// returned file releases the lock.
    ///
    /// # Errors
    /// When the file of the lock cannot be created or locked.
    ///
    /// # Cancel safety
    /// Cancelling has no effect on other processes.
    pub async fn lock_build(&self, name: &str, progress: &Progress) -> anyhow::Result<File> {
        let path = self.folder.join(format!("{name}.lock"));
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {
                    progress.step(&format!("waiting for another process to build {name}"));
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(TryLockError::Error(error)) => {
                    bail!(
                        "cannot lock {}: {error}; set {CACHE_VARIABLE} to a folder on another file system",
                        path.display()
                    )
                }
            }
        }
    }
}

/// The path of the cache folder. `variable` takes the name of an environment variable, and returns the value.
fn find_folder(variable: impl Fn(&str) -> Option<PathBuf>) -> anyhow::Result<PathBuf> {
    if let Some(own) = variable(CACHE_VARIABLE) {
        return Ok(own);
    }
    let general = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let general =
        general.with_context(|| format!("HOME is not set; set {CACHE_VARIABLE} to a folder for builds"))?;
    Ok(general.join("kube-xtask"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_folder(variables: &[(&str, &str)], expected: &str) {
        let find = |name: &str| Some(PathBuf::from(variables.iter().find(|(key, _)| *key == name)?.1));
        assert_eq!(find_folder(find).unwrap(), Path::new(expected));
    }

    #[test]
    fn the_most_specific_variable_wins() {
        check_folder(&[("HOME", "/h")], "/h/.cache/kube-xtask");
        check_folder(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")], "/x/kube-xtask");
        check_folder(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x"), (CACHE_VARIABLE, "/own")], "/own");
        assert!(find_folder(|_| None).unwrap_err().to_string().contains(CACHE_VARIABLE));
    }

    #[tokio::test]
    async fn a_second_lock_of_a_build_waits_for_the_release_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open_at(folder.path()).unwrap();
        let progress = Progress::silent();
        let first = cache.lock_build("x", &progress).await.unwrap();
        let second = cache.lock_build("x", &progress);
        tokio::pin!(second);
        assert!(futures::poll!(&mut second).is_pending());
        cache.lock_build("y", &progress).await.unwrap();
        drop(first);
        second.await.unwrap();
    }
}
