//! Determines the user of a request from its credentials and its headers for impersonation.

use http::header::{self, HeaderMap};
use percent_encoding::percent_decode_str;

use super::service::header_text;
use crate::handler::authorization::check;
use crate::handler::service_account_token::{API_AUDIENCE, authenticate};
use crate::rbac::{Access, ResourceAccess};
use crate::shared_state::Inner;
use crate::status::SimError;
use crate::user::{User, service_account_parts};

/// The caller that an HTTPS listener identifies by the credentials of a request. The listener inserts this value into the
/// extensions of the request.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    Anonymous,
    /// The certificate of the client is not valid, and the request has no bearer token.
    Unknown,
    /// A bearer token: the token of a service account, or an invalid token.
    Token(String),
    User(User),
}

/// The bearer token in the headers of a request; `None` if the request has no bearer token.
pub(super) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = header_text(headers, &header::AUTHORIZATION).split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The user of a request, or the user that the request impersonates. Only a request that an HTTPS listener receives has a
/// `caller`. Any other request comes from the administrator, or from the service account of the bearer token.
///
/// # Errors
/// 401 for invalid credentials, and for missing credentials if RBAC is disabled and the path is not public; 403 for an
/// impersonation that the roles do not grant; 500 for the impersonation of groups, a uid or extra fields without a user.
pub(super) fn user_of_request(
    inner: &Inner,
    caller: Option<&Caller>,
    headers: &HeaderMap,
    path: &str,
) -> Result<User, SimError> {
    let user = match (caller, bearer_token(headers)) {
        (Some(Caller::User(user)), _) => user.clone(),
        (Some(Caller::Token(token)), _) => service_account_user(inner, token)?,
        (Some(Caller::Anonymous), _) if inner.settings.rbac || is_public(path) => User::anonymous(),
        (Some(Caller::Anonymous | Caller::Unknown), _) => return Err(SimError::unauthorized()),
        (None, Some(token)) => service_account_user(inner, token)?,
        (None, None) => User::administrator("system:admin"),
    };
    match impersonated_user(headers, path)? {
        Some(other) => check_impersonation(inner, &user, &other).map(|()| other),
        None => Ok(user),
    }
}

/// Verifies the token of a service account, and returns the service account as a user.
fn service_account_user(inner: &Inner, token: &str) -> Result<User, SimError> {
    let authenticated = authenticate(inner, token, vec![API_AUDIENCE.to_owned()]);
    authenticated.map(|(user, _)| user).map_err(|_| SimError::unauthorized())
}

/// Whether requests for this path need no credentials. In a cluster, the role `system:public-info-viewer` permits
/// requests without credentials for the same paths.
fn is_public(path: &str) -> bool {
    matches!(path, "/healthz" | "/livez" | "/readyz" | "/version" | "/version/")
}

/// The user in the headers `Impersonate-*`; `None` if the request has no such headers.
fn impersonated_user(headers: &HeaderMap, path: &str) -> Result<Option<User>, SimError> {
    let all = |name: &str| -> Vec<String> {
        headers.get_all(name).iter().filter_map(|value| Some(value.to_str().ok()?.to_owned())).collect()
    };
    let (mut groups, uid) = (all("impersonate-group"), all("impersonate-uid"));
    let extra = headers.keys().filter_map(|name| {
        let key = name.as_str().strip_prefix("impersonate-extra-")?;
        Some((percent_decode_str(key).decode_utf8_lossy().into_owned(), all(name.as_str())))
    });
    let extra: std::collections::BTreeMap<_, _> = extra.collect();
    let Some(name) = all("impersonate-user").into_iter().next() else {
        if groups.is_empty() && uid.is_empty() && extra.is_empty() {
            return Ok(None);
        }
        let why = format!("{path:?}: impersonation of groups, a uid or extra fields without a user");
        return Err(SimError::internal(why));
    };
    if groups.is_empty()
        && let Some((namespace, account)) = service_account_parts(&name)
    {
        groups = User::service_account(namespace, account).groups;
    }
    let user = User::in_groups(name, groups);
    Ok(Some(User { uid: uid.into_iter().next().unwrap_or_default(), extra, ..user }))
}

/// Checks that `user` may impersonate `other`: the name, and also the groups, the uid and the extra fields of `other`.
fn check_impersonation(inner: &Inner, user: &User, other: &User) -> Result<(), SimError> {
    let access = |group, resource, subresource, namespace, name| {
        let access = ResourceAccess { verb: "impersonate", group, resource, subresource, namespace, name };
        check(inner, user, &Access::Resource(access))
    };
    let implied = if let Some((namespace, name)) = service_account_parts(&other.name) {
        access("", "serviceaccounts", "", namespace, name)?;
        User::service_account(namespace, name).groups
    } else {
        access("", "users", "", "", &other.name)?;
        User::in_groups(other.name.clone(), Vec::new()).groups
    };
    for group in other.groups.iter().filter(|group| !implied.contains(group)) {
        access("", "groups", "", "", group)?;
    }
    let own = "authentication.k8s.io";
    if !other.uid.is_empty() {
        access(own, "uids", "", "", &other.uid)?;
    }
    for (key, values) in &other.extra {
        for value in values {
            access(own, "userextras", key, "", value)?;
        }
    }
    Ok(())
}
