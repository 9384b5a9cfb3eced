//! Tests of the configuration from kubeconfigs and service accounts, and of the errors for invalid files.

mod infer;

use super::*;
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::ExposeSecret;
use std::{error::Error, ffi::OsString, fs, path::PathBuf};

/// A kubeconfig with four contexts: two valid contexts, and two contexts that refer to missing entries.
const FOUR_CONTEXTS: &str = "
apiVersion: v1
kind: Config
current-context: one
x-tool: {kept: true}
clusters:
- name: here
  cluster: {server: 'https://10.0.0.1:6443/base', tls-server-name: api.internal, future-field: 7}
- name: there
  cluster: {server: 'https://10.0.0.2'}
users:
- name: me
  user: {token: s3cr3t-token, password: s3cr3t-password, username: bob, other-secret: s3cr3t-other}
- name: plugin
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: bin/login
      args: [--secret, s3cr3t-arg]
      env: [{name: KEY, value: s3cr3t-env}]
      provideClusterInfo: true
      interactiveMode: Never
    auth-provider: {name: oidc, config: {refresh-token: s3cr3t-refresh}}
contexts:
- name: one
  context: {cluster: here, user: me, namespace: apps}
- name: two
  context: {cluster: there, user: plugin}
- name: lost
  context: {cluster: gone, user: me}
- name: nobody
  context: {cluster: here, user: ghost}
";

fn empty_environment(_: &str) -> Option<OsString> {
    None
}

/// Resolves a kubeconfig in an environment without variables.
fn resolve_yaml(text: &str, options: &KubeConfigOptions) -> Result<Config, KubeconfigError> {
    resolve::resolve(&Kubeconfig::from_yaml(text)?, options, Env::from_lookup(&empty_environment))
}

/// Options that select this context.
fn context_options(name: &str) -> KubeConfigOptions {
    KubeConfigOptions { context: Some(name.into()), ..KubeConfigOptions::default() }
}

/// The texts of the error and of all its sources.
fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Asserts that [`resolve_yaml`] returns an error, and that the error and its sources contain all `parts` and no secret.
#[track_caller]
fn assert_error_contains(text: &str, options: &KubeConfigOptions, parts: &[&str]) {
    let message = error_chain(&resolve_yaml(text, options).unwrap_err());
    for part in parts {
        assert!(message.contains(part), "`{part}` not in: {message}");
    }
    assert!(!message.contains("s3cr3t"), "{message}");
}

#[test]
fn the_current_context_is_used() {
    let config = resolve_yaml(FOUR_CONTEXTS, &KubeConfigOptions::default()).unwrap();
    assert_eq!(config.cluster_url, "https://10.0.0.1:6443/base");
    assert_eq!(config.default_namespace, "apps");
    assert_eq!(config.tls_server_name.as_deref(), Some("api.internal"));
    assert_eq!(config.auth_info.token.unwrap().expose_secret(), "s3cr3t-token");
}

#[test]
fn options_override_the_context_or_the_cluster() {
    let config = resolve_yaml(FOUR_CONTEXTS, &context_options("two")).unwrap();
    assert_eq!(config.cluster_url, "https://10.0.0.2/");
    assert_eq!(config.default_namespace, "default");
    let cluster = config.auth_info.exec.unwrap().cluster.unwrap();
    assert_eq!(cluster.server.as_deref(), Some("https://10.0.0.2"));

    let options = KubeConfigOptions { cluster: Some("there".into()), ..KubeConfigOptions::default() };
    let config = resolve_yaml(FOUR_CONTEXTS, &options).unwrap();
    assert_eq!(config.cluster_url, "https://10.0.0.2/");
    assert!(config.auth_info.token.is_some());
}

#[test]
fn the_error_for_a_missing_entry_contains_its_name_and_the_existing_names() {
    assert_error_contains(
        FOUR_CONTEXTS,
        &context_options("three"),
        &["the given kubeconfig", "no context `three`", "one, two, lost"],
    );
    assert_error_contains(
        FOUR_CONTEXTS,
        &context_options("lost"),
        &["no cluster `gone`", "context `lost`", "here, there"],
    );
    assert_error_contains(
        FOUR_CONTEXTS,
        &context_options("nobody"),
        &["no user `ghost`", "context `nobody`", "me, plugin"],
    );
    assert_error_contains(
        "contexts: [{name: a}]",
        &KubeConfigOptions::default(),
        &["no current-context", "it has: a"],
    );
    assert_error_contains("", &KubeConfigOptions::default(), &["no current-context", "it has no context"]);
}

