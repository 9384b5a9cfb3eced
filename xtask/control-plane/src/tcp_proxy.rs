//! `TcpProxy`: a TCP proxy in front of several API servers. It simulates a load balancer that moves clients to another
//! server, and must not parse the forwarded bytes.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A TCP proxy on a local address that forwards to one API server at a time. Dropping the proxy closes its connections.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    target: watch::Sender<u16>,
    task: JoinHandle<()>,
}

impl TcpProxy {
    /// Listens on a free port of 127.0.0.1, and forwards connections to `port` of 127.0.0.1.
    ///
    /// # Errors
    /// When the proxy cannot listen on a port.
    pub(super) async fn listen(port: u16) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen on 127.0.0.1")?;
        let address = listener.local_addr().context("cannot read the port")?;
        let target = watch::Sender::new(port);
        let task = tokio::spawn(accept_connections(listener, target.clone()));
        Ok(Self { address, target, task })
    }

    /// The URL of the proxy, `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Closes every connection, and forwards new connections to `server`.
    pub fn redirect_to(&self, server: &super::ApiServer) {
        self.forward_to(server.port());
    }

    /// Closes every connection, and forwards new connections to `port`.
    fn forward_to(&self, port: u16) {
        self.target.send_replace(port);
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts connections and forwards them to the current target. A new target closes all connections.
async fn accept_connections(listener: TcpListener, target: watch::Sender<u16>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    let mut target = target.subscribe();
                    let port = *target.borrow_and_update();
                    connections.spawn(async move {
                        tokio::select! {
                            _ = target.changed() => {}
                            () = forward(client, port) => {}
                        }
                    });
                }
                // The process may have too many open files: retry, because other connections may close.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            },
        }
    }
}

/// Copies bytes between a client and the server on `port`, until one of them closes its connection.
async fn forward(mut client: TcpStream, port: u16) {
    // If the server is stopped, this function closes the client's connection, as a load balancer does.
    if let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Starts a server that sends `name` on each connection and keeps it open. Returns its port.
    async fn start_server_with_name(name: &'static str) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let mut open = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(name.as_bytes()).await.unwrap();
                open.push(stream);
            }
        });
        port
    }

    /// Connects through the proxy. Returns the name that the server sends, and the connection.
    async fn connect(proxy: &TcpProxy) -> (String, TcpStream) {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        let mut name = [0; 3];
        stream.read_exact(&mut name).await.unwrap();
        (String::from_utf8(name.to_vec()).unwrap(), stream)
    }

    #[tokio::test]
    async fn closes_old_connections_and_forwards_new_ones() {
        let (one, two) = (start_server_with_name("one").await, start_server_with_name("two").await);
        let proxy = TcpProxy::listen(one).await.unwrap();
        let (name, mut first) = connect(&proxy).await;
        assert_eq!(name, "one");
        proxy.forward_to(two);
        assert_eq!(first.read(&mut [0; 1]).await.unwrap_or(0), 0, "the old connection is still open");
        assert_eq!(connect(&proxy).await.0, "two");
    }
}
