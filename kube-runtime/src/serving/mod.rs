//! The certificate and the listening socket of a program's servers. This module must not depend on the responses of a
//! server.

mod certificate;
#[cfg(test)]
mod tests;

pub use certificate::CertificateError;
pub(crate) use certificate::ServingCertificate;

use std::{io, net::TcpListener};

/// A nonblocking listener on `address`.
pub(crate) fn bind(address: &str) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
