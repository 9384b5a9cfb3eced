//! Configurations and clients, including a client that a program composes of layers.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::client::{Body, ClientBuilder, ConfigExt, retry::RetryPolicy, scope};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, api::ListParams};
use kube_sim::Sim;
use tower::{BoxError, ServiceBuilder, retry::RetryLayer};

const KUBECONFIG: &str = r#"
apiVersion: v1
kind: Config
current-context: main
clusters:
- {name: main, cluster: {server: "https://example.invalid:6443"}}
users:
- {name: me, user: {token: secret}}
contexts:
- {name: main, context: {cluster: main, user: me, namespace: web}}
"#;

#[tokio::test]
async fn a_configuration_comes_from_a_kubeconfig() -> anyhow::Result<()> {
    let kubeconfig = Kubeconfig::from_yaml(KUBECONFIG)?;
    let options = KubeConfigOptions { context: Some("main".into()), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig.clone(), &options).await?;
    assert_eq!((config.default_namespace.as_str(), config.cluster_url.port_u16()), ("web", Some(6443)));
    assert_eq!(Client::try_from(config)?.default_namespace(), "web");
    assert_eq!(Client::try_from(kubeconfig)?.default_namespace(), "web");
    Ok(())
}

#[tokio::test]
async fn a_client_is_composed_of_layers() -> anyhow::Result<()> {
    let server = Sim::new().serve_http(([127, 0, 0, 1], 0).into()).await?;
    let config = Config::new(server.url().parse()?);
    let http = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build(config.rustls_https_connector()?);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .layer(RetryLayer::new(RetryPolicy::server_retry()))
        .map_err(BoxError::from)
        .service(http);
    let client = Client::new(service, config.default_namespace);
    let namespaces: Api<Namespace> = Api::all(client);
    assert!(!namespaces.list(&ListParams::default()).await?.items.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_layer_is_added_to_the_default_layers() -> anyhow::Result<()> {
    let server = Sim::new().serve_http(([127, 0, 0, 1], 0).into()).await?;
    let config = Config::new(server.url().parse()?);
    let add_header = tower::util::MapRequestLayer::new(|mut request: http::Request<Body>| {
        request.headers_mut().insert("x-program", http::HeaderValue::from_static("test"));
        request
    });
    let client = ClientBuilder::try_from(config)?.with_layer(&add_header).build();
    assert_eq!(client.apiserver_version().await?.major, "1");
    Ok(())
}

#[tokio::test]
async fn a_client_sends_requests_without_the_type_api() -> anyhow::Result<()> {
    let client = Client::new(Sim::new().service(), "default");
    let request = http::Request::get("/api/v1/namespaces/default").body(Vec::new())?;
    let namespace: Namespace = client.request(request.clone()).await?;
    assert_eq!(namespace.metadata.name.as_deref(), Some("default"));
    assert!(client.request_text(request).await?.contains("default"));
    let all = client.list::<Namespace>(&ListParams::default(), &scope::Cluster).await?;
    assert!(!all.items.is_empty());
    let maps = client.list::<ConfigMap>(&ListParams::default(), &scope::Namespace::from("default")).await?;
    assert!(maps.items.len() < 3);
    Ok(())
}
