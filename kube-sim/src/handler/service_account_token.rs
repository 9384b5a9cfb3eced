//! Tokens of service accounts: the subresource `token` issues them, and a `TokenReview` authenticates them.
//!
//! The tokens have the claims of a real server's tokens, but no signature: every client can make a valid token.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};

use super::reply::Reply;
use super::write::parse_body;
use super::{Call, read};
use crate::schema::FieldError;
use crate::status::SimError;

/// The audience of the API server.
const API_AUDIENCE: &str = "https://kubernetes.default.svc";

/// Issues a token: the subresource `token` of a service account (`TokenRequest`).
pub(super) async fn issue(call: &Call<'_>) -> Result<Reply, SimError> {
    let account = read::find(call.inner.lock().view(), call.target)?;
    let body = parse_body(&call.request.body, &call.request.content_type)?;
    let (mut body, warnings) = call.admit_body(body, &call.target.name, None).await?;
    if !body.is_object() {
        return Err(SimError::bad_request("the body must be a TokenRequest object"));
    }
    let seconds = body["spec"]["expirationSeconds"].as_i64().unwrap_or(3600);
    if seconds < 600 {
        let why = "may not specify a duration less than 10 minutes";
        let error = FieldError::invalid("spec.expirationSeconds", seconds, why);
        return Err(SimError::invalid("authentication.k8s.io", "TokenRequest", "", &[error]));
    }
    let (namespace, name) = (account.namespace(), account.name());
    let clock = &call.inner.clock;
    let after = Duration::from_secs(seconds.unsigned_abs());
    body["kind"] = "TokenRequest".into();
    body["apiVersion"] = "authentication.k8s.io/v1".into();
    body["metadata"] = json!({"name": name, "namespace": namespace, "creationTimestamp": clock.stamp()});
    if !body["spec"].is_object() {
        body["spec"] = json!({});
    }
    body["spec"]["expirationSeconds"] = seconds.into();
    if body["spec"]["audiences"].as_array().is_none_or(Vec::is_empty) {
        body["spec"]["audiences"] = json!([API_AUDIENCE]);
    }
    let now = clock.now().as_second();
    let claims = json!({
        "aud": body["spec"]["audiences"],
        "exp": now.saturating_add(seconds),
        "iat": now,
        "iss": format!("{API_AUDIENCE}.cluster.local"),
        "jti": call.inner.random().uid(),
        "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": &*account.uid}},
        "nbf": now,
        "sub": format!("system:serviceaccount:{namespace}:{name}"),
    });
    body["status"] = json!({"token": encode(&claims), "expirationTimestamp": clock.stamp_after(after)});
    let mut reply = Reply::json(&body);
    reply.code = StatusCode::CREATED;
    reply.warnings = warnings;
    Ok(reply)
}

/// The status of a `TokenReview` with this spec.
pub(super) fn review(call: &Call<'_>, spec: &Value) -> Value {
    match authenticate(call, spec) {
        Ok(status) => status,
        Err(error) => json!({"user": {}, "error": error}),
    }
}

/// Authenticates a token that [`issue`] has returned, for one of the audiences of the review. As in the API server, a
/// token ends with its service account, even if an account with the same name exists again.
fn authenticate(call: &Call<'_>, spec: &Value) -> Result<Value, String> {
    const INVALID: &str = "invalid bearer token";
    let claims = spec["token"].as_str().and_then(decode).ok_or(INVALID)?;
    let bound = &claims["kubernetes.io"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text(&bound["namespace"]), text(&bound["serviceaccount"]["name"]));
    let username = format!("system:serviceaccount:{namespace}:{name}");
    if claims["sub"] != username {
        return Err(INVALID.to_owned());
    }
    let now = call.inner.clock.now().as_second();
    if claims["exp"].as_i64().is_none_or(|end| end <= now) {
        return Err(format!("[{INVALID}, service account token has expired]"));
    }
    let listed = |list: &Value| -> Vec<String> { list.as_array().into_iter().flatten().map(text).collect() };
    let mut wanted = listed(&spec["audiences"]);
    if wanted.is_empty() {
        wanted.push(API_AUDIENCE.to_owned());
    }
    let issued = listed(&claims["aud"]);
    wanted.retain(|audience| issued.contains(audience));
    if wanted.is_empty() {
        return Err(format!("[{INVALID}, token audiences {issued:?} is invalid for the target audiences]"));
    }
    let key = crate::store::object::key(&namespace, &name);
    let account = call.inner.lock().get("/serviceaccounts", &key).cloned();
    let Some(account) = account.filter(|account| bound["serviceaccount"]["uid"] == *account.uid) else {
        return Err(format!("[{INVALID}, service account token has been invalidated]"));
    };
    Ok(json!({"authenticated": true, "audiences": wanted, "user": {
        "username": username,
        "uid": &*account.uid,
        "groups": ["system:serviceaccounts", format!("system:serviceaccounts:{namespace}"), "system:authenticated"],
        "extra": {"authentication.kubernetes.io/credential-id": [format!("JTI={}", text(&claims["jti"]))]},
    }}))
}

/// The third part of each token, in place of a signature.
const SIGNATURE: &str = "kube-sim";

fn encode(claims: &Value) -> String {
    let [head, claims] = [json!({"alg": "none", "typ": "JWT"}), claims.clone()]
        .map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{head}.{claims}.{}", URL_SAFE_NO_PAD.encode(SIGNATURE))
}

/// The claims of a token of this server; `None` for other text.
fn decode(token: &str) -> Option<Value> {
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let (_, claims, signature) = (parts.next()??, parts.next()??, parts.next()??);
    (parts.next().is_none() && signature == SIGNATURE.as_bytes()).then_some(())?;
    serde_json::from_slice(&claims).ok()
}
