//! Loads the certificates and keys of a configuration: PEM text in a file, or inline in base64.

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject};
use secrecy::{ExposeSecret, SecretSlice};
use std::path::Path;

use super::{error::FieldError, user::AuthInfo};

/// A certificate chain, leaf first, and its private key.
pub(crate) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The bytes of a field. Error texts contain `from`, which names the source of the bytes, such as the path of a file.
pub(super) struct LoadedField {
    pub(super) from: String,
    pub(super) bytes: SecretSlice<u8>,
}

/// Loads a field from its inline value, otherwise from its file. An empty value counts as absent.
pub(super) fn load_field(data: Option<&str>, file: Option<&str>) -> Result<Option<LoadedField>, FieldError> {
    if let Some(data) = data.filter(|data| is_inline(Some(data))) {
        // A YAML block scalar may contain line breaks.
        let compact: String = data.split_ascii_whitespace().collect();
        let bytes = STANDARD.decode(compact).map_err(|error| FieldError::Base64(error.into()))?;
        return Ok(Some(LoadedField { from: "the value".to_owned(), bytes: bytes.into() }));
    }
    let Some(path) = file.filter(|file| !file.is_empty()).map(Path::new) else { return Ok(None) };
    let bytes =
        std::fs::read(path).map_err(|source| FieldError::ReadFile { path: path.to_owned(), source })?;
    Ok(Some(LoadedField { from: path.display().to_string(), bytes: bytes.into() }))
}

/// Whether a field has an inline value, which takes precedence over its file.
pub(super) fn is_inline(data: Option<&str>) -> bool {
    data.is_some_and(|data| !data.trim().is_empty())
}

/// The certificates (DER) in a PEM file.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<Vec<u8>>, FieldError> {
    let bytes =
        std::fs::read(path).map_err(|source| FieldError::ReadFile { path: path.to_owned(), source })?;
    let loaded = LoadedField { from: path.display().to_string(), bytes: bytes.into() };
    parse_certificates(&loaded).map(to_der)
}

/// The certificates (DER) in an inline value, otherwise in a file; `None` if there is neither.
pub(crate) fn read_authorities(
    data: Option<&str>,
    file: Option<&str>,
) -> Result<Option<Vec<Vec<u8>>>, FieldError> {
    let loaded = load_field(data, file)?;
    loaded.map(|loaded| parse_certificates(&loaded).map(to_der)).transpose()
}

fn to_der(certificates: Vec<CertificateDer<'static>>) -> Vec<Vec<u8>> {
    certificates.into_iter().map(|der| der.to_vec()).collect()
}

/// Parses all certificates in PEM text: a CA bundle, or the chain of a client certificate. One unusable certificate is an
/// error. If it were skipped in a CA bundle, later TLS handshakes could fail with an error that does not mention the
/// bundle.
pub(super) fn parse_certificates(loaded: &LoadedField) -> Result<Vec<CertificateDer<'static>>, FieldError> {
    let text = loaded.bytes.expose_secret();
    let starts = certificate_offsets(text);
    if starts.is_empty() {
        return Err(FieldError::NoPem { from: loaded.from.clone(), wanted: "certificate" });
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let blocks = starts.iter().zip(ends).map(|(start, end)| &text[*start..end]);
    let read = |(index, block)| {
        CertificateDer::from_pem_slice(block)
            .map_err(|source| damaged_pem_error(loaded, Some(index + 1), source))
    };
    blocks.enumerate().map(read).collect()
}

