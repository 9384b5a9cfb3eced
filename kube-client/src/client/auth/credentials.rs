//! The credentials of a client. All requests share the current credentials, and a generation number distinguishes
//! successive credentials. At most one task at a time renews the credentials.
//!
//! This module must not depend on formats of credentials or on transports: [`CredentialSource`] obtains a header, and
//! [`CertificateReloader::reload`] replaces certificates.

use http::HeaderValue;
use std::{
    error::Error as StdError,
    fmt,
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    sync::OwnedMutexGuard,
    task::spawn_blocking,
    time::{Instant, timeout},
};
use tracing::Instrument;

use super::source::{CredentialSource, NewCredentials};
use crate::error::{BoxError, Error, Result, Wait};

/// The interval after which a request checks the certificate files again.
///
/// The next request after this interval starts a check, even if the request needs no new connection: an open connection
/// may outlive its client certificate. The check reads a few KiB on another thread. After a 401 or a rejected
/// certificate, the files are checked immediately, regardless of this interval.
const FILE_CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// The time limit on one check of the certificate files. When it expires, the request continues with the certificates in
/// use.
const FILE_CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// The functions that reload the certificate files of a client, and that detect a rejected certificate.
#[derive(Clone)]
pub(crate) struct CertificateReloader {
    /// Reads the files (blocking). If the files have changed, later requests use only new connections, which have the
    /// new certificates. Returns whether the files have changed, and an error if a file cannot be used.
    pub(crate) reload: Arc<dyn Fn() -> (bool, Result<(), BoxError>) + Send + Sync>,
    /// Whether a request failed because the client or the server rejected a certificate in the TLS handshake. The
    /// server has not processed such a request.
    pub(crate) is_certificate_rejected: fn(&Error) -> bool,
}

/// The credentials of a client.
#[derive(Clone)]
pub(crate) enum Credentials {
    /// The same `Authorization` header for each request, or none.
    Fixed(Option<HeaderValue>),
    /// Credentials that change.
    Renewable(Arc<RenewableCredentials>),
}

/// The credentials with which a request is sent.
#[derive(Clone)]
pub(super) struct Snapshot {
    pub(super) header: Option<HeaderValue>,
    /// The value of [`RenewableCredentials::generation`] at the time of the snapshot.
    generation: u64,
}

/// Credentials that change: the header, the certificate files, or both.
pub(crate) struct RenewableCredentials {
    /// `None` if the header does not change.
    source: Option<CredentialSource>,
    files: Option<CertificateReloader>,
    state: Mutex<State>,
    /// Incremented when the header, the client certificate or the trusted authorities change.
    generation: Arc<AtomicU64>,
    /// The lock of the task that renews the credentials.
    renewing: Arc<tokio::sync::Mutex<()>>,
}

/// The header in use, and the results of the last refresh of the header and of the last check of the certificate files.
struct State {
    header: Option<HeaderValue>,
    /// The time at which the header must be refreshed; `None` if it never expires.
    due: Option<Instant>,
    /// The time of the last refresh that was caused by a 401.
    refreshed_after_rejection: Option<Instant>,
    files_checked: Instant,
    /// The error of the last check of the files; `None` if it succeeded. The same error is not logged twice in a row.
    file_error: Option<String>,
    /// The error of the last refresh, if it failed. Not set for a source that keeps its last header after a failure.
    failure: Option<Arc<Error>>,
    /// The number of times that `failure` has been set.
    failures: u64,
}

impl State {
    fn is_header_refresh_due(&self) -> bool {
        self.due.is_some_and(|due| Instant::now() >= due)
    }
}

impl Credentials {
    /// Creates the credentials of a client. Requests use `first` until the first refresh. Without a source, the header
    /// never changes.
    pub(super) fn new(
        source: Option<CredentialSource>,
        first: NewCredentials,
        files: Option<CertificateReloader>,
    ) -> Self {
        if source.is_none() && files.is_none() {
            return Self::Fixed(first.header);
        }
        let state = State {
            header: first.header,
            due: first.due,
            refreshed_after_rejection: None,
            files_checked: Instant::now(),
            file_error: None,
            failure: None,
            failures: 0,
        };
        Self::Renewable(Arc::new(RenewableCredentials {
            source,
            files,
            state: Mutex::new(state),
            generation: Arc::default(),
            renewing: Arc::default(),
        }))
    }

    /// Whether requests may have an `Authorization` header.
    pub(crate) fn may_send_authorization(&self) -> bool {
        match self {
            Self::Fixed(header) => header.is_some(),
            Self::Renewable(renewable) => renewable.source.is_some() || renewable.state().header.is_some(),
        }
    }
}

