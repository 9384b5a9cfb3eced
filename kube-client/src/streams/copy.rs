//! Copies files through the standard streams of `tar` in a container.

use std::{
    future::Future,
    io::{self, Read, Write},
    path::Path,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::Handle,
    task::spawn_blocking,
};

use super::{
    archive::{Copied, pack, unpack},
    inbound::ProcessOutput,
    outbound::ProcessInput,
    process::AttachedProcess,
};
use crate::error::{Error, Result};

/// The maximum number of bytes of `tar`'s standard error that an error message contains.
const MAX_ERROR_BYTES: u64 = 4 << 10;

/// Blocking access to an asynchronous stream, for the thread that packs or unpacks an archive. After the end of the
/// connection, reads and writes no longer wait, so the thread ends.
struct BlockingStream<T> {
    stream: T,
    runtime: Handle,
    /// Whether a write has failed. Reads do not set this.
    has_failed_write: bool,
}

impl<T> BlockingStream<T> {
    fn new(stream: T) -> Self {
        Self { stream, runtime: Handle::current(), has_failed_write: false }
    }
}

impl Read for BlockingStream<ProcessOutput> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.runtime.block_on(self.stream.read(bytes))
    }
}

impl Write for BlockingStream<ProcessInput> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.runtime.block_on(self.stream.write(bytes));
        self.has_failed_write |= written.is_err();
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The reason that a thread has not packed or unpacked an archive.
enum TransferError {
    /// The stream failed, or the archive could not be unpacked. The cause may be an error of `tar`: wait for `tar`.
    AwaitTar(io::Error),
    /// A local file could not be packed. Do not wait for `tar`, which may wait for the rest of the archive.
    SourceFile(io::Error),
}

/// Splits the path of a file in a container. Returns the folder that `tar` changes to, and the name in this folder.
pub(crate) fn split_path(path: &str) -> (&str, &str) {
    let path = path.trim_end_matches('/');
    match path.rsplit_once('/') {
        _ if path.is_empty() => ("/", "."),
        Some(("", name)) => ("/", name),
        Some((folder, name)) => (folder, name),
        None => (".", path),
    }
}

/// Sends an archive of `source` to `tar x`, which unpacks it as `name`.
pub(crate) async fn send_archive(
    mut process: AttachedProcess,
    source: &Path,
    name: &str,
    what: &str,
) -> Result<()> {
    let Some(mut input) = process.stdin().map(BlockingStream::new) else { return Ok(()) };
    let (source, name) = (source.to_owned(), name.to_owned());
    let packed = spawn_blocking(move || {
        match pack(&source, &name, &mut input) {
            Err(error) if input.has_failed_write => return Err(TransferError::AwaitTar(error)),
            Err(error) => return Err(TransferError::SourceFile(error)),
            Ok(()) => {}
        }
        // With v4.channel.k8s.io, `shutdown` fails with `Unsupported`. `tar` then stops at the end of the archive.
        match input.runtime.block_on(input.stream.shutdown()) {
            Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(TransferError::AwaitTar(error)),
            _ => Ok(input),
        }
    });
    // `packed` returns the input, so that `finish_copy` drops the input only after the process has ended.
    finish_copy(process, packed, what).await.map(|_| ())
}

/// Receives an archive from `tar c`, and unpacks its entry `name` as `target`.
pub(crate) async fn receive_archive(
    mut process: AttachedProcess,
    name: &str,
    target: &Path,
    what: &str,
) -> Result<Copied> {
    let Some(output) = process.stdout().map(BlockingStream::new) else { return Ok(Copied::default()) };
    let (target, name) = (target.to_owned(), name.to_owned());
    let unpacked = spawn_blocking(move || unpack(output, &name, &target).map_err(TransferError::AwaitTar));
    finish_copy(process, unpacked, what).await
}

/// Waits for `tar` in the container, and for the local thread that packs or unpacks the archive. If both fail,
/// returns the error of `tar`, because this error usually caused the failure of the thread.
///
/// If a local file cannot be packed, this function closes the connection and returns the error of the file.
/// In this case, it does not wait for `tar`. With v4.channel.k8s.io, which cannot close the standard input,
/// `tar` would wait for the rest of the archive.
async fn finish_copy<T>(
    mut process: AttachedProcess,
    transfer: impl Future<Output = Result<Result<T, TransferError>, tokio::task::JoinError>>,
    what: &str,
) -> Result<T> {
    let stderr = process.stderr();
    let text = async {
        let mut text = Vec::new();
        if let Some(stderr) = stderr {
            let mut start = stderr.take(MAX_ERROR_BYTES);
            let _ = start.read_to_end(&mut text).await;
            let _ = tokio::io::copy(&mut start.into_inner(), &mut tokio::io::sink()).await;
        }
        String::from_utf8_lossy(&text).trim().to_owned()
    };
    let failed =
        |problem: &str, source| Error::Request { what: format!("cannot copy {what}{problem}"), source };
    let transfer = async {
        match transfer.await {
            Ok(Ok(transferred)) => Ok(Ok(transferred)),
            Ok(Err(TransferError::AwaitTar(error))) => Ok(Err(error)),
            Ok(Err(TransferError::SourceFile(error))) => Err(error),
            // The blocking task was cancelled or has panicked.
            Err(error) => Err(io::Error::other(error)),
        }
    };
    let text = async { Ok(text.await) };
    let (transferred, text) = futures::future::try_join(transfer, text)
        .await
        .map_err(|error: io::Error| failed("", Some(error.into())))?;
    let joined = process.join().await;
    match (joined, transferred) {
        (Err(error @ Error::Api(_)), _) => {
            let problem = if text.is_empty() { String::new() } else { format!(": {text}") };
            Err(failed(&problem, Some(error.into())))
        }
        (Err(error), _) => Err(error),
        (Ok(()), Err(error)) => Err(failed("", Some(error.into()))),
        (Ok(()), Ok(copied)) => Ok(copied),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_split_into_a_folder_and_a_name() {
        for (path, expected) in [
            ("/", ("/", ".")),
            ("", ("/", ".")),
            ("/a", ("/", "a")),
            ("/a/b//", ("/a", "b")),
            ("a", (".", "a")),
            ("a/b", ("a", "b")),
        ] {
            assert_eq!(split_path(path), expected, "{path}");
        }
    }
}
