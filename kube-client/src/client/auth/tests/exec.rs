//! Tests of credential plugins.

use super::*;

const KIND_AND_VERSION: &str = r#""kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1""#;

/// A plugin that appends a line to the file `runs` in `folder`, and then runs `script`.
fn plugin(folder: &Path, script: &str) -> ExecConfig {
    let path = folder.join("plugin");
    let text = format!("echo \"$@\" >> '{}'\n{script}", folder.join("runs").display());
    fs::write(&path, text).unwrap();
    ExecConfig {
        api_version: Some("client.authentication.k8s.io/v1".into()),
        // Do not execute the file itself: this may fail with ETXTBSY, because a child process of a concurrent test may
        // have the file open for writing.
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
async fn concurrent_requests_share_one_run_of_a_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let later = jiff::Timestamp::now() + Duration::from_secs(3600);
    let status = format!(r#"{{"token":"t","expirationTimestamp":"{later}"}}"#);
    let exec =
        plugin(folder.path(), &format!("sleep 0.1; echo '{{{KIND_AND_VERSION},\"status\":{status}}}'"));
    let (seen, service) = recording_server(None);
    let service = AuthLayer::new(credentials(&exec_user(exec)).unwrap()).layer(service);
    let calls = (0..8).map(|_| service.clone().oneshot(post_request()));
    futures::future::try_join_all(calls).await.unwrap();
    assert_eq!((received_values(&seen).len(), run_count(folder.path())), (8, 1));
    assert!(received_values(&seen).iter().all(|sent| sent == "Bearer t"));
}

#[tokio::test]
async fn a_plugin_runs_again_after_its_credentials_expired_or_were_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let past = jiff::Timestamp::now() - Duration::from_secs(1);
    let status = format!(r#"{{"token":"t","expirationTimestamp":"{past}"}}"#);
    let exec = plugin(folder.path(), &format!("echo '{{{KIND_AND_VERSION},\"status\":{status}}}'"));
    let (_, service) = recording_server(None);
    let service = AuthLayer::new(credentials(&exec_user(exec)).unwrap()).layer(service);
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
        AuthLayer::new(credentials(&exec_user(plugin(folder.path(), &script))).unwrap()).layer(service);
    assert_eq!(service.clone().oneshot(post_request()).await.unwrap().status(), 200);
    assert_eq!(service.oneshot(post_request()).await.unwrap().status(), 200);
    assert_eq!(received_values(&seen), ["Bearer 1", "Bearer 2", "Bearer 2"]);
}

#[tokio::test]
async fn a_plugin_may_print_yaml() {
    let folder = tempfile::tempdir().unwrap();
    let text = "# made by a tool\napiVersion: client.authentication.k8s.io/v1\nkind: ExecCredential\nstatus:\n  \
                expirationTimestamp: 2999-01-01T00:00:00Z\n  token: from yaml\n";
    let exec = plugin(folder.path(), &format!("printf '%s' '{text}'"));
    let (seen, service) = recording_server(None);
    let service = AuthLayer::new(credentials(&exec_user(exec)).unwrap()).layer(service);
    service.clone().oneshot(post_request()).await.unwrap();
    service.oneshot(post_request()).await.unwrap();
    assert_eq!(
        (received_values(&seen), run_count(folder.path())),
        (vec!["Bearer from yaml".to_owned(); 2], 1)
    );
}

#[tokio::test]
async fn an_expiry_beyond_the_range_of_timestamps_causes_no_second_run() {
    for time in ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999+00:00", "9999-12-31T00:00:00-12:00"] {
        let folder = tempfile::tempdir().unwrap();
        let status = format!(r#"{{"token":"t","expirationTimestamp":"{time}"}}"#);
        let exec = plugin(folder.path(), &format!("echo '{{{KIND_AND_VERSION},\"status\":{status}}}'"));
        let (seen, service) = recording_server(None);
        let service = AuthLayer::new(credentials(&exec_user(exec)).unwrap()).layer(service);
        service.clone().oneshot(post_request()).await.unwrap();
        service.oneshot(post_request()).await.unwrap();
        assert_eq!((received_values(&seen).len(), run_count(folder.path())), (2, 1), "{time}");
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
    let layer = AuthLayer::new(credentials(&exec_user(plugin(folder.path(), &script))).unwrap());
    layer.layer(service).oneshot(post_request()).await.unwrap();
    let own = fs::read_link("/proc/self/fd/2").unwrap();
    assert_eq!(fs::read_to_string(out).unwrap().trim(), own.to_str().unwrap());
}

#[tokio::test]
async fn a_plugin_does_not_run_for_each_request_while_the_server_rejects_its_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let exec =
        plugin(folder.path(), &format!("echo '{{{KIND_AND_VERSION},\"status\":{{\"token\":\"t\"}}}}'"));
    let (_, service) = recording_server(Some("Bearer other"));
    let service = AuthLayer::new(credentials(&exec_user(exec)).unwrap()).layer(service);
    for _ in 0..5 {
        assert_eq!(service.clone().oneshot(post_request()).await.unwrap().status(), 401);
    }
    assert_eq!(run_count(folder.path()), 2);
}

#[tokio::test]
async fn a_plugin_receives_the_cluster_information_and_the_configured_environment() {
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
    AuthLayer::new(credentials(&exec_user(exec)).unwrap())
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
async fn an_unchanged_client_certificate_is_passed_to_the_callback_once() {
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
    let on_certificate: CertificateCallback = Box::new(move |(chain, _)| {
        notes.lock().unwrap().push(chain);
        Ok(())
    });
    let (seen, service) = recording_server(None);
    let layer = layer_with_certificate_hook(&exec_user(exec), on_certificate);
    let service = layer.layer(service);
    service.clone().oneshot(post_request()).await.unwrap();
    service.oneshot(post_request()).await.unwrap();
    assert_eq!(received_values(&seen), ["", ""]);
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
    let on_certificate: CertificateCallback = Box::new(move |_| {
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
    let service = layer_with_certificate_hook(&exec, on_certificate).layer(service);
    let calls = (0..4).map(|_| service.clone().oneshot(post_request()));
    let responses = futures::future::try_join_all(calls).await.unwrap();
    assert!(responses.iter().all(|response| response.status() == 200), "{responses:?}");
    assert_eq!(run_count(folder.path()), 2);
}

#[tokio::test]
async fn errors_describe_the_failure_but_contain_no_secret_that_the_plugin_printed() {
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
        (format!("echo '{{{KIND_AND_VERSION},\"status\":{{\"clientKeyData\":\"s3cr3t\"}}}}'"), "only one of"),
        (
            format!(
                "echo '{{{KIND_AND_VERSION},\"status\":{{\"token\":\"s3cr3t\",\"expirationTimestamp\":\"soon\"}}}}'"
            ),
            "expirationTimestamp",
        ),
    ] {
        let (_, service) = recording_server(None);
        let exec = plugin(folder.path(), &script);
        let error = AuthLayer::new(credentials(&exec_user(exec)).unwrap())
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
    missing.install_hint = Some("get it \u{1b}[1;31mfrom\u{1b}[0m\u{7} acme.com".into());
    let (_, service) = recording_server(None);
    let error = AuthLayer::new(credentials(&exec_user(missing)).unwrap())
        .layer(service)
        .oneshot(post_request())
        .await;
    let message = error.unwrap_err().to_string();
    assert!(message.ends_with("`no-such-plugin` cannot be started; get it from acme.com"), "{message}");
}

#[test]
fn a_policy_forbids_plugins_before_they_run() {
    use crate::config::CredentialPluginPolicy as Policy;
    let folder = tempfile::tempdir().unwrap();
    let message = |policy, command: Option<&str>| {
        let mut exec = plugin(folder.path(), "");
        exec.install_hint = Some("get it from acme.com".into());
        if let Some(command) = command {
            exec.command = Some(command.into());
        }
        let mut config = config(&exec_user(exec));
        config.credential_plugin_policy = policy;
        super::super::credentials(&config, hooks()).map_err(|error| error.to_string()).err()
    };
    assert_eq!(message(Policy::AllowAll, None), None);
    assert_eq!(message(Policy::Allowlist(vec!["/bin/sh".into()]), None), None);
    assert!(message(Policy::DenyAll, None).unwrap().contains("`/bin/sh` is not started"));
    let refused = message(Policy::Allowlist(vec!["/bin/cat".into()]), None).unwrap();
    assert!(refused.contains("/bin/sh is not in the list"), "{refused}");
    let missing = message(Policy::Allowlist(Vec::new()), Some("no-such-plugin")).unwrap();
    assert!(missing.ends_with("in PATH?; get it from acme.com"), "{missing}");
}

#[tokio::test]
async fn concurrent_requests_share_the_failure_of_a_plugin_and_the_next_request_runs_the_plugin_again() {
    let folder = tempfile::tempdir().unwrap();
    let exec = plugin(folder.path(), "sleep 0.1; exit 3");
    let (_, service) = recording_server(None);
    let service = AuthLayer::new(credentials(&exec_user(exec)).unwrap()).layer(service);
    let calls = (0..8).map(|_| service.clone().oneshot(post_request()));
    for outcome in futures::future::join_all(calls).await {
        let message = outcome.unwrap_err().to_string();
        assert!(message.contains("exit status: 3"), "{message}");
    }
    assert_eq!(run_count(folder.path()), 1);
    service.oneshot(post_request()).await.unwrap_err();
    assert_eq!(run_count(folder.path()), 2);
}

/// A plugin that prints the token `t1` in its first run, `t2` in its second run, and so on. The run with the
/// number `slow` ends only after the file `go` exists.
fn counting_plugin(folder: &Path, slow: u32) -> ExecConfig {
    let script = format!(
        "cd \"$(dirname \"$0\")\"; n=$(wc -l < runs | tr -d ' '); \
         if [ $n = {slow} ]; then while [ ! -e go ]; do sleep 0.01; done; fi; \
         echo '{{{KIND_AND_VERSION},\"status\":{{\"token\":\"t'$n'\"}}}}'"
    );
    plugin(folder, &script)
}

/// Polls `request` until the plugin has started `run` times, and then drops the request.
async fn cancel_during_run(folder: &Path, run: usize, request: impl Future<Output: std::fmt::Debug>) {
    let begun = async {
        while run_count(folder) < run {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        response = request => panic!("{response:?}"),
        () = begun => {}
    }
}

#[tokio::test]
async fn cancelling_the_first_request_does_not_stop_the_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let (seen, service) = recording_server(None);
    let exec = exec_user(counting_plugin(folder.path(), 1));
    let service = AuthLayer::new(credentials(&exec).unwrap()).layer(service);
    cancel_during_run(folder.path(), 1, service.clone().oneshot(post_request())).await;
    fs::write(folder.path().join("go"), "").unwrap();
    service.oneshot(post_request()).await.unwrap();
    assert_eq!((received_values(&seen), run_count(folder.path())), (vec!["Bearer t1".to_owned()], 1));
}

#[tokio::test]
async fn cancelling_a_request_does_not_stop_the_renewal_that_its_401_started() {
    let folder = tempfile::tempdir().unwrap();
    let (seen, service) = recording_server(Some("Bearer t2"));
    let exec = exec_user(counting_plugin(folder.path(), 2));
    let service = AuthLayer::new(credentials(&exec).unwrap()).layer(service);
    cancel_during_run(folder.path(), 2, service.clone().oneshot(post_request())).await;
    fs::write(folder.path().join("go"), "").unwrap();
    assert_eq!(service.oneshot(post_request()).await.unwrap().status(), 200);
    assert_eq!(received_values(&seen).last().unwrap(), "Bearer t2");
    assert_eq!(run_count(folder.path()), 2);
}

#[test]
fn a_request_times_out_if_the_renewal_runs_on_a_runtime_that_is_not_polled() {
    let runtime = |is_paused| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(is_paused).build().unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let (_, service) = recording_server(None);
    let exec = exec_user(counting_plugin(folder.path(), 1));
    let service = AuthLayer::new(credentials(&exec).unwrap()).layer(service);
    let first = runtime(false);
    first.block_on(cancel_during_run(folder.path(), 1, service.clone().oneshot(post_request())));
    let error = Error::from_box(runtime(true).block_on(service.oneshot(post_request())).unwrap_err());
    assert!(matches!(error, Error::Timeout { wait: crate::error::Wait::Credentials, .. }), "{error:?}");
}
