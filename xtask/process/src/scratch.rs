//! Temporary folders that are always removed. The process that creates a folder removes it. If that process is killed,
//! the last supervisor that has locked the folder removes the folder. If the supervisor is also killed, the next run
//! removes the folder in a sweep.
//!
//! The lock is a shared advisory lock on a file in the folder. The kernel releases the lock even if its holder
//! is killed. A folder gets its final name after it is locked. A sweep removes a folder with a temporary name only if the
//! folder is older than ten minutes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

/// The prefix of the final name of a folder. A sweep removes only folders whose names begin with this prefix
/// or with [`NEW_PREFIX`].
const PREFIX: &str = "kube-xtask-";
/// The prefix of the name of a folder that is not yet locked.
const NEW_PREFIX: &str = ".kube-xtask-new-";
/// The age at which a sweep removes a folder with [`NEW_PREFIX`]. A folder of this age remains from a run that was killed
/// before it renamed the folder.
const NEW_MAX_AGE: Duration = Duration::from_secs(600);
/// The name of the lock file in each folder.
const LOCK_FILE: &str = "lock";
/// The maximum number of attempts to remove a folder in [`SharedLock::release_and_remove`].
const REMOVE_ATTEMPTS: usize = 100;
/// The time between two attempts to remove a folder in [`SharedLock::release_and_remove`].
const REMOVE_INTERVAL: Duration = Duration::from_millis(20);

/// A temporary folder, which is removed when this handle is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    lock: Option<File>,
}

impl Scratch {
    /// Creates a folder below `parent`. Only the owner of the folder can read the folder.
    ///
    /// # Errors
    /// When the folder or its lock cannot be created.
    pub fn create(parent: &Path) -> anyhow::Result<Self> {
        let new = tempfile::Builder::new()
            .prefix(NEW_PREFIX)
            .tempdir_in(parent)
            .with_context(|| format!("cannot create a folder in {}", parent.display()))?;
        let lock = File::create(new.path().join(LOCK_FILE)).context("cannot create a lock file")?;
        lock.lock_shared().context("cannot lock a file")?;
        let new_name = new.path().file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let path = parent.join(format!("{PREFIX}{}", new_name.trim_start_matches(NEW_PREFIX)));
        fs::rename(new.path(), &path)
            .with_context(|| format!("cannot rename a folder to {}", path.display()))?;
        // The folder was renamed: `new` must not try to remove it at its old path.
        let _ = new.keep();
        Ok(Self { path, lock: Some(lock) })
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the folders below `parent` that remain from killed runs, and returns their number. Keeps
    /// locked folders.
    pub fn sweep(parent: &Path) -> usize {
        let Ok(entries) = fs::read_dir(parent) else { return 0 };
        let stale = |path: &Path, name: &str| {
            if name.starts_with(PREFIX) {
                is_unused(path)
            } else {
                name.starts_with(NEW_PREFIX) && is_old(path)
            }
        };
        entries
            .filter_map(Result::ok)
            .filter(|entry| {
                let path = entry.path();
                entry.file_name().to_str().is_some_and(|name| stale(&path, name))
                    && fs::remove_dir_all(&path).is_ok()
            })
            .count()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.lock.take());
        // A killed process may run for a moment and create a file, which makes the removal fail.
        for _ in 0..20 {
            match fs::remove_dir_all(&self.path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                _ => return,
            }
        }
        eprintln!("warning: cannot remove {}; the next run will try again", self.path.display());
    }
}

/// A lock on the [`Scratch`] folder of another process. While a process holds the lock, no sweep removes the folder.
#[derive(Debug)]
pub(crate) struct SharedLock {
    path: PathBuf,
    lock: File,
}

impl SharedLock {
    /// Locks the folder at `path`. Dropping the `SharedLock` releases the lock.
    pub(crate) fn acquire(path: &Path) -> anyhow::Result<Self> {
        let lock = File::open(path.join(LOCK_FILE))
            .with_context(|| format!("cannot open the lock in {}", path.display()))?;
        lock.lock_shared().context("cannot lock a file")?;
        Ok(Self { path: path.to_owned(), lock })
    }

    /// Releases the lock, and removes the folder unless other processes keep it locked for more than two seconds.
    pub(crate) fn release_and_remove(self) {
        drop(self.lock);
        // Several processes may release their locks at the same time. `is_unused` takes the lock briefly. During
        // this time, `is_unused` is false in the other processes. Therefore each process repeats the call.
        for _ in 0..REMOVE_ATTEMPTS {
            if is_unused(&self.path) {
                // If this fails, the next run sweeps the folder.
                let _ = fs::remove_dir_all(&self.path);
            }
            if !self.path.exists() {
                return;
            }
            std::thread::sleep(REMOVE_INTERVAL);
        }
    }
}

/// Whether no process locks the folder.
fn is_unused(folder: &Path) -> bool {
    match File::open(folder.join(LOCK_FILE)) {
        Ok(lock) => lock.try_lock().is_ok(),
        // A folder gets its final name after its lock file is created. If the lock file is missing, an earlier removal
        // was interrupted.
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// Whether the folder is older than [`NEW_MAX_AGE`].
fn is_old(folder: &Path) -> bool {
    let modified = fs::symlink_metadata(folder).and_then(|data| data.modified()).ok();
    modified.and_then(|time| time.elapsed().ok()).is_some_and(|age| age > NEW_MAX_AGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count_entries(parent: &Path) -> usize {
        fs::read_dir(parent).unwrap().count()
    }

    #[test]
    fn dropping_removes_the_folder() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(parent.path()).unwrap();
        fs::create_dir(scratch.path().join("x")).unwrap();
        assert_eq!(count_entries(parent.path()), 1);
        drop(scratch);
        assert_eq!(count_entries(parent.path()), 0);
    }

    #[test]
    fn a_sweep_keeps_folders_that_are_locked_new_or_unrelated() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(parent.path()).unwrap();
        fs::create_dir(parent.path().join("other")).unwrap();
        fs::create_dir(parent.path().join(".kube-xtask-new-young")).unwrap();
        assert_eq!(Scratch::sweep(parent.path()), 0);
        assert_eq!(count_entries(parent.path()), 3);
        drop(scratch);
    }

    #[test]
    fn a_sweep_removes_the_folder_of_a_killed_run() {
        let parent = tempfile::tempdir().unwrap();
        let mut scratch = Scratch::create(parent.path()).unwrap();
        // The kernel releases the lock of a killed process.
        drop(scratch.lock.take());
        assert_eq!(Scratch::sweep(parent.path()), 1);
        assert_eq!(count_entries(parent.path()), 0);
    }

    #[test]
    fn a_sweep_completes_an_interrupted_removal() {
        let parent = tempfile::tempdir().unwrap();
        fs::create_dir(parent.path().join("kube-xtask-half")).unwrap();
        assert_eq!(Scratch::sweep(parent.path()), 1);
        assert_eq!(count_entries(parent.path()), 0);
    }

    #[test]
    fn the_last_process_to_release_its_lock_removes_the_folder() {
        let parent = tempfile::tempdir().unwrap();
        let mut scratch = Scratch::create(parent.path()).unwrap();
        let (one, two) =
            (SharedLock::acquire(scratch.path()).unwrap(), SharedLock::acquire(scratch.path()).unwrap());
        drop(scratch.lock.take());
        one.release_and_remove();
        assert_eq!(count_entries(parent.path()), 1);
        assert_eq!(Scratch::sweep(parent.path()), 0);
        two.release_and_remove();
        assert_eq!(count_entries(parent.path()), 0);
    }
}
