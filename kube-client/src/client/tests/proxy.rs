//! Tests of connections through in-process proxies.

use super::server::{Authority, Server};
use crate::{
    client::Client,
    config::{Config, RetryPolicy},
    error::{Error, TransportKind, Wait},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpSocket, TcpStream},
};

/// Starts an HTTP proxy. If `login` (`user:password` in Base64) is set, the proxy requires it. Returns the address
/// of the proxy and the request lines that the proxy has received.
async fn start_http_proxy(login: Option<&'static str>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let request_lines = Arc::new(Mutex::new(Vec::new()));
    let notes = request_lines.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let notes = notes.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let target = head.split(' ').nth(1).unwrap().to_owned();
                notes.lock().unwrap().push(head.lines().next().unwrap().to_owned());
                if login.is_some_and(|login| !head.contains(&format!("Basic {login}\r\n"))) {
                    let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
                    return stream.write_all(refusal).await.unwrap();
                }
                let mut server = TcpStream::connect(target).await.unwrap();
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut server).await;
            });
        }
    });
    (address, request_lines)
}

/// Requests the version of the server through `proxy`.
async fn version_through_proxy(mut config: Config, proxy: &str) -> Result<String, Error> {
    config.proxy_url = Some(proxy.parse().unwrap());
    config.retry = RetryPolicy::never();
    Client::try_from(config)?.apiserver_version().await.map(|info| info.git_version)
}

#[tokio::test]
async fn the_tls_handshake_through_an_http_proxy_is_with_the_server() {
    let authority = Authority::new("ca");
    let server = Server::https(&authority.issue(&["127.0.0.1"], |_| {}), None).await;
    let (proxy, request_lines) = start_http_proxy(None).await;
    assert_eq!(
        version_through_proxy(server.config(&authority), &format!("http://{proxy}")).await.unwrap(),
        "v1.37.2"
    );
    assert_eq!(*request_lines.lock().unwrap(), [format!("CONNECT {} HTTP/1.1", server.address)]);
}

#[tokio::test]
async fn the_proxy_password_is_sent_but_hidden_in_errors() {
    let authority = Authority::new("ca");
    let server = Server::https(&authority.issue(&["127.0.0.1"], |_| {}), None).await;
    // `me:s3:cr3t` in Base64.
    let (proxy, _) = start_http_proxy(Some("bWU6czM6Y3IzdA==")).await;
    let config = server.config(&authority);
    assert_eq!(
        version_through_proxy(config.clone(), &format!("http://me:s3%3Acr3t@{proxy}")).await.unwrap(),
        "v1.37.2"
    );
    let error = version_through_proxy(config, &format!("http://me:s3cr3t@{proxy}")).await.unwrap_err();
    assert!(matches!(error, Error::Transport { kind: TransportKind::Proxy, .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.contains(&format!("through the proxy {proxy}")), "{message}");
    assert!(message.ends_with("(GET /version)"), "{message}");
    assert!(!format!("{error:?}").contains("s3cr3t"), "{error:?}");
}

#[tokio::test]
async fn errors_name_the_server_and_the_unreachable_proxy() {
    // The socket is bound but does not listen: it refuses connections, and no other test can use its port.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let proxy = socket.local_addr().unwrap();
    let config = Config::new("https://10.0.0.1:6443".parse().unwrap());
    for scheme in ["http", "socks5"] {
        let mut config = config.clone();
        config.accept_invalid_certs = true;
        let error = version_through_proxy(config, &format!("{scheme}://{proxy}")).await.unwrap_err();
        assert!(matches!(error, Error::Transport { kind: TransportKind::Connect, .. }), "{error:?}");
        let names = format!("cannot connect to 10.0.0.1:6443 through the proxy {proxy}: check");
        assert!(error.to_string().starts_with(&names), "{error}");
    }
}

#[tokio::test]
async fn a_silent_proxy_causes_a_timeout_that_names_server_and_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    let mut config = Config::new("https://10.0.0.1:6443".parse().unwrap());
    config.accept_invalid_certs = true;
    config.connect_timeout = Some(Duration::from_millis(50));
    for scheme in ["http", "socks5h"] {
        let error = version_through_proxy(config.clone(), &format!("{scheme}://{proxy}")).await.unwrap_err();
        assert!(matches!(error, Error::Timeout { wait: Wait::Connect, .. }), "{error:?}");
        let wanted = format!(
            "timed out after 50ms connecting (10.0.0.1:6443 through the proxy {proxy}, for GET /version): check"
        );
        assert!(error.to_string().starts_with(&wanted), "{error}");
    }
}

#[tokio::test]
async fn the_certificate_of_an_https_proxy_is_verified_against_the_system_ca_bundle() {
    let proxy = Server::https(&Authority::new("corporate").issue(&["127.0.0.1"], |_| {}), None).await;
    let server = Server::http(|_| async { super::server::version_response() }).await;
    match version_through_proxy(server.plain_config(), &format!("https://{}", proxy.address)).await {
        Err(Error::Transport { kind: TransportKind::Proxy, what, .. }) => {
            assert!(what.contains("no TLS connection with the proxy itself"), "{what}");
            assert!(what.contains("authority that this system trusts"), "{what}");
        }
        // A machine without a CA bundle cannot verify the proxy.
        Err(Error::Config(_)) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_socks5_proxy_receives_the_host_name_of_the_server() {
    for scheme in ["socks5", "socks5h"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = listener.local_addr().unwrap();
        let sent = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut hello = [0; 3];
            stream.read_exact(&mut hello).await.unwrap();
            stream.write_all(&[5, 0]).await.unwrap();
            // RFC 1928: CONNECT to a domain name, sent as its length and its bytes.
            let mut request = [0; 25];
            stream.read_exact(&mut request).await.unwrap();
            request
        });
        let mut config = Config::new("http://no-such-host.invalid".parse().unwrap());
        config.retry = crate::config::RetryPolicy::never();
        version_through_proxy(config, &format!("{scheme}://{proxy}")).await.unwrap_err();
        let wait = Duration::from_secs(5);
        let request = tokio::time::timeout(wait, sent).await.unwrap().unwrap();
        assert_eq!(request, *b"\x05\x01\x00\x03\x14no-such-host.invalid", "{scheme}");
    }
}

#[tokio::test]
async fn a_client_connects_through_a_socks5_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    let server = Server::http(|_| async { super::server::version_response() }).await;
    let target = server.address;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // RFC 1928: no authentication, then CONNECT to an IPv4 address.
        let mut hello = [0; 2];
        stream.read_exact(&mut hello).await.unwrap();
        stream.read_exact(&mut vec![0; hello[1].into()]).await.unwrap();
        stream.write_all(&[5, 0]).await.unwrap();
        let mut request = [0; 10];
        stream.read_exact(&mut request).await.unwrap();
        assert_eq!(request[..8], [5, 1, 0, 1, 127, 0, 0, 1]);
        assert_eq!(u16::from_be_bytes([request[8], request[9]]), target.port());
        let mut server = TcpStream::connect(target).await.unwrap();
        stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
        let _ = copy_bidirectional(&mut stream, &mut server).await;
    });
    assert_eq!(
        version_through_proxy(server.plain_config(), &format!("socks5://{proxy}")).await.unwrap(),
        "v1.37.2"
    );
}
