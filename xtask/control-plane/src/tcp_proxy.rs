//! `TcpProxy`: a TCP proxy in front of several API servers. It simulates a load balancer that moves clients to another
//! server, and a network that drops all packets. It must not parse the forwarded bytes.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A TCP proxy on a local address that forwards to one API server at a time. Dropping the proxy closes its connections.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    target: watch::Sender<Target>,
    task: JoinHandle<()>,
}

/// The destination of the clients' bytes.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// A port of 127.0.0.1.
    Port(u16),
    /// Nowhere: connections stay open, and no byte is forwarded.
    Nowhere,
}

impl TcpProxy {
    /// Listens on a free port of 127.0.0.1, and forwards connections to `port` of 127.0.0.1.
    ///
    /// # Errors
    /// When the proxy cannot listen on a port.
    ///
    /// # Cancel safety
    /// After cancelling, no proxy runs.
    pub async fn listen(port: u16) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen on 127.0.0.1")?;
        let address = listener.local_addr().context("cannot read the port")?;
        let target = watch::Sender::new(Target::Port(port));
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

    /// Stops forwarding. All connections, new ones too, stay open in silence, as if the network dropped all packets.
    pub fn silence(&self) {
        self.target.send_replace(Target::Nowhere);
    }

    /// Closes every connection, and forwards new connections to `port`.
    fn forward_to(&self, port: u16) {
        self.target.send_replace(Target::Port(port));
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts connections and forwards them to the current target.
async fn accept_connections(listener: TcpListener, target: watch::Sender<Target>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => drop(connections.spawn(forward_connection(client, target.subscribe()))),
                // The process may have too many open files: retry, because other connections may close.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            },
        }
    }
}

/// Forwards a connection until it ends or the target changes. If the new target is a port, closes the connection; while
/// the target is [`Target::Nowhere`], keeps it open and forwards nothing.
async fn forward_connection(mut client: TcpStream, mut target: watch::Receiver<Target>) {
    let first = *target.borrow_and_update();
    // If the server is stopped, this function returns. The drop of `client` closes the client's connection, as a load
    // balancer does.
    let mut server = match first {
        Target::Port(port) => TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok(),
        Target::Nowhere => None,
    };
    match (&mut server, first) {
        (None, Target::Port(_)) => return,
        (None, Target::Nowhere) => {}
        (Some(server), _) => tokio::select! {
            // The error means that the proxy was dropped.
            changed = target.changed() => if changed.is_err() { return },
            _ = tokio::io::copy_bidirectional(&mut client, server) => return,
        },
    }
    // While the target is `Nowhere`, this connection stays open, and no byte is forwarded. When the target is a port, the
    // drop of `client` closes the connection.
    let _ = target.wait_for(|target| matches!(target, Target::Port(_))).await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Starts a server that sends `name` on each connection, and keeps the connection open. Returns the server's port.
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
    async fn a_redirect_closes_old_connections_and_forwards_new_ones() {
        let (one, two) = (start_server_with_name("one").await, start_server_with_name("two").await);
        let proxy = TcpProxy::listen(one).await.unwrap();
        let (name, mut first) = connect(&proxy).await;
        assert_eq!(name, "one");
        proxy.forward_to(two);
        assert_eq!(first.read(&mut [0; 1]).await.unwrap_or(0), 0, "the old connection is still open");
        assert_eq!(connect(&proxy).await.0, "two");
    }

    #[tokio::test]
    async fn silence_keeps_connections_open_and_forwards_nothing() {
        let proxy = TcpProxy::listen(start_server_with_name("one").await).await.unwrap();
        let (_, mut first) = connect(&proxy).await;
        proxy.silence();
        let mut second = TcpStream::connect(proxy.address).await.unwrap();
        for stream in [&mut first, &mut second] {
            stream.write_all(b"request").await.unwrap();
            let mut byte = [0; 1];
            let silence =
                tokio::time::timeout(std::time::Duration::from_millis(200), stream.read(&mut byte)).await;
            assert!(silence.is_err(), "{silence:?}");
        }
        proxy.forward_to(start_server_with_name("two").await);
        assert_eq!(first.read(&mut [0; 1]).await.unwrap_or(0), 0, "the old connection is still open");
        assert_eq!(connect(&proxy).await.0, "two");
    }
}
