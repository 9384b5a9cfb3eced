//! Reads the files of certificates again, and replaces the certificates of new connections if the files have changed.
//!
//! This module must not decide when to read the files: the `Credentials` of the client decide this.

use rustls_pki_types::CertificateDer;
use std::{
    error::Error as StdError,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Authorities, ClientIdentity};
use crate::{
    config::{AuthInfo, Identity, read_certificates},
    error::{BoxError, Error, TransportKind},
};

/// The files of the trusted authorities and of the client certificate. The struct also contains the
/// certificates from these files that new connections use.
#[derive(Debug)]
pub(crate) struct CertificateFiles {
    authorities: Option<AuthorityFile>,
    identity: Option<IdentityFiles>,
    /// The certificates in use. The thread that reads the files holds the lock.
    current_certificates: Mutex<CertificatesInUse>,
}

/// The file of the trusted authorities, and the verifier that uses them.
#[derive(Debug)]
pub(crate) struct AuthorityFile {
    pub(crate) path: PathBuf,
    pub(crate) verifier: Arc<Authorities>,
}

/// The user whose client certificate or key is in a file, and the resolver that presents the certificate.
#[derive(Debug)]
pub(crate) struct IdentityFiles {
    pub(crate) user: AuthInfo,
    pub(crate) resolver: Arc<ClientIdentity>,
}

/// The certificates that are in use. The keys are not kept: a new key always comes with a new certificate.
#[derive(Debug, Default)]
struct CertificatesInUse {
    authorities: Vec<Vec<u8>>,
    chain: Vec<CertificateDer<'static>>,
}

impl CertificateFiles {
    /// The vectors in `authorities` and `identity` are the certificates that new connections use now.
    pub(crate) fn new(
        authorities: Option<(AuthorityFile, Vec<Vec<u8>>)>,
        identity: Option<(IdentityFiles, Vec<CertificateDer<'static>>)>,
    ) -> Self {
        let (authorities, last_authorities) = authorities.unzip();
        let (identity, chain) = identity.unzip();
        let current_certificates = CertificatesInUse {
            authorities: last_authorities.unwrap_or_default(),
            chain: chain.unwrap_or_default(),
        };
        Self { authorities, identity, current_certificates: Mutex::new(current_certificates) }
    }

    /// Reads the files (blocking). If their content has changed, replaces the certificates for new connections. Returns
    /// whether it has replaced certificates. Returns `false` immediately if another call is reading the files. A file that
    /// cannot be used changes nothing: the file may be half-written, or the key of a new certificate may not be written
    /// yet. The next call reads the file again.
    ///
    /// # Errors
    /// If a file cannot be used. The error describes the first unusable file. If the file of the authorities
    /// cannot be used, the client certificate and its key are still reloaded.
    pub(crate) fn reload(&self) -> (bool, Result<(), BoxError>) {
        // A slow file system can block this thread for a long time. The caller stops waiting after a timeout,
        // and later calls this function on another thread. This other thread must not be blocked too.
        let mut current_certificates = match self.current_certificates.try_lock() {
            Ok(current_certificates) => current_certificates,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
            Err(std::sync::TryLockError::WouldBlock) => return (false, Ok(())),
        };
        let authorities = self
            .authorities
            .as_ref()
            .map_or(Ok(false), |file| file.reload(&mut current_certificates.authorities));
        let identity =
            self.identity.as_ref().map_or(Ok(false), |files| files.reload(&mut current_certificates.chain));
        let changed = matches!(authorities, Ok(true)) || matches!(identity, Ok(true));
        (changed, authorities.and(identity).map(drop))
    }
}

impl AuthorityFile {
    fn reload(&self, last: &mut Vec<Vec<u8>>) -> Result<bool, BoxError> {
        let next = read_certificates(&self.path)?;
        if next == *last {
            return Ok(false);
        }
        self.verifier.set(&next)?;
        *last = next;
        Ok(true)
    }
}

impl IdentityFiles {
    fn reload(&self, last: &mut Vec<CertificateDer<'static>>) -> Result<bool, BoxError> {
        let found: Option<Identity> = self.user.identity().map_err(|(_, error)| error)?;
        let Some((chain, key)) = found.filter(|(chain, _)| chain != last) else { return Ok(false) };
        self.resolver.set((chain.clone(), key))?;
        *last = chain;
        Ok(true)
    }
}

/// Whether a request failed because the client or the server rejected the peer's certificate in the TLS handshake, or
/// because the server requires a client certificate and received none. The server has not processed this request: it
/// processes requests only after the handshake.
pub(crate) fn is_certificate_rejected(error: &Error) -> bool {
    use rustls::AlertDescription as Alert;
    let Error::Transport { kind: TransportKind::Tls, source: Some(source), .. } = error else { return false };
    let mut next: Option<&(dyn StdError + 'static)> = Some(&**source);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return match error {
                rustls::Error::InvalidCertificate(_) => true,
                rustls::Error::AlertReceived(alert) => matches!(
                    alert,
                    Alert::CertificateRequired
                        | Alert::BadCertificate
                        | Alert::UnsupportedCertificate
                        | Alert::CertificateRevoked
                        | Alert::CertificateExpired
                        | Alert::CertificateUnknown
                        | Alert::UnknownCA
                        // The certificate is valid, but the server does not accept its user.
                        | Alert::AccessDenied
                        // An OpenSSL server sends this alert if a CA that it trusts has the same name as the
                        // issuer of the client certificate, but another key.
                        | Alert::DecryptError
                ),
                _ => false,
            };
        }
        // The `source` of an `io::Error` or of an `Arc` skips the error that it wraps.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let shared = error.downcast_ref::<Arc<dyn StdError + Send + Sync>>();
        next = match (wrapped, shared) {
            (Some(inner), _) => Some(inner as &(dyn StdError + 'static)),
            (None, Some(inner)) => Some(&**inner),
            (None, None) => error.source(),
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{AlertDescription, CertificateError};

    #[test]
    fn a_rejected_certificate_is_recognized_in_wrapped_errors() {
        let transport = |source: BoxError| Error::Transport {
            kind: TransportKind::Tls,
            what: String::new(),
            source: Some(source),
        };
        let unknown = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let wrapped = || io::Error::other(unknown());
        let shared: Arc<dyn StdError + Send + Sync> = Arc::new(wrapped());
        for source in [unknown().into(), wrapped().into(), Box::new(shared) as BoxError] {
            assert!(is_certificate_rejected(&transport(source)));
        }
        let alert = |alert| is_certificate_rejected(&transport(rustls::Error::AlertReceived(alert).into()));
        for rejected in [
            AlertDescription::CertificateExpired,
            AlertDescription::AccessDenied,
            AlertDescription::DecryptError,
        ] {
            assert!(alert(rejected), "{rejected:?}");
        }
        // The server may send this alert after it has processed a request.
        assert!(!alert(AlertDescription::InternalError));
        assert!(!is_certificate_rejected(&transport("reset".into())));
    }
}
