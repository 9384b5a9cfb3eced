//! The filter of requests: authentication by `TokenReview` and authorization by `SubjectAccessReview`, with cached
//! verdicts. Only the module `review` may send the reviews.

use super::review::{ReviewError, access_spec, authenticate, authorize};
use super::server::build_response;
use crate::log_limit::LogLimit;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::middleware::Next;
use k8s_openapi::api::authentication::v1::UserInfo;
use kube_client::Client;
use lru::LruCache;
use sha2::{Digest, Sha256};
use std::{
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// The lifetime of a cached verdict on a token.
const TOKEN_TTL: Duration = Duration::from_secs(60);
/// The lifetime of a cached permission.
const ALLOWED_TTL: Duration = Duration::from_secs(300);
/// The lifetime of a cached denial.
const DENIED_TTL: Duration = Duration::from_secs(30);
/// The maximum number of entries of each cache. The least recently used entry is evicted.
const CACHE_CAPACITY: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// Authenticates and authorizes requests.
pub(super) struct AccessFilter {
    client: Client,
    tokens: VerdictCache<Option<Arc<UserInfo>>>,
    accesses: VerdictCache<bool>,
    /// The limit of the warnings about failed reviews.
    log: Mutex<LogLimit>,
}

impl AccessFilter {
    /// A filter that sends its reviews with `client`.
    pub(super) fn new(client: Client) -> Self {
        let log = Mutex::new(LogLimit::new(10, Duration::from_secs(60)));
        Self { client, tokens: VerdictCache::new(), accesses: VerdictCache::new(), log }
    }

    /// Checks that the user of the request's bearer token may use `verb` on `path`. The error is the reason of the
    /// refusal.
    async fn check_access(&self, headers: &HeaderMap, verb: &str, path: &str) -> Result<(), Refusal> {
        let token = bearer_token(headers).ok_or(Refusal::Unauthenticated)?;
        let user = self.find_user(token).await.map_err(Refusal::AuthenticationFailed)?;
        let user = user.ok_or(Refusal::Unauthenticated)?;
        let name = || user.username.clone().unwrap_or_default();
        match self.is_allowed(&user, verb, path).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::Denied(name())),
            Err(error) => Err(Refusal::AuthorizationFailed(name(), error)),
        }
    }

    /// Finds the user of a token, in the cache or by a review. Returns `None` if the API server rejects the token.
    async fn find_user(&self, token: &str) -> Result<Option<Arc<UserInfo>>, ReviewError> {
        let digest = digest(token.as_bytes());
        if let Some(known) = self.tokens.get(&digest) {
            return Ok(known);
        }
        let user = authenticate(&self.client, token).await?.map(Arc::new);
        self.tokens.put(digest, user.clone(), TOKEN_TTL);
        Ok(user)
    }

    /// If a review failed, logs the cause, unless the log has reached its limit.
    fn log_failed_review(&self, refusal: &Refusal) {
        let (user, error) = match refusal {
            Refusal::Unauthenticated | Refusal::Denied(_) => return,
            Refusal::AuthenticationFailed(error) => (None, error),
            Refusal::AuthorizationFailed(user, error) => (Some(user), error),
        };
        let permit = self.log.lock().unwrap_or_else(PoisonError::into_inner).permit_message();
        let Some(suppressed) = permit else { return };
        match user {
            None => tracing::warn!(suppressed, "cannot authenticate a request to the manager: {error}"),
            Some(user) => {
                tracing::warn!(user, suppressed, "cannot authorize a request to the manager: {error}");
            }
        }
    }

    async fn is_allowed(&self, user: &UserInfo, verb: &str, path: &str) -> Result<bool, ReviewError> {
        let spec = access_spec(user, verb, path);
        // The serialization of this type cannot fail.
        let digest = digest(&serde_json::to_vec(&spec).unwrap_or_default());
        if let Some(known) = self.accesses.get(&digest) {
            return Ok(known);
        }
        let is_allowed = authorize(&self.client, spec).await?;
        self.accesses.put(digest, is_allowed, if is_allowed { ALLOWED_TTL } else { DENIED_TTL });
        Ok(is_allowed)
    }
}