impl RenewableCredentials {
    /// The credentials for the next request. Refreshes them if they are due.
    ///
    /// # Cancel safety
    /// Cancel safe: a refresh that has started continues in its own task, and later requests use its result.
    pub(super) async fn current_snapshot(self: &Arc<Self>) -> Result<Snapshot> {
        let (header_is_due, failures) = {
            let state = self.state();
            let (header_is_due, file_check_is_due) =
                (state.is_header_refresh_due(), self.is_file_check_due(&state));
            if !header_is_due && !file_check_is_due {
                return Ok(self.snapshot(&state));
            }
            (header_is_due, state.failures)
        };
        // A request that may use the last header does not wait for a renewal that another request has started.
        let may_use_last_header = self.source.as_ref().is_none_or(|source| source.failure_pause().is_some());
        let renewing = if header_is_due && !may_use_last_header {
            self.lock_renewal().await?
        } else {
            match self.renewing.clone().try_lock_owned() {
                Ok(renewing) => renewing,
                Err(_) => return Ok(self.snapshot(&self.state())),
            }
        };
        self.run_in_task(renewing, move |this| async move { this.refresh_if_due(failures).await }).await?;
        Ok(self.snapshot(&self.state()))
    }

    /// Renews the credentials after the server rejected `used` (401), unless another request has renewed them.
    /// Returns newer credentials, or `None` if there are none.
    ///
    /// # Errors
    /// If the source of the header fails, or another renewal does not end within its time limit.
    ///
    /// # Cancel safety
    /// As for [`current_snapshot`](Self::current_snapshot).
    pub(super) async fn renew(self: &Arc<Self>, used: &Snapshot) -> Result<Option<Snapshot>> {
        let renewing = self.lock_renewal().await?;
        if let Some(newer) = self.snapshot_newer_than(used) {
            return Ok(Some(newer));
        }
        let rejected = used.clone();
        self.run_in_task(renewing, move |this| async move { this.refresh_after_rejection(&rejected).await })
            .await?;
        Ok(self.snapshot_newer_than(used))
    }

    /// Reloads the certificate files if a certificate was rejected in the TLS handshake, unless another request has
    /// reloaded them. Returns newer credentials, or `None` if there are none.
    ///
    /// # Cancel safety
    /// As for [`current_snapshot`](Self::current_snapshot).
    pub(super) async fn renew_certificates(
        self: &Arc<Self>,
        used: &Snapshot,
        error: &BoxError,
    ) -> Option<Snapshot> {
        let files = self.files.as_ref()?;
        if !error.downcast_ref().is_some_and(files.is_certificate_rejected) {
            return None;
        }
        let renewing = self.lock_renewal().await.ok()?;
        if self.snapshot_newer_than(used).is_none() {
            let check = |this: Arc<Self>| async move {
                this.check_files().await;
                Ok(())
            };
            self.run_in_task(renewing, check).await.ok()?;
        }
        self.snapshot_newer_than(used)
    }

    /// Waits until no other renewal runs, and returns the lock. The wait has a time limit, because the other
    /// renewal may be a task of a runtime that runs no tasks: a current-thread runtime outside `block_on`.
    async fn lock_renewal(&self) -> Result<OwnedMutexGuard<()>> {
        let limit =
            FILE_CHECK_TIMEOUT + self.source.as_ref().map_or(Duration::ZERO, CredentialSource::time_limit);
        let lock = timeout(limit, self.renewing.clone().lock_owned()).await;
        lock.map_err(|_| Error::Timeout {
            wait: Wait::Credentials,
            after: limit,
            what: "a renewal that another request has started".to_owned(),
        })
    }

    /// Runs a step of a renewal in a task, and waits for the task. A cancelled request does not stop the task:
    /// otherwise the client could lose a refresh token that an OpenID Connect provider has just issued, and a plugin
    /// that takes longer than the request timeout would never finish. The task always ends, because the source and the
    /// check of the files have time limits.
    async fn run_in_task<F>(
        self: &Arc<Self>,
        renewing: OwnedMutexGuard<()>,
        step: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<()>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let step = step(self.clone());
        let task = async move {
            let outcome = step.await;
            drop(renewing);
            outcome
        };
        match tokio::spawn(task.in_current_span()).await {
            Ok(outcome) => outcome,
            Err(error) => Err(Error::Auth {
                what: "the renewal of the credentials was aborted".to_owned(),
                source: Some(error.into()),
            }),
        }
    }

    /// Reloads the certificate files if their check is due, and refreshes the header if it is due. `failures` is the
    /// value of [`State::failures`] when the request began to wait.
    async fn refresh_if_due(&self, failures: u64) -> Result<()> {
        let file_check_is_due = self.is_file_check_due(&self.state());
        if file_check_is_due {
            self.check_files().await;
        }
        let header_is_due = {
            let state = self.state();
            // All requests that waited for the failed refresh get its error: otherwise each of them would wait for a
            // refresh of its own.
            if let Some(failure) = state.failure.as_ref().filter(|_| state.failures != failures) {
                return Err(shared_failure(failure));
            }
            state.is_header_refresh_due()
        };
        match self.source.as_ref().filter(|_| header_is_due) {
            Some(source) => self.refresh_header(source).await,
            None => Ok(()),
        }
    }

