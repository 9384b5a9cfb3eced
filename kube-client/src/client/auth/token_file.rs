//! A bearer token in a file, such as a projected service account token, which the kubelet rotates.

use http::HeaderValue;
use secrecy::SecretString;
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::Mutex,
    task::spawn_blocking,
    time::{Instant, timeout},
};

use super::{bearer_header, source::NewCredentials};
use crate::error::{Error, Result};

/// The time after which the file is read again: less than a minute, as in client-go.
pub(super) const REFRESH_INTERVAL: Duration = Duration::from_secs(50);
/// The time limit on reading the file again; the first read has no limit. After a timeout, requests use the last good
/// token, and the file is read again after the refresh interval.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct TokenFile {
    path: PathBuf,
    /// Locked while a thread reads the file.
    reading: Arc<Mutex<()>>,
}

impl TokenFile {
    /// Reads the file for the first time; blocks. `fallback` is used until the file can be read.
    pub(super) fn open(path: PathBuf, fallback: Option<HeaderValue>) -> Result<(Self, NewCredentials)> {
        let read = std::fs::read_to_string(&path).map(SecretString::from);
        let value = match (parse_token(&path, read), fallback) {
            (Ok(value), _) => value,
            (Err(error), Some(fallback)) => {
                tracing::warn!(%error, "using the token of the configuration until its tokenFile can be read");
                fallback
            }
            (Err(error), None) => return Err(error),
        };
        Ok((Self { path, reading: Arc::default() }, credentials_of_token(value)))
    }

    pub(super) async fn read(&self) -> Result<NewCredentials> {
        let read = async {
            // If the file system does not respond, the thread that reads the file stays blocked after the
            // timeout. The thread holds the lock, so that further reads do not block more threads.
            let lock = self.reading.clone().lock_owned().await;
            let path = self.path.clone();
            let read = spawn_blocking(move || {
                let read = std::fs::read_to_string(path);
                drop(lock);
                read
            });
            read.await.unwrap_or_else(|error| Err(io::Error::other(error)))
        };
        let read = match timeout(READ_TIMEOUT, read).await {
            Ok(read) => read.map(SecretString::from),
            Err(elapsed) => Err(elapsed.into()),
        };
        parse_token(&self.path, read).map(credentials_of_token)
    }
}

fn credentials_of_token(value: HeaderValue) -> NewCredentials {
    NewCredentials {
        header: Some(value),
        has_new_certificate: false,
        due: Some(Instant::now() + REFRESH_INTERVAL),
    }
}

/// Converts the result of reading the file to a header value.
fn parse_token(path: &Path, read: io::Result<SecretString>) -> Result<HeaderValue> {
    match read {
        Ok(token) => bearer_header(&token, &format!("the token file {}", path.display())),
        Err(source) => Err(Error::Auth {
            what: format!("cannot read the token file {}", path.display()),
            source: Some(source.into()),
        }),
    }
}
