//! Authentication: the layer that adds credentials to requests, and the sources of credentials.
//!
//! `tls` presents client certificates. This module decides when `tls` reads the certificate files again, and passes the
//! certificates of credential plugins to `tls`.

mod credentials;
mod exec;
mod layer;
mod oidc;
mod source;
mod token_file;

pub(super) use credentials::{CertificateReloader, Credentials};
pub(super) use exec::CertificateCallback;
pub use layer::{Auth, AuthLayer};
pub(super) use oidc::{ProviderFetcher, ProviderFetcherBuilder};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;

use crate::{
    config::{AuthInfo, Config},
    error::{Error, Result},
};
use exec::ExecPlugin;
use oidc::Oidc;
use source::{CredentialSource, NewCredentials};
use token_file::TokenFile;

/// Functions of other modules. [`credentials()`] receives these functions from its caller.
pub(super) struct Hooks<'a> {
    /// Called with each new client certificate that a plugin prints.
    pub(super) on_certificate: CertificateCallback,
    /// Reloads the certificate files; `None` if there are no such files.
    pub(super) files: Option<CertificateReloader>,
    /// Builds the function that sends requests to an OpenID Connect provider.
    pub(super) build_fetch: &'a ProviderFetcherBuilder<'a>,
}

/// The credentials of the configuration's user. Reads token and certificate files (blocking). Runs no plugin and sends
/// no request.
pub(super) fn credentials(config: &Config, hooks: Hooks<'_>) -> Result<Credentials> {
    let user = &config.auth_info;
    let fixed = user.token.as_ref().filter(|token| !token.expose_secret().is_empty());
    let file = user.token_file.as_deref().filter(|path| !path.is_empty());
    let name = user.username.as_deref().filter(|name| !name.is_empty());
    if name.is_some() && (fixed.is_some() || file.is_some()) {
        return Err(auth_error("the user has both a token and a username; remove one of them".to_owned()));
    }
    if user.auth_provider.is_some() && user.exec.is_some() {
        return Err(auth_error(
            "the user has both an auth-provider and an exec plugin; remove one of them".to_owned(),
        ));
    }
    let unchanging = |header| (None, NewCredentials::fixed(Some(header)));
    let (source, first) = match (file, fixed, name) {
        (Some(path), fixed, _) => {
            let fallback = fixed.map(|token| bearer_header(token, "token")).transpose()?;
            let (file, first) = TokenFile::open(path.into(), fallback)?;
            (Some(CredentialSource::File(file)), first)
        }
        (None, Some(token), _) => unchanging(bearer_header(token, "token")?),
        (None, None, Some(name)) => unchanging(basic_header(name, user.password.as_ref())?),
        (None, None, None) => match (&user.exec, &user.auth_provider) {
            (Some(exec), _) => {
                let plugin =
                    ExecPlugin::new(exec.clone(), &config.credential_plugin_policy, hooks.on_certificate)?;
                (Some(CredentialSource::Exec(Box::new(plugin))), NewCredentials::missing())
            }
            (None, Some(provider)) => Oidc::source(provider, config, hooks.build_fetch)?,
            (None, None) => (None, NewCredentials::fixed(None)),
        },
    };
    Ok(Credentials::new(source, first, hooks.files))
}

pub(super) fn impersonation_headers(user: &AuthInfo) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let uid = user.impersonate_uid.as_deref().filter(|uid| !uid.is_empty());
    let Some(name) = user.impersonate.as_deref().filter(|name| !name.is_empty()) else {
        let has_other_fields = uid.is_some()
            || user.impersonate_groups.as_ref().is_some_and(|groups| !groups.is_empty())
            || user.impersonate_user_extra.as_ref().is_some_and(|extra| !extra.is_empty());
        if has_other_fields {
            return Err(auth_error(
                "as-uid, as-groups and as-user-extra need `as`: set the user to impersonate".to_owned(),
            ));
        }
        return Ok(headers);
    };
    let mut add = |header: String, value: &str| -> Result<()> {
        let bad = |_| auth_error(format!("`{value}` cannot be sent as {header}"));
        let name =
            HeaderName::try_from(&header).map_err(|_| auth_error(format!("`{header}` is not a header")))?;
        headers.append(name, HeaderValue::from_str(value).map_err(bad)?);
        Ok(())
    };
    add("impersonate-user".to_owned(), name)?;
    if let Some(uid) = uid {
        add("impersonate-uid".to_owned(), uid)?;
    }
    for group in user.impersonate_groups.iter().flatten() {
        add("impersonate-group".to_owned(), group)?;
    }
    let extra: BTreeMap<_, _> = user.impersonate_user_extra.iter().flatten().collect();
    for (key, values) in extra {
        let key = utf8_percent_encode(key, EXTRA_KEY_ENCODE_SET);
        for value in values {
            add(format!("impersonate-extra-{key}").to_ascii_lowercase(), value)?;
        }
    }
    Ok(headers)
}

/// The characters to percent-encode in a key of `as-user-extra`. The key becomes part of a header name, which the API
/// server decodes.
const EXTRA_KEY_ENCODE_SET: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The header value `Bearer TOKEN`. `from` is the source of the token, for error texts.
fn bearer_header(token: &SecretString, from: &str) -> Result<HeaderValue> {
    let token = token.expose_secret().trim();
    if token.is_empty() {
        return Err(auth_error(format!("{from} is empty")));
    }
    sensitive_header(&format!("Bearer {token}"), from)
}

/// The header value `Basic BASE64` (RFC 7617).
fn basic_header(name: &str, password: Option<&SecretString>) -> Result<HeaderValue> {
    let password = password.map_or("", |password| password.expose_secret());
    sensitive_header(&format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))), "username")
}

/// A header value that `Debug` hides. `from` is the source of the value, for error texts.
fn sensitive_header(value: &str, from: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        auth_error(format!("{from} holds characters that cannot be sent; is it another kind of file?"))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The `Proxy-Authorization` value for a user name and a password.
pub(super) fn proxy_authorization(name: &str, password: &str) -> Result<HeaderValue> {
    basic_header(name, Some(&SecretString::from(password))).map(|mut value| {
        value.set_sensitive(true);
        value
    })
}

/// An error about credentials that cannot be used.
fn auth_error(what: String) -> Error {
    Error::Auth { what, source: None }
}

/// The header that contains the credentials of a request.
const AUTHORIZATION: HeaderName = header::AUTHORIZATION;

#[cfg(test)]
mod tests;
