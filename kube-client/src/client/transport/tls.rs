//! TLS over a connected stream. hyper-rustls performs the handshake; `client::tls` builds the configuration.

use http::Uri;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, MaybeHttpsStream};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use rustls::{ClientConfig, client::Resumption};
use rustls_pki_types::ServerName;
use std::{future::ready, io, sync::Arc};
use tokio::io::BufReader;
use tower::{Service, service_fn, util::ServiceExt};

use super::stall::Duplex;
use crate::config::bare_host;
use crate::error::BoxError;

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// The versions of HTTP that are offered to the server by ALPN (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    Http1,
    /// HTTP/2 and HTTP/1.1; the server selects one.
    Both,
}

/// The TLS settings for connections to one server.
#[derive(Clone)]
pub(crate) struct TlsSettings {
    http1: Arc<ClientConfig>,
    both: Arc<ClientConfig>,
    /// The server name (SNI) that the certificate is verified against, instead of the host in the address.
    server_name: Option<ServerName<'static>>,
    /// Explains a TLS error in terms of kubeconfig fields.
    explain: fn(&rustls::Error) -> String,
}

impl TlsSettings {
    pub(crate) fn new(
        config: ClientConfig,
        server_name: Option<ServerName<'static>>,
        explain: fn(&rustls::Error) -> String,
    ) -> Self {
        let both = with_alpn_protocols(config.clone(), &[b"h2", HTTP1]);
        Self { http1: http1_only(config), both, server_name, explain }
    }

    /// A copy with an empty TLS session cache, for use after the certificates have changed. A connection that
    /// resumes a session keeps the certificates of the first handshake of this session.
    pub(super) fn without_sessions(&self) -> Self {
        let fresh = |config: &ClientConfig| {
            let mut config = config.clone();
            config.resumption = Resumption::default();
            Arc::new(config)
        };
        Self { http1: fresh(&self.http1), both: fresh(&self.both), ..self.clone() }
    }

    /// The name that the certificate of `target` is verified against.
    pub(super) fn server_name(&self, target: &Uri) -> Result<ServerName<'static>, BoxError> {
        self.server_name.clone().map_or_else(|| server_name(target), Ok)
    }

    pub(super) fn config(&self, offer: Offer) -> Arc<ClientConfig> {
        match offer {
            Offer::Http1 => self.http1.clone(),
            Offer::Both => self.both.clone(),
        }
    }

    pub(super) fn explain(&self, error: &rustls::Error) -> String {
        (self.explain)(error)
    }
}

/// The name of HTTP/1.1 in ALPN.
const HTTP1: &[u8] = b"http/1.1";

/// A configuration that offers only HTTP/1.1 to the server.
pub(crate) fn http1_only(config: ClientConfig) -> Arc<ClientConfig> {
    with_alpn_protocols(config, &[HTTP1])
}

/// A configuration with these ALPN protocols.
fn with_alpn_protocols(mut config: ClientConfig, protocols: &[&[u8]]) -> Arc<ClientConfig> {
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

/// Converts the host of an address to a server name.
pub(super) fn server_name(target: &Uri) -> Result<ServerName<'static>, BoxError> {
    Ok(ServerName::try_from(bare_host(target).to_owned())?)
}

/// The maximum size in bytes of a read from the socket: enough for most objects. Without this buffer, rustls makes a system
/// call for every 4 KiB.
const READ_BUFFER: usize = 16 << 10;

/// Performs the TLS handshake with the server `name` over a connected stream. Returns the encrypted stream and the
/// negotiated protocol.
pub(super) async fn handshake(
    stream: Box<dyn Duplex>,
    target: &Uri,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
) -> Result<(Box<dyn Duplex>, Protocol), BoxError> {
    let name = Arc::new(FixedServerNameResolver::new(name));
    let buffered = BufReader::with_capacity(READ_BUFFER, stream);
    let connector = HttpsConnector::new(connector_of_stream(Box::new(buffered)), config, true, name);
    match connector.oneshot(target.clone()).await? {
        MaybeHttpsStream::Https(stream) => {
            let stream = stream.into_inner();
            let protocol = match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => Protocol::Http2,
                _ => Protocol::Http1,
            };
            Ok((Box::new(stream), protocol))
        }
        MaybeHttpsStream::Http(_) => Err("the stream is not encrypted".into()),
    }
}

/// Wraps a connected stream in a service that returns the stream once, for the connectors of hyper-util and hyper-rustls.
pub(super) fn connector_of_stream(
    stream: Box<dyn Duplex>,
) -> impl Service<Uri, Response = TokioIo<Box<dyn Duplex>>, Error = io::Error, Future: Send + 'static> {
    let mut stream = Some(TokioIo::new(stream));
    service_fn(move |_| ready(stream.take().ok_or_else(|| io::Error::other("the stream is already in use"))))
}

impl Connection for Box<dyn Duplex> {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
