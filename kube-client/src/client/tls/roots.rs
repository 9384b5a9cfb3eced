//! The certificate authorities to trust if the configuration names none: the system's CA bundle.

use rustls::RootCertStore;

use super::config_error;
use crate::error::{BoxError, Result};

/// The authorities in the system's CA bundle. If the system has none, such as in a container image without a CA bundle,
/// the feature `webpki-roots` provides Mozilla's authorities. Blocks on the file system.
pub(super) fn system_roots() -> Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // The system's CA bundle may contain certificates that rustls cannot parse. Only the other certificates are used.
    roots.add_parsable_certificates(found.certs);
    #[cfg(feature = "webpki-roots")]
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if roots.is_empty() {
        let why: BoxError = match found.errors.into_iter().next() {
            Some(error) => error.into(),
            None => "the system's store is empty".into(),
        };
        return Err(config_error(
            "no certificate authority to trust: set certificate-authority of the cluster, install the system's, or enable \
             the feature `webpki-roots` of kube-client",
            why,
        ));
    }
    Ok(roots)
}