/// Asserts that the error for this cluster and this user contains `parts`.
#[track_caller]
fn assert_field_error(cluster: &str, user: &str, parts: &[&str]) {
    let text = format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         clusters: [{{name: k, cluster: {cluster}}}]\nusers: [{{name: u, user: {user}}}]"
    );
    assert_error_contains(&text, &KubeConfigOptions::default(), parts);
}

#[test]
fn the_error_for_an_invalid_field_contains_the_name_of_the_field() {
    let at = "server: 'https://x'";
    assert_field_error("{}", "{}", &["server of cluster `k`", "missing"]);
    assert_field_error("{server: 'x:1'}", "{}", &["server of cluster `k`", "begin with https://"]);
    assert_field_error(
        &format!("{{{at}, certificate-authority: /no/such/ca.crt}}"),
        "{}",
        &["certificate-authority of cluster `k`", "cannot read /no/such/ca.crt"],
    );
    assert_field_error(
        &format!("{{{at}, certificate-authority-data: '%%%'}}"),
        "{}",
        &["certificate-authority-data", "base64"],
    );
    assert_field_error(
        &format!("{{{at}, certificate-authority-data: aGVsbG8=}}"),
        "{}",
        &["certificate-authority-data", "no certificate in PEM form"],
    );
    assert_field_error(
        &format!("{{{at}, proxy-url: 'gopher://a:s3cr3t@b'}}"),
        "{}",
        &["proxy-url of cluster `k`"],
    );
    let cluster = format!("{{{at}}}");
    assert_field_error(
        &cluster,
        "{client-certificate: /no/such.crt, client-key: k}",
        &["user `u`", "/no/such.crt"],
    );
    let some = "client-certificate-data: aGVsbG8=";
    assert_field_error(
        &cluster,
        &format!("{{{some}}}"),
        &["client-certificate-data of user `u`", "needs client-key"],
    );
    let sealed = "-----BEGIN ENCRYPTED PRIVATE KEY-----\ns3cr3t\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let pair = rcgen::generate_simple_self_signed(["me".to_owned()]).unwrap();
    let encode = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    let user = format!(
        "{{client-certificate-data: {}, client-key-data: {}}}",
        encode(&pair.cert.pem()),
        encode(sealed)
    );
    assert_field_error(&cluster, &user, &["client-key-data of user `u`", "is encrypted"]);
    assert_field_error(&cluster, "{client-key-data: s3cr3t}", &["client-key-data of user `u`", "base64"]);
    assert_field_error(&cluster, "{client-key-data: aGVsbG8=}", &["needs client-certificate"]);
}

#[test]
fn a_certificate_authority_with_insecure_skip_tls_verify_is_an_error() {
    let pair = rcgen::generate_simple_self_signed(["me".to_owned()]).unwrap();
    let data = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair.cert.pem());
    let cluster = format!(
        "{{server: 'https://x', insecure-skip-tls-verify: true, certificate-authority-data: {data}}}"
    );
    assert_field_error(
        &cluster,
        "{}",
        &["cluster `k`", "certificate-authority-data", "insecure-skip-tls-verify"],
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.crt");
    fs::write(&file, pair.cert.pem()).unwrap();
    let cluster = format!(
        "{{server: 'https://x', insecure-skip-tls-verify: true, certificate-authority: '{}'}}",
        file.display()
    );
    assert_field_error(&cluster, "{}", &["certificate-authority of cluster `k`", "insecure-skip-tls-verify"]);

    let mut config = Config::new("https://10.0.0.1".parse().unwrap());
    config.root_cert = Some(vec![pair.cert.der().to_vec()]);
    config.accept_invalid_certs = true;
    let message = error_chain(&crate::Client::try_from(config).unwrap_err());
    assert!(message.contains("root_cert") && message.contains("accept_invalid_certs"), "{message}");
}

#[test]
fn an_unusable_port_is_an_error_and_is_not_replaced_by_the_default_port() {
    let refused = |config: Config| error_chain(&crate::Client::try_from(config).unwrap_err());
    let message = refused(Config::new("https://10.0.0.1:65536".parse().unwrap()));
    assert!(message.contains("cluster_url has a port"), "{message}");
    let mut config = Config::new("http://10.0.0.1:6443".parse().unwrap());
    config.proxy_url = Some("http://me:s3cr3t@proxy:312800".parse().unwrap());
    let message = refused(config);
    assert!(message.contains("proxy_url has a port") && !message.contains("s3cr3t"), "{message}");
}