    /// Reloads the certificate files, and then refreshes the header. Keeps the header if the credentials now differ from
    /// the rejected ones, or if the last refresh after a 401 ended less than [`CredentialSource::rejection_pause`] ago.
    async fn refresh_after_rejection(&self, rejected: &Snapshot) -> Result<()> {
        self.check_files().await;
        let Some(source) = self.source.as_ref().filter(|_| self.snapshot_newer_than(rejected).is_none())
        else {
            return Ok(());
        };
        let last = self.state().refreshed_after_rejection;
        if last.is_some_and(|at| at.elapsed() < source.rejection_pause()) {
            return Ok(());
        }
        let outcome = self.refresh_header(source).await;
        self.state().refreshed_after_rejection = Some(Instant::now());
        outcome
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot(&self, state: &State) -> Snapshot {
        Snapshot { header: state.header.clone(), generation: self.generation.load(SeqCst) }
    }

    /// The current credentials, if they have changed since `used`.
    fn snapshot_newer_than(&self, used: &Snapshot) -> Option<Snapshot> {
        Some(self.snapshot(&self.state())).filter(|snapshot| snapshot.generation != used.generation)
    }

    fn is_file_check_due(&self, state: &State) -> bool {
        self.files.is_some() && state.files_checked.elapsed() >= FILE_CHECK_INTERVAL
    }

    /// Obtains a new header from the source. If the source fails and has a
    /// [`CredentialSource::failure_pause`], keeps the last header until the next attempt. If the source fails
    /// and has no such pause, returns the error.
    async fn refresh_header(&self, source: &CredentialSource) -> Result<()> {
        let outcome = source.refresh().await;
        let mut state = self.state();
        match (outcome, source.failure_pause()) {
            (Ok(new), _) => {
                if new.header != state.header || new.has_new_certificate {
                    self.generation.fetch_add(1, SeqCst);
                }
                state.header = new.header;
                state.due = new.due;
                state.failure = None;
                Ok(())
            }
            (Err(error), Some(pause)) => {
                tracing::warn!(%error, "using the last good token");
                state.due = Some(Instant::now() + pause);
                Ok(())
            }
            (Err(error), None) => {
                let error = Arc::new(error);
                state.failure = Some(error.clone());
                state.failures += 1;
                Err(shared_failure(&error))
            }
        }
    }

    /// Reloads the certificate files on another thread. Waits for the thread at most [`FILE_CHECK_TIMEOUT`].
    async fn check_files(&self) {
        let Some(files) = &self.files else { return };
        self.state().files_checked = Instant::now();
        // The thread increments the generation, because this function may be cancelled or time out before the end of
        // the reload.
        let (reload, generation) = (files.reload.clone(), self.generation.clone());
        let check = spawn_blocking(move || {
            let (has_changed, outcome) = reload();
            if has_changed {
                generation.fetch_add(1, SeqCst);
                tracing::info!("the files of certificates have changed; new connections use them");
            }
            outcome.err().map(|error| error.to_string())
        });
        let error = match timeout(FILE_CHECK_TIMEOUT, check).await {
            Ok(Ok(error)) => error,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("not read within {FILE_CHECK_TIMEOUT:?}")),
        };
        let mut state = self.state();
        if let Some(error) = &error
            && state.file_error.as_ref() != Some(error)
        {
            tracing::warn!(%error, "cannot use a changed file of a certificate or key; using the last good one");
        }
        state.file_error = error;
    }
}

/// An error with the content of `failure`, for one of the requests that waited for the failed refresh.
fn shared_failure(failure: &Arc<Error>) -> Error {
    match &**failure {
        Error::Timeout { wait, after, what } => {
            Error::Timeout { wait: *wait, after: *after, what: what.clone() }
        }
        Error::Auth { what, source } => {
            let source = source.as_ref().map(|_| SharedCause(failure.clone()).into());
            Error::Auth { what: what.clone(), source }
        }
        other => Error::Auth { what: other.to_string(), source: Some(SharedCause(failure.clone()).into()) },
    }
}

/// The cause ([`StdError::source`]) of an error that several requests share.
#[derive(Debug)]
struct SharedCause(Arc<Error>);

impl SharedCause {
    fn get(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

impl fmt::Display for SharedCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().map_or(Ok(()), |source| fmt::Display::fmt(source, f))
    }
}

impl StdError for SharedCause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.get()?.source()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(header) => f.debug_tuple("Fixed").field(&header.is_some()).finish(),
            Self::Renewable(renewable) => f.debug_tuple("Renewable").field(&renewable.source).finish(),
        }
    }
}