/// The offsets of the BEGIN markers of the certificates. Only white space, or the END marker of the previous PEM block,
/// may precede a BEGIN marker on its line. `cat` writes both markers on one line if a file does not end with a newline. A
/// BEGIN marker after other text is part of a comment, and is ignored.
fn certificate_offsets(text: &[u8]) -> Vec<usize> {
    let may_precede = |at: &usize| {
        let line = text[..*at].rsplit(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
        let line = line.trim_ascii();
        line.is_empty() || line.starts_with(b"-----END ") && line.ends_with(b"-----")
    };
    memchr::memmem::find_iter(text, b"-----BEGIN CERTIFICATE-----").filter(may_precede).collect()
}

/// Parses the first private key in a PEM text. An encrypted key is an error.
fn parse_private_key(loaded: &LoadedField) -> Result<PrivateKeyDer<'static>, FieldError> {
    let text = String::from_utf8_lossy(loaded.bytes.expose_secret());
    if text.contains("ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(FieldError::Invalid(format!(
            "{} is encrypted, which is not supported; decrypt it with `openssl pkey`",
            loaded.from
        )));
    }
    PrivateKeyDer::from_pem_slice(loaded.bytes.expose_secret()).map_err(|source| match source {
        pem::Error::NoItemsFound => FieldError::NoPem { from: loaded.from.clone(), wanted: "private key" },
        source => damaged_pem_error(loaded, None, source),
    })
}

/// An error about damaged PEM text. `block` is the number of the damaged certificate; `None` for a private key.
fn damaged_pem_error(loaded: &LoadedField, block: Option<usize>, source: pem::Error) -> FieldError {
    // Some errors of the library quote a line with a BEGIN or END marker. Replace these errors: if a private key has no
    // line breaks, the quoted line contains the key.
    let source = match source {
        // `parse_private_key` handles `NoItemsFound` itself, so this error comes from `parse_certificates`. That
        // function parses only blocks that begin with a BEGIN marker, so only the END line can be missing.
        pem::Error::NoItemsFound => "its END line is missing".into(),
        pem::Error::MissingSectionEnd { .. } | pem::Error::IllegalSectionStart { .. } => {
            "a BEGIN or END marker is missing, or is not on a line of its own".into()
        }
        source => source.into(),
    };
    FieldError::Pem { from: loaded.from.clone(), block, source }
}

impl AuthInfo {
    /// Whether the client certificate or its key is in a file.
    pub(crate) fn has_identity_files(&self) -> bool {
        let is_file = |data: Option<&str>, file: Option<&str>| {
            !is_inline(data) && file.is_some_and(|file| !file.is_empty())
        };
        let key = self.client_key_data.as_ref().map(ExposeSecret::expose_secret);
        is_file(self.client_certificate_data.as_deref(), self.client_certificate.as_deref())
            || is_file(key, self.client_key.as_deref())
    }

    /// Loads the client certificate and its key; `None` if the user has neither. The error contains the name of the
    /// unusable field.
    pub(crate) fn identity(&self) -> Result<Option<Identity>, (&'static str, FieldError)> {
        const CERTIFICATE_FIELD: &str = "client-certificate";
        const KEY_FIELD: &str = "client-key";
        let certificate = self.client_certificate_data.as_deref();
        let certificate_field =
            if is_inline(certificate) { "client-certificate-data" } else { CERTIFICATE_FIELD };
        let key = self.client_key_data.as_ref().map(ExposeSecret::expose_secret);
        let key_field = if is_inline(key) { "client-key-data" } else { KEY_FIELD };
        let certificate = load_field(certificate, self.client_certificate.as_deref())
            .map_err(|error| (certificate_field, error))?;
        let key = load_field(key, self.client_key.as_deref()).map_err(|error| (key_field, error))?;
        match (certificate, key) {
            (None, None) => Ok(None),
            (Some(_), None) => Err((certificate_field, FieldError::Needs(KEY_FIELD))),
            (None, Some(_)) => Err((key_field, FieldError::Needs(CERTIFICATE_FIELD))),
            (Some(certificate), Some(key)) => Ok(Some((
                parse_certificates(&certificate).map_err(|error| (certificate_field, error))?,
                parse_private_key(&key).map_err(|error| (key_field, error))?,
            ))),
        }
    }
}

