//! Tokens of service accounts: the subresource `token` issues them, and a `TokenReview` authenticates them.
//!
//! The tokens have the claims of a real server's tokens, except the claims about the object in
//! `boundObjectRef`. The signature is symmetric (HS256), so that only this server can check it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use ring::hmac;
use serde_json::{Value, json};

use super::reply::Reply;
use super::typed_body::BodyKind;
use super::{Call, read};
use crate::json::{text, texts};
use crate::schema::FieldError;
use crate::shared_state::Inner;
use crate::status::SimError;
use crate::user::{CREDENTIAL_ID, User};

/// The lifetime of a token if the request sets none.
const DEFAULT_SECONDS: i64 = 3_600;

/// The audience of the API server.
pub(crate) const API_AUDIENCE: &str = "https://kubernetes.default.svc";

const TOKEN_REQUEST: BodyKind<'_> =
    BodyKind { group: "authentication.k8s.io", version: "v1", kind: "TokenRequest" };

/// Issues a token: the subresource `token` of a service account (`TokenRequest`).
pub(super) async fn issue(call: &Call<'_>) -> Result<Reply, SimError> {
    let body = TOKEN_REQUEST.decode(call)?;
    let account = read::find(call.inner.lock().view(), call.target)?;
    let mut body = call.admit_body(body, &call.target.name, None).await?;
    let (namespace, name) = (account.namespace(), account.name());
    if !body["spec"].is_object() {
        body["spec"] = json!({});
    }
    check_metadata(&body, namespace, name)?;
    let clock = &call.inner.clock;
    body["metadata"]["name"] = name.into();
    body["metadata"]["namespace"] = namespace.into();
    body["metadata"]["creationTimestamp"] = clock.stamp().into();
    body["metadata"]["uid"] = call.inner.lock_random().uid().into();
    if body["spec"]["expirationSeconds"].is_null() {
        body["spec"]["expirationSeconds"] = DEFAULT_SECONDS.into();
    }
    call.set_managed_fields(&TOKEN_REQUEST.schema(), &mut body);
    if body["spec"]["audiences"].as_array().is_none_or(Vec::is_empty) {
        body["spec"]["audiences"] = json!([API_AUDIENCE]);
    }
    let seconds = body["spec"]["expirationSeconds"].as_i64().unwrap_or(DEFAULT_SECONDS);
    check_expiration_seconds(seconds)?;
    check_bound_object(call, &body)?;
    if body["spec"]["boundObjectRef"].is_null() {
        // The field has no `omitempty` in Go: an absent reference is null in the response.
        body["spec"]["boundObjectRef"] = Value::Null;
    }
    let after = Duration::from_secs(seconds.unsigned_abs());
    let now = clock.now().as_second();
    let claims = json!({
        "aud": body["spec"]["audiences"],
        "exp": now.saturating_add(seconds),
        "iat": now,
        "iss": format!("{API_AUDIENCE}.cluster.local"),
        "jti": call.inner.lock_random().uid(),
        "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": &*account.uid}},
        "nbf": now,
        "sub": format!("system:serviceaccount:{namespace}:{name}"),
    });
    body["status"] =
        json!({"token": encode(call.inner, &claims), "expirationTimestamp": clock.stamp_after(after)});
    let mut reply = Reply::json(&body);
    reply.code = StatusCode::CREATED;
    Ok(reply)
}

