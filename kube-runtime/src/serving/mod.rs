//! The certificate, the listening socket and the connections of a program's HTTP servers. This module must not know
//! what the servers answer.

mod certificate;
mod connections;
#[cfg(feature = "manager")]
mod running_servers;
mod stream;
#[cfg(test)]
mod tests;

pub use certificate::CertificateError;
pub(crate) use certificate::ServingCertificate;
pub(crate) use connections::{ConnectionLimits, Handler, ReadyServer};
#[cfg(feature = "manager")]
pub(crate) use running_servers::RunningServers;
pub(crate) use stream::ServerTls;

use std::{io, net::TcpListener};

/// A nonblocking listener on `address`.
pub(crate) fn bind(address: &str) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
