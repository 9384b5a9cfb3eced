//! The auth provider `oidc`: obtains bearer tokens from an OpenID Connect provider, with a refresh token.
//!
//! The settings are those of kubectl. No token appears in an error, a log or `Debug`. This module must not open
//! connections: the caller passes a function that sends requests ([`ProviderFetcher`]).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::BoxFuture;
use http::{Request, Response, Uri, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{task::spawn_blocking, time::timeout};

use super::{
    auth_error, basic_header, bearer_header,
    source::{CredentialSource, NewCredentials, refresh_time},
};
use crate::{
    client::body::Body,
    config::{AuthProviderConfig, Config, UserOrigin, is_loopback, read_authorities},
    error::{BoxError, Error, Result, Wait},
};

/// A function that sends a request to the OpenID Connect provider.
pub(crate) type ProviderFetcher =
    Box<dyn Fn(Request<Body>) -> BoxFuture<'static, Result<Response<Body>, BoxError>> + Send + Sync>;
/// Builds a [`ProviderFetcher`] for the provider's address. Its connections trust the given authorities (DER). With
/// `None`, they trust the system's CA bundle.
pub(crate) type ProviderFetcherBuilder<'a> = dyn Fn(&Uri, Option<&[Vec<u8>]>) -> Result<ProviderFetcher> + 'a;

/// The time limit on a refresh, for all its requests together.
pub(super) const REFRESH_TIMEOUT: Duration = Duration::from_secs(60);
/// The maximum size in bytes of a response of the provider.
const MAX_RESPONSE_BYTES: usize = 1 << 20;

// The names of the provider's settings in the kubeconfig.
const ISSUER: &str = "idp-issuer-url";
const CLIENT_ID: &str = "client-id";
const CLIENT_SECRET: &str = "client-secret";
const REFRESH_TOKEN: &str = "refresh-token";
const ID_TOKEN: &str = "id-token";
const AUTHORITY: &str = "idp-certificate-authority";
const AUTHORITY_DATA: &str = "idp-certificate-authority-data";

/// A user of an OpenID Connect provider.
pub(crate) struct Oidc {
    issuer: String,
    client_id: String,
    client_secret: SecretString,
    fetch: ProviderFetcher,
    /// The user's entry in the kubeconfig files, to which new tokens are written; `None` if the user is not from a
    /// file.
    origin: Option<UserOrigin>,
    /// [`Config::allow_insecure_auth`].
    allows_plain_http: bool,
    state: Mutex<ProviderState>,
}

/// The current refresh token, and cached properties of the provider.
struct ProviderState {
    refresh_token: SecretString,
    token_endpoint: Option<Uri>,
    /// The part of a token request in which the provider accepts the client secret; `None` before the first successful
    /// refresh.
    secret_place: Option<SecretPlace>,
}

/// The part of a token request that contains the client secret (RFC 6749, section 2.3.1). Providers accept one or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SecretPlace {
    Header,
    Body,
}

impl Oidc {
    /// Returns the credential source of a user with this auth provider, and the credentials before the first
    /// refresh. The source is `None` if there is no refresh token.
    pub(super) fn source(
        provider: &AuthProviderConfig,
        config: &Config,
        build_fetch: &ProviderFetcherBuilder<'_>,
    ) -> Result<(Option<CredentialSource>, NewCredentials)> {
        if provider.name != "oidc" {
            return Err(auth_error(format!(
                "the auth-provider `{}` is not supported, but `oidc` is: Kubernetes has replaced the others by exec \
                 plugins; use an exec plugin or a token",
                provider.name
            )));
        }
        let setting = |name| provider.config.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let token = setting(ID_TOKEN).map(SecretString::from);
        let Some(refresh_token) = setting(REFRESH_TOKEN) else {
            let Some(token) = token else {
                return Err(auth_error(format!(
                    "the auth-provider `oidc` needs {ID_TOKEN} or {REFRESH_TOKEN}"
                )));
            };
            // Without a refresh token, the client uses the ID token even after its expiry; the server then rejects it.
            return Ok((None, NewCredentials::fixed(Some(bearer_header(&token, ID_TOKEN)?))));
        };
        let need = |name| {
            setting(name).ok_or_else(|| {
                auth_error(format!("the auth-provider `oidc` needs {name} to refresh its token"))
            })
        };
        let issuer = need(ISSUER)?;
        let address: Uri = issuer.parse().map_err(|error: http::uri::InvalidUri| Error::Auth {
            what: format!("{ISSUER} of the auth-provider `oidc` is not an address"),
            source: Some(error.into()),
        })?;
        let authorities =
            read_authorities(setting(AUTHORITY_DATA), setting(AUTHORITY)).map_err(|error| Error::Auth {
                what: format!("cannot use {AUTHORITY} of the auth-provider `oidc`"),
                source: Some(error.into()),
            })?;
        let oidc = Self {
            issuer: issuer.trim_end_matches('/').to_owned(),
            client_id: need(CLIENT_ID)?.to_owned(),
            client_secret: setting(CLIENT_SECRET).unwrap_or_default().into(),
            fetch: build_fetch(&address, authorities.as_deref())?,
            origin: config.user_origin(),
            allows_plain_http: config.allow_insecure_auth,
            state: Mutex::new(ProviderState {
                refresh_token: refresh_token.into(),
                token_endpoint: None,
                secret_place: None,
            }),
        };
        oidc.check_address(&address, ISSUER)?;
        let first = match token {
            Some(token) => oidc.credentials_of_token(&token)?,
            None => NewCredentials::missing(),
        };
        Ok((Some(CredentialSource::Oidc(Box::new(oidc))), first))
    }