/// Parses the certificate chain and the private key in the output of a credential plugin. Both are PEM text.
pub(crate) fn identity_from_pem(certificate: &str, key: &str) -> Result<Identity, FieldError> {
    let loaded = |from: &str, text: &str| LoadedField {
        from: from.to_owned(),
        bytes: text.as_bytes().to_vec().into(),
    };
    Ok((
        parse_certificates(&loaded("clientCertificateData", certificate))?,
        parse_private_key(&loaded("clientKeyData", key))?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    fn certificate_pem(name: &str) -> String {
        rcgen::generate_simple_self_signed([name.to_owned()]).unwrap().cert.pem()
    }

    /// Reads a CA bundle. Returns the number of its certificates, or the error text.
    fn read_bundle(bundle: &str) -> Result<usize, String> {
        let bytes = bundle.as_bytes().to_vec().into();
        let loaded = LoadedField { from: "ca.crt".to_owned(), bytes };
        parse_certificates(&loaded).map(|certificates| certificates.len()).map_err(|error| {
            let source = error.source().map(ToString::to_string).unwrap_or_default();
            format!("{error}: {source}")
        })
    }

    #[test]
    fn the_certificates_of_a_bundle_are_read_and_other_text_is_ignored() {
        let (a, b) = (certificate_pem("a"), certificate_pem("b"));
        assert_eq!(read_bundle(&format!("{a}{b}")), Ok(2));
        // The output of `cat` for files without a final newline.
        assert_eq!(read_bundle(&format!("{}{b}", a.trim_end())), Ok(2));
        assert_eq!(read_bundle(&format!("{}  {b}", a.trim_end())), Ok(2));
        assert_eq!(read_bundle(&format!("{a}  {b}\t")), Ok(2));
        assert_eq!(read_bundle(&format!("# root a\n{a}subject=b\n{b}end")), Ok(2));
        assert_eq!(read_bundle(&format!("{a}{b}").replace('\n', "\r\n")), Ok(2));
        assert_eq!(read_bundle(&format!("{a}# {}", b.replace('\n', "\n# "))), Ok(1));
    }

    #[test]
    fn an_error_about_a_private_key_does_not_quote_the_key() {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let secret = key.lines().nth(1).unwrap();
        let bytes = format!("{:?}", &secret.as_bytes()[4..12]);
        let bytes = bytes.trim_matches(['[', ']']);
        for damaged in [
            key.replace('\n', ""),
            key.replace('\n', " "),
            key.replace('\n', "\\n"),
            key.replacen('\n', "", 1),
            key.replace("-----END", "----END"),
            key.replacen('\n', "\n!", 1),
        ] {
            let loaded =
                LoadedField { from: "key.pem".to_owned(), bytes: damaged.clone().into_bytes().into() };
            let error = parse_private_key(&loaded).unwrap_err();
            let reason = error.source().map(ToString::to_string).unwrap_or_default();
            let text = format!("{error} {reason} {error:?}");
            assert!(!text.contains(&secret[4..12]) && !text.contains(bytes), "{damaged:?}: {text}");
        }
    }

    #[test]
    fn the_error_for_a_bundle_contains_the_number_of_the_unusable_certificate() {
        let (a, b) = (certificate_pem("a"), certificate_pem("b"));
        let damaged = b.replacen("MII", "M!I", 1);
        for (bundle, part) in [
            (format!("{a}{damaged}{a}"), "ca.crt is not valid PEM: certificate 2: "),
            (format!("{a}{a}{}", &b[..b.len() - 30]), "ca.crt is not valid PEM: certificate 3: "),
            (format!("{}{a}", &b[..b.len() - 30]), "ca.crt is not valid PEM: certificate 1: "),
        ] {
            let error = read_bundle(&bundle).unwrap_err();
            let reason = error.strip_prefix(part).unwrap_or_else(|| panic!("{error}"));
            assert!(!reason.is_empty(), "{error}");
        }
        assert!(read_bundle("").unwrap_err().contains("no certificate in PEM form"));
    }
}