impl fmt::Debug for AccessFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessFilter").finish_non_exhaustive()
    }
}

/// Passes a request to its handler if its user has permission; otherwise answers with the refusal.
pub(super) async fn filter_request(
    State(access): State<Arc<AccessFilter>>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let verb = request.method().as_str().to_ascii_lowercase();
    // The check and the router both use the percent-encoded path, so another encoding of a path matches no route.
    match access.check_access(request.headers(), &verb, request.uri().path()).await {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            access.log_failed_review(&refusal);
            refusal.into_response()
        }
    }
}

/// The bearer token of the header `Authorization`; `None` if that header is missing or contains no valid bearer token.
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains(' ')).then_some(token)
}

/// The reason that a request is refused.
enum Refusal {
    Unauthenticated,
    Denied(String),
    AuthenticationFailed(ReviewError),
    AuthorizationFailed(String, ReviewError),
}

impl Refusal {
    /// The answer, with the texts of controller-runtime. Causes are not shown to the client.
    fn into_response(self) -> Response<Body> {
        let (status, text) = match self {
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "Unauthorized".to_owned()),
            Self::Denied(user) => (StatusCode::FORBIDDEN, format!("Authorization denied for user {user}")),
            Self::AuthenticationFailed(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "Authentication failed".to_owned())
            }
            Self::AuthorizationFailed(user, _) => {
                (StatusCode::INTERNAL_SERVER_ERROR, format!("Authorization for user {user} failed"))
            }
        };
        let plain = (CONTENT_TYPE, "text/plain; charset=utf-8");
        let mut response = build_response(status, [plain, (CACHE_CONTROL, "no-store")], text + "\n");
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

type ReviewDigest = [u8; 32];

/// The key of `text` in a cache. The key is a digest: the cache contains no tokens, and its keys have a fixed size.
fn digest(text: &[u8]) -> ReviewDigest {
    Sha256::digest(text).into()
}

/// Verdicts, each with the time at which it expires.
struct VerdictCache<V>(Mutex<LruCache<ReviewDigest, (V, Instant)>>);

impl<V: Clone> VerdictCache<V> {
    fn new() -> Self {
        Self(Mutex::new(LruCache::new(CACHE_CAPACITY)))
    }

    fn get(&self, key: &ReviewDigest) -> Option<V> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(key).filter(|(_, end)| Instant::now() < *end).map(|(verdict, _)| verdict.clone())
    }

    fn put(&self, key: ReviewDigest, verdict: V, ttl: Duration) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.put(key, (verdict, Instant::now() + ttl));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_bearer_token_is_accepted() {
        let token = |value: &str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).unwrap())]);
            bearer_token(&headers).map(str::to_owned)
        };
        assert_eq!(token("Bearer abc.def").as_deref(), Some("abc.def"));
        assert_eq!(token("bearer  abc ").as_deref(), Some("abc"));
        for other in ["Bearer", "Bearer ", "Basic abc", "abc", "Bearer a b"] {
            assert_eq!(token(other), None, "{other}");
        }
        assert_eq!(bearer_token(&HeaderMap::new()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_verdict_expires_and_the_least_recently_used_one_is_evicted() {
        let cache = VerdictCache::new();
        cache.put(digest(b"0"), 0, DENIED_TTL);
        tokio::time::advance(Duration::from_millis(29_999)).await;
        assert_eq!(cache.get(&digest(b"0")), Some(0));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(cache.get(&digest(b"0")), None);
        for number in 0..=CACHE_CAPACITY.get() {
            cache.put(digest(&number.to_le_bytes()), number, TOKEN_TTL);
        }
        assert_eq!(cache.0.lock().unwrap().len(), CACHE_CAPACITY.get());
        assert_eq!(cache.get(&digest(&0_usize.to_le_bytes())), None);
    }
}
