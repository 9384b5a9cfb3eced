//! What the servers of a program share: their certificate and their listening socket. It must not know what a server answers.

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
