//! Tests of the kubeconfig auth provider `oidc`, with an OpenID Connect provider in the same process.

use super::server::{Server, version_response};
use crate::{
    client::Client,
    config::{Config, KubeConfigOptions, Kubeconfig},
    error::Error,
};
use base64::{Engine, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::Semaphore;

/// An ID token that expires in `seconds` seconds. Its subject is `name`.
fn id_token(name: &str, seconds: i64) -> String {
    let expiry = jiff::Timestamp::now().as_second() + seconds;
    let encode = |json: String| URL_SAFE_NO_PAD.encode(json);
    let payload = format!(r#"{{"sub":"{name}","exp":{expiry}}}"#);
    format!("{}.{}.c2ln", encode(r#"{"alg":"RS256"}"#.to_owned()), encode(payload))
}

/// A provider that accepts the client secret only in the body of a request. It issues each of its ID
/// tokens once, and refuses further token requests.
struct Provider {
    server: Server,
    /// The received token requests, each as the text `path body`. Requests with a client secret in a header
    /// are not recorded.
    seen: Arc<Mutex<Vec<String>>>,
    /// Each successful token response takes one of these permits, and waits while there is none.
    response_permits: Arc<Semaphore>,
}

impl Provider {
    /// Starts a provider. Its nth token response contains the nth of `tokens` as the ID token, and `r{n}` as the
    /// refresh token.
    async fn start(tokens: Vec<String>) -> Self {
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let (notes, response_permits) = (seen.clone(), Arc::new(Semaphore::new(1000)));
        let permits = response_permits.clone();
        let server = Server::http(move |request: Request<Incoming>| {
            let (tokens, notes, permits) = (tokens.clone(), notes.clone(), permits.clone());
            async move {
                let is_token = request.uri().path() == "/token";
                let response = respond_as_provider(request, &tokens, &notes).await;
                if is_token && response.status().is_success() {
                    permits.acquire().await.unwrap().forget();
                }
                response
            }
        })
        .await;
        Self { server, seen, response_permits }
    }

    fn token_requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().filter(|line| line.starts_with("/token")).cloned().collect()
    }

    /// Writes a kubeconfig for a user of this provider.
    fn write_kubeconfig(&self, folder: &Path, cluster: &Server, settings: &str) -> PathBuf {
        let text = format!(
            "
current-context: c
contexts: [{{name: c, context: {{cluster: k, user: u}}}}]
clusters: [{{name: k, cluster: {{server: 'http://{}'}}}}]
users:
- name: u
  user:
    auth-provider:
      name: oidc
      config: {{idp-issuer-url: 'http://{}/', client-id: me, client-secret: s3cr3t, {settings}}}
",
            cluster.address, self.server.address
        );
        let path = folder.join("config");
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// The response of a [`Provider`] to `request`. Adds token requests to `notes`.
async fn respond_as_provider(
    request: Request<Incoming>,
    tokens: &[String],
    notes: &Mutex<Vec<String>>,
) -> Response<Full<Bytes>> {
    let host = request.headers()[header::HOST].to_str().unwrap().to_owned();
    let (path, has_secret) =
        (request.uri().path().to_owned(), request.headers().contains_key("authorization"));
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let respond = |code, json: serde_json::Value| {
        Response::builder().status(code).body(Full::from(json.to_string())).unwrap()
    };
    if path == "/.well-known/openid-configuration" {
        return respond(200, serde_json::json!({"token_endpoint": format!("http://{host}/token")}));
    }
    if has_secret {
        return respond(401, serde_json::json!({"error": "invalid_client"}));
    }
    let mut notes = notes.lock().unwrap();
    notes.push(format!("{path} {body}"));
    match tokens.get(notes.len() - 1) {
        Some(token) => {
            respond(200, serde_json::json!({"id_token": token, "refresh_token": format!("r{}", notes.len())}))
        }
        None => respond(400, serde_json::json!({"error": "invalid_grant", "error_description": "s3cr3t"})),
    }
}

/// Starts an API server that accepts only these bearer tokens.
async fn start_cluster(accepted: Vec<String>) -> Server {
    Server::http(move |request: Request<Incoming>| {
        let sent = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        let accepts = sent.is_some_and(|sent| accepted.iter().any(|token| sent == format!("Bearer {token}")));
        async move {
            if accepts {
                version_response()
            } else {
                Response::builder().status(401).body(Full::default()).unwrap()
            }
        }
    })
    .await
}

async fn client(path: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(path).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

fn read_settings(path: &Path) -> std::collections::HashMap<String, String> {
    let user = Kubeconfig::read_from(path).unwrap().auth_infos.remove(0).auth_info.unwrap();
    user.auth_provider.unwrap().config
}

#[tokio::test]
async fn an_expired_token_is_refreshed_once_and_the_new_token_is_written_to_the_file() {
    let (valid, renewed) = (id_token("valid", 3600), id_token("renewed", 3600));
    let provider = Provider::start(vec![valid.clone(), renewed.clone()]).await;
    let cluster = start_cluster(vec![valid.clone(), renewed.clone()]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = provider.write_kubeconfig(
        folder.path(),
        &cluster,
        &format!("refresh-token: r0, id-token: {}, extra: kept", id_token("expired", -5)),
    );
    let api = client(&path).await;
    let calls = (0..4).map(|_| api.apiserver_version());
    futures::future::try_join_all(calls).await.unwrap();
    assert_eq!(
        provider.token_requests(),
        ["/token grant_type=refresh_token&refresh_token=r0&client_id=me&client_secret=s3cr3t"]
    );
    let written = read_settings(&path);
    assert_eq!((&written["id-token"], written["refresh-token"].as_str()), (&valid, "r1"));
    assert_eq!(written["extra"], "kept");

    // Another client uses the written token, without a request to the provider.
    client(&path).await.apiserver_version().await.unwrap();
    assert_eq!(provider.token_requests().len(), 1);

    // A token that the cluster rejects is refreshed, too.
    let unknown = format!("refresh-token: r1, id-token: {}", id_token("unknown", 3600));
    let path = provider.write_kubeconfig(folder.path(), &cluster, &unknown);
    client(&path).await.apiserver_version().await.unwrap();
    assert!(provider.token_requests()[1].contains("refresh_token=r1"));
    assert_eq!(read_settings(&path)["id-token"], renewed);
}

#[tokio::test]
async fn a_refused_refresh_is_an_error_without_secrets() {
    let provider = Provider::start(Vec::new()).await;
    let cluster = start_cluster(Vec::new()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = provider.write_kubeconfig(folder.path(), &cluster, "refresh-token: r0");
    let error = client(&path).await.apiserver_version().await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(matches!(error, Error::Auth { .. }), "{text}");
    assert!(
        text.contains("400 Bad Request (invalid_grant): log in again") && !text.contains("s3cr3t"),
        "{text}"
    );
}

#[tokio::test]
async fn an_issuer_without_tls_and_an_id_token_that_is_no_jwt_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let (provider, cluster) =
        (Provider::start(vec!["no-jwt".to_owned()]).await, start_cluster(Vec::new()).await);
    let path = provider.write_kubeconfig(folder.path(), &cluster, "refresh-token: r0");
    let error = client(&path).await.apiserver_version().await.unwrap_err();
    assert!(error.to_string().contains("no JWT"), "{error}");

    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace(&provider.server.address.to_string(), "10.0.0.1")).unwrap();
    let error = Client::try_from(Kubeconfig::read_from(&path).unwrap()).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("idp-issuer-url must begin with https://"), "{source}");
}

#[tokio::test]
async fn the_provider_certificate_is_verified_with_idp_certificate_authority_data() {
    use super::server::Authority;
    let authority = Authority::new("idp");
    // This server answers every request with the response to `/version`. This response is not valid OpenID
    // Connect metadata. A client that accepts the server's certificate reports that the metadata is not
    // valid.
    let idp = Server::https(&authority.issue(&["127.0.0.1"], |_| {}), None).await;
    let message = async |data: String| {
        let text = format!(
            "
current-context: c
contexts: [{{name: c, context: {{cluster: k, user: u}}}}]
clusters: [{{name: k, cluster: {{server: 'http://127.0.0.1:1'}}}}]
users:
- name: u
  user:
    auth-provider:
      name: oidc
      config:
        idp-issuer-url: https://{}
        client-id: me
        refresh-token: r
        idp-certificate-authority-data: {data}
",
            idp.address
        );
        let client = Client::try_from(Kubeconfig::from_yaml(&text).unwrap()).unwrap();
        client.apiserver_version().await.unwrap_err().to_string()
    };
    let trusted = message(STANDARD.encode(authority.pem())).await;
    assert!(trusted.contains("sent metadata that is not valid"), "{trusted}");
    let other = message(STANDARD.encode(Authority::new("other").pem())).await;
    assert!(other.contains("cannot be reached"), "{other}");
}

#[tokio::test]
async fn a_cancelled_api_request_does_not_stop_the_refresh_that_it_started() {
    let valid = id_token("valid", 3600);
    let provider = Provider::start(vec![valid.clone()]).await;
    let cluster = start_cluster(vec![valid.clone()]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = provider.write_kubeconfig(folder.path(), &cluster, "refresh-token: r0");
    let api = client(&path).await;
    let permits = provider.response_permits.forget_permits(1000);
    let received = async {
        while provider.token_requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        version = api.apiserver_version() => panic!("{version:?}"),
        () = received => {}
    }
    provider.response_permits.add_permits(permits);
    // The provider has issued its only ID token, and would refuse a second token request.
    api.apiserver_version().await.unwrap();
    assert_eq!(provider.token_requests().len(), 1);
    assert_eq!(
        (&read_settings(&path)["id-token"], read_settings(&path)["refresh-token"].as_str()),
        (&valid, "r1")
    );
}

#[tokio::test]
async fn a_new_refresh_token_is_kept_even_if_the_id_token_is_unusable() {
    let valid = id_token("valid", 3600);
    let provider = Provider::start(vec!["no-jwt".to_owned(), valid.clone()]).await;
    let cluster = start_cluster(vec![valid]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = provider.write_kubeconfig(folder.path(), &cluster, "refresh-token: r0");
    let api = client(&path).await;
    api.apiserver_version().await.unwrap_err();
    assert_eq!(read_settings(&path)["refresh-token"], "r1");
    assert!(!read_settings(&path).contains_key("id-token"));
    api.apiserver_version().await.unwrap();
    assert!(provider.token_requests()[1].contains("refresh_token=r1"));
}
