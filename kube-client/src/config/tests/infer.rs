//! Tests of [`Config::infer`]: the search for a configuration, and service accounts.

use super::*;

#[test]
fn infer_tries_the_kubeconfig_variable_then_the_home_directory_then_the_service_account() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    fs::create_dir_all(home.join(".kube")).unwrap();
    let pod = folder.path().join("pod");
    fs::create_dir_all(&pod).unwrap();
    write_service_account(&pod);
    let file = folder.path().join("config");
    fs::write(&file, FOUR_CONTEXTS).unwrap();

    let inside = [("KUBERNETES_SERVICE_HOST", "fd00::1".into()), ("KUBERNETES_SERVICE_PORT", "443".into())];
    let env_with = |more: &[(&'static str, PathBuf)]| [&inside[..], more].concat();

    let config = infer_with(&env_with(&[("HOME", home.clone())]), Some(&pod)).unwrap();
    assert_eq!(config.cluster_url, "https://[fd00::1]:443/");
    assert_eq!(config.default_namespace, "apps");
    assert_eq!(config.root_cert.as_ref().map(Vec::len), Some(1));
    assert_eq!(config.auth_info.token_file.as_deref(), pod.join("token").to_str());

    fs::write(home.join(".kube/config"), FOUR_CONTEXTS.replace("10.0.0.1", "10.0.0.9")).unwrap();
    let config = infer_with(&env_with(&[("HOME", home.clone())]), Some(&pod)).unwrap();
    assert_eq!(config.cluster_url.host(), Some("10.0.0.9"));
    let config = infer_with(&env_with(&[("HOME", home.clone()), ("KUBECONFIG", file)]), Some(&pod)).unwrap();
    assert_eq!(config.cluster_url.host(), Some("10.0.0.1"));

    // A missing file of `KUBECONFIG` or an invalid home kubeconfig is an error, even if a later source exists.
    let broken = env_with(&[("HOME", home.clone()), ("KUBECONFIG", "/no/such".into())]);
    assert!(error_chain(&infer_with(&broken, Some(&pod)).unwrap_err()).contains("/no/such"));
    fs::write(home.join(".kube/config"), "current-context: nope").unwrap();
    let message = error_chain(&infer_with(&env_with(&[("HOME", home.clone())]), Some(&pod)).unwrap_err());
    assert!(message.contains("nope") && message.contains(home.to_str().unwrap()), "{message}");
}

#[test]
fn the_error_lists_the_tried_sources_if_there_is_no_configuration() {
    let message = error_chain(&infer_with(&[("HOME", "/no/home".into())], None).unwrap_err());
    for part in ["KUBECONFIG is not set", "/no/home/.kube/config does not exist", "KUBERNETES_SERVICE_HOST"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_pod_without_namespace_or_ca_bundle_gets_the_defaults_of_client_go() {
    let folder = tempfile::tempdir().unwrap();
    let mut inside =
        vec![("KUBERNETES_SERVICE_HOST", "10.0.0.1".into()), ("KUBERNETES_SERVICE_PORT", "443".into())];
    write_service_account(folder.path());
    fs::remove_file(folder.path().join("namespace")).unwrap();
    let config = infer_with(&inside, Some(folder.path())).unwrap();
    assert_eq!(config.default_namespace, "default");
    assert_eq!(config.root_cert.map(|authorities| authorities.len()), Some(1));
    write_service_account(folder.path());
    fs::remove_file(folder.path().join("ca.crt")).unwrap();
    let config = infer_with(&inside, Some(folder.path())).unwrap();
    assert_eq!((config.default_namespace.as_str(), config.root_cert), ("apps", None));
    inside.push(("POD_NAMESPACE", "downward".into()));
    assert_eq!(infer_with(&inside, Some(folder.path())).unwrap().default_namespace, "downward");
}

#[test]
fn an_unreadable_home_kubeconfig_is_an_error_inside_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    write_service_account(folder.path());
    // File permissions do not restrict root, but a path below a regular file is unreadable for every user.
    let home = folder.path().join("token");
    let inside = [
        ("KUBERNETES_SERVICE_HOST", "10.0.0.1".into()),
        ("KUBERNETES_SERVICE_PORT", "443".into()),
        ("HOME", home.clone()),
    ];
    let message = error_chain(&infer_with(&inside, Some(folder.path())).unwrap_err());
    assert!(message.contains(home.to_str().unwrap()), "{message}");
}

#[test]
fn the_error_for_a_service_account_contains_the_missing_file_or_the_invalid_value() {
    let folder = tempfile::tempdir().unwrap();
    let inside = [("KUBERNETES_SERVICE_HOST", "10.0.0.1".into()), ("KUBERNETES_SERVICE_PORT", "443".into())];
    write_service_account(folder.path());
    fs::remove_file(folder.path().join("token")).unwrap();
    let message = error_chain(&infer_with(&inside, Some(folder.path())).unwrap_err());
    assert!(message.contains(folder.path().join("token").to_str().unwrap()), "{message}");
    write_service_account(folder.path());
    fs::write(folder.path().join("ca.crt"), "nonsense").unwrap();
    assert!(
        error_chain(&infer_with(&inside, Some(folder.path())).unwrap_err())
            .contains("no certificate in PEM form")
    );
    let odd = [("KUBERNETES_SERVICE_HOST", "10.0.0.1".into()), ("KUBERNETES_SERVICE_PORT", "x".into())];
    assert!(
        error_chain(&infer_with(&odd, Some(folder.path())).unwrap_err())
            .contains("KUBERNETES_SERVICE_PORT `x`")
    );
}

#[test]
fn debug_variables_override_the_configuration() {
    let variable = |url: &'static str| {
        move |name: &str| match name {
            "KUBE_RS_DEBUG_IMPERSONATE_USER" => Some(OsString::from("jane")),
            "KUBE_RS_DEBUG_IMPERSONATE_GROUP" => Some(OsString::from("a, b")),
            "KUBE_RS_DEBUG_OVERRIDE_URL" => Some(OsString::from(url)),
            _ => None,
        }
    };
    let overridden = |url| {
        let mut config = Config::new("https://10.0.0.1/".parse().unwrap());
        config.apply_overrides_from(Env::from_lookup(&variable(url)));
        config
    };
    let config = overridden("http://localhost:8001");
    assert_eq!(config.cluster_url, "http://localhost:8001/");
    assert_eq!(config.auth_info.impersonate.as_deref(), Some("jane"));
    assert_eq!(config.auth_info.impersonate_groups.unwrap(), ["a", "b"]);
    assert_eq!(overridden("localhost:8001").cluster_url, "https://10.0.0.1/");
    let mut config = Config::new("https://10.0.0.1/".parse().unwrap());
    config.apply_overrides_from(Env::from_lookup(&empty_environment));
    assert!(config.auth_info.impersonate.is_none() && config.auth_info.impersonate_groups.is_none());
}
