//! Tests of the sources of credentials, of renewal, and of the errors for unusable credentials.

use super::*;
use crate::{
    client::{Body, auth::layer::AuthLayer},
    config::{ExecConfig, ExecInteractiveMode},
    error::BoxError,
};
use http::{Request, Response, StatusCode};
use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tower::{Layer, Service, service_fn, util::ServiceExt};

/// The `Authorization` values of all requests that a server received.
type Seen = Arc<Mutex<Vec<Option<String>>>>;

fn ignore_certificates() -> OnCertificate {
    Box::new(|_| Ok(()))
}

/// The credentials of a user, which ignore client certificates.
fn credentials(user: &AuthInfo) -> Result<Credentials> {
    Credentials::new(user, ignore_certificates())
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

/// A server that accepts only the `Authorization` value `accepts` (any value if `None`). Also returns the values that
/// it has received.
fn recording_server(
    accepts: Option<&'static str>,
) -> (
    Seen,
    impl Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send> + Clone + Send,
) {
    let seen = Seen::default();
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

/// The received `Authorization` values; an empty string for a request without one.
fn received(seen: &Seen) -> Vec<String> {
    seen.lock().unwrap().iter().map(|sent| sent.clone().unwrap_or_default()).collect()
}

fn token_file_user(path: &Path) -> AuthInfo {
    AuthInfo { token_file: Some(path.to_str().unwrap().to_owned()), ..AuthInfo::default() }
}

#[tokio::test(start_paused = true)]
async fn rereads_a_token_file_within_a_minute_and_keeps_the_last_good_token_after_a_failed_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "one\n").unwrap();
    let (seen, service) = recording_server(None);
    let service = AuthLayer(credentials(&token_file_user(&path)).unwrap()).layer(service);
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
        received(&seen),
        ["Bearer one", "Bearer one", "Bearer two", "Bearer two", "Bearer two", "Bearer three"]
    );
}

#[tokio::test]
async fn rereads_a_rejected_token_immediately_and_sends_the_request_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "one").unwrap();
    let (seen, service) = recording_server(Some("Bearer two"));
    let service = AuthLayer(credentials(&token_file_user(&path)).unwrap()).layer(service);
    // The file still has the rejected token: the request is not sent again.
    assert_eq!(service.clone().oneshot(post_request()).await.unwrap().status(), 401);
    fs::write(&path, "two").unwrap();
    assert_eq!(service.clone().oneshot(post_request()).await.unwrap().status(), 200);
    assert_eq!(received(&seen), ["Bearer one", "Bearer one", "Bearer two"]);
}

#[test]
fn the_fixed_token_is_used_until_the_token_file_can_be_read() {
    let mut user = token_file_user(Path::new("/no/such/token"));
    assert_error_contains(&user, &["/no/such/token"]);
    user.token = Some("first".to_owned().into());
    assert!(matches!(credentials(&user).unwrap(), Credentials::File(_)));
}

#[tokio::test]
async fn keeps_the_authorization_header_of_a_request() {
    let (seen, service) = recording_server(None);
    let user = AuthInfo { token: Some("own".to_owned().into()), ..AuthInfo::default() };
    let service = AuthLayer(credentials(&user).unwrap()).layer(service);
    let mut request = post_request();
    request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static("Other"));
    service.clone().oneshot(request).await.unwrap();
    service.oneshot(post_request()).await.unwrap();
    assert_eq!(received(&seen), ["Other", "Bearer own"]);
}

