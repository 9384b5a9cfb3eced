//! The folder that keeps what was built, and the lock that lets only one process build a thing at a time.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use xtask_process::progress::Progress;

/// Names the folder for everything that is built, in place of the user's cache folder.
pub const CACHE_VARIABLE: &str = "KUBE_XTASK_CACHE";

/// Where things are kept that were built.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The one in [`CACHE_VARIABLE`], else below `XDG_CACHE_HOME`, else below `~/.cache`.
    ///
    /// # Errors
    /// When none of these is set, or the folder cannot be made.
    pub fn open() -> anyhow::Result<Self> {
        let folder =
            folder(|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))?;
        Self::at(&folder)
    }

    /// The one in this folder, which is made if it is missing.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn at(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| {
            format!("cannot make the cache folder {}; {CACHE_VARIABLE} can name another", folder.display())
        })?;
        // Go and the components are started in other folders.
        let folder = folder.canonicalize().with_context(|| format!("cannot find {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the build of this name is, or will be.
    pub(super) fn place(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Waits until no other process builds `name`.
    ///
    /// # Cancel safety
    /// Cancelling gives up the place in the queue, nothing else.
    pub(super) async fn lock(&self, name: &str, progress: &Progress) -> anyhow::Result<File> {
        let path = self.folder.join(format!("{name}.lock"));
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {
                    progress.step(&format!("waiting for another process that builds {name}"));
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(TryLockError::Error(error)) => {
                    bail!(
                        "cannot lock {}: {error}; {CACHE_VARIABLE} can name a folder elsewhere",
                        path.display()
                    )
                }
            }
        }
    }
}

fn folder(variable: impl Fn(&str) -> Option<PathBuf>) -> anyhow::Result<PathBuf> {
    if let Some(own) = variable(CACHE_VARIABLE) {
        return Ok(own);
    }
    let general = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let general = general
        .with_context(|| format!("there is no HOME; set {CACHE_VARIABLE} to a folder to build into"))?;
    Ok(general.join("kube-xtask"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(variables: &[(&str, &str)], expected: &str) {
        let find = |name: &str| Some(PathBuf::from(variables.iter().find(|(key, _)| *key == name)?.1));
        assert_eq!(folder(find).unwrap(), Path::new(expected));
    }

    #[test]
    fn the_nearest_variable_decides() {
        check(&[("HOME", "/h")], "/h/.cache/kube-xtask");
        check(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")], "/x/kube-xtask");
        check(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x"), (CACHE_VARIABLE, "/own")], "/own");
        assert!(folder(|_| None).unwrap_err().to_string().contains(CACHE_VARIABLE));
    }

    #[tokio::test]
    async fn one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        let progress = Progress::silent();
        let first = cache.lock("x", &progress).await.unwrap();
        let second = cache.lock("x", &progress);
        tokio::pin!(second);
        assert!(futures::poll!(&mut second).is_pending());
        cache.lock("y", &progress).await.unwrap();
        drop(first);
        second.await.unwrap();
    }
}
