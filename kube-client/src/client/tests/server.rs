//! An in-process HTTP and HTTPS server with certificates generated for each test.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use k8s_openapi::apimachinery::pkg::version::Info;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::{RootCertStore, ServerConfig, crypto::ring, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, RwLock,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::config::Config;

/// A certificate authority.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate in PEM and in DER, and its key.
pub(super) struct Leaf {
    pub(super) pem: String,
    pub(super) key: KeyPair,
    pub(super) der: CertificateDer<'static>,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// The certificate of the authority.
    pub(super) fn der(&self) -> Vec<u8> {
        self.0.der().to_vec()
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names, signed by this authority, with the parameters that `change` sets.
    pub(super) fn issue(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap();
        Leaf { pem: cert.pem(), der: cert.der().clone(), key }
    }
}

/// A server that stops when this value is dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// The number of accepted connections.
    pub(super) accepted: Arc<AtomicU32>,
    /// The TLS settings of new connections.
    tls: Option<Arc<RwLock<TlsAcceptor>>>,
    _connections: JoinSet<()>,
}

impl Server {
    /// Serves plain HTTP.
    pub(super) async fn http<F, R>(handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        Self::start(None, handler).await
    }

    /// Serves HTTPS with HTTP/2 and HTTP/1.1. Responds to each request with [`version_response_with_certificate`]. If
    /// `client_authority` is set, requires a client certificate that this authority has signed.
    pub(super) async fn https(leaf: &Leaf, client_authority: Option<&Authority>) -> Self {
        let tls = tls_acceptor(leaf, client_authority, &[b"h2", b"http/1.1"]);
        Self::start(Some(tls), |request| async move {
            version_response_with_certificate(request.extensions().get::<PeerCertificate>())
        })
        .await
    }

    /// Serves HTTPS with the protocols of `alpn`.
    pub(super) async fn https_with_handler<F, R>(leaf: &Leaf, alpn: &[&[u8]], handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        Self::start(Some(tls_acceptor(leaf, None, alpn)), handler).await
    }

    /// For new connections, replaces the certificate of the server and the required authority of client certificates, and
    /// offers HTTP/2 and HTTP/1.1.
    pub(super) fn rotate_certificates(&self, leaf: &Leaf, client_authority: Option<&Authority>) {
        let tls = tls_acceptor(leaf, client_authority, &[b"h2", b"http/1.1"]);
        *self.tls.as_ref().unwrap().write().unwrap() = tls;
    }

    /// Starts a server on a free port of the loopback address.
    async fn start<F, R>(tls: Option<TlsAcceptor>, handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicU32::new(0));
        let counter = accepted.clone();
        let tls = tls.map(|tls| Arc::new(RwLock::new(tls)));
        let current = tls.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, SeqCst);
                let tls = current.as_ref().map(|tls| tls.read().unwrap().clone());
                let handler = handler.clone();
                connections.spawn(async move {
                    match tls {
                        None => serve_connection(stream, false, None, handler).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                let session = stream.get_ref().1;
                                let peer = session.peer_certificates();
                                let peer = peer.map(|chain| PeerCertificate(chain[0].to_vec()));
                                let is_http2 = session.alpn_protocol() == Some(b"h2");
                                serve_connection(stream, is_http2, peer, handler).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, accepted, tls, _connections: tasks }
    }

    /// A [`Config`] with the HTTPS address of this server, and with `trusted` as its only CA.
    pub(super) fn config(&self, trusted: &Authority) -> Config {
        let mut config = Config::new(format!("https://{}", self.address).parse().unwrap());
        config.root_cert = Some(vec![trusted.der()]);
        config
    }

    /// A configuration for this server over plain HTTP.
    pub(super) fn plain_config(&self) -> Config {
        Config::new(format!("http://{}", self.address).parse().unwrap())
    }
}

/// Builds an acceptor of TLS connections with the certificate `leaf` and the protocols of `alpn`. If `client_authority` is
/// set, the acceptor requires a client certificate that this authority has signed.
pub(super) fn tls_acceptor(leaf: &Leaf, client_authority: Option<&Authority>, alpn: &[&[u8]]) -> TlsAcceptor {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match client_authority {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der().into()).unwrap();
            let provider = Arc::new(ring::default_provider());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivateKeyDer::try_from(leaf.key.serialize_der()).unwrap();
    let mut config = builder.with_single_cert(vec![leaf.der.clone()], key).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// Serves one connection. The handler finds the client certificate in the extensions of the request.
async fn serve_connection<S, F, R>(stream: S, is_http2: bool, peer: Option<PeerCertificate>, handler: F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        if let Some(peer) = peer.clone() {
            request.extensions_mut().insert(peer);
        }
        let response = handler(request);
        async { Ok::<_, Infallible>(response.await) }
    });
    let stream = TokioIo::new(stream);
    // Ignores the error of a client that closes its connection.
    let _ = if is_http2 {
        http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await
    } else {
        http1::Builder::new().serve_connection(stream, service).with_upgrades().await
    };
}

/// The certificate of the client, in DER.
#[derive(Clone)]
struct PeerCertificate(Vec<u8>);

pub(super) fn version_response() -> Response<Full<Bytes>> {
    version_response_with_certificate(None)
}

/// The response to `/version`, with the client certificate in Base64 as `gitCommit`.
fn version_response_with_certificate(peer: Option<&PeerCertificate>) -> Response<Full<Bytes>> {
    let info = Info {
        git_version: "v1.37.2".to_owned(),
        git_commit: peer.map(|peer| STANDARD.encode(&peer.0)).unwrap_or_default(),
        ..Info::default()
    };
    Response::new(Full::from(serde_json::to_vec(&info).unwrap()))
}
