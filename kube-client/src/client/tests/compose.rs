//! Tests of clients that a program composes from the layers and the connector of `ConfigExt`.

use super::server::{Authority, Server};
use crate::{
    client::{Body, Client, ConfigExt},
    config::{AuthInfo, Config, Kubeconfig},
    error::{BoxError, Error},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::Full;
use hyper_util::{client::legacy, rt::TokioExecutor};
use tower::ServiceBuilder;

/// Composes a client as the example `custom_client` of the crate `kube` does.
fn compose(config: &Config) -> Result<Client, BoxError> {
    let https = config.rustls_https_connector()?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(https));
    Ok(Client::new(service, config.default_namespace.as_str()))
}

fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[tokio::test]
async fn a_composed_client_presents_its_certificate_and_verifies_the_server_name() {
    let (authority, clients) = (Authority::new("ca"), Authority::new("clients"));
    let server = Server::https(&authority.issue(&["api.internal"], |_| {}), Some(&clients)).await;
    let leaf = clients.issue(&["me"], |_| {});
    let mut config = server.config(&authority);
    config.tls_server_name = Some("api.internal".into());
    config.auth_info.client_certificate_data = Some(STANDARD.encode(&leaf.pem));
    config.auth_info.client_key_data = Some(STANDARD.encode(leaf.key.serialize_pem()).into());
    assert!(config.auth_layer().unwrap().is_none());
    let info = compose(&config).unwrap().apiserver_version().await.unwrap();
    assert_eq!(info.git_commit, STANDARD.encode(&leaf.der));
    config.tls_server_name = None;
    let error = compose(&config).unwrap().apiserver_version().await.unwrap_err();
    assert!(error_chain(&error).contains("certificate"), "{error:?}");
}

#[tokio::test]
async fn a_composed_client_adds_credentials_and_headers_and_renews_a_rejected_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "one").unwrap();
    let server = Server::http(|request| async move {
        let header = |name| request.headers().get(name).map_or("", |value| value.to_str().unwrap());
        let text = format!("{} {}", header("authorization"), header("impersonate-user"));
        let code = if header("authorization") == "Bearer two" { 200 } else { 401 };
        http::Response::builder().status(code).body(Full::from(text)).unwrap()
    })
    .await;
    let mut config = server.plain_config();
    config.auth_info.token_file = Some(path.to_str().unwrap().to_owned());
    config.auth_info.impersonate = Some("jane".into());
    let client = compose(&config).unwrap();
    std::fs::write(&path, "two").unwrap();
    let request = http::Request::get("/x").body(Vec::new()).unwrap();
    assert_eq!(client.request_text(request).await.unwrap(), "Bearer two jane");

    config.cluster_url = "http://10.0.0.1".parse().unwrap();
    assert!(error_chain(&config.auth_layer().unwrap_err()).contains("in the clear"));
}

#[cfg(unix)]
#[tokio::test]
async fn a_plugin_that_returns_a_client_certificate_causes_an_error_that_names_client_builder() {
    let leaf = Authority::new("clients").issue(&["me"], |_| {});
    let folder = tempfile::tempdir().unwrap();
    let printed = serde_json::json!({
        "kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1beta1",
        "status": {"clientCertificateData": leaf.pem, "clientKeyData": leaf.key.serialize_pem()},
    });
    std::fs::write(folder.path().join("out"), printed.to_string()).unwrap();
    let exec = crate::config::ExecConfig {
        api_version: Some("client.authentication.k8s.io/v1beta1".into()),
        command: Some("cat".into()),
        args: Some(vec![folder.path().join("out").to_str().unwrap().to_owned()]),
        ..crate::config::ExecConfig::default()
    };
    let mut config = Config::new("https://127.0.0.1:1".parse().unwrap());
    config.root_cert = Some(vec![Authority::new("ca").der()]);
    config.auth_info = AuthInfo { exec: Some(exec), ..AuthInfo::default() };
    let error = compose(&config).unwrap().apiserver_version().await.unwrap_err();
    assert!(error_chain(&error).contains("ClientBuilder"), "{error:?}");
}

#[tokio::test]
async fn a_client_is_built_from_a_kubeconfig() {
    let server = Server::http(|_| async { super::server::version_response() }).await;
    let text = format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, namespace: n}}}}]\n\
         clusters: [{{name: k, cluster: {{server: 'http://{}'}}}}]",
        server.address
    );
    let client = Client::try_from(Kubeconfig::from_yaml(&text).unwrap()).unwrap();
    assert_eq!(client.default_namespace(), "n");
    client.apiserver_version().await.unwrap();
    assert!(matches!(Client::try_from(Kubeconfig::default()), Err(Error::Config(_))));
}