#[test]
fn string_fields_accept_numbers_with_and_without_merge_keys() {
    let text = "
clusters: [{name: 1, cluster: {server: 'https://x'}}]
contexts: [{name: 2, context: {cluster: 1, namespace: 3}}]
";
    for text in [text.to_owned(), format!("# <<\n{text}")] {
        let config = resolve_yaml(&text, &context_options("2")).map_err(|error| error_chain(&error));
        assert_eq!(config.map(|config| config.default_namespace).as_deref(), Ok("3"), "{text}");
    }
}

#[test]
fn yaml_merge_keys_are_expanded() {
    let text = "
current-context: c
x-first: &first {tls-server-name: api.internal, proxy-url: 'http://first:1'}
x-second: &second {<<: *first, proxy-url: 'http://second:2'}
clusters:
- name: k
  cluster: {<<: [*second, {disable-compression: true}], server: 'https://x'}
users: [{name: u, user: {token: t}}]
contexts: [{name: c, context: {cluster: k, user: u}}]
";
    let config = resolve_yaml(text, &KubeConfigOptions::default()).unwrap();
    assert_eq!(config.tls_server_name.as_deref(), Some("api.internal"));
    assert_eq!(config.proxy_url.unwrap(), "http://second:2/");
    assert!(config.disable_compression);
    let message = error_chain(&Kubeconfig::from_yaml("clusters: [{name: a, <<: s3cr3t}]").unwrap_err());
    assert!(message.contains("merging") && !message.contains("s3cr3t"), "{message}");
    // The error contains no position. A position would refer to the document with expanded merge keys, which
    // differs from the file.
    let text = "clusters:\n- name: k\n  cluster: {<<: {server: 'https://x'}, disable-compression: s3cr3t}";
    let message = error_chain(&Kubeconfig::from_yaml(text).unwrap_err());
    assert!(message.contains("clusters[0].cluster: invalid type"), "{message}");
    assert!(!message.contains("line") && !message.contains("s3cr3t"), "{message}");
}

#[test]
fn users_without_credentials_and_incomplete_unselected_entries_are_accepted() {
    let text = "
kind: ''
current-context: c
clusters:
- name: k
  cluster:
    server: 'https://x'
    extensions: [{name: client.authentication.k8s.io/exec}, {extension: {}}]
- cluster: {server: 'https://y'}
- name: empty
users:
- name: u
  user: {exec: {command: login, apiVersion: client.authentication.k8s.io/v1, provideClusterInfo: null}}
- user: {auth-provider: {config: null}}
- {name: anonymous, user: null}
- {name: missing}
contexts:
- {name: c, context: {cluster: k, user: u}}
- {name: a, context: {cluster: k, user: anonymous}}
- {name: m, context: {cluster: k, user: missing}}
- {name: n, context: {cluster: null, user: null}}
- context: {cluster: k}
---
kind: Config
apiVersion: v1
";
    let config = resolve_yaml(text, &KubeConfigOptions::default()).unwrap();
    assert!(config.auth_info.exec.is_some_and(|exec| !exec.provide_cluster_info));
    for name in ["a", "m"] {
        assert!(resolve_yaml(text, &context_options(name)).unwrap().auth_info.exec.is_none(), "{name}");
    }
}

