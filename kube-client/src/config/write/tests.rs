//! Tests of writing kubeconfigs: the lock, the replacement of the file, and the preserved content.

use super::*;
use std::error::Error;

const KUBECONFIG_TEXT: &str = "
apiVersion: v1
kind: Config
current-context: c
x-tool: {kept: 1}
preferences: {colors: true, x: 2}
clusters:
- name: k
  x: 3
  cluster: {server: 'https://x', certificate-authority: ca.crt, x: 4}
users:
- name: u
  x: 5
  user:
    tokenFile: dir/token
    as: jane
    as-user-extra: {b: [1, 2], a: [3]}
    extensions: [{name: e, extension: {x: 6}}]
    x: 7
    exec: {command: ./login, apiVersion: client.authentication.k8s.io/v1, provideClusterInfo: false, x: 8}
contexts:
- name: c
  x: 9
  context: {cluster: k, user: u, x: 10}
";

fn parse_yaml(text: &str) -> yaml_serde::Value {
    yaml_serde::from_str(text).unwrap()
}

#[test]
fn editing_keeps_unknown_keys_and_relative_paths() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    fs::write(&path, KUBECONFIG_TEXT).unwrap();
    Kubeconfig::edit(&path, |kubeconfig| kubeconfig.current_context = Some("other".into())).unwrap();
    let written = fs::read_to_string(&path).unwrap();
    let expected = KUBECONFIG_TEXT.replace("current-context: c", "current-context: other");
    // The values of `as-user-extra` become strings.
    let expected = expected.replace("[1, 2]", "['1', '2']").replace("[3]", "['3']");
    assert_eq!(parse_yaml(&written), parse_yaml(&expected));

    // An edit without a change does not write the file.
    fs::write(&path, KUBECONFIG_TEXT).unwrap();
    assert_eq!(Kubeconfig::edit(&path, |kubeconfig| kubeconfig.clusters.len()).unwrap(), 1);
    assert_eq!(fs::read_to_string(&path).unwrap(), KUBECONFIG_TEXT);
}

#[test]
fn paths_below_the_folder_of_a_written_file_become_relative_and_keep_their_meaning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    fs::write(&path, KUBECONFIG_TEXT).unwrap();
    let read = Kubeconfig::read_from(&path).unwrap();
    let copy = folder.path().join("new/dir/config");
    read.write_to(&path).unwrap();
    read.write_to(&copy).unwrap();
    let (again, copied) = (Kubeconfig::read_from(&path).unwrap(), Kubeconfig::read_from(&copy).unwrap());
    for same in [&again, &copied] {
        assert_eq!(same.to_yaml().unwrap(), read.to_yaml().unwrap());
    }
    let written = fs::read_to_string(&path).unwrap();
    assert!(written.contains("tokenFile: dir/token") && written.contains("command: ./login"), "{written}");
    // A file in another directory keeps absolute paths.
    let folder = folder.path().to_str().unwrap();
    assert!(!written.contains(folder) && fs::read_to_string(&copy).unwrap().contains(folder));
}

#[test]
fn a_new_file_contains_kind_and_api_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    Kubeconfig::edit(&path, |_| ()).unwrap();
    assert!(!path.exists());
    Kubeconfig::default().write_to(&path).unwrap();
    let written = parse_yaml(&fs::read_to_string(&path).unwrap());
    assert_eq!((written["kind"].as_str(), written["apiVersion"].as_str()), (Some("Config"), Some("v1")));
    #[cfg(unix)]
    assert_eq!(file_mode(&path), 0o600);
}

#[cfg(unix)]
fn file_mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[cfg(unix)]
#[test]
fn replacing_a_file_keeps_its_permissions_and_a_symbolic_link() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (target, link) = (folder.path().join("target"), folder.path().join("link"));
    fs::write(&target, KUBECONFIG_TEXT).unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    Kubeconfig::edit(&link, |kubeconfig| kubeconfig.current_context = Some("other".into())).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(file_mode(&target), 0o640);
    assert!(fs::read_to_string(&target).unwrap().contains("current-context: other"));
    // Neither a lock nor a temporary file is left.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_locked_file_is_not_written_and_the_error_names_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    fs::write(&path, KUBECONFIG_TEXT).unwrap();
    let lock = folder.path().join("config.lock");
    fs::write(&lock, "").unwrap();
    let waiting = {
        let path = path.clone();
        thread::spawn(move || Kubeconfig::edit(&path, |kubeconfig| kubeconfig.current_context = None))
    };
    let error = Kubeconfig::default().write_to(&path).unwrap_err();
    assert!(error.to_string().contains(lock.to_str().unwrap()), "{error}");
    assert!(waiting.join().unwrap().is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), KUBECONFIG_TEXT);
    assert!(lock.exists());
}

#[test]
fn concurrent_edits_lose_no_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let edits: Vec<_> = (0..8)
        .map(|number| {
            let path = path.clone();
            thread::spawn(move || {
                Kubeconfig::edit(&path, |kubeconfig| kubeconfig.other.insert(format!("x{number}"), 1.into()))
            })
        })
        .collect();
    for edit in edits {
        edit.join().unwrap().unwrap();
    }
    assert_eq!(Kubeconfig::read_from(&path).unwrap().other.len(), 8);
}

#[test]
fn a_file_with_invalid_content_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    fs::write(&path, "clusters: 5").unwrap();
    assert!(matches!(Kubeconfig::edit(&path, |_| ()), Err(KubeconfigError::Parse { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), "clusters: 5");
    assert!(!folder.path().join("config.lock").exists());
    let error = Kubeconfig::default().write_to(folder.path()).unwrap_err();
    assert!(error.source().is_some(), "{error}");
}

#[test]
fn auth_provider_tokens_are_written_to_the_first_file_that_contains_the_user() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["one", "two", "three"].map(|name| folder.path().join(name));
    let user = |token: &str| {
        format!(
            "users: [{{name: u, user: {{auth-provider: {{name: oidc, config: {{id-token: {token}, x: y}}}}}}}}]"
        )
    };
    fs::write(&files[0], "current-context: c").unwrap();
    fs::write(&files[1], user("old")).unwrap();
    fs::write(&files[2], user("shadowed")).unwrap();
    let origin = UserOrigin { files: files.to_vec(), user: "u".into() };
    origin.write_auth_provider_settings(&[("id-token", "new".into())]).unwrap();
    let config = |path: &Path| {
        let user = Kubeconfig::read_from(path).unwrap().user("u").unwrap();
        user.auth_provider.unwrap().config
    };
    assert_eq!(
        config(&files[1]),
        [("id-token", "new"), ("x", "y")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    );
    assert_eq!(config(&files[2])["id-token"], "shadowed");
    assert_eq!(fs::read_to_string(&files[0]).unwrap(), "current-context: c");
}
