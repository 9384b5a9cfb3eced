//! Public keys of certificate requests, and the signatures that prove possession of the private key.

use p256::ecdsa::signature::hazmat::PrehashVerifier;
use ring::digest::{self, SHA256, SHA384, SHA512};
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_NIST_HASH_SHA256, OID_NIST_HASH_SHA384,
    OID_NIST_HASH_SHA512, OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA,
    OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ECDSA_WITH_SHA512, OID_SIG_ED25519,
};
use x509_parser::public_key::PublicKey;
use x509_parser::signature_algorithm::SignatureAlgorithm;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

/// The kind of a public key that the API server permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyType {
    Ed25519,
    P256,
    P384,
    P521,
    Rsa,
}

/// The algorithm of a signature.
#[derive(Clone, Copy)]
enum Algorithm {
    /// An algorithm of `ring`.
    Ring(&'static dyn VerificationAlgorithm),
    /// ECDSA with this hash on the curve of the key. `ring` supports neither the curve P-521, nor SHA-512 with the curves
    /// P-256 and P-384.
    Ecdsa(&'static digest::Algorithm),
}

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

/// Checks the public key in a certificate request. Verifies the signature of the request with this key.
///
/// # Errors
/// The reason that the key or the signature is invalid.
pub(super) fn check_request(request: &X509CertificationRequest<'_>) -> Result<(), &'static str> {
    let info = &request.certification_request_info;
    let key_type = key_type(&info.subject_pki)?;
    let valid = algorithm_of_request(key_type, &request.signature_algorithm).is_some_and(|algorithm| {
        is_valid_signature(algorithm, key_type, &info.subject_pki, info.raw, &request.signature_value.data)
    });
    if valid { Ok(()) } else { Err("invalid signature") }
}

/// The algorithm with the identifier `signed_with`; `None` if the API server does not accept it for a key of this type.
fn algorithm_of_request(key_type: KeyType, signed_with: &AlgorithmIdentifier<'_>) -> Option<Algorithm> {
    let oid = &signed_with.algorithm;
    match key_type {
        KeyType::Ed25519 => (*oid == OID_SIG_ED25519).then_some(Algorithm::Ring(&signature::ED25519)),
        KeyType::P256 | KeyType::P384 | KeyType::P521 => {
            let hashes = [
                (OID_SIG_ECDSA_WITH_SHA256, &SHA256),
                (OID_SIG_ECDSA_WITH_SHA384, &SHA384),
                (OID_SIG_ECDSA_WITH_SHA512, &SHA512),
            ];
            hashes.into_iter().find(|(known, _)| known == oid).map(|(_, hash)| Algorithm::Ecdsa(hash))
        }
        KeyType::Rsa => {
            let algorithms: [(_, &dyn VerificationAlgorithm); 3] = [
                (OID_PKCS1_SHA256WITHRSA, &signature::RSA_PKCS1_2048_8192_SHA256),
                (OID_PKCS1_SHA384WITHRSA, &signature::RSA_PKCS1_2048_8192_SHA384),
                (OID_PKCS1_SHA512WITHRSA, &signature::RSA_PKCS1_2048_8192_SHA512),
            ];
            let found = algorithms.into_iter().find(|(known, _)| known == oid);
            found.map(|(_, algorithm)| algorithm).or_else(|| pss_algorithm(signed_with)).map(Algorithm::Ring)
        }
    }
}

/// The RSA-PSS algorithm with the parameters in `signed_with`; `None` for unsupported parameters. As in Go,
/// the message and the mask must have the same hash algorithm, and the salt must be as long as the hash.
fn pss_algorithm(signed_with: &AlgorithmIdentifier<'_>) -> Option<&'static dyn VerificationAlgorithm> {
    let Ok(SignatureAlgorithm::RSASSA_PSS(parameters)) = SignatureAlgorithm::try_from(signed_with) else {
        return None;
    };
    let algorithms: [(_, u32, &dyn VerificationAlgorithm); 3] = [
        (OID_NIST_HASH_SHA256, 32, &signature::RSA_PSS_2048_8192_SHA256),
        (OID_NIST_HASH_SHA384, 48, &signature::RSA_PSS_2048_8192_SHA384),
        (OID_NIST_HASH_SHA512, 64, &signature::RSA_PSS_2048_8192_SHA512),
    ];
    let mask_hash = parameters.mask_gen_algorithm().ok()?.hash;
    let found = algorithms.into_iter().find(|(hash, salt, _)| {
        hash == parameters.hash_algorithm_oid() && *hash == mask_hash && *salt == parameters.salt_length()
    });
    found.filter(|_| parameters.trailer_field() == 1).map(|(.., algorithm)| algorithm)
}

/// Whether `proof` is a signature of `message` with the private key of `key`, by the algorithm that the API server
/// expects for the type of the key.
pub(super) fn is_proof(
    key_type: KeyType,
    key: &SubjectPublicKeyInfo<'_>,
    message: &str,
    proof: &[u8],
) -> bool {
    let algorithm = match key_type {
        KeyType::Ed25519 => Algorithm::Ring(&signature::ED25519),
        KeyType::P256 | KeyType::P384 | KeyType::P521 => Algorithm::Ecdsa(&SHA256),
        KeyType::Rsa => Algorithm::Ring(&signature::RSA_PSS_2048_8192_SHA256),
    };
    is_valid_signature(algorithm, key_type, key, message.as_bytes(), proof)
}

fn is_valid_signature(
    algorithm: Algorithm,
    key_type: KeyType,
    key: &SubjectPublicKeyInfo<'_>,
    message: &[u8],
    signature: &[u8],
) -> bool {
    let key = &key.subject_public_key.data;
    match algorithm {
        Algorithm::Ring(algorithm) => {
            UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
        }
        Algorithm::Ecdsa(hash) => {
            is_valid_ecdsa_signature(key_type, key, digest::digest(hash, message).as_ref(), signature)
        }
    }
}

/// Whether `signature`, an ECDSA signature in DER, is a valid signature of `hash`. `point` is the public key.
fn is_valid_ecdsa_signature(key_type: KeyType, point: &[u8], hash: &[u8], signature: &[u8]) -> bool {
    fn is_valid_prehash_signature<K: PrehashVerifier<S>, S, E, F>(
        key: Result<K, E>,
        signature: Result<S, F>,
        hash: &[u8],
    ) -> bool {
        let (Ok(key), Ok(signature)) = (key, signature) else { return false };
        key.verify_prehash(hash, &signature).is_ok()
    }
    macro_rules! is_valid_on {
        ($curve:ident) => {
            is_valid_prehash_signature(
                $curve::ecdsa::VerifyingKey::from_sec1_bytes(point),
                $curve::ecdsa::DerSignature::try_from(signature),
                hash,
            )
        };
    }
    match key_type {
        KeyType::P256 => is_valid_on!(p256),
        KeyType::P384 => is_valid_on!(p384),
        KeyType::P521 => is_valid_on!(p521),
        KeyType::Ed25519 | KeyType::Rsa => false,
    }
}
