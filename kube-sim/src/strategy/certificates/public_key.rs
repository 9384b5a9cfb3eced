//! Public keys of certificate requests, and the signatures that prove possession of the private key.

use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA,
    OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ED25519,
};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// The kind of a public key that the API server permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyType {
    Ed25519,
    P256,
    P384,
    /// The API server verifies signatures of this curve, but the cryptography of this crate does not implement it.
    P521,
    Rsa,
}

type Algorithm = &'static dyn VerificationAlgorithm;

/// The type of a public key.
///
/// # Errors
/// The reason that the API server does not permit the key.
pub(super) fn key_type(key: &SubjectPublicKeyInfo<'_>) -> Result<KeyType, &'static str> {
    if key.algorithm.algorithm == OID_SIG_ED25519 {
        return Ok(KeyType::Ed25519);
    }
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => match rsa.key_size() {
            3072 | 4096 => Ok(KeyType::Rsa),
            _ => Err("RSA keys must have modulus size 3072 or 4096"),
        },
        Ok(PublicKey::EC(_)) => {
            let curve = key.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
            match curve {
                Some(curve) if curve == OID_EC_P256 => Ok(KeyType::P256),
                Some(curve) if curve == OID_NIST_EC_P384 => Ok(KeyType::P384),
                Some(curve) if curve == OID_NIST_EC_P521 => Ok(KeyType::P521),
                _ => Err("elliptic public keys must use curve P256, P384, or P521"),
            }
        }
        _ => Err("unknown public key type; supported types are Ed25519, ECDSA, and RSA"),
    }
}

/// Checks the signature of a request with its own key.
///
/// # Errors
/// The reason that the key or the signature is invalid.
pub(super) fn check_request(request: &X509CertificationRequest<'_>) -> Result<(), &'static str> {
    let info = &request.certification_request_info;
    let key_type = key_type(&info.subject_pki)?;
    let signed_with = &request.signature_algorithm.algorithm;
    let algorithm: Option<Algorithm> = match key_type {
        KeyType::P521 => return Err("kube-sim cannot verify signatures of the curve P521"),
        KeyType::Ed25519 => (*signed_with == OID_SIG_ED25519).then_some(&signature::ED25519),
        KeyType::P256 if *signed_with == OID_SIG_ECDSA_WITH_SHA256 => {
            Some(&signature::ECDSA_P256_SHA256_ASN1)
        }
        KeyType::P256 if *signed_with == OID_SIG_ECDSA_WITH_SHA384 => {
            Some(&signature::ECDSA_P256_SHA384_ASN1)
        }
        KeyType::P384 if *signed_with == OID_SIG_ECDSA_WITH_SHA256 => {
            Some(&signature::ECDSA_P384_SHA256_ASN1)
        }
        KeyType::P384 if *signed_with == OID_SIG_ECDSA_WITH_SHA384 => {
            Some(&signature::ECDSA_P384_SHA384_ASN1)
        }
        KeyType::Rsa if *signed_with == OID_PKCS1_SHA256WITHRSA => {
            Some(&signature::RSA_PKCS1_2048_8192_SHA256)
        }
        KeyType::Rsa if *signed_with == OID_PKCS1_SHA384WITHRSA => {
            Some(&signature::RSA_PKCS1_2048_8192_SHA384)
        }
        KeyType::Rsa if *signed_with == OID_PKCS1_SHA512WITHRSA => {
            Some(&signature::RSA_PKCS1_2048_8192_SHA512)
        }
        _ => None,
    };
    let valid = algorithm.is_some_and(|algorithm| {
        UnparsedPublicKey::new(algorithm, &info.subject_pki.subject_public_key.data)
            .verify(info.raw, &request.signature_value.data)
            .is_ok()
    });
    if valid { Ok(()) } else { Err("invalid signature") }
}

/// Whether `proof` is a signature of `message` with the private key of `key`, by the algorithm that the API server
/// expects for the type of the key.
pub(super) fn is_proof(
    key_type: KeyType,
    key: &SubjectPublicKeyInfo<'_>,
    message: &str,
    proof: &[u8],
) -> bool {
    let algorithm: Algorithm = match key_type {
        KeyType::Ed25519 => &signature::ED25519,
        KeyType::P256 => &signature::ECDSA_P256_SHA256_ASN1,
        KeyType::P384 => &signature::ECDSA_P384_SHA256_ASN1,
        KeyType::Rsa => &signature::RSA_PSS_2048_8192_SHA256,
        KeyType::P521 => return false,
    };
    UnparsedPublicKey::new(algorithm, &key.subject_public_key.data).verify(message.as_bytes(), proof).is_ok()
}
