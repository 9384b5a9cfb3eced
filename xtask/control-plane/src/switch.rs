//! An address in front of several API servers: what a load balancer does when it moves its clients. Looks into no byte.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A local address whose connections go to one API server at a time. Gone, with its connections, when dropped.
#[derive(Debug)]
pub struct Switch {
    address: SocketAddr,
    target: watch::Sender<u16>,
    task: JoinHandle<()>,
}

impl Switch {
    /// Listens on a free port of 127.0.0.1 and leads to `port` there.
    ///
    /// # Errors
    /// When no port can be had.
    pub(super) async fn listen(port: u16) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen on 127.0.0.1")?;
        let address = listener.local_addr().context("cannot learn the port")?;
        let target = watch::Sender::new(port);
        let task = tokio::spawn(accept(listener, target.clone()));
        Ok(Self { address, target, task })
    }

    /// Its address, `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Cuts every connection; those to come go to `server`.
    pub fn lead_to(&self, server: &super::ApiServer) {
        self.lead_to_port(server.port());
    }

    fn lead_to_port(&self, port: u16) {
        self.target.send_replace(port);
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: watch::Sender<u16>) {
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
                            () = pass(client, port) => {}
                        }
                    });
                }
                // Such as too many open files: others will be closed.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            },
        }
    }
}

async fn pass(mut client: TcpStream, port: u16) {
    // A server that is not there, or that ends, is what a client of a load balancer sees as a closed connection.
    if let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A server that greets with its name and then waits.
    async fn greeter(name: &'static str) -> u16 {
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

    async fn connect(switch: &Switch) -> (String, TcpStream) {
        let mut stream = TcpStream::connect(switch.address).await.unwrap();
        let mut name = [0; 3];
        stream.read_exact(&mut name).await.unwrap();
        (String::from_utf8(name.to_vec()).unwrap(), stream)
    }

    #[tokio::test]
    async fn cuts_the_old_and_leads_to_the_new() {
        let (one, two) = (greeter("one").await, greeter("two").await);
        let switch = Switch::listen(one).await.unwrap();
        let (name, mut first) = connect(&switch).await;
        assert_eq!(name, "one");
        switch.lead_to_port(two);
        assert_eq!(first.read(&mut [0; 1]).await.unwrap_or(0), 0, "the old connection goes on");
        assert_eq!(connect(&switch).await.0, "two");
    }
}