/// Checks the namespace and the name in the metadata of the body: each must be empty or that of the service account in the
/// URL.
fn check_metadata(body: &Value, namespace: &str, name: &str) -> Result<(), SimError> {
    let text = |field: &str| body["metadata"][field].as_str().unwrap_or_default();
    if !matches!(text("namespace"), "") && text("namespace") != namespace {
        return Err(SimError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if text("name").is_empty() || text("name") == name {
        return Ok(());
    }
    let why = "must match the service account name if specified";
    let error = FieldError::invalid("metadata.name", text("name"), why);
    Err(SimError::invalid(TOKEN_REQUEST.group, TOKEN_REQUEST.kind, name, &[error]))
}

fn check_expiration_seconds(seconds: i64) -> Result<(), SimError> {
    let why = match seconds {
        ..600 => "may not specify a duration less than 10 minutes",
        0x1_0000_0001.. => "may not specify a duration larger than 2^32 seconds",
        _ => return Ok(()),
    };
    let error = FieldError::invalid("spec.expirationSeconds", seconds, why);
    Err(SimError::invalid(TOKEN_REQUEST.group, TOKEN_REQUEST.kind, "", &[error]))
}

/// Checks `spec.boundObjectRef` of a `TokenRequest`: the object must exist and have the uid of the reference, if the
/// reference has one.
fn check_bound_object(call: &Call<'_>, body: &Value) -> Result<(), SimError> {
    let bound = &body["spec"]["boundObjectRef"];
    if bound.is_null() {
        return Ok(());
    }
    let text = |field: &str| bound[field].as_str().unwrap_or_default().to_owned();
    let (kind, name, uid) = (text("kind"), text("name"), text("uid"));
    let (storage, plural) = match (text("apiVersion").as_str(), kind.as_str()) {
        ("v1", "Pod") => ("/pods", "pods"),
        ("v1", "Secret") => ("/secrets", "secrets"),
        ("v1", "Node") => ("/nodes", "nodes"),
        (version, kind) => {
            let version = if version.contains('/') { version.to_owned() } else { format!("/{version}") };
            return Err(SimError::bad_request(format!(
                "cannot bind token to object of type {version}, Kind={kind}"
            )));
        }
    };
    let namespace = if kind == "Node" { "" } else { call.target.namespace.as_str() };
    let found = call.inner.lock().get(storage, &crate::store::object::key(namespace, &name)).cloned();
    let Some(found) = found else { return Err(SimError::not_found("", plural, &name)) };
    if !uid.is_empty() && uid != *found.uid {
        let why = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(SimError::conflict("", &kind, &name, &why));
    }
    Ok(())
}

/// The status of a `TokenReview` with this spec.
pub(super) fn review_token(call: &Call<'_>, spec: &Value) -> Value {
    let mut audiences: Vec<_> = texts(&spec["audiences"]).map(str::to_owned).collect();
    if audiences.is_empty() {
        audiences.push(API_AUDIENCE.to_owned());
    }
    match authenticate(call.inner, spec["token"].as_str().unwrap_or_default(), audiences) {
        Ok((user, audiences)) => {
            json!({"authenticated": true, "audiences": audiences, "user": user.to_user_info()})
        }
        Err(error) => json!({"user": {}, "error": error}),
    }
}

/// Authenticates a token that [`issue`] has returned. Returns the service account as a user, and those items of `audiences`
/// for which the token is valid. If there is no such item, the token is refused. As in the API server, the deletion of the
/// service account makes its tokens invalid, even if an account with the same name is created later.
///
/// # Errors
/// The text of the error in a `TokenReview`.
pub(crate) fn authenticate(
    inner: &Inner,
    token: &str,
    mut audiences: Vec<String>,
) -> Result<(User, Vec<String>), String> {
    const INVALID: &str = "invalid bearer token";
    let claims = decode(inner, token).ok_or(INVALID)?;
    let bound = &claims["kubernetes.io"];
    let (namespace, name) = (text(&bound["namespace"]), text(&bound["serviceaccount"]["name"]));
    let mut user = User::service_account(namespace, name);
    if claims["sub"] != user.name {
        return Err(INVALID.to_owned());
    }
    let now = inner.clock.now().as_second();
    if claims["exp"].as_i64().is_none_or(|end| end <= now) {
        return Err(format!("[{INVALID}, service account token has expired]"));
    }
    let issued: Vec<_> = texts(&claims["aud"]).collect();
    audiences.retain(|audience| issued.contains(&audience.as_str()));
    if audiences.is_empty() {
        return Err(format!("[{INVALID}, token audiences {issued:?} is invalid for the target audiences]"));
    }
    let key = crate::store::object::key(namespace, name);
    let account = inner.lock().get("/serviceaccounts", &key).cloned();
    let Some(account) = account.filter(|account| bound["serviceaccount"]["uid"] == *account.uid) else {
        return Err(format!("[{INVALID}, service account token has been invalidated]"));
    };
    user.uid = account.uid.to_string();
    let id = format!("JTI={}", text(&claims["jti"]));
    user.extra.insert(CREDENTIAL_ID.to_owned(), vec![id]);
    Ok((user, audiences))
}

/// The key that signs the tokens. The key is derived from the seed, so that a run is reproducible.
fn signing_key(inner: &Inner) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &[b"kube-sim".as_slice(), &inner.settings.seed.to_le_bytes()].concat())
}

/// A signed token (RFC 7519) with these claims.
fn encode(inner: &Inner, claims: &Value) -> String {
    let [head, claims] = [json!({"alg": "HS256", "typ": "JWT"}), claims.clone()]
        .map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let signed = format!("{head}.{claims}");
    let signature = hmac::sign(&signing_key(inner), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The claims of a token. Returns `None` if the text is not a token with a valid signature.
fn decode(inner: &Inner, token: &str) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    hmac::verify(&signing_key(inner), signed.as_bytes(), &signature).ok()?;
    let (_, claims) = signed.split_once('.')?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}
