//! Tests of the sources of credentials, of renewal, and of the errors for unusable credentials.

#[cfg(unix)]
mod exec;
#[cfg(unix)]
mod token_file;

use super::*;
use crate::{
    client::Body,
    config::{ExecConfig, ExecInteractiveMode},
    error::{BoxError, TransportKind},
};
use http::{Request, Response, StatusCode};
use std::{
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};
use tower::{Layer, Service, service_fn, util::ServiceExt};

/// The `Authorization` values of all requests that a server received.
type SeenHeaders = Arc<Mutex<Vec<Option<String>>>>;

/// A configuration with this user.
fn config(user: &AuthInfo) -> Config {
    let mut config = Config::new("https://localhost".parse().unwrap());
    config.auth_info = user.clone();
    config
}

/// Hooks of a client without certificates.
fn hooks() -> Hooks<'static> {
    Hooks {
        on_certificate: Box::new(|_| Ok(())),
        files: None,
        build_fetch: &|_, _| Err(Error::config("unused")),
    }
}

/// The credentials of a user, without client certificates.
fn credentials(user: &AuthInfo) -> Result<Credentials> {
    super::credentials(&config(user), hooks())
}

/// The layer of a user. `on_certificate` receives the client certificates that the user's credential plugin prints.
fn layer_with_certificate_hook(user: &AuthInfo, on_certificate: CertificateCallback) -> AuthLayer {
    AuthLayer::new(super::credentials(&config(user), Hooks { on_certificate, ..hooks() }).unwrap())
}

