//! A bearer token in a file that is written anew from time to time, as service accounts have it.

use http::HeaderValue;
use secrecy::SecretString;
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout};

use super::bearer;
use crate::error::{Error, Result};

/// After this time a token is read again; Kubernetes asks for at least once a minute.
const FRESH: Duration = Duration::from_secs(50);
/// A file system that takes longer than this to answer is left to itself until the next request.
const READ_LIMIT: Duration = Duration::from_secs(5);

/// A token file and its last good value.
pub(crate) struct TokenFile {
    path: PathBuf,
    last: Mutex<Token>,
    /// Held by the one request that reads the file; the others go on with the last good value.
    reading: tokio::sync::Mutex<()>,
}

struct Token {
    value: HeaderValue,
    read: Instant,
}

impl TokenFile {
    /// Reads the file for the first time, blocking. `fallback` bridges the time until it can be read.
    pub(super) fn open(path: PathBuf, fallback: Option<HeaderValue>) -> Result<Self> {
        let read = std::fs::read_to_string(&path).map(SecretString::from);
        let value = match (understand(&path, read), fallback) {
            (Ok(value), _) => value,
            (Err(error), Some(fallback)) => {
                tracing::warn!(%error, "using the token of the configuration until its tokenFile can be read");
                fallback
            }
            (Err(error), None) => return Err(error),
        };
        let last = Mutex::new(Token { value, read: Instant::now() });
        Ok(Self { path, last, reading: tokio::sync::Mutex::default() })
    }

    /// The present token. At most one request a minute waits for the file.
    pub(super) async fn current(&self) -> HeaderValue {
        let (value, age) = self.last();
        if age >= FRESH
            && let Ok(_reading) = self.reading.try_lock()
        {
            return self.read().await;
        }
        value
    }

    /// Reads the file because the server refused a token; whether there is another one by now.
    pub(super) async fn renew(&self, used: Option<&HeaderValue>) -> bool {
        let _reading = self.reading.lock().await;
        // Another request may have read it meanwhile.
        Some(&self.last().0) != used || Some(&self.read().await) != used
    }

    async fn read(&self) -> HeaderValue {
        let read = match timeout(READ_LIMIT, tokio::fs::read_to_string(&self.path)).await {
            Ok(read) => read.map(SecretString::from),
            Err(late) => Err(late.into()),
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match understand(&self.path, read) {
            Ok(value) => last.value = value,
            Err(error) => tracing::warn!(%error, "going on with the last good token"),
        }
        last.read = Instant::now();
        last.value.clone()
    }

    fn last(&self) -> (HeaderValue, Duration) {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        (last.value.clone(), last.read.elapsed())
    }
}

fn understand(path: &Path, read: std::io::Result<SecretString>) -> Result<HeaderValue> {
    match read {
        Ok(token) => bearer(&token, &format!("the token file {}", path.display())),
        Err(source) => Err(Error::Auth {
            what: format!("cannot read the token file {}", path.display()),
            source: Some(source.into()),
        }),
    }
}

impl fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenFile").field("path", &self.path).finish_non_exhaustive()
    }
}
