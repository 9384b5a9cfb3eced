//! Tests of the program `kube-sim`. The tests start the stand-ins for etcd and kube-apiserver as envtest does, but the
//! tests need no Go.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

mod process;
mod tls;

use std::fs;
use std::process::Command;

use http::StatusCode;
use serde_json::json;

use process::{Assets, RunningProgram};
use tls::{Authority, Client};

/// The arguments with which envtest of controller-runtime 0.25 starts etcd. `client` and `peer` are the ports of etcd.
/// `folder` is the data folder of etcd.
fn etcd_arguments(client: u16, peer: u16, folder: &str) -> Vec<String> {
    vec![
        format!("--advertise-client-urls=http://127.0.0.1:{client}"),
        format!("--data-dir={folder}"),
        format!("--listen-client-urls=http://127.0.0.1:{client}"),
        format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
        "--unsafe-no-fsync=true".to_owned(),
    ]
}

/// The arguments with which envtest of controller-runtime 0.25 starts kube-apiserver. The tests add the argument
/// `--advertise-address`.
fn api_server_arguments(port: u16, folder: &str) -> Vec<String> {
    vec![
        "--advertise-address=10.9.8.7".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--cert-dir={folder}"),
        format!("--client-ca-file={folder}/client-cert-auth-ca.crt"),
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        "--etcd-servers=http://127.0.0.1:1".to_owned(),
        format!("--secure-port={port}"),
        format!("--service-account-issuer=https://127.0.0.1:{port}/"),
        format!("--service-account-key-file={folder}/sa-signer.crt"),
        format!("--service-account-signing-key-file={folder}/sa-signer.key"),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
    ]
}

/// A running stand-in for kube-apiserver. Its certificates are in the files that envtest would write.
struct ApiServer {
    process: RunningProgram,
    clients: Authority,
    servers: Authority,
    port: u16,
}

impl ApiServer {
    async fn start(assets: &Assets) -> Self {
        let (clients, servers) = (Authority::generate(), Authority::generate());
        let folder = assets.path("certificates");
        fs::create_dir(&folder).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        let (certificate, key) = servers.issue_certificate("localhost", &[]);
        write("apiserver.crt", &certificate);
        write("apiserver.key", &key);
        write("client-cert-auth-ca.crt", clients.certificate());
        write("sa-signer.crt", Authority::generate().certificate());
        write("sa-signer.key", &key);
        let port = process::free_port();
        let process = assets.start("kube-apiserver", &api_server_arguments(port, folder.to_str().unwrap()));
        let server = Self { process, clients, servers, port };
        let client = server.client(None);
        process::wait_until("kube-apiserver is healthy", async || {
            client.get("/healthz").await.is_some_and(|(code, body)| code == 200 && body == "ok")
        })
        .await;
        server
    }

    /// Returns a client. If `user` contains a name and groups, the client has a certificate with this name and these
    /// groups. If `user` is `None`, the client has no certificate.
    fn client(&self, user: Option<(&str, &[&str])>) -> Client {
        let certificate = user.map(|(name, groups)| self.clients.issue_certificate(name, groups));
        Client::new(self.port, &self.servers, certificate)
    }

    fn admin_client(&self) -> Client {
        self.client(Some(("admin", &["system:masters"])))
    }
}

#[test]
fn assets_are_links_to_the_program_and_replace_no_file() {
    let assets = Assets::create();
    for name in ["kube-apiserver", "etcd"] {
        let target = fs::read_link(assets.path(name)).unwrap();
        assert_eq!(target.file_name().unwrap(), "kube-sim");
    }
    let again = assets.run_assets_command();
    assert_eq!(
        String::from_utf8(again.stdout).unwrap().trim(),
        assets.path("").to_str().unwrap().trim_end_matches('/')
    );
    fs::remove_file(assets.path("etcd")).unwrap();
    fs::write(assets.path("etcd"), "a real etcd").unwrap();
    let refused = assets.run_assets_command();
    assert!(!refused.status.success());
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("etcd exists and is not a link"), "{text}");
    assert_eq!(fs::read_to_string(assets.path("etcd")).unwrap(), "a real etcd");
}

#[test]
fn the_help_lists_each_flag_of_envtest() {
    let assets = Assets::create();
    for (name, arguments) in
        [("etcd", etcd_arguments(1, 2, "/x")), ("kube-apiserver", api_server_arguments(1, "/x"))]
    {
        let output = Command::new(assets.path(name)).arg("--help").output().unwrap();
        assert!(output.status.success());
        let help = String::from_utf8(output.stdout).unwrap();
        for argument in arguments {
            let flag = argument.split('=').next().unwrap();
            // envtest searches for flags at the start of a line.
            let is_listed = help.lines().any(|line| line.trim_start().starts_with(&format!("{flag} ")));
            assert!(is_listed, "{flag} is not in {help}");
        }
        // envtest passes `--insecure-port` if the help lists it. Current kube-apiservers do not have this flag.
        assert!(!help.contains("--insecure-port"), "{help}");
    }
}