/// Asserts that the credentials cannot be used, and that the error text contains `parts` but no secret.
#[track_caller]
fn assert_error_contains(user: &AuthInfo, parts: &[&str]) {
    let message = credentials(user).unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` not in: {message}");
    }
    assert!(!message.contains("s3cr3t"), "{message}");
}

/// Returns the list of received `Authorization` values, and a server that fills this list. The server accepts only the
/// value `accepts`, or any value if `accepts` is `None`.
fn recording_server(
    accepts: Option<&'static str>,
) -> (
    SeenHeaders,
    impl Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send> + Clone + Send,
) {
    let seen = SeenHeaders::default();
    let notes = seen.clone();
    let service = service_fn(move |request: Request<Body>| {
        let sent = request.headers().get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
        let good = accepts.is_none_or(|accepts| sent.as_deref() == Some(accepts));
        notes.lock().unwrap().push(sent);
        let code = if good { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        async move { Ok(Response::builder().status(code).body(Body::empty())?) }
    });
    (seen, service)
}

fn post_request() -> Request<Body> {
    Request::post("/x").body(Body::from(b"body".to_vec())).unwrap()
}

/// The received `Authorization` values; an empty string for a request without this header.
fn received_values(seen: &SeenHeaders) -> Vec<String> {
    seen.lock().unwrap().iter().map(|sent| sent.clone().unwrap_or_default()).collect()
}

fn token_file_user(path: &Path) -> AuthInfo {
    AuthInfo { token_file: Some(path.to_str().unwrap().to_owned()), ..AuthInfo::default() }
}

#[tokio::test(start_paused = true)]
async fn a_token_file_is_reread_within_a_minute_and_a_failed_read_keeps_the_last_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "one\n").unwrap();
    let (seen, service) = recording_server(None);
    let service = AuthLayer::new(credentials(&token_file_user(&path)).unwrap()).layer(service);
    let step = async |change: &dyn Fn()| {
        change();
        tokio::time::sleep(Duration::from_secs(55)).await;
        service.clone().oneshot(post_request()).await.unwrap();
    };
    service.clone().oneshot(post_request()).await.unwrap();
    fs::write(&path, "two").unwrap();
    // The refresh interval has not elapsed, so the client does not read the file.
    service.clone().oneshot(post_request()).await.unwrap();
    step(&|| {}).await;
    step(&|| fs::write(&path, "  ").unwrap()).await;
    step(&|| fs::remove_file(&path).unwrap()).await;
    step(&|| fs::write(&path, "three").unwrap()).await;
    assert_eq!(
        received_values(&seen),
        ["Bearer one", "Bearer one", "Bearer two", "Bearer two", "Bearer two", "Bearer three"]
    );
}

#[tokio::test]
async fn after_a_401_the_token_file_is_reread_immediately_and_the_request_is_sent_again_with_a_new_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "one").unwrap();
    let (seen, service) = recording_server(Some("Bearer two"));
    let service = AuthLayer::new(credentials(&token_file_user(&path)).unwrap()).layer(service);
    // The file still has the rejected token: the request is not sent again.
    assert_eq!(service.clone().oneshot(post_request()).await.unwrap().status(), 401);
    fs::write(&path, "two").unwrap();
    assert_eq!(service.clone().oneshot(post_request()).await.unwrap().status(), 200);
    assert_eq!(received_values(&seen), ["Bearer one", "Bearer one", "Bearer two"]);
}

#[test]
fn an_unreadable_token_file_is_an_error_only_without_a_fixed_token() {
    let mut user = token_file_user(Path::new("/no/such/token"));
    assert_error_contains(&user, &["/no/such/token"]);
    user.token = Some("first".to_owned().into());
    assert!(matches!(credentials(&user).unwrap(), Credentials::Renewable(_)));
}

#[tokio::test]
async fn the_authorization_header_of_a_request_is_kept() {
    let (seen, service) = recording_server(None);
    let user = AuthInfo { token: Some("own".to_owned().into()), ..AuthInfo::default() };
    let service = AuthLayer::new(credentials(&user).unwrap()).layer(service);
    let mut request = post_request();
    request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static("Other"));
    service.clone().oneshot(request).await.unwrap();
    service.oneshot(post_request()).await.unwrap();
    assert_eq!(received_values(&seen), ["Other", "Bearer own"]);
}

#[test]
fn unusable_credentials_are_an_error_when_the_client_is_built() {
    let secret = || Some(SecretString::from("s3cr3t"));
    let both = AuthInfo { token: secret(), username: Some("me".into()), ..AuthInfo::default() };
    assert_error_contains(&both, &["both a token and a username"]);
    let odd = AuthInfo { token: Some("s3cr3t\u{7}".to_owned().into()), ..AuthInfo::default() };
    assert_error_contains(&odd, &["token holds characters"]);
    let provider =
        |json| AuthInfo { auth_provider: Some(serde_json::from_str(json).unwrap()), ..AuthInfo::default() };
    assert_error_contains(
        &provider(r#"{"name":"gcp","config":{"access-token":"s3cr3t"}}"#),
        &["auth-provider `gcp`", "exec plugin"],
    );
    assert_error_contains(&provider(r#"{"name":"oidc","config":{}}"#), &["id-token or refresh-token"]);
    assert_error_contains(
        &provider(r#"{"name":"oidc","config":{"refresh-token":"s3cr3t"}}"#),
        &["needs idp-issuer-url"],
    );
    let exec = |json| AuthInfo { exec: Some(serde_json::from_str(json).unwrap()), ..AuthInfo::default() };
    assert_error_contains(
        &exec(r#"{"command":"x","apiVersion":"client.authentication.k8s.io/v1alpha1"}"#),
        &["v1alpha1", "v1beta1"],
    );
    assert_error_contains(&exec(r#"{"apiVersion":"client.authentication.k8s.io/v1"}"#), &["no command"]);
    assert_error_contains(
        &exec(r#"{"command":"x","apiVersion":"client.authentication.k8s.io/v1"}"#),
        &["interactiveMode"],
    );
}

#[test]
fn debug_shows_no_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "s3cr3t").unwrap();
    let token = AuthInfo { token: Some("s3cr3t".to_owned().into()), ..AuthInfo::default() };
    let login = AuthInfo {
        username: Some("me".into()),
        password: Some("s3cr3t".to_owned().into()),
        ..AuthInfo::default()
    };
    for user in [token, login, token_file_user(&path)] {
        let layer = AuthLayer::new(credentials(&user).unwrap());
        let shown = format!("{layer:?}");
        assert!(!shown.contains("s3cr3t") && !shown.contains(&STANDARD.encode("me:s3cr3t")), "{shown}");
    }
}

#[test]
fn impersonation_requires_a_user_and_valid_header_values() {
    let message = |user: AuthInfo| impersonation_headers(&user).unwrap_err().to_string();
    let groups = Some(vec!["g".to_owned()]);
    let alone = AuthInfo { impersonate_groups: groups, ..AuthInfo::default() };
    assert!(message(alone).contains("`as`"));
    let empty = AuthInfo { impersonate_uid: Some(String::new()), ..AuthInfo::default() };
    assert!(impersonation_headers(&empty).unwrap().is_empty());
    let jane = AuthInfo { impersonate: Some("jane".into()), ..empty };
    assert!(impersonation_headers(&jane).unwrap().keys().eq(["impersonate-user"]));
    let odd = AuthInfo { impersonate: Some("a\nb".into()), ..AuthInfo::default() };
    assert!(message(odd).contains("impersonate-user"));
}

/// A reloader, and the counter of the calls of `reload`. The calls are numbered from 1. A call reports a change if
/// `changes` contains its number.
fn counting_reloader(changes: &'static [u32]) -> (CertificateReloader, Arc<AtomicU32>) {
    let calls = Arc::<AtomicU32>::default();
    let counter = calls.clone();
    let reload = Arc::new(move || (changes.contains(&(counter.fetch_add(1, SeqCst) + 1)), Ok(())));
    let is_certificate_rejected =
        |error: &Error| matches!(error, Error::Transport { kind: TransportKind::Tls, .. });
    (CertificateReloader { reload, is_certificate_rejected }, calls)
}

#[tokio::test(start_paused = true)]
async fn certificate_files_are_checked_at_most_every_ten_seconds() {
    let (files, calls) = counting_reloader(&[]);
    let user = AuthInfo { token: Some("t".to_owned().into()), ..AuthInfo::default() };
    let (seen, service) = recording_server(None);
    let credentials = super::credentials(&config(&user), Hooks { files: Some(files), ..hooks() }).unwrap();
    let service = AuthLayer::new(credentials).layer(service);
    for (wait, expected) in [(0, 0), (9, 0), (1, 1), (0, 1), (9, 1), (30, 2)] {
        tokio::time::sleep(Duration::from_secs(wait)).await;
        futures::future::try_join_all((0..3).map(|_| service.clone().oneshot(post_request()))).await.unwrap();
        assert_eq!(calls.load(SeqCst), expected, "{wait}");
    }
    assert!(received_values(&seen).iter().all(|sent| sent == "Bearer t"));
}

#[tokio::test]
async fn after_a_rejected_certificate_the_client_reads_the_files_once_and_repeats_all_requests() {
    let outcome = async |changes: &'static [u32], kind, requests: usize| {
        let (files, calls) = counting_reloader(changes);
        let reload_count = calls.clone();
        let arrived = Arc::new(tokio::sync::Barrier::new(requests));
        // Returns a transport error of the kind `kind` until the files have been read and have changed.
        let service = service_fn(move |_: Request<Body>| {
            let (is_new, arrived) = (reload_count.load(SeqCst) > 0 && changes.contains(&1), arrived.clone());
            async move {
                if is_new {
                    return Ok(Response::new(Body::empty()));
                }
                arrived.wait().await;
                Err(BoxError::from(Error::Transport { kind, what: String::new(), source: None }))
            }
        });
        let hooks = Hooks { files: Some(files), ..hooks() };
        let credentials = super::credentials(&config(&AuthInfo::default()), hooks).unwrap();
        let service = AuthLayer::new(credentials).layer(service);
        let sent =
            futures::future::join_all((0..requests).map(|_| service.clone().oneshot(post_request()))).await;
        (sent.iter().filter(|sent| sent.is_ok()).count(), calls.load(SeqCst))
    };
    assert_eq!(outcome(&[1], TransportKind::Tls, 4).await, (4, 1));
    assert_eq!(outcome(&[], TransportKind::Tls, 1).await, (0, 1));
    assert_eq!(outcome(&[1], TransportKind::Broken, 1).await, (0, 0));
}

#[tokio::test]
async fn after_a_401_the_client_reads_the_certificate_files_and_keeps_the_fixed_token() {
    for (changes, expected) in [(&[1][..], 2), (&[], 1)] {
        let (files, calls) = counting_reloader(changes);
        let user = AuthInfo { token: Some("t".to_owned().into()), ..AuthInfo::default() };
        let (seen, service) = recording_server(Some("Bearer other"));
        let credentials =
            super::credentials(&config(&user), Hooks { files: Some(files), ..hooks() }).unwrap();
        let service = AuthLayer::new(credentials).layer(service);
        assert_eq!(service.oneshot(post_request()).await.unwrap().status(), 401);
        assert_eq!((received_values(&seen), calls.load(SeqCst)), (vec!["Bearer t".to_owned(); expected], 1));
    }
}

#[tokio::test]
async fn requests_with_the_same_rejected_token_read_the_file_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "one").unwrap();
    let credentials = credentials(&token_file_user(&path)).unwrap();
    let Credentials::Renewable(credentials) = credentials else { panic!() };
    let used = credentials.current_snapshot().await.unwrap();
    fs::write(&path, "two").unwrap();
    let newer = credentials.renew(&used).await.unwrap().unwrap();
    assert_eq!(newer.header.unwrap(), "Bearer two");
    // The file no longer exists, but a second renewal of the token `one` still returns the token `two`.
    fs::remove_file(&path).unwrap();
    let newer = credentials.renew(&used).await.unwrap().unwrap();
    assert_eq!(newer.header.clone().unwrap(), "Bearer two");
    assert!(credentials.renew(&newer).await.unwrap().is_none());
}
