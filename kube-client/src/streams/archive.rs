//! Tar archives of files that are copied into and out of containers. All functions block.
//!
//! An archive from a container is not trusted: `unpack` writes nothing outside of the target, creates no links, and
//! follows no links below the target.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Component, Path, PathBuf},
};
use tar::{Archive, Builder, EntryType};

/// The result of a copy out of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// The number of files that were copied.
    pub files: u64,
    /// The number of bytes in these files.
    pub bytes: u64,
    /// The entries that were not copied, such as links and devices: only files and folders are copied. Contains at most
    /// 1,000 paths, relative to the source.
    pub skipped: Vec<PathBuf>,
}

/// The maximum number of paths in [`Copied::skipped`]: a container may have any number of links and devices.
const MAX_SKIPPED_PATHS: usize = 1000;

/// The size in bytes of a record of an archive. [`pack`] pads the last record, because `tar` reads whole records. Without
/// the padding, `tar` would wait for the end of its input: `v4.channel.k8s.io` and some container runtimes do not pass
/// this end on.
const RECORD_BYTES: usize = 20 * 512;

/// Writes an archive of the file or folder `source`. The paths in the archive begin with the component `name`. Links
/// below `source` are archived as links; if `source` itself is a link, its target is archived.
pub(crate) fn pack(source: &Path, name: &str, archive: impl Write) -> io::Result<()> {
    let mut builder = Builder::new(RecordWriter { inner: archive, bytes_in_record: 0 });
    builder.follow_symlinks(false);
    if fs::metadata(source)?.is_dir() {
        builder.append_dir_all(name, source)?;
    } else {
        builder.append_file(name, &mut File::open(source)?)?;
    }
    let mut archive = builder.into_inner()?;
    let rest = archive.bytes_in_record;
    if rest > 0 {
        archive.write_all(&vec![0; RECORD_BYTES - rest])?;
    }
    archive.flush()
}

/// Writes to `inner`, and counts the bytes of the last record.
struct RecordWriter<W> {
    inner: W,
    /// The number of bytes in the last, incomplete record.
    bytes_in_record: usize,
}

impl<W: Write> Write for RecordWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes_in_record = (self.bytes_in_record + written) % RECORD_BYTES;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes the entries of an archive to `target`. The path of each entry must begin with the component `name`, and
/// `target` replaces this component. If `name` is `.`, the paths have no such component.
pub(crate) fn unpack(archive: impl Read, name: &str, target: &Path) -> io::Result<Copied> {
    let mut archive = Archive::new(archive);
    let mut copied = Copied::default();
    let mut has_entry = false;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let relative = relative_path(&path, name)?;
        has_entry = true;
        match entry.header().entry_type() {
            EntryType::Directory => {
                reject_links(target, &relative)?;
                fs::create_dir_all(join(target, &relative))?;
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                reject_links(target, &relative)?;
                let path = join(target, &relative);
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent)?;
                }
                let mut file = File::create(&path)?;
                copied.bytes += io::copy(&mut entry, &mut file)?;
                copied.files += 1;
                set_mode(&file, entry.header().mode().unwrap_or(0o644))?;
            }
            _ if copied.skipped.len() < MAX_SKIPPED_PATHS => copied.skipped.push(relative),
            _ => {}
        }
    }
    // Read the padding after the end of the archive: otherwise the process would wait until it can write the padding.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    if has_entry { Ok(copied) } else { Err(invalid_data_error("the archive is empty".to_owned())) }
}

/// Appends `relative` to `target`. If `relative` is empty, returns `target` itself: `Path::join` would add a separator.
fn join(target: &Path, relative: &Path) -> PathBuf {
    if relative.as_os_str().is_empty() { target.to_owned() } else { target.join(relative) }
}

