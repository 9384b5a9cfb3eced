//! Explains why a private key cannot be used. This module uses the algorithm, curve, size and public exponent of the
//! key, and must not use or return secret values.

use rustls_pki_types::PrivateKeyDer;

// Tags of DER values.
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// The context-specific tag of the parameters of a SEC1 key.
const PARAMETERS: u8 = 0xa0;

// Object identifiers of algorithms.
/// RSA (RFC 8017).
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
/// Elliptic curve cryptography (RFC 5480).
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];

/// The names of key algorithms other than RSA and ECDSA, by object identifier, for error texts. Of these
/// algorithms, only Ed25519 is supported, and not in all forms.
const OTHER_ALGORITHMS: [(&[u8], &str); 6] = [
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10], "RSA-PSS"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1], "DSA"),
    (&[0x2b, 0x65, 0x6e], "X25519"),
    (&[0x2b, 0x65, 0x6f], "X448"),
    (&[0x2b, 0x65, 0x70], "Ed25519"),
    (&[0x2b, 0x65, 0x71], "Ed448"),
];

/// The names of elliptic curves by object identifier, for error texts.
const CURVES: [(&[u8], &str); 8] = [
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7], "P-256"),
    (&[0x2b, 0x81, 4, 0, 0x21], "P-224"),
    (&[0x2b, 0x81, 4, 0, 0x22], "P-384"),
    (&[0x2b, 0x81, 4, 0, 0x23], "P-521"),
    (&[0x2b, 0x81, 4, 0, 0x0a], "secp256k1"),
    (&[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 7], "brainpoolP256r1"),
    (&[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 11], "brainpoolP384r1"),
    (&[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 13], "brainpoolP512r1"),
];

/// Explains why the crypto provider rejects a key. Does not check whether the provider rejects the key.
pub(super) fn explain_unusable_key(key: &PrivateKeyDer<'_>) -> String {
    let found = match key {
        PrivateKeyDer::Pkcs1(key) => explain_rsa_key(key.secret_pkcs1_der()),
        PrivateKeyDer::Sec1(key) => explain_sec1_key(key.secret_sec1_der()),
        PrivateKeyDer::Pkcs8(key) => explain_pkcs8_key(key.secret_pkcs8_der()),
        _ => None,
    };
    found.unwrap_or_else(|| "it does not read as an RSA, ECDSA or Ed25519 key".to_owned())
}

/// Explains why a PKCS #8 key (RFC 5208) cannot be used; `None` if it does not parse.
fn explain_pkcs8_key(der: &[u8]) -> Option<String> {
    let mut key = DerReader(DerReader(der).read_value(SEQUENCE)?);
    key.read_value(INTEGER)?;
    let mut algorithm = DerReader(key.read_value(SEQUENCE)?);
    let kind = algorithm.read_value(OBJECT_IDENTIFIER)?;
    match kind {
        RSA => explain_rsa_key(key.read_value(OCTET_STRING)?),
        EC => Some(explain_curve(algorithm.read_value(OBJECT_IDENTIFIER))),
        _ => Some(match OTHER_ALGORITHMS.iter().find(|(id, _)| *id == kind) {
            Some((_, name @ "Ed25519")) => {
                format!("it is damaged, or a form of {name} that is not supported")
            }
            Some((_, name)) => format!("{name} keys are not supported, but RSA, ECDSA and Ed25519 are"),
            None => "keys of its kind are not supported, but RSA, ECDSA and Ed25519 are".to_owned(),
        }),
    }
}

/// Explains why a SEC1 key (RFC 5915) cannot be used; `None` if it does not parse.
fn explain_sec1_key(der: &[u8]) -> Option<String> {
    let mut key = DerReader(DerReader(der).read_value(SEQUENCE)?);
    key.read_value(INTEGER)?;
    key.read_value(OCTET_STRING)?;
    Some(explain_curve(
        key.read_value(PARAMETERS).and_then(|parameters| DerReader(parameters).read_value(OBJECT_IDENTIFIER)),
    ))
}

/// Explains why a key on the elliptic curve with this object identifier cannot be used. `id` is `None` if the key does
/// not name its curve.
fn explain_curve(id: Option<&[u8]>) -> String {
    let known = id.and_then(|id| CURVES.iter().find(|(curve, _)| *curve == id));
    match known {
        Some((_, name @ ("P-256" | "P-384"))) => {
            format!("it is damaged, or a form of {name} that is not supported")
        }
        Some((_, name)) => format!("its curve {name} is not supported, but P-256 and P-384 are"),
        None if id.is_some() => "its curve is not supported, but P-256 and P-384 are".to_owned(),
        None => "it does not name its curve, which must be P-256 or P-384".to_owned(),
    }
}

/// Explains why a PKCS #1 key (RFC 8017) cannot be used; `None` if it does not parse. The limits on size and exponent
/// are the limits of ring. A key within these limits is reported as damaged or not supported.
fn explain_rsa_key(der: &[u8]) -> Option<String> {
    let mut key = DerReader(DerReader(der).read_value(SEQUENCE)?);
    key.read_value(INTEGER)?;
    let bits = bit_length(key.read_value(INTEGER)?);
    let exponent = key.read_value(INTEGER)?;
    if !(2048..=4096).contains(&bits) {
        return Some(format!(
            "RSA keys of {bits} bits are not supported, but those of 2048 to 4096 bits are"
        ));
    }
    let small = (bit_length(exponent) <= 64)
        .then(|| exponent.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)));
    Some(match small {
        Some(exponent @ ..65537) => {
            format!(
                "RSA keys with the public exponent {exponent} are not supported, but those with 65537 are"
            )
        }
        _ => format!("it is damaged, or a form of RSA with {bits} bits that is not supported"),
    })
}

