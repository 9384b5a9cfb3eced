//! Explains TLS errors: the cause, and the kubeconfig field to change, if there is one.

use rustls::{AlertDescription, CertificateError, Error};

/// Explains why a handshake failed, and names the kubeconfig field to change, if there is one.
pub(crate) fn explain(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => explain_certificate_error(error),
        Error::AlertReceived(alert) => explain_alert(*alert),
        Error::InvalidMessage(_) => {
            "the server does not speak TLS: check the address, or use http:// if it is meant to be plain"
                .to_owned()
        }
        Error::PeerIncompatible(_) => {
            "the server offers no TLS version and cipher that is safe to use".to_owned()
        }
        _ => "the TLS handshake failed".to_owned(),
    }
}

/// Explains why the client rejects the certificate of the server.
fn explain_certificate_error(error: &CertificateError) -> String {
    use CertificateError as E;
    match error {
        E::UnknownIssuer => "the server's certificate is signed by an unknown authority: set the cluster's \
                             certificate-authority to the authority that signed it"
            .to_owned(),
        E::Expired | E::ExpiredContext { .. } => {
            "the server's certificate has expired: renew it, or correct this machine's clock".to_owned()
        }
        E::NotValidYet | E::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet: correct the clock of this machine or of the server"
                .to_owned()
        }
        E::NotValidForName => explain_wrong_name(&[]),
        E::NotValidForNameContext { presented, .. } => explain_wrong_name(presented),
        E::BadSignature => "the server's certificate is not signed by the authority of its issuer's name: \
                            certificate-authority may be that of an earlier cluster"
            .to_owned(),
        E::Revoked => "the server's certificate is revoked".to_owned(),
        _ => "the server's certificate cannot be accepted".to_owned(),
    }
}

/// Explains that the certificate is for another host. `presented` contains the names in the certificate; it is empty if
/// rustls does not report these names.
fn explain_wrong_name(presented: &[String]) -> String {
    let names = match presented {
        [] => String::new(),
        names => format!(" (it is for {})", names.join(", ")),
    };
    format!(
        "the server's certificate is for another host{names}: use one of its names as the server's address or as \
         tls-server-name"
    )
}

/// Explains the alert with which the server ended the handshake.
fn explain_alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "the server asks for a client certificate: set client-certificate and client-key of the user".to_owned()
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::DecryptError
        | AlertDescription::AccessDenied => {
            "the server does not accept the client's certificate: check client-certificate of the user, that it has \
             not expired, and that this cluster's authority signed it"
                .to_owned()
        }
        _ => "the server ended the TLS handshake".to_owned(),
    }
}
