//! Certificates and keys of a configuration: inline in base64 or in a file, always PEM inside.

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject};
use secrecy::{ExposeSecret, SecretSlice};
use std::path::Path;

use super::{error::FieldError, user::AuthInfo};

/// A certificate chain, leaf first, and its private key.
pub(crate) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// A field's bytes and what to call the place that they came from.
pub(super) struct Loaded {
    pub(super) from: String,
    pub(super) bytes: SecretSlice<u8>,
}

/// Loads a field that may be given inline or as a file. Inline wins; empty counts as absent.
pub(super) fn load(data: Option<&str>, file: Option<&str>) -> Result<Option<Loaded>, FieldError> {
    if let Some(data) = data.filter(|data| is_inline(Some(data))) {
        // YAML block scalars leave line breaks in the value.
        let compact: String = data.split_ascii_whitespace().collect();
        let bytes = STANDARD.decode(compact).map_err(|error| FieldError::Base64(error.into()))?;
        return Ok(Some(Loaded { from: "the value".to_owned(), bytes: bytes.into() }));
    }
    let Some(path) = file.filter(|file| !file.is_empty()).map(Path::new) else { return Ok(None) };
    let bytes =
        std::fs::read(path).map_err(|source| FieldError::ReadFile { path: path.to_owned(), source })?;
    Ok(Some(Loaded { from: path.display().to_string(), bytes: bytes.into() }))
}

/// Whether a field has a value of its own, which makes that of a file unimportant.
fn is_inline(data: Option<&str>) -> bool {
    data.is_some_and(|data| !data.trim().is_empty())
}

/// All certificates of a bundle. Each line that begins one has to give one: a root that is silently left out would show only as
/// servers that are not trusted.
pub(super) fn certificates(loaded: &Loaded) -> Result<Vec<CertificateDer<'static>>, FieldError> {
    let text = loaded.bytes.expose_secret();
    let starts = certificate_starts(text);
    if starts.is_empty() {
        return Err(FieldError::NoPem { from: loaded.from.clone(), wanted: "certificate" });
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let blocks = starts.iter().zip(ends).map(|(start, end)| &text[*start..end]);
    let read = |(index, block)| {
        CertificateDer::from_pem_slice(block).map_err(|source| bad_pem(loaded, Some(index + 1), source))
    };
    blocks.enumerate().map(read).collect()
}

/// Where certificates begin: at the beginning of a line but for white space, or right behind the end of the one before, as `cat`
/// leaves it where a file has no last line end. Elsewhere in a line it is a comment.
fn certificate_starts(text: &[u8]) -> Vec<usize> {
    let may_precede = |at: &usize| {
        let line = text[..*at].rsplit(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
        let line = line.trim_ascii();
        line.is_empty() || line.starts_with(b"-----END ") && line.ends_with(b"-----")
    };
    memchr::memmem::find_iter(text, b"-----BEGIN CERTIFICATE-----").filter(may_precede).collect()
}

fn private_key(loaded: &Loaded) -> Result<PrivateKeyDer<'static>, FieldError> {
    let text = String::from_utf8_lossy(loaded.bytes.expose_secret());
    if text.contains("ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(FieldError::Invalid(format!(
            "{} is encrypted, and there is no one to ask for its password; decrypt it with `openssl pkey`",
            loaded.from
        )));
    }
    PrivateKeyDer::from_pem_slice(loaded.bytes.expose_secret()).map_err(|source| match source {
        pem::Error::NoItemsFound => FieldError::NoPem { from: loaded.from.clone(), wanted: "private key" },
        source => bad_pem(loaded, None, source),
    })
}

fn bad_pem(loaded: &Loaded, block: Option<usize>, source: pem::Error) -> FieldError {
    let source = match source {
        // The bundle is not without certificates: this one does not come to its end.
        pem::Error::NoItemsFound => "it has no line that ends it".into(),
        source => source.into(),
    };
    FieldError::Pem { from: loaded.from.clone(), block, source }
}