    /// Obtains a new token from the provider, and writes it to the kubeconfig.
    pub(super) async fn refresh(&self) -> Result<NewCredentials> {
        let what = format!("the OpenID Connect provider {}", self.issuer);
        let answer = timeout(REFRESH_TIMEOUT, self.request_token()).await;
        let answer = answer.map_err(|_| Error::Timeout {
            wait: Wait::Credentials,
            after: REFRESH_TIMEOUT,
            what,
        })??;
        // Store the new refresh token before any other step can fail: the provider may no longer accept the previous
        // one.
        let mut changes = Vec::new();
        if let Some(next) = answer.refresh_token.filter(|token| !token.expose_secret().is_empty()) {
            self.state().refresh_token = next.clone();
            changes.push((REFRESH_TOKEN, next));
        }
        let credentials = match &answer.id_token {
            Some(token) => self.credentials_of_token(token),
            None => Err(self.provider_error(
                "returned no id_token for the refresh token: request the scope `openid` at login, or use a provider \
                 that returns one",
                None,
            )),
        };
        changes.extend(answer.id_token.filter(|_| credentials.is_ok()).map(|token| (ID_TOKEN, token)));
        self.write_tokens(changes).await;
        credentials
    }

    /// Writes new tokens to the kubeconfig. A failure is only logged.
    async fn write_tokens(&self, changes: Vec<(&'static str, SecretString)>) {
        let Some(origin) = self.origin.clone().filter(|_| !changes.is_empty()) else { return };
        let written = spawn_blocking(move || origin.write_auth_provider_settings(&changes)).await;
        let error = match written {
            Ok(written) => written.err().map(BoxError::from),
            Err(error) => Some(error.into()),
        };
        if let Some(error) = error {
            tracing::warn!(error, "the new tokens of the auth-provider are not written to the kubeconfig");
        }
    }

    /// The header for a token, and when to refresh the token.
    fn credentials_of_token(&self, token: &SecretString) -> Result<NewCredentials> {
        let expiry = expiry(token.expose_secret()).ok_or_else(|| {
            self.provider_error("issued an id_token that is no JWT with a time of expiry `exp`", None)
        })?;
        let header = Some(bearer_header(token, ID_TOKEN)?);
        Ok(NewCredentials { header, has_new_certificate: false, due: Some(refresh_time(expiry)) })
    }

    /// Obtains new tokens with the refresh token (RFC 6749, section 6).
    async fn request_token(&self) -> Result<TokenResponse> {
        let endpoint = self.find_token_endpoint().await?;
        let known = self.state().secret_place;
        let places: &[SecretPlace] = match known {
            Some(SecretPlace::Header) => &[SecretPlace::Header],
            Some(SecretPlace::Body) => &[SecretPlace::Body],
            None if self.client_secret.expose_secret().is_empty() => &[SecretPlace::Body],
            None => &[SecretPlace::Header, SecretPlace::Body],
        };
        let mut refused = None;
        for place in places {
            let (status, body) = self.send(self.build_token_request(&endpoint, *place)?).await?;
            if status.is_success() {
                self.state().secret_place = Some(*place);
                return serde_json::from_slice(&body).map_err(|error| {
                    self.provider_error(
                        "sent a token response that is not valid",
                        Some(error_position(&error)),
                    )
                });
            }
            let code = serde_json::from_slice::<Refusal>(&body)
                .ok()
                .map(|refusal| refusal.code_suffix())
                .unwrap_or_default();
            refused = Some(format!("refused the refresh token with {status}{code}: log in again"));
        }
        Err(self.provider_error(&refused.unwrap_or_default(), None))
    }

    fn build_token_request(&self, endpoint: &Uri, secret_place: SecretPlace) -> Result<Request<Body>> {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.append_pair("grant_type", "refresh_token");
        body.append_pair("refresh_token", self.state().refresh_token.expose_secret());
        let mut request = Request::post(endpoint)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json");
        match secret_place {
            SecretPlace::Header => {
                let encode =
                    |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let secret = SecretString::from(encode(self.client_secret.expose_secret()));
                request = request
                    .header(header::AUTHORIZATION, basic_header(&encode(&self.client_id), Some(&secret))?);
            }
            SecretPlace::Body => {
                body.append_pair("client_id", &self.client_id);
                if !self.client_secret.expose_secret().is_empty() {
                    body.append_pair("client_secret", self.client_secret.expose_secret());
                }
            }
        }
        request.body(Body::from(body.finish().into_bytes())).map_err(|error| {
            self.provider_error("has a token endpoint that is not valid", Some(error.into()))
        })
    }

    /// Returns the address of the provider's token endpoint. The first call requests it from the provider (OpenID
    /// Connect Discovery 1.0, section 4).
    async fn find_token_endpoint(&self) -> Result<Uri> {
        let known = self.state().token_endpoint.clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let request = Request::get(format!("{}/.well-known/openid-configuration", self.issuer))
            .header(header::ACCEPT, "application/json")
            .body(Body::empty())
            .map_err(|error| self.provider_error("has an address that is not valid", Some(error.into())))?;
        let (status, body) = self.send(request).await?;
        if !status.is_success() {
            return Err(
                self.provider_error(&format!("answered with {status} to the request for its metadata"), None)
            );
        }
        let metadata: ProviderMetadata = serde_json::from_slice(&body).map_err(|error| {
            self.provider_error("sent metadata that is not valid", Some(error_position(&error)))
        })?;
        let endpoint: Uri = metadata
            .token_endpoint
            .parse()
            .map_err(|_| self.provider_error("has a token_endpoint that is not an address", None))?;
        self.check_address(&endpoint, "its token_endpoint")?;
        self.state().token_endpoint = Some(endpoint.clone());
        Ok(endpoint)
    }

    async fn send(&self, request: Request<Body>) -> Result<(http::StatusCode, bytes::Bytes)> {
        let sent = (self.fetch)(request).await;
        let response = sent.map_err(|error| self.provider_error("cannot be reached", Some(error)))?;
        let status = response.status();
        let body = response.into_body().collect_bytes_up_to(MAX_RESPONSE_BYTES).await;
        let body = body.map_err(|error| {
            self.provider_error("sent a response that cannot be read", Some(error.into()))
        })?;
        Ok((status, body))
    }

    /// Checks an address of the provider: the issuer or the token endpoint. The address must have a host and the
    /// scheme `https`. The scheme `http` is allowed for a loopback address, or with
    /// [`Config::allow_insecure_auth`]. `what` names the address in the error text.
    ///
    /// The requests to the token endpoint contain the client secret and the refresh token. The issuer must also be
    /// secure, because its response contains the address of the token endpoint.
    fn check_address(&self, address: &Uri, what: &str) -> Result<()> {
        let is_secure = match address.scheme_str() {
            Some("https") => true,
            Some("http") => self.allows_plain_http || is_loopback(address),
            _ => false,
        };
        if !is_secure || address.host().is_none() {
            return Err(
                self.provider_error(&format!("cannot be used: {what} must begin with https://"), None)
            );
        }
        Ok(())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, ProviderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An error about the provider. `what` completes a sentence whose subject is the provider.
    fn provider_error(&self, what: &str, source: Option<BoxError>) -> Error {
        Error::Auth { what: format!("the OpenID Connect provider {} {what}", self.issuer), source }
    }
}

impl fmt::Debug for Oidc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oidc")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// The position of a JSON error, in place of the error itself, whose text may quote a token.
fn error_position(error: &serde_json::Error) -> BoxError {
    format!("at line {} column {}", error.line(), error.column()).into()
}

/// The expiry of a JWT (RFC 7519); `None` if `token` is not a JWT with an expiry. Does not verify the signature: the API
/// server verifies it.
fn expiry(token: &str) -> Option<jiff::Timestamp> {
    let mut parts = token.trim().split('.');
    let (payload, signature) = (parts.nth(1)?, parts.next()?);
    if parts.next().is_some() || signature.is_empty() {
        return None;
    }
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    // `exp` may have a fraction (`NumericDate` of RFC 7519).
    #[expect(
        clippy::cast_possible_truncation,
        reason = "an `as` cast saturates, and the range is checked below"
    )]
    let seconds = claims.exp.floor() as i64;
    let nearest = if seconds < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    Some(jiff::Timestamp::from_second(seconds).unwrap_or(nearest))
}

#[derive(Deserialize)]
struct Claims {
    exp: f64,
}

#[derive(Deserialize)]
struct ProviderMetadata {
    token_endpoint: String,
}

#[derive(Deserialize)]
struct TokenResponse {
    id_token: Option<SecretString>,
    refresh_token: Option<SecretString>,
}

/// An error response (RFC 6749, section 5.2).
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Refusal {
    /// A space and `error` in parentheses; empty if `error` has more than 64 bytes, or other characters than lower-case
    /// letters and underscores.
    fn code_suffix(&self) -> String {
        let is_code = self.error.len() <= 64
            && self.error.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if is_code { format!(" ({})", self.error) } else { String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_out_of_range_is_clamped() {
        let expiry_of = |seconds: &str| {
            let payload = URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{seconds}}}"#));
            expiry(&format!("e30.{payload}.c2ln"))
        };
        assert_eq!(expiry_of("1e300"), Some(jiff::Timestamp::MAX));
        assert_eq!(expiry_of("-1e300"), Some(jiff::Timestamp::MIN));
        assert_eq!(expiry_of("1.9"), jiff::Timestamp::from_second(1).ok());
    }
}
