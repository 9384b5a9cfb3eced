//! The stand-in for etcd: answers health checks. The stand-in for kube-apiserver has the store.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::Error;
use crate::flags::{Effect, Flag, Flags, help};

pub(crate) const FLAGS: [Flag; 12] = [
    ("listen-client-urls", Effect::Honoured, "the URL at which /health is answered; http only"),
    ("advertise-client-urls", Effect::Inert, "the stand-in for kube-apiserver does not connect to etcd"),
    ("data-dir", Effect::Inert, "nothing is stored"),
    ("initial-advertise-peer-urls", Effect::Inert, "there are no peers"),
    ("initial-cluster", Effect::Inert, "there are no peers"),
    ("listen-peer-urls", Effect::Inert, "there are no peers"),
    ("log-level", Effect::Inert, "the log has a few lines"),
    ("logger", Effect::Inert, "the log has a few lines"),
    ("name", Effect::Inert, "there are no peers"),
    ("quota-backend-bytes", Effect::Inert, "nothing is stored; the API server stores at most 2 GiB"),
    ("unsafe-no-fsync", Effect::Inert, "nothing is stored"),
    ("client-cert-auth", Effect::Refused, "no client connects to this etcd"),
];

/// The time limit for one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) async fn run(arguments: Vec<OsString>) -> Result<(), Error> {
    let Some(flags) = Flags::parse(&FLAGS, arguments)? else {
        print!("{}", help("etcd", &FLAGS));
        return Ok(());
    };
    let urls = flags.get("listen-client-urls").unwrap_or("http://127.0.0.1:2379");
    let url = urls.split(',').next().unwrap_or_default();
    let addr = resolve_address(url).await?;
    let listener = TcpListener::bind(addr).await.map_err(|e| format!("cannot listen on {addr}: {e}"))?;
    eprintln!(
        "kube-sim answers health checks at {url}/health in place of etcd. It stores nothing: kube-apiserver does."
    );
    tokio::select! {
        () = serve_connections(listener) => Ok(()),
        interrupted = crate::wait_for_interrupt() => interrupted,
    }
}

async fn resolve_address(url: &str) -> Result<SocketAddr, Error> {
    let host = url.strip_prefix("http://").ok_or_else(|| {
        format!("--listen-client-urls={url}: expected http://HOST:PORT; kube-sim's etcd has no TLS")
    })?;
    let mut found =
        tokio::net::lookup_host(host.trim_end_matches('/')).await.map_err(|e| format!("{url}: {e}"))?;
    found.next().ok_or_else(|| format!("{url} has no address").into())
}

async fn serve_connections(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(tokio::time::timeout(REQUEST_TIMEOUT, answer_request(stream)));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Answers one request: 200 and the health for `GET /health`, and 404 for any other request.
async fn answer_request(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < 8192 {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let (status, body) = if head.starts_with(b"GET /health ") {
        ("200 OK", r#"{"health":"true","reason":""}"#)
    } else {
        ("404 Not Found", "404: this is kube-sim's stand-in for etcd, which only answers /health\n")
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n");
    stream.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).await?;
    stream.shutdown().await
}