fn invalid_data_error(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// The part of `path` after its first component `name`, or the whole of `path` if `name` is `.`. A path with another first
/// component, an absolute path, and a path that contains `..` are errors.
fn relative_path(path: &Path, name: &str) -> io::Result<PathBuf> {
    let mut components = path.components().filter(|component| *component != Component::CurDir);
    let path_error = || {
        let path = path.to_string_lossy();
        invalid_data_error(format!("the archive has the path {path:?}, which is not below {name:?}"))
    };
    if name != "." && components.next() != Some(Component::Normal(name.as_ref())) {
        return Err(path_error());
    }
    let mut relative = PathBuf::new();
    for component in components {
        let Component::Normal(part) = component else { return Err(path_error()) };
        relative.push(part);
    }
    Ok(relative)
}

/// Fails if a component of `relative` is a symbolic link below `target`: the link may lead out of `target`.
fn reject_links(target: &Path, relative: &Path) -> io::Result<()> {
    let mut path = target.to_owned();
    for component in relative.components() {
        path.push(component);
        if fs::symlink_metadata(&path).is_ok_and(|meta| meta.file_type().is_symlink()) {
            return Err(invalid_data_error(format!("{} is a link, which is not followed", path.display())));
        }
    }
    Ok(())
}

#[cfg(unix)]
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    // Drop the setuid, setgid and sticky bits.
    file.set_permissions(fs::Permissions::from_mode(mode & 0o777))
}

#[cfg(not(unix))]
fn set_mode(_: &File, _: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tar::Header;

    /// An archive with one entry. Writes `path` into the header without the checks of the `tar` crate.
    fn archive(path: &str, kind: EntryType, content: &[u8]) -> Vec<u8> {
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o4755);
        if kind == EntryType::Symlink {
            header.set_link_name("/etc").unwrap();
        }
        header.set_cksum();
        let mut builder = Builder::new(Vec::new());
        builder.append(&header, content).unwrap();
        builder.into_inner().unwrap()
    }

    #[test]
    fn folders_and_files_survive_the_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        fs::create_dir_all(source.join("a/empty")).unwrap();
        fs::write(source.join("a/file"), "text").unwrap();
        let mut bytes = Vec::new();
        pack(&source, "data", &mut bytes).unwrap();
        assert_eq!(bytes.len() % RECORD_BYTES, 0);
        let target = folder.path().join("target");
        let copied = unpack(&bytes[..], "data", &target).unwrap();
        assert_eq!((copied.files, copied.bytes, copied.skipped.len()), (1, 4, 0));
        assert_eq!(fs::read_to_string(target.join("a/file")).unwrap(), "text");
        assert!(target.join("a/empty").is_dir());
        let mut bytes = Vec::new();
        pack(&source.join("a/file"), "x", &mut bytes).unwrap();
        unpack(&bytes[..], "x", &folder.path().join("copy")).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("copy")).unwrap(), "text");
    }

    #[test]
    fn nothing_is_written_outside_of_the_target() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        for path in ["../evil", "data/../../evil", "/evil", "data/a/../../../evil", "other/evil"] {
            let error = unpack(&archive(path, EntryType::Regular, b"x")[..], "data", &target).unwrap_err();
            assert!(error.to_string().contains("not below"), "{path}: {error}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_neither_created_nor_followed() {
        use std::os::unix::fs::{MetadataExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (target, outside) = (folder.path().join("target"), folder.path().join("outside"));
        fs::create_dir_all(&target).unwrap();
        fs::create_dir_all(&outside).unwrap();
        let copied = unpack(&archive("data/link", EntryType::Symlink, b"")[..], "data", &target).unwrap();
        assert_eq!(copied.skipped, [PathBuf::from("link")]);
        assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
        symlink(&outside, target.join("link")).unwrap();
        let file = archive("data/link/evil", EntryType::Regular, b"x");
        assert!(unpack(&file[..], "data", &target).unwrap_err().to_string().contains("is a link"));
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        unpack(&archive("data/program", EntryType::Regular, b"x")[..], "data", &target).unwrap();
        assert_eq!(fs::metadata(target.join("program")).unwrap().mode() & 0o7777, 0o755);
    }

    #[test]
    fn a_truncated_or_empty_archive_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let whole = archive("data/a", EntryType::Regular, &[7; 2000]);
        assert!(unpack(&whole[..1000], "data", folder.path()).is_err());
        assert!(unpack(&[0; 1024][..], "data", folder.path()).unwrap_err().to_string().contains("empty"));
        assert!(unpack(&b"tar: not found"[..], "data", folder.path()).is_err());
    }
}