#[test]
fn an_unknown_or_refused_or_invalid_flag_is_an_error() {
    let assets = Assets::create();
    for (name, flag, reason) in [
        ("etcd", "--snapshot-count=1", "unknown flag --snapshot-count"),
        ("etcd", "--client-cert-auth", "flag --client-cert-auth is refused by kube-sim"),
        ("kube-apiserver", "--no-such-flag", "unknown flag --no-such-flag"),
        ("kube-apiserver", "--oidc-issuer-url=https://x", "flag --oidc-issuer-url is refused by kube-sim"),
        ("kube-apiserver", "--enable-admission-plugins=AlwaysPullImages", "it does not have this plugin"),
        ("kube-apiserver", "--secure-port=http", "--secure-port=http is not a port"),
        ("kube-apiserver", "--advertise-address=x", "--advertise-address=x is not an IP address"),
        ("kube-apiserver", "--service-cluster-ip-range=10.0.0.0/30", "it must have at least 8 addresses"),
        ("kube-apiserver", "--secure-port=0", "--tls-cert-file or --cert-dir is required"),
        ("kube-apiserver", "--cert-dir=/no/such/folder", "cannot read /no/such/folder/apiserver.crt"),
    ] {
        let output = Command::new(assets.path(name)).arg(flag).output().unwrap();
        assert!(!output.status.success(), "{name} {flag}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(reason), "{name} {flag}: {text}");
    }
}

#[tokio::test]
async fn etcd_answers_health_checks_and_says_that_it_stores_nothing() {
    let assets = Assets::create();
    let (port, peer) = (process::free_port(), process::free_port());
    let folder = assets.path("data");
    let etcd = assets.start("etcd", &etcd_arguments(port, peer, folder.to_str().unwrap()));
    process::wait_until("etcd is healthy", async || {
        process::get_without_tls(port, "/health")
            .await
            .is_some_and(|text| text.starts_with("HTTP/1.1 200 OK"))
    })
    .await;
    let other = process::get_without_tls(port, "/v3/kv/range").await.unwrap();
    assert!(other.starts_with("HTTP/1.1 404"), "{other}");
    let (code, log) = etcd.terminate().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("It stores nothing"), "{log}");
    assert!(log.contains("flag --data-dir="), "{log}");
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_certificate_determines_the_name_the_groups_and_the_permissions_of_a_user() {
    let assets = Assets::create();
    let server = ApiServer::start(&assets).await;
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let ada = server.client(Some(("ada", &["readers", "writers"])));
    let (code, mut body) = ada.send("POST", path, &review).await;
    assert_eq!(code, StatusCode::CREATED, "{body}");
    let extra = body["status"]["userInfo"].as_object_mut().unwrap().remove("extra").unwrap();
    let credential = extra["authentication.kubernetes.io/credential-id"][0].as_str().unwrap();
    assert!(credential.strip_prefix("X509SHA256=").is_some_and(|hash| hash.len() == 64), "{credential}");
    let user = json!({"username": "ada", "groups": ["readers", "writers", "system:authenticated"]});
    assert_eq!(body["status"]["userInfo"], user);
    let (code, body) = server.client(None).send("POST", path, &review).await;
    assert_eq!((code.as_u16(), body["reason"].as_str()), (403, Some("Forbidden")), "{body}");
    let (code, body) = ada.send("POST", "/api/v1/namespaces", &json!({"metadata": {"name": "a"}})).await;
    assert_eq!((code.as_u16(), body["reason"].as_str()), (403, Some("Forbidden")), "{body}");
    // An unknown authority has signed the certificate of `stranger`.
    let stranger = Client::new(
        server.port,
        &server.servers,
        Some(Authority::generate().issue_certificate("eve", &["system:masters"])),
    );
    assert_eq!(stranger.send("GET", "/api/v1/nodes", &json!(null)).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn flags_set_the_service_address_range_the_advertised_address_and_the_port() {
    let assets = Assets::create();
    let server = ApiServer::start(&assets).await;
    let admin = server.admin_client();
    let (_, found) = admin.send("GET", "/api/v1/namespaces/default/services/kubernetes", &json!(null)).await;
    assert_eq!(found["spec"]["clusterIP"], "10.0.0.1");
    let (_, found) = admin.send("GET", "/api/v1/namespaces/default/endpoints/kubernetes", &json!(null)).await;
    assert_eq!(found["subsets"][0]["addresses"], json!([{"ip": "10.9.8.7"}]));
    assert_eq!(found["subsets"][0]["ports"][0]["port"], server.port);
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]},
    });
    let (code, created) = admin.send("POST", "/api/v1/namespaces/default/services", &service).await;
    assert_eq!(code, StatusCode::CREATED, "{created}");
    let address = created["spec"]["clusterIP"].as_str().unwrap();
    assert!(address.starts_with("10.0.0."), "{address}");
}

#[tokio::test]
async fn no_built_in_controllers_run() {
    let assets = Assets::create();
    let server = ApiServer::start(&assets).await;
    let admin = server.admin_client();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}});
    assert_eq!(admin.send("POST", "/api/v1/namespaces", &namespace).await.0, StatusCode::CREATED);
    assert_eq!(admin.send("DELETE", "/api/v1/namespaces/x", &json!({})).await.0, StatusCode::OK);
    let (_, found) = admin.send("GET", "/api/v1/namespaces/x", &json!(null)).await;
    assert_eq!(found["status"]["phase"], "Terminating");

    let maps = "/api/v1/namespaces/default/configmaps";
    let map = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    let (_, owner) = admin.send("POST", maps, &map("owner")).await;
    let mut dependent = map("dependent");
    dependent["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"],
    }]);
    assert_eq!(admin.send("POST", maps, &dependent).await.0, StatusCode::CREATED);
    assert_eq!(admin.send("DELETE", &format!("{maps}/owner"), &json!({})).await.0, StatusCode::OK);
    let (code, _) = admin.send("GET", &format!("{maps}/dependent"), &json!(null)).await;
    assert_eq!(code, StatusCode::OK);

    let (code, log) = server.process.terminate().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("No built-in controllers run"), "{log}");
    assert!(log.contains("flag --etcd-servers=http://127.0.0.1:1 has no effect"), "{log}");
}