impl AuthInfo {
    /// The client certificate and its key, where there is one; else the field that is wrong, and why.
    pub(crate) fn identity(&self) -> Result<Option<Identity>, (&'static str, FieldError)> {
        const CERTIFICATE: &str = "client-certificate";
        const KEY: &str = "client-key";
        let certificate = self.client_certificate_data.as_deref();
        let certificate_field = if is_inline(certificate) { "client-certificate-data" } else { CERTIFICATE };
        let key = self.client_key_data.as_ref().map(ExposeSecret::expose_secret);
        let key_field = if is_inline(key) { "client-key-data" } else { KEY };
        let certificate = load(certificate, self.client_certificate.as_deref())
            .map_err(|error| (certificate_field, error))?;
        let key = load(key, self.client_key.as_deref()).map_err(|error| (key_field, error))?;
        match (certificate, key) {
            (None, None) => Ok(None),
            (Some(_), None) => Err((certificate_field, FieldError::Needs(KEY))),
            (None, Some(_)) => Err((key_field, FieldError::Needs(CERTIFICATE))),
            (Some(certificate), Some(key)) => Ok(Some((
                certificates(&certificate).map_err(|error| (certificate_field, error))?,
                private_key(&key).map_err(|error| (key_field, error))?,
            ))),
        }
    }
}

/// The identity in two PEM texts, as exec plugins print them.
pub(crate) fn identity_from_pem(certificate: &str, key: &str) -> Result<Identity, FieldError> {
    let loaded =
        |from: &str, text: &str| Loaded { from: from.to_owned(), bytes: text.as_bytes().to_vec().into() };
    Ok((
        certificates(&loaded("clientCertificateData", certificate))?,
        private_key(&loaded("clientKeyData", key))?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    fn pem(name: &str) -> String {
        rcgen::generate_simple_self_signed([name.to_owned()]).unwrap().cert.pem()
    }

    fn read(bundle: &str) -> Result<usize, String> {
        let bytes = bundle.as_bytes().to_vec().into();
        let loaded = Loaded { from: "ca.crt".to_owned(), bytes };
        certificates(&loaded).map(|certificates| certificates.len()).map_err(|error| {
            let source = error.source().map(ToString::to_string).unwrap_or_default();
            format!("{error}: {source}")
        })
    }

    #[test]
    fn no_certificate_of_a_bundle_is_lost_to_what_is_around_it() {
        let (a, b) = (pem("a"), pem("b"));
        assert_eq!(read(&format!("{a}{b}")), Ok(2));
        // As `cat` joins files without a line end.
        assert_eq!(read(&format!("{}{b}", a.trim_end())), Ok(2));
        assert_eq!(read(&format!("{}  {b}", a.trim_end())), Ok(2));
        assert_eq!(read(&format!("{a}  {b}\t")), Ok(2));
        assert_eq!(read(&format!("# root a\n{a}subject=b\n{b}end")), Ok(2));
        assert_eq!(read(&format!("{a}{b}").replace('\n', "\r\n")), Ok(2));
        assert_eq!(read(&format!("{a}# {}", b.replace('\n', "\n# "))), Ok(1));
    }

    #[test]
    fn an_unusable_block_of_a_bundle_is_named() {
        let (a, b) = (pem("a"), pem("b"));
        let damaged = b.replacen("MII", "M!I", 1);
        for (bundle, part) in [
            (format!("{a}{damaged}{a}"), "ca.crt is not valid PEM: certificate 2: "),
            (format!("{a}{a}{}", &b[..b.len() - 30]), "ca.crt is not valid PEM: certificate 3: "),
            (format!("{}{a}", &b[..b.len() - 30]), "ca.crt is not valid PEM: certificate 1: "),
        ] {
            let error = read(&bundle).unwrap_err();
            let reason = error.strip_prefix(part).unwrap_or_else(|| panic!("{error}"));
            assert!(!reason.is_empty(), "{error}");
        }
        assert!(read("").unwrap_err().contains("no certificate in PEM form"));
    }
}
