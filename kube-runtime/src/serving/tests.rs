//! Tests of the certificate of a server, and of the time limit on its writes.

use super::stream::WriteTimeoutStream;
use super::{CertificateError, ServingCertificate};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use std::{fs, sync::Arc, time::Duration};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

/// The PEM texts of a new certificate for `name`, and of its key.
fn certificate_and_key(name: &str) -> [String; 2] {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
    [cert.pem(), signing_key.serialize_pem()]
}

#[tokio::test]
async fn a_new_certificate_is_used_only_after_its_key_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["tls.crt", "tls.key"].map(|name| folder.path().join(name));
    let write = |texts: &[String; 2]| {
        for (path, text) in paths.iter().zip(texts) {
            fs::write(path, text).unwrap();
        }
    };
    let [certificate, key] = certificate_and_key("first");
    write(&[certificate.clone(), key.clone()]);
    let mut serving = ServingCertificate::from_files(&paths[0], &paths[1]).unwrap();
    serving.check_every(Duration::ZERO);
    let serving = Arc::new(serving);
    let first = serving.leaf_certificate();

    let [next, next_key] = certificate_and_key("second");
    write(&[next.clone(), key]);
    serving.refresh().await;
    assert_eq!(serving.leaf_certificate(), first, "the key is not written yet");
    write(&["-----BEGIN CERT".to_owned(), next_key.clone()]);
    serving.refresh().await;
    assert_eq!(serving.leaf_certificate(), first, "the certificate is half-written");
    write(&[next, next_key]);
    serving.refresh().await;
    assert_ne!(serving.leaf_certificate(), first);
}

#[test]
fn an_error_names_the_file_and_contains_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    let error = || ServingCertificate::from_files(&certificate, &key).unwrap_err();
    assert!(matches!(error(), CertificateError::Read { path, .. } if path == certificate));
    fs::write(&certificate, &certificate_and_key("a")[0]).unwrap();
    assert!(matches!(error(), CertificateError::Read { path, .. } if path == key));
    fs::write(&key, "c2VjcmV0").unwrap();
    let unusable = error();
    assert!(matches!(&unusable, CertificateError::Pem { path, .. } if *path == key));
    assert!(!format!("{unusable:?} {unusable}").contains("c2VjcmV0"));
    fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let mismatch = error();
    assert!(matches!(&mismatch, CertificateError::Key { path, .. } if *path == key), "{mismatch:?}");
    assert!(mismatch.to_string().contains("tls.key") && mismatch.to_string().contains("tls.crt"));
}

#[tokio::test(start_paused = true)]
async fn a_write_times_out_if_the_client_reads_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let mut stream = WriteTimeoutStream::new(listener.accept().await.unwrap().0);
    let chunk = vec![0; 1 << 20];
    let error = loop {
        if let Err(error) = stream.write_all(&chunk).await {
            break error;
        }
    };
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}
