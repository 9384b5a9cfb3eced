//! `WebhookServer`: a TLS server for webhooks. It listens on a loopback port, and records and answers the calls.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto};

/// The response to a call.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A body of JSON.
    Json(Value),
    /// A status code, and a body of plain text.
    Text(u16, &'static str),
    /// The server never responds.
    Silence,
}

/// A function that returns the response to a review (`AdmissionReview` or `ConversionReview`).
type Handler = Arc<dyn Fn(&Value) -> Reply + Send + Sync>;

/// A path of the server: its handler, and the received reviews.
struct Hook {
    handler: Handler,
    calls: Vec<Value>,
}

/// The hooks of a server by path.
type Hooks = Arc<Mutex<BTreeMap<String, Hook>>>;

/// A running server. Dropping it closes all connections.
pub(crate) struct WebhookServer {
    address: SocketAddr,
    authority: String,
    hooks: Hooks,
    task: JoinHandle<()>,
}

impl Drop for WebhookServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl WebhookServer {
    /// Starts a server whose certificate is valid for `127.0.0.1` and `names`.
    pub(crate) async fn start(names: &[String]) -> anyhow::Result<Self> {
        let (authority, acceptor) = generate_certificates(names).context("cannot generate certificates")?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("cannot listen")?;
        let address = listener.local_addr()?;
        let hooks = Hooks::default();
        let task = tokio::spawn(serve(listener, acceptor, hooks.clone()));
        Ok(Self { address, authority, hooks, task })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// The CA certificate in PEM, encoded as base64: the `caBundle` of a webhook.
    pub(crate) fn ca_bundle(&self) -> &str {
        &self.authority
    }

    /// The `clientConfig` of a webhook whose calls go to a path.
    pub(crate) fn client_config(&self, path: &str) -> Value {
        json!({"url": self.url(path), "caBundle": self.authority})
    }

    /// Sets the handler of a path, and removes the reviews that the path has received.
    pub(crate) fn set_handler(&self, path: &str, handler: impl Fn(&Value) -> Reply + Send + Sync + 'static) {
        let hook = Hook { handler: Arc::new(handler), calls: Vec::new() };
        self.lock().insert(path.to_owned(), hook);
    }

    /// Removes and returns the reviews that a path has received.
    pub(crate) fn take_calls(&self, path: &str) -> Vec<Value> {
        self.lock().get_mut(path).map(|hook| std::mem::take(&mut hook.calls)).unwrap_or_default()
    }

    /// Removes the received reviews of every path.
    pub(crate) fn forget_calls(&self) {
        self.lock().values_mut().for_each(|hook| hook.calls.clear());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Hook>> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Generates a CA and a server certificate for `127.0.0.1` and `names`. Returns the CA certificate as PEM in base64, and
/// the TLS acceptor of the server.
fn generate_certificates(names: &[String]) -> anyhow::Result<(String, TlsAcceptor)> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "webhook-ca");
    let ca_certificate = ca.self_signed(&ca_key)?;
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate()?;
    let names = [&["127.0.0.1".to_owned()], names].concat();
    let certificate = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes())?;
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(certificate.der().to_vec())], key)?;
    Ok((STANDARD.encode(ca_certificate.pem()), TlsAcceptor::from(Arc::new(config))))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, hooks: Hooks) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let (acceptor, hooks) = (acceptor.clone(), hooks.clone());
        connections.spawn(async move {
            // A case may make the handshake fail on purpose.
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(move |request| {
                let hooks = hooks.clone();
                async move { Ok::<_, Infallible>(respond(&hooks, request).await) }
            });
            if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!("the connection of a webhook ended: {error}");
            }
        });
    }
}

async fn respond(hooks: &Hooks, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let body =
        request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let review: Value = serde_json::from_slice(&body).unwrap_or_default();
    let reply = {
        let mut hooks = hooks.lock().unwrap_or_else(PoisonError::into_inner);
        match hooks.get_mut(&path) {
            Some(hook) => {
                let reply = (hook.handler)(&review);
                hook.calls.push(review);
                reply
            }
            None => Reply::Text(404, "404 page not found"),
        }
    };
    let (code, content_type, text) = match reply {
        Reply::Json(value) => (200, "application/json", value.to_string()),
        Reply::Text(code, text) => (code, "text/plain", text.to_owned()),
        Reply::Silence => std::future::pending().await,
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}
