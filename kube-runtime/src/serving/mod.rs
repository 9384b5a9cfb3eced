//! What the servers of a program share: their certificate. It must not know what a server answers.

mod certificate;
#[cfg(test)]
mod tests;

pub use certificate::CertificateError;
pub(crate) use certificate::ServingCertificate;
