//! A bearer token in a file, such as a projected service account token, which the kubelet rotates.

use http::HeaderValue;
use secrecy::SecretString;
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout};

use super::bearer_header;
use crate::error::{Error, Result};

/// The age at which a token is read again. Kubernetes requires clients to reread projected tokens at least once a
/// minute.
const TOKEN_REFRESH_INTERVAL: Duration = Duration::from_secs(50);
/// The time limit on reading the file. On a timeout the last good token is used, and the file is read again after the
/// refresh interval.
const TOKEN_READ_TIMEOUT: Duration = Duration::from_secs(5);

/// A token file and its last good token.
pub(crate) struct TokenFile {
    path: PathBuf,
    last: Mutex<Token>,
    /// Held by the request that reads the file. Concurrent requests use the last good token.
    reading: tokio::sync::Mutex<()>,
}

/// A token and the time of the last attempt to read it.
struct Token {
    value: HeaderValue,
    read: Instant,
}

impl TokenFile {
    /// Reads the file for the first time; blocks. `fallback` is used until the file can be read.
    pub(super) fn open(path: PathBuf, fallback: Option<HeaderValue>) -> Result<Self> {
        let read = std::fs::read_to_string(&path).map(SecretString::from);
        let value = match (parse_token(&path, read), fallback) {
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

    /// The token for the next request. At most one request per refresh interval waits for the file.
    pub(super) async fn current(&self) -> HeaderValue {
        let (value, age) = self.last_token();
        if age >= TOKEN_REFRESH_INTERVAL
            && let Ok(_reading) = self.reading.try_lock()
        {
            return self.read_file().await;
        }
        value
    }

    /// Reads the file after the server rejected the token `used`. Returns whether the token now differs from `used`.
    pub(super) async fn renew(&self, used: Option<&HeaderValue>) -> bool {
        let _reading = self.reading.lock().await;
        // A concurrent request may have read a new token already.
        Some(&self.last_token().0) != used || Some(&self.read_file().await) != used
    }

    /// Reads the file. Returns the last good token if that fails.
    async fn read_file(&self) -> HeaderValue {
        let read = match timeout(TOKEN_READ_TIMEOUT, tokio::fs::read_to_string(&self.path)).await {
            Ok(read) => read.map(SecretString::from),
            Err(elapsed) => Err(elapsed.into()),
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match parse_token(&self.path, read) {
            Ok(value) => last.value = value,
            Err(error) => tracing::warn!(%error, "using the last good token"),
        }
        last.read = Instant::now();
        last.value.clone()
    }

    /// The last good token, and the time since the last attempt to read the file.
    fn last_token(&self) -> (HeaderValue, Duration) {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        (last.value.clone(), last.read.elapsed())
    }
}

/// Converts the result of reading the file to a header value.
fn parse_token(path: &Path, read: std::io::Result<SecretString>) -> Result<HeaderValue> {
    match read {
        Ok(token) => bearer_header(&token, &format!("the token file {}", path.display())),
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