#[test]
fn unusable_credentials_are_an_error_when_the_client_is_built() {
    let secret = || Some(SecretString::from("s3cr3t"));
    let both = AuthInfo { token: secret(), username: Some("me".into()), ..AuthInfo::default() };
    assert_error_contains(&both, &["both a token and a username"]);
    let odd = AuthInfo { token: Some("s3cr3t\u{7}".to_owned().into()), ..AuthInfo::default() };
    assert_error_contains(&odd, &["token holds characters"]);
    let provider = serde_json::from_str(r#"{"name":"oidc","config":{"id-token":"s3cr3t"}}"#).unwrap();
    let legacy = AuthInfo { auth_provider: Some(provider), ..AuthInfo::default() };
    assert_error_contains(&legacy, &["auth-provider `oidc`", "exec plugin"]);
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
        let layer = AuthLayer(credentials(&user).unwrap());
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
    let odd = AuthInfo { impersonate: Some("a\nb".into()), ..AuthInfo::default() };
    assert!(message(odd).contains("impersonate-user"));
}

#[cfg(unix)]
mod exec {
    use super::*;

    const KIND_AND_VERSION: &str =
        r#""kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1""#;

    /// A plugin that appends a line to the file `runs` in `folder` at each run.
    fn plugin(folder: &Path, script: &str) -> ExecConfig {
        let path = folder.join("plugin");
        let text = format!("echo \"$@\" >> '{}'\n{script}", folder.join("runs").display());
        fs::write(&path, text).unwrap();
        ExecConfig {
            api_version: Some("client.authentication.k8s.io/v1".into()),
            // Executing the file may fail with ETXTBSY, because a child process of a concurrent test may have it open
            // for writing.
            command: Some("/bin/sh".into()),
            args: Some(vec![path.to_str().unwrap().to_owned(), "login".into()]),
            interactive_mode: Some(ExecInteractiveMode::Never),
            ..ExecConfig::default()
        }
    }

    fn exec_user(exec: ExecConfig) -> AuthInfo {
        AuthInfo { exec: Some(exec), ..AuthInfo::default() }
    }

    /// The number of times that the plugin has run.
    fn run_count(folder: &Path) -> usize {
        fs::read_to_string(folder.join("runs")).map_or(0, |text| text.lines().count())
    }

    #[tokio::test]
    async fn a_plugin_runs_once_for_concurrent_requests_and_not_again_before_the_expiry() {
        let folder = tempfile::tempdir().unwrap();
        let later = jiff::Timestamp::now() + Duration::from_secs(3600);
        let status = format!(r#"{{"token":"t","expirationTimestamp":"{later}"}}"#);
        let exec =
            plugin(folder.path(), &format!("sleep 0.1; echo '{{{KIND_AND_VERSION},\"status\":{status}}}'"));
        let (seen, service) = recording_server(None);
        let service = AuthLayer(credentials(&exec_user(exec)).unwrap()).layer(service);
        let calls = (0..8).map(|_| service.clone().oneshot(post_request()));
        futures::future::try_join_all(calls).await.unwrap();
        assert_eq!((received(&seen).len(), run_count(folder.path())), (8, 1));
        assert!(received(&seen).iter().all(|sent| sent == "Bearer t"));
    }

    #[tokio::test]
    async fn a_plugin_runs_again_after_its_credentials_expired_or_were_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let past = jiff::Timestamp::now() - Duration::from_secs(1);
        let status = format!(r#"{{"token":"t","expirationTimestamp":"{past}"}}"#);
        let exec = plugin(folder.path(), &format!("echo '{{{KIND_AND_VERSION},\"status\":{status}}}'"));
        let (_, service) = recording_server(None);
        let service = AuthLayer(credentials(&exec_user(exec)).unwrap()).layer(service);
        service.clone().oneshot(post_request()).await.unwrap();
        service.oneshot(post_request()).await.unwrap();
        assert_eq!(run_count(folder.path()), 2);

        let folder = tempfile::tempdir().unwrap();
        // The plugin prints the number of its runs as the token.
        let script = format!(
            "echo '{{{KIND_AND_VERSION},\"status\":{{\"token\":\"'$(wc -l < '{}' | tr -d ' ')'\"}}}}'",
            folder.path().join("runs").display()
        );
        let (seen, service) = recording_server(Some("Bearer 2"));
        let service =
            AuthLayer(credentials(&exec_user(plugin(folder.path(), &script))).unwrap()).layer(service);
        assert_eq!(service.clone().oneshot(post_request()).await.unwrap().status(), 200);
        assert_eq!(service.oneshot(post_request()).await.unwrap().status(), 200);
        assert_eq!(received(&seen), ["Bearer 1", "Bearer 2", "Bearer 2"]);
    }

    #[tokio::test]
    async fn a_plugin_may_print_yaml() {
        let folder = tempfile::tempdir().unwrap();
        let text = "# made by a tool\napiVersion: client.authentication.k8s.io/v1\nkind: ExecCredential\nstatus:\n  \
                    expirationTimestamp: 2999-01-01T00:00:00Z\n  token: from yaml\n";
        let exec = plugin(folder.path(), &format!("printf '%s' '{text}'"));
        let (seen, service) = recording_server(None);
        let service = AuthLayer(credentials(&exec_user(exec)).unwrap()).layer(service);
        service.clone().oneshot(post_request()).await.unwrap();
        service.oneshot(post_request()).await.unwrap();
        assert_eq!((received(&seen), run_count(folder.path())), (vec!["Bearer from yaml".to_owned(); 2], 1));
    }

    #[tokio::test]
    async fn an_expiry_beyond_the_range_of_timestamps_causes_no_second_run() {
        for time in ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999+00:00", "9999-12-31T00:00:00-12:00"] {
            let folder = tempfile::tempdir().unwrap();
            let status = format!(r#"{{"token":"t","expirationTimestamp":"{time}"}}"#);
            let exec = plugin(folder.path(), &format!("echo '{{{KIND_AND_VERSION},\"status\":{status}}}'"));
            let (seen, service) = recording_server(None);
            let service = AuthLayer(credentials(&exec_user(exec)).unwrap()).layer(service);
            service.clone().oneshot(post_request()).await.unwrap();
            service.oneshot(post_request()).await.unwrap();
            assert_eq!((received(&seen).len(), run_count(folder.path())), (2, 1), "{time}");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_plugin_inherits_stderr() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("stderr");
        let script = format!(
            "readlink /proc/$$/fd/2 > '{}'; echo '{{{KIND_AND_VERSION},\"status\":{{\"token\":\"t\"}}}}'",
            out.display()
        );
        let (_, service) = recording_server(None);
        let layer = AuthLayer(credentials(&exec_user(plugin(folder.path(), &script))).unwrap());
        layer.layer(service).oneshot(post_request()).await.unwrap();
        let own = fs::read_link("/proc/self/fd/2").unwrap();
        assert_eq!(fs::read_to_string(out).unwrap().trim(), own.to_str().unwrap());
    }

    #[tokio::test]
    async fn permanently_rejected_credentials_do_not_run_the_plugin_for_every_request() {
        let folder = tempfile::tempdir().unwrap();
        let exec =
            plugin(folder.path(), &format!("echo '{{{KIND_AND_VERSION},\"status\":{{\"token\":\"t\"}}}}'"));
        let (_, service) = recording_server(Some("Bearer other"));
        let service = AuthLayer(credentials(&exec_user(exec)).unwrap()).layer(service);
        for _ in 0..5 {
            assert_eq!(service.clone().oneshot(post_request()).await.unwrap().status(), 401);
        }
        assert_eq!(run_count(folder.path()), 2);
    }

    #[tokio::test]
    async fn passes_cluster_information_and_environment_to_the_plugin() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("env");
        let script = format!(
            "echo \"$KUBERNETES_EXEC_INFO $OWN $KEPT ${{HOME-gone}}\" > '{}'; echo '{{{KIND_AND_VERSION},\"status\":{{\"token\":\"t\"}}}}'",
            out.display()
        );
        let mut exec = plugin(folder.path(), &script);
        let variable = [("name".to_owned(), "OWN".to_owned()), ("value".to_owned(), "mine".to_owned())];
        exec.env = Some(vec![variable.into()]);
        exec.drop_env = Some(vec!["HOME".into()]);
        exec.provide_cluster_info = true;
        exec.cluster = Some(crate::config::ExecAuthCluster {
            server: Some("https://10.0.0.1".into()),
            ..crate::config::ExecAuthCluster::default()
        });
        let (_, service) = recording_server(None);
        AuthLayer(credentials(&exec_user(exec)).unwrap())
            .layer(service)
            .oneshot(post_request())
            .await
            .unwrap();
        let seen = fs::read_to_string(out).unwrap();
        assert_eq!(
            seen.trim(),
            "{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\",\"spec\":{\"interactive\":\
             false,\"cluster\":{\"server\":\"https://10.0.0.1\"}}} mine  gone"
        );
        assert_eq!(fs::read_to_string(folder.path().join("runs")).unwrap(), "login\n");
    }

    #[tokio::test]
    async fn passes_an_unchanged_client_certificate_to_the_callback_once() {
        let folder = tempfile::tempdir().unwrap();
        let pair = rcgen::generate_simple_self_signed(["me".to_owned()]).unwrap();
        let past = (jiff::Timestamp::now() - Duration::from_secs(1)).to_string();
        let printed = serde_json::json!({
            "kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": {
                "clientCertificateData": pair.cert.pem(), "clientKeyData": pair.signing_key.serialize_pem(),
                "expirationTimestamp": past,
            },
        });
        fs::write(folder.path().join("out"), printed.to_string()).unwrap();
        let exec = plugin(folder.path(), "cat \"$(dirname \"$0\")/out\"");
        let got = Arc::new(Mutex::new(Vec::new()));
        let notes = got.clone();
        let on_certificate: OnCertificate = Box::new(move |(chain, _)| {
            notes.lock().unwrap().push(chain);
            Ok(())
        });
        let (seen, service) = recording_server(None);
        let layer = AuthLayer(Credentials::new(&exec_user(exec), on_certificate).unwrap());
        let service = layer.layer(service);
        service.clone().oneshot(post_request()).await.unwrap();
        service.oneshot(post_request()).await.unwrap();
        assert_eq!(received(&seen), ["", ""]);
        assert_eq!(run_count(folder.path()), 2);
        assert_eq!(*got.lock().unwrap(), [vec![pair.cert.der().clone()]]);
    }

    #[tokio::test]
    async fn concurrent_requests_with_a_rejected_certificate_are_all_sent_again_with_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        for run in 1..=2 {
            let pair = rcgen::generate_simple_self_signed(["me".to_owned()]).unwrap();
            let printed = serde_json::json!({
                "kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": {
                    "clientCertificateData": pair.cert.pem(), "clientKeyData": pair.signing_key.serialize_pem(),
                },
            });
            fs::write(folder.path().join(format!("out{run}")), printed.to_string()).unwrap();
        }
        let script = "cd \"$(dirname \"$0\")\"; cat \"out$(wc -l < runs | tr -d ' ')\"";
        let certificates = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let (counter, presented) = (certificates.clone(), certificates.clone());
        let on_certificate: OnCertificate = Box::new(move |_| {
            counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Ok(())
        });
        // All four requests are rejected before the plugin runs for the second time.
        let arrived = Arc::new(tokio::sync::Barrier::new(4));
        let service = service_fn(move |_: Request<Body>| {
            let (first, arrived) = (presented.load(std::sync::atomic::Ordering::SeqCst) < 2, arrived.clone());
            async move {
                if first {
                    arrived.wait().await;
                }
                let code = if first { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
                Ok::<_, BoxError>(Response::builder().status(code).body(Body::empty())?)
            }
        });
        let exec = exec_user(plugin(folder.path(), script));
        let service = AuthLayer(Credentials::new(&exec, on_certificate).unwrap()).layer(service);
        let calls = (0..4).map(|_| service.clone().oneshot(post_request()));
        let responses = futures::future::try_join_all(calls).await.unwrap();
        assert!(responses.iter().all(|response| response.status() == 200), "{responses:?}");
        assert_eq!(run_count(folder.path()), 2);
    }

    #[tokio::test]
    async fn errors_describe_the_failure_without_quoting_the_output_of_the_plugin() {
        let folder = tempfile::tempdir().unwrap();
        for (script, part) in [
            ("exit 3".to_owned(), "exit status: 3"),
            ("echo s3cr3t".to_owned(), "no ExecCredential in JSON"),
            ("echo '{\"kind\":\"Secret\"}'".to_owned(), "kind `Secret`"),
            (format!("echo '{{{KIND_AND_VERSION}}}'"), "no status"),
            (
                format!("echo '{{{KIND_AND_VERSION},\"status\":{{}}}}'"),
                "neither a token nor a client certificate",
            ),
            (
                format!("echo '{{{KIND_AND_VERSION},\"status\":{{\"clientKeyData\":\"s3cr3t\"}}}}'"),
                "only one of",
            ),
            (
                format!(
                    "echo '{{{KIND_AND_VERSION},\"status\":{{\"token\":\"s3cr3t\",\"expirationTimestamp\":\"soon\"}}}}'"
                ),
                "expirationTimestamp",
            ),
        ] {
            let (_, service) = recording_server(None);
            let exec = plugin(folder.path(), &script);
            let error = AuthLayer(credentials(&exec_user(exec)).unwrap())
                .layer(service)
                .oneshot(post_request())
                .await;
            let error = Error::from_box(error.unwrap_err());
            let message = error.to_string();
            assert!(message.contains(part) && message.contains("exec plugin"), "{script}: {message}");
            assert!(!format!("{error:?}").contains("s3cr3t"), "{error:?}");
        }
        let mut missing = plugin(folder.path(), "");
        missing.command = Some("no-such-plugin".into());
        missing.install_hint = Some("get it from\u{1b} acme.com".into());
        let (_, service) = recording_server(None);
        let error =
            AuthLayer(credentials(&exec_user(missing)).unwrap()).layer(service).oneshot(post_request()).await;
        let message = error.unwrap_err().to_string();
        assert!(message.ends_with("`no-such-plugin` cannot be started; get it from acme.com"), "{message}");
    }
}
