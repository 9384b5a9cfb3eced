//! Copies files into and out of containers, as `kubectl cp` does.

use super::{Api, AttachParams, Copied, Execute};
#[cfg(doc)]
use crate::Error as KubeError;
use crate::{
    Error, Result,
    streams::{receive_archive, send_archive, split_path},
};
use std::path::Path;

/// The parameters of [`Api::copy_to`] and [`Api::copy_from`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyParams {
    /// The container: see [`AttachParams::container`].
    pub container: Option<String>,
}

impl CopyParams {
    /// Sets the container.
    #[must_use]
    pub fn container<T: Into<String>>(mut self, container: T) -> Self {
        self.container = Some(container.into());
        self
    }

    fn attach_params(&self) -> AttachParams {
        AttachParams { container: self.container.clone(), ..AttachParams::default() }
    }
}

impl<K: Execute> Api<K> {
    /// Copies a local file or folder into a container, with the program `tar` of the container. `target` is the path of
    /// the copy; the folder above it must exist. Existing files are replaced, and folders are merged.
    ///
    /// Symbolic links in a folder are copied as links. If `source` itself is a link, the file or folder behind the link
    /// is copied. The container's `tar` decides on owners and permissions.
    ///
    /// # Errors
    /// As for [`exec`](Api::exec). [`KubeError::Request`] if `target` does not end with a name, the source cannot be
    /// read, or `tar` is missing or fails; the error text contains the message of `tar`. API servers may report success
    /// although `tar` has failed: see [`AttachedProcess::join`](super::AttachedProcess::join).
    ///
    /// # Cancel safety
    /// Dropping the future stops the copy. Some files may already be copied.
    pub async fn copy_to(&self, name: &str, source: &Path, target: &str, cp: &CopyParams) -> Result<()> {
        let (folder, entry) = split_path(target);
        let what = format!("{} to {target} in {} {name}", source.display(), self.kind());
        if entry == "." || entry == ".." {
            let problem = format!("cannot copy {what}: the path of the copy has no name");
            return Err(Error::Request { what: problem, source: None });
        }
        let ap = cp.attach_params().stdin(true).stdout(false);
        let process = self.exec(name, ["tar", "-xmf", "-", "-C", folder], &ap).await?;
        send_archive(process, source, entry, &what).await
    }

    /// Copies a file or folder out of a container, with the program `tar` of the container. `target` is the path of the
    /// copy. Existing files are replaced, and folders are merged.
    ///
    /// The container is not trusted: nothing is written outside of `target`, links and devices are not copied, symbolic
    /// links below `target` are not followed, and the setuid and setgid bits are removed. The size of the copy is not
    /// limited.
    ///
    /// # Errors
    /// As for [`exec`](Api::exec). [`KubeError::Request`] if `tar` is missing or fails (the error text contains its
    /// message), the archive has a path outside of the source, or the copy cannot be written.
    ///
    /// # Cancel safety
    /// Dropping the future stops the copy. Some files may already be copied.
    pub async fn copy_from(
        &self,
        name: &str,
        source: &str,
        target: &Path,
        cp: &CopyParams,
    ) -> Result<Copied> {
        let (folder, entry) = split_path(source);
        let what = format!("{source} in {} {name} to {}", self.kind(), target.display());
        // Without `./`, `tar` would read a name that begins with `-` as an option.
        let path = format!("./{entry}");
        let command = ["tar", "-cf", "-", "-C", folder, &path];
        let process = self.exec(name, command, &cp.attach_params()).await?;
        receive_archive(process, entry, target, &what).await
    }
}
