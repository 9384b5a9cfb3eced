//! The sources of the `Authorization` header.

use http::HeaderValue;
use std::time::Duration;
use tokio::time::Instant;

use super::{exec::ExecPlugin, oidc::Oidc, token_file::TokenFile};
use crate::error::Result;

/// The minimum time between two refreshes caused by a 401, for sources that start a process or send a request.
/// Otherwise a source would start a process for each request while the server rejects the credentials.
const REJECTION_PAUSE: Duration = Duration::from_secs(10);
/// Credentials are refreshed this long before they expire, so that they are still valid when the server checks them.
const EXPIRY_MARGIN: Duration = Duration::from_secs(10);

/// The source of a changing `Authorization` header.
#[derive(Debug)]
pub(super) enum Source {
    /// A bearer token in a file that is rewritten when the token is rotated.
    File(TokenFile),
    /// The output of a credential plugin.
    Exec(Box<ExecPlugin>),
    /// A token of an OpenID Connect provider.
    Oidc(Box<Oidc>),
}

/// The result of a refresh.
pub(super) struct Fresh {
    pub(super) header: Option<HeaderValue>,
    /// Whether new connections use another client certificate.
    pub(super) has_new_certificate: bool,
    /// The time of the next refresh. With `None`, only a 401 causes the next refresh.
    pub(super) due: Option<Instant>,
}

impl Fresh {
    /// Credentials that are not refreshed.
    pub(super) fn fixed(header: Option<HeaderValue>) -> Self {
        Self { header, has_new_certificate: false, due: None }
    }

    /// No credentials: the first request causes a refresh.
    pub(super) fn nothing() -> Self {
        Self { header: None, has_new_certificate: false, due: Some(Instant::now()) }
    }
}

impl Source {
    pub(super) async fn refresh(&self) -> Result<Fresh> {
        match self {
            Self::File(file) => file.read().await,
            Self::Exec(plugin) => plugin.run().await,
            Self::Oidc(oidc) => oidc.refresh().await,
        }
    }

    /// The time until the next refresh after a failed one, if requests may use the last header until then. `None` makes
    /// the failure an error of the request.
    pub(super) fn pause_after_failure(&self) -> Option<Duration> {
        match self {
            Self::File(_) => Some(super::token_file::REFRESH_INTERVAL),
            Self::Exec(_) | Self::Oidc(_) => None,
        }
    }

    /// The time limit on a refresh.
    pub(super) fn time_limit(&self) -> Duration {
        match self {
            Self::File(_) => super::token_file::READ_TIMEOUT,
            Self::Exec(plugin) => plugin.time_limit(),
            Self::Oidc(_) => super::oidc::REFRESH_TIMEOUT,
        }
    }

    /// The minimum time between two refreshes caused by a 401.
    pub(super) fn pause_after_rejection(&self) -> Duration {
        match self {
            Self::File(_) => Duration::ZERO,
            Self::Exec(_) | Self::Oidc(_) => REJECTION_PAUSE,
        }
    }
}

/// Converts the time at which credentials expire (wall clock) to the time at which to refresh them: `EXPIRY_MARGIN`
/// earlier, or at the expiry if the credentials remain valid for at most twice this margin.
pub(super) fn due_before(expiry: jiff::Timestamp) -> Instant {
    let remaining = Duration::try_from(expiry.duration_since(jiff::Timestamp::now())).unwrap_or_default();
    let remaining =
        if remaining > EXPIRY_MARGIN * 2 { remaining.saturating_sub(EXPIRY_MARGIN) } else { remaining };
    let now = Instant::now();
    // On overflow of the clock, refresh after a year.
    now.checked_add(remaining).unwrap_or(now + Duration::from_secs(86_400 * 365))
}
