//! The sources of the `Authorization` header.

use http::HeaderValue;
use std::time::Duration;
use tokio::time::Instant;

use super::{exec::ExecPlugin, oidc::Oidc, token_file::TokenFile};
use crate::error::Result;

/// The minimum time between two refreshes that are each caused by a 401. Only sources that start a process or
/// send a request have this pause. Without this pause, a plugin would run for each request while the server
/// rejects the credentials.
const REJECTION_PAUSE: Duration = Duration::from_secs(10);
/// Credentials are refreshed this long before they expire, so that they are still valid when the server checks them.
/// Credentials with a short validity are refreshed later: see [`refresh_time`].
const EXPIRY_MARGIN: Duration = Duration::from_secs(10);

/// The source of a changing `Authorization` header.
#[derive(Debug)]
pub(super) enum CredentialSource {
    /// A bearer token in a file that is rewritten when the token is rotated.
    File(TokenFile),
    /// The output of a credential plugin.
    Exec(Box<ExecPlugin>),
    /// A token of an OpenID Connect provider.
    Oidc(Box<Oidc>),
}

/// The result of a refresh, or the credentials before the first refresh.
pub(super) struct NewCredentials {
    pub(super) header: Option<HeaderValue>,
    /// Whether the refresh changed the client certificate that new connections use.
    pub(super) has_new_certificate: bool,
    /// The time at which the next refresh is due; `None` if no refresh is scheduled. A 401 may cause an earlier refresh.
    pub(super) due: Option<Instant>,
}

impl NewCredentials {
    /// Credentials that are not refreshed.
    pub(super) fn fixed(header: Option<HeaderValue>) -> Self {
        Self { header, has_new_certificate: false, due: None }
    }

    /// No credentials: the first request causes a refresh.
    pub(super) fn missing() -> Self {
        Self { header: None, has_new_certificate: false, due: Some(Instant::now()) }
    }
}

impl CredentialSource {
    pub(super) async fn refresh(&self) -> Result<NewCredentials> {
        match self {
            Self::File(file) => file.read().await,
            Self::Exec(plugin) => plugin.run().await,
            Self::Oidc(oidc) => oidc.refresh().await,
        }
    }

    /// The time from a failed refresh to the next attempt. Until then, requests use the last header. With `None`, a
    /// request fails if its refresh fails.
    pub(super) fn failure_pause(&self) -> Option<Duration> {
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

    /// The minimum time between two refreshes that are each caused by a 401.
    pub(super) fn rejection_pause(&self) -> Duration {
        match self {
            Self::File(_) => Duration::ZERO,
            Self::Exec(_) | Self::Oidc(_) => REJECTION_PAUSE,
        }
    }
}

/// The time at which to refresh credentials that expire at `expiry`: `EXPIRY_MARGIN` earlier. If the credentials remain
/// valid for at most twice this margin, they are refreshed at `expiry`.
pub(super) fn refresh_time(expiry: jiff::Timestamp) -> Instant {
    let remaining = Duration::try_from(expiry.duration_since(jiff::Timestamp::now())).unwrap_or_default();
    let remaining =
        if remaining > EXPIRY_MARGIN * 2 { remaining.saturating_sub(EXPIRY_MARGIN) } else { remaining };
    let now = Instant::now();
    // On overflow of the clock, refresh after a year.
    now.checked_add(remaining).unwrap_or(now + Duration::from_secs(86_400 * 365))
}