/// The bit length of a big-endian number.
fn bit_length(number: &[u8]) -> usize {
    let zeroes = number.iter().take_while(|byte| **byte == 0).count();
    match &number[zeroes..] {
        [] => 0,
        [first, rest @ ..] => rest.len() * 8 + 8 - first.leading_zeros() as usize,
    }
}

/// The unread rest of a DER encoding.
struct DerReader<'a>(&'a [u8]);

impl<'a> DerReader<'a> {
    /// Reads the next value and returns its content. Returns `None` if the value is incomplete or has another tag.
    fn read_value(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, rest) = self.0.split_first()?;
        let (first, mut rest) = rest.split_first()?;
        let mut length = usize::from(*first);
        if length >= 0x80 {
            let (bytes, behind) = rest.split_at_checked(length - 0x80)?;
            if bytes.len() > 4 {
                return None;
            }
            length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            rest = behind;
        }
        let (content, rest) = rest.split_at_checked(length)?;
        if *found != tag {
            return None;
        }
        self.0 = rest;
        Some(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls_pki_types::{PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};

    /// Encodes a DER value with this tag.
    fn encode_der(tag: u8, content: &[&[u8]]) -> Vec<u8> {
        let content = content.concat();
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], length.as_slice(), &content].concat()
    }

    /// The start of an RSA key (PKCS #1), with a modulus of `bits` bits and with this public exponent.
    fn rsa_key(bits: usize, exponent: &[u8]) -> Vec<u8> {
        let mut modulus = vec![0xff; bits / 8];
        modulus.insert(0, 0);
        encode_der(
            SEQUENCE,
            &[
                &encode_der(INTEGER, &[&[0]]),
                &encode_der(INTEGER, &[&modulus]),
                &encode_der(INTEGER, &[exponent]),
            ],
        )
    }

    /// A PKCS #8 key. `algorithm` contains the object identifiers of its algorithm and curve.
    fn pkcs8_key(algorithm: &[&[u8]], key: &[u8]) -> PrivateKeyDer<'static> {
        let ids: Vec<_> = algorithm.iter().map(|id| encode_der(OBJECT_IDENTIFIER, &[id])).collect();
        let algorithm = encode_der(SEQUENCE, &[&ids.concat()]);
        let key = encode_der(
            SEQUENCE,
            &[&encode_der(INTEGER, &[&[0]]), &algorithm, &encode_der(OCTET_STRING, &[key])],
        );
        PrivatePkcs8KeyDer::from(key).into()
    }

    /// The object identifier of an elliptic curve, or of one of [`OTHER_ALGORITHMS`].
    fn object_id(name: &str) -> &'static [u8] {
        CURVES.iter().chain(&OTHER_ALGORITHMS).find(|(_, known)| *known == name).unwrap().0
    }

    /// Asserts that the key is unusable, and that the explanation contains `part`.
    #[track_caller]
    fn assert_explanation(key: &PrivateKeyDer<'_>, part: &str) {
        assert!(rustls::crypto::ring::sign::any_supported_type(key).is_err());
        let why = explain_unusable_key(key);
        assert!(why.contains(part), "{why}");
    }

    #[test]
    fn the_explanation_names_the_algorithm_or_curve_or_size_or_exponent_of_an_unsupported_key() {
        for (bits, exponent, part) in [
            (1024, &[1, 0, 1][..], "RSA keys of 1024 bits"),
            (8192, &[1, 0, 1], "RSA keys of 8192 bits"),
            (2048, &[3], "public exponent 3 "),
            (2048, &[0, 0xff], "public exponent 255 "),
        ] {
            let key = rsa_key(bits, exponent);
            assert_explanation(&pkcs8_key(&[RSA], &key), part);
            assert_explanation(&PrivatePkcs1KeyDer::from(key).into(), part);
        }
        for name in ["P-521", "P-224", "secp256k1", "brainpoolP256r1"] {
            assert_explanation(
                &pkcs8_key(&[EC, object_id(name)], &[]),
                &format!("curve {name} is not supported"),
            );
            let curve = encode_der(PARAMETERS, &[&encode_der(OBJECT_IDENTIFIER, &[object_id(name)])]);
            let key = encode_der(
                SEQUENCE,
                &[&encode_der(INTEGER, &[&[1]]), &encode_der(OCTET_STRING, &[&[7; 32]]), &curve],
            );
            assert_explanation(
                &PrivateSec1KeyDer::from(key).into(),
                &format!("curve {name} is not supported"),
            );
        }
        for name in ["Ed448", "DSA", "RSA-PSS", "X25519"] {
            assert_explanation(
                &pkcs8_key(&[object_id(name)], &[]),
                &format!("{name} keys are not supported"),
            );
        }
    }

    #[test]
    fn the_explanation_tells_that_a_key_is_damaged_or_unreadable() {
        assert_explanation(&pkcs8_key(&[RSA], &rsa_key(2048, &[1, 0, 1])), "damaged");
        assert_explanation(&pkcs8_key(&[EC, object_id("P-256")], &[]), "damaged");
        assert_explanation(&pkcs8_key(&[object_id("Ed25519")], &[]), "damaged");
        for text in [&b""[..], b"\x30", b"\x30\x84\xff\xff\xff\xff", b"\x30\x88", &[0xff; 40]] {
            assert_explanation(&PrivatePkcs8KeyDer::from(text.to_vec()).into(), "does not read as");
        }
    }
}