#[test]
fn the_error_for_malformed_text_contains_no_secrets() {
    for (text, part) in [
        ("users: [{name: u, user: s3cr3t}]", "users"),
        ("users: [{name: u, user: {token: 5}}]", "must be a string"),
        ("users: [{name: u, user: {token: [s3cr3t]}}]", "a string"),
        ("users: [{name: u, user: {exec: {interactiveMode: s3cr3t}}}]", "unknown variant"),
        ("clusters: {a: b}", "clusters"),
        ("a: [", "line"),
        ("kind: Pod\napiVersion: v1", "kind `Pod`"),
        ("apiVersion: v2", "apiVersion `v2`"),
        ("just text", "valid kubeconfig"),
        ("clusters: [{name: a}, {name: a}]", "two clusters named `a`"),
        ("users: [{name: a}, {name: a}]", "two users named `a`"),
        ("contexts: [{name: a}, {name: a}]", "two contexts named `a`"),
    ] {
        let message = error_chain(&Kubeconfig::from_yaml(text).unwrap_err());
        assert!(message.contains(part), "{text}: {message}");
        assert!(!message.contains("s3cr3t"), "{message}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let kubeconfig = Kubeconfig::from_yaml(FOUR_CONTEXTS).unwrap();
    let mut config = resolve_yaml(FOUR_CONTEXTS, &context_options("two")).unwrap();
    config.headers.push((http::header::AUTHORIZATION, HeaderValue::from_static("s3cr3t")));
    config.proxy_url = Some("http://me:s3cr3t@proxy".parse().unwrap());
    let shown = format!("{kubeconfig:?} {config:?} {:#?}", config.auth_info);
    assert!(!shown.contains("s3cr3t"), "{shown}");
    assert!(shown.contains("bin/login") && shown.contains("refresh-token"), "{shown}");
}

#[test]
fn unknown_keys_and_secrets_survive_a_round_trip() {
    let written = yaml_serde::to_string(&Kubeconfig::from_yaml(FOUR_CONTEXTS).unwrap()).unwrap();
    let before: yaml_serde::Value = yaml_serde::from_str(FOUR_CONTEXTS).unwrap();
    let after: yaml_serde::Value = yaml_serde::from_str(&written).unwrap();
    assert_eq!(before, after);
}

#[test]
fn the_first_kubeconfig_takes_precedence_in_a_merge() {
    let first = Kubeconfig::from_yaml(
        "clusters: [{name: a, cluster: {server: 'https://first'}}]\ncurrent-context: ''\nx: 1",
    );
    let second = Kubeconfig::from_yaml(
        "clusters: [{name: a, cluster: {server: 'https://second', tls-server-name: n}}, {name: b}]\n\
         current-context: late\nx: 2\ny: 3",
    );
    let third = Kubeconfig::from_yaml("current-context: later");
    let merged = first.unwrap().merge(second.unwrap()).unwrap().merge(third.unwrap()).unwrap();
    assert_eq!(merged.clusters.len(), 2);
    let a = merged.cluster("a").unwrap();
    assert_eq!((a.server.as_deref(), a.tls_server_name.as_deref()), (Some("https://first"), None));
    assert_eq!(merged.current_context.as_deref(), Some("late"));
    assert_eq!((&merged.other["x"], &merged.other["y"]), (&1.into(), &3.into()));
}

#[test]
fn yaml_documents_are_merged() {
    let config = Kubeconfig::from_yaml("current-context: a\n---\ncontexts: [{name: a}]\n---\n").unwrap();
    assert_eq!((config.current_context.as_deref(), config.contexts.len()), (Some("a"), 1));
}

/// A list of paths as in `KUBECONFIG`.
fn path_list(paths: &[PathBuf]) -> OsString {
    std::env::join_paths(paths).unwrap()
}

#[test]
fn paths_in_merged_files_are_resolved_against_the_directory_of_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    fs::create_dir_all(&one).unwrap();
    fs::create_dir_all(&two).unwrap();
    fs::write(
        one.join("c"),
        "users: [{name: u, user: {tokenFile: t, client-key: /abs, exec: {command: login}}}]",
    )
    .unwrap();
    fs::write(
        two.join("c"),
        "clusters: [{name: k, cluster: {certificate-authority: ca.crt}}]\n\
         users: [{name: v, user: {exec: {command: bin/login}}}]",
    )
    .unwrap();
    let list = path_list(&[one.join("c"), folder.path().join("missing"), two.join("c"), one.join("c")]);
    let merged = load::read_listed_files(&list).unwrap();
    let path = |path: PathBuf| path.to_str().map(str::to_owned);
    let user = merged.user("u").unwrap();
    assert_eq!(user.token_file, path(one.join("t")));
    assert_eq!(user.client_key.as_deref(), Some("/abs"));
    assert_eq!(user.exec.as_ref().unwrap().command.as_deref(), Some("login"));
    assert_eq!(merged.user("v").unwrap().exec.as_ref().unwrap().command, path(two.join("bin/login")));
    assert_eq!(merged.cluster("k").unwrap().certificate_authority, path(two.join("ca.crt")));
    assert_eq!(merged.sources, [one.join("c"), two.join("c")]);
}

#[test]
fn the_error_for_missing_files_contains_all_their_paths() {
    let message =
        load::read_listed_files(&path_list(&["/no/a".into(), "/no/b".into()])).unwrap_err().to_string();
    assert!(message.contains("/no/a, /no/b") && message.contains("KUBECONFIG"), "{message}");
    let message = load::read_listed_files(&path_list(&["".into(), "".into()])).unwrap_err().to_string();
    assert!(message.starts_with("KUBECONFIG contains no path"), "{message}");
    let message = Kubeconfig::read_from("/no/a").unwrap_err().to_string();
    assert!(message.contains("/no/a"), "{message}");
}

/// Infers the configuration with these environment variables. `account` is the directory of the service account.
fn infer_with(variables: &[(&str, PathBuf)], account: Option<&Path>) -> Result<Config, InferConfigError> {
    let lookup = |name: &str| {
        variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone().into_os_string())
    };
    infer_from(Env::from_lookup(&lookup), account)
}

