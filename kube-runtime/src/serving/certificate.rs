//! `ServingCertificate`: the certificate of a server, from files. Before a TLS handshake, the server checks the files,
//! except if the last check was less than [`CHECK_INTERVAL`] ago. It uses a changed certificate for new connections.

use kube_client::client::crypto_provider;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock, TryLockError},
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// The minimum time between two checks of the files. controller-runtime checks the files at this interval.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// The time for which a handshake waits for the files. Afterwards the server presents the certificate in use.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// The reason that a certificate cannot be used. The error texts never contain the private key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("read {path}")]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file contains no usable PEM text.
    #[error("read {path}: it has no {wanted} in PEM format")]
    Pem {
        /// The path of the file.
        path: PathBuf,
        /// `certificate` or `private key`.
        wanted: &'static str,
    },
    /// The private key has an unknown algorithm, is damaged, or does not belong to the certificate.
    #[error("use the private key in {path} for the certificate in {certificate}")]
    Key {
        /// The path of the key.
        path: PathBuf,
        /// The path of the certificate.
        certificate: PathBuf,
        /// The error of rustls.
        source: rustls::Error,
    },
    /// There is no cryptography provider for TLS, or it supports neither TLS 1.2 nor TLS 1.3.
    #[error("configure TLS")]
    Provider(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The certificate that new connections get, and its files.
#[derive(Debug)]
pub(crate) struct ServingCertificate {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
    interval: Duration,
    /// The earliest time of the next check of the files.
    next_check: Mutex<Instant>,
    /// Locked while a thread reads the files.
    reading: Mutex<()>,
}

impl ServingCertificate {
    /// Reads the certificate chain, leaf first, and its private key from files in PEM format (blocking).
    pub(crate) fn from_files(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let provider = crypto_provider().map_err(|error| CertificateError::Provider(error.into()))?;
        let current = read_certificate_and_key(&provider, certificate, key)?;
        Ok(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            provider,
            current: RwLock::new(Arc::new(current)),
            interval: CHECK_INTERVAL,
            next_check: Mutex::new(Instant::now() + CHECK_INTERVAL),
            reading: Mutex::new(()),
        })
    }

    /// Sets the minimum time between two checks of the files.
    #[cfg(test)]
    pub(crate) fn check_every(&mut self, interval: Duration) {
        self.interval = interval;
        *self.next_check.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + interval;
    }

    /// The certificate that new connections get, without its chain.
    #[cfg(test)]
    pub(super) fn leaf_certificate(&self) -> CertificateDer<'static> {
        self.certificate_in_use().cert[0].clone()
    }

    /// The TLS configuration of a server with this certificate, for HTTP/1.1. HTTP/2 is not offered, as in
    /// controller-runtime: with HTTP/2, a client could open any number of streams on one connection.
    pub(crate) fn server_config(self: &Arc<Self>) -> Result<ServerConfig, CertificateError> {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| CertificateError::Provider(error.into()))?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Reads the files again if the interval has passed. Uses a changed certificate for new connections. If the files
    /// cannot be used, for instance because the key of a new certificate is not written yet, logs a warning and keeps the
    /// certificate in use.
    ///
    /// # Cancel safety
    ///
    /// A read continues after a cancellation; no second read starts concurrently.
    pub(crate) async fn refresh(self: &Arc<Self>) {
        {
            let mut next = self.next_check.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            if now < *next {
                return;
            }
            *next = now + self.interval;
        }
        let this = self.clone();
        let read = tokio::task::spawn_blocking(move || this.reload());
        match timeout(READ_TIMEOUT, read).await {
            Ok(Ok(Ok(false))) => {}
            Ok(Ok(Ok(true))) => {
                tracing::info!(path = %self.certificate.display(), "serving with a new certificate");
            }
            Ok(Ok(Err(error))) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, "serving with the previous certificate");
            }
            Ok(Err(_)) | Err(_) => {
                tracing::warn!(path = %self.certificate.display(), "the files of the certificate cannot be read in time");
            }
        }
    }

    /// Reads the files (blocking). Returns whether the certificate has changed. Compares only the certificates, because
    /// a new key needs a new certificate.
    fn reload(&self) -> Result<bool, CertificateError> {
        let _reading = match self.reading.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Another thread reads the files. If this thread waited, a slow file system would block one more thread with
            // each check.
            Err(TryLockError::WouldBlock) => return Ok(false),
        };
        if read_chain(&self.certificate)? == self.certificate_in_use().cert {
            return Ok(false);
        }
        let next = Arc::new(read_certificate_and_key(&self.provider, &self.certificate, &self.key)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(true)
    }

    fn certificate_in_use(&self) -> Arc<CertifiedKey> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.certificate_in_use())
    }
}

/// Reads the certificates of a file.
fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let text = read_file(path)?;
    let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) | Err(_) => Err(CertificateError::Pem { path: path.to_owned(), wanted: "certificate" }),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, CertificateError> {
    std::fs::read(path).map_err(|source| CertificateError::Read { path: path.to_owned(), source })
}

/// Reads a certificate and its key, and checks that the key belongs to the certificate.
fn read_certificate_and_key(
    provider: &CryptoProvider,
    certificate: &Path,
    key: &Path,
) -> Result<CertifiedKey, CertificateError> {
    let chain = read_chain(certificate)?;
    // Omit the error of the parser, which may quote a line of the key.
    let key_der = PrivateKeyDer::from_pem_slice(&read_file(key)?)
        .map_err(|_| CertificateError::Pem { path: key.to_owned(), wanted: "private key" })?;
    let unusable =
        |source| CertificateError::Key { path: key.to_owned(), certificate: certificate.to_owned(), source };
    let signing = provider.key_provider.load_private_key(key_der).map_err(unusable)?;
    let certified = CertifiedKey::new(chain, signing);
    match certified.keys_match() {
        // `Unknown`: the implementation of the key cannot compute its public key.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(source) => Err(unusable(source)),
    }
}
