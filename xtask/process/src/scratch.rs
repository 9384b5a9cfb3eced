//! Folders that do not stay behind: locked while in use, removed by the last user, swept by the next run.
//!
//! The lock is an advisory lock on a file inside the folder, which the kernel gives back however its holder dies. A
//! folder only gets its final name once it is locked, so that a sweep never sees one that is merely not locked yet.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

/// How every folder's name begins, so that a sweep knows its own.
const PREFIX: &str = "kube-xtask-";
/// How the name of one begins that is not locked yet.
const UNBORN: &str = ".kube-xtask-new-";
/// After this time one that never got its lock has been left by a run that was killed in that instant.
const UNBORN_FOR_AT_MOST: Duration = Duration::from_secs(600);
const LOCK: &str = "lock";
/// How often, and at what intervals, someone who leaves looks whether the others have left too.
const LEAVING: usize = 100;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// A folder that is removed when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    lock: Option<File>,
}

impl Scratch {
    /// Makes a new folder below `parent`, which only this user can look into.
    ///
    /// # Errors
    /// When the folder or its lock cannot be made.
    pub fn create(parent: &Path) -> anyhow::Result<Self> {
        let new = tempfile::Builder::new()
            .prefix(UNBORN)
            .tempdir_in(parent)
            .with_context(|| format!("cannot make a folder in {}", parent.display()))?;
        let lock = File::create(new.path().join(LOCK)).context("cannot make a lock file")?;
        lock.lock_shared().context("cannot lock a file")?;
        let unborn = new.path().file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let path = parent.join(format!("{PREFIX}{}", unborn.trim_start_matches(UNBORN)));
        fs::rename(new.path(), &path).with_context(|| format!("cannot make {}", path.display()))?;
        // It has moved: there is nothing left for `new` to remove.
        let _ = new.keep();
        Ok(Self { path, lock: Some(lock) })
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what killed runs have left in `parent`; what someone still uses stays. Says how many were removed.
    pub fn sweep(parent: &Path) -> usize {
        let Ok(entries) = fs::read_dir(parent) else { return 0 };
        let stale = |path: &Path, name: &str| {
            if name.starts_with(PREFIX) { is_unused(path) } else { name.starts_with(UNBORN) && is_old(path) }
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
        // A process that was killed a moment ago may still be writing its last file.
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

/// Another process's share in a [`Scratch`] folder.
#[derive(Debug)]
pub(crate) struct Share {
    path: PathBuf,
    lock: File,
}

impl Share {
    /// Keeps the folder at `path` from being swept for as long as this lives.
    pub(crate) fn join(path: &Path) -> anyhow::Result<Self> {
        let lock = File::open(path.join(LOCK))
            .with_context(|| format!("cannot open the lock in {}", path.display()))?;
        lock.lock_shared().context("cannot lock a file")?;
        Ok(Self { path: path.to_owned(), lock })
    }

    /// Gives the share back, and removes the folder unless others go on using it.
    pub(crate) fn leave(self) {
        drop(self.lock);
        // The others may be leaving as well, each in the way of the others' attempts.
        for _ in 0..LEAVING {
            if is_unused(&self.path) {
                // If this fails the next run's sweep does it.
                let _ = fs::remove_dir_all(&self.path);
            }
            if !self.path.exists() {
                return;
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }
}

fn is_unused(folder: &Path) -> bool {
    match File::open(folder.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        // A removal that was itself interrupted: no folder has this name before it has a lock.
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

fn is_old(folder: &Path) -> bool {
    let modified = fs::symlink_metadata(folder).and_then(|data| data.modified()).ok();
    modified.and_then(|time| time.elapsed().ok()).is_some_and(|age| age > UNBORN_FOR_AT_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(parent: &Path) -> usize {
        fs::read_dir(parent).unwrap().count()
    }

    #[test]
    fn dropping_removes_the_folder() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(parent.path()).unwrap();
        fs::create_dir(scratch.path().join("x")).unwrap();
        assert_eq!(names(parent.path()), 1);
        drop(scratch);
        assert_eq!(names(parent.path()), 0);
    }

    #[test]
    fn a_sweep_spares_what_is_in_use_and_what_is_not_ours() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(parent.path()).unwrap();
        fs::create_dir(parent.path().join("other")).unwrap();
        fs::create_dir(parent.path().join(".kube-xtask-new-young")).unwrap();
        assert_eq!(Scratch::sweep(parent.path()), 0);
        assert_eq!(names(parent.path()), 3);
        drop(scratch);
    }

    #[test]
    fn a_sweep_removes_what_a_killed_run_left() {
        let parent = tempfile::tempdir().unwrap();
        let mut scratch = Scratch::create(parent.path()).unwrap();
        // What the kernel does for a killed process.
        drop(scratch.lock.take());
        assert_eq!(Scratch::sweep(parent.path()), 1);
        assert_eq!(names(parent.path()), 0);
    }

    #[test]
    fn a_sweep_finishes_what_another_began() {
        let parent = tempfile::tempdir().unwrap();
        fs::create_dir(parent.path().join("kube-xtask-half")).unwrap();
        assert_eq!(Scratch::sweep(parent.path()), 1);
        assert_eq!(names(parent.path()), 0);
    }

    #[test]
    fn the_last_to_leave_removes_the_folder() {
        let parent = tempfile::tempdir().unwrap();
        let mut scratch = Scratch::create(parent.path()).unwrap();
        let (one, two) = (Share::join(scratch.path()).unwrap(), Share::join(scratch.path()).unwrap());
        drop(scratch.lock.take());
        one.leave();
        assert_eq!(names(parent.path()), 1);
        assert_eq!(Scratch::sweep(parent.path()), 0);
        two.leave();
        assert_eq!(names(parent.path()), 0);
    }
}