fn write_service_account(folder: &Path) {
    let authority = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap();
    fs::write(folder.join("ca.crt"), authority.cert.pem()).unwrap();
    fs::write(folder.join("token"), "s3cr3t\n").unwrap();
    fs::write(folder.join("namespace"), "apps\n").unwrap();
}

#[test]
fn the_ca_file_is_ignored_if_the_program_sets_certificates_or_the_kubeconfig_contains_them() {
    let folder = tempfile::tempdir().unwrap();
    write_service_account(folder.path());
    let (file, other) = (folder.path().join("ca.crt"), vec![vec![1]]);
    let inside = [("KUBERNETES_SERVICE_HOST", "10.0.0.1".into()), ("KUBERNETES_SERVICE_PORT", "443".into())];
    let mut config = infer_with(&inside, Some(folder.path())).unwrap();
    assert_eq!(config.authority_file(), Some(&*file));
    config.root_cert = Some(other.clone());
    assert_eq!((config.authority_file(), config.authorities().unwrap()), (None, Some(other)));

    let text = |field: &str| {
        format!(
            "current-context: c\ncontexts: [{{name: c, context: {{cluster: k}}}}]\n\
             clusters: [{{name: k, cluster: {{server: 'https://x', {field}}}}}]"
        )
    };
    let field = format!("certificate-authority: '{}'", file.display());
    let options = KubeConfigOptions::default();
    let mut config = resolve_yaml(&text(&field), &options).unwrap();
    assert_eq!(config.authority_file(), Some(&*file));
    config.root_cert = None;
    assert_eq!(config.authorities().unwrap().map(|certificates| certificates.len()), Some(1));
    let data = format!("{field}, certificate-authority-data: {}", STANDARD.encode(fs::read(&file).unwrap()));
    let config = resolve_yaml(&text(&data), &options).unwrap();
    assert_eq!((config.authority_file(), config.root_cert.is_some()), (None, true));
}

#[test]
fn a_plugin_gets_the_content_of_the_ca_file_and_the_extension() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.crt");
    fs::write(&file, "PEM").unwrap();
    let cluster: Cluster = yaml_serde::from_str(&format!(
        "{{server: 'https://x', certificate-authority: '{}', tls-server-name: n, proxy-url: 'http://p',\n\
         extensions: [{{name: client.authentication.k8s.io/exec, extension: {{a: 1}}}}]}}",
        file.display()
    ))
    .unwrap();
    let information = ExecAuthCluster::try_from(&cluster).unwrap();
    assert_eq!(information.certificate_authority_data.as_deref(), Some(&b"PEM"[..]));
    let json = serde_json::to_value(&information).unwrap();
    let expected = serde_json::json!({
        "server": "https://x", "tls-server-name": "n", "proxy-url": "http://p", "config": {"a": 1},
        "certificate-authority-data": "UEVN",
    });
    assert_eq!(json, expected);
    let back: ExecAuthCluster = serde_json::from_value(json).unwrap();
    assert_eq!(back.certificate_authority_data, information.certificate_authority_data);
    let missing = Cluster { certificate_authority: Some("/no/ca".into()), ..Cluster::default() };
    assert!(error_chain(&ExecAuthCluster::try_from(&missing).unwrap_err()).contains("/no/ca"));
}

#[test]
fn errors_of_configurations_convert_to_the_error_of_the_client() {
    fn load() -> crate::Result<Config> {
        Ok(Config::try_from(Kubeconfig::from_yaml("a: [")?)?)
    }
    assert!(matches!(load(), Err(crate::Error::Config(_))));
}
