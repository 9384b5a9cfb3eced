//! Tests of the kinds `ClusterTrustBundle` and `PodCertificateRequest`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, KeyPair, PublicKeyData as _, SigningKey as _, date_time_ymd,
};
use serde_json::{Value, json};

use super::validation::{check_create, check_update};
use crate::store::selector::Labels;
use crate::strategy::{Strategy, SubresourceUpdate};

const GROUP: &str = "certificates.k8s.io";
/// The start of the validity of the certificates in these tests.
const START: &str = "2024-01-01T00:00:00Z";
/// The end of the validity of the certificates in these tests.
const END: &str = "2024-01-02T00:00:00Z";

/// Returns a self-signed certificate of `key` in PEM.
fn certificate(key: &KeyPair, is_ca: IsCa) -> String {
    let mut params = CertificateParams::default();
    params.is_ca = is_ca;
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2024, 1, 2);
    params.self_signed(key).unwrap().pem()
}

fn authority_certificate() -> String {
    certificate(&KeyPair::generate().unwrap(), IsCa::Ca(BasicConstraints::Unconstrained))
}

fn bundle(name: &str, signer: &str, text: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"signerName": signer, "trustBundle": text}})
}

#[test]
fn a_bundle_must_contain_only_ca_certificates_without_duplicates() {
    let check = |text: &str, whys: &[&str]| {
        let expected: Vec<_> = whys
            .iter()
            .map(|why| format!(r#"spec.trustBundle: Invalid value: "<value omitted>": {why}"#))
            .collect();
        let expected: Vec<_> = expected.iter().map(String::as_str).collect();
        check_create(GROUP, "clustertrustbundles", bundle("b", "", text), &expected);
    };
    let (one, two) = (authority_certificate(), authority_certificate());
    let leaf = certificate(&KeyPair::generate().unwrap(), IsCa::NoCa);
    check(&format!("first\n{one}second\n{two}"), &[]);
    check("no certificate", &["at least one trust anchor must be provided"]);
    check(&format!("{one}{two}{one}"), &["duplicate trust anchor"]);
    let no_certificate = one.replace(" CERTIFICATE-", " KEY-");
    check(
        &format!("{leaf}{one}{no_certificate}"),
        &["entry 0 does not have the CA bit set", "entry 2 has bad block type: KEY"],
    );
}

#[test]
fn the_name_of_a_bundle_begins_with_its_signer() {
    let text = authority_certificate();
    let check = |name: &str, signer: &str, expected: &[&str]| {
        check_create(GROUP, "clustertrustbundles", bundle(name, signer, &text), expected);
    };
    check("example.com:a:b", "example.com/a", &[]);
    check(
        "b",
        "example.com/a",
        &[
            r#"metadata.name: Invalid value: "b": ClusterTrustBundle for signerName example.com/a must be named with prefix example.com:a:"#,
        ],
    );
    check(
        "a:b",
        "",
        &[
            r#"metadata.name: Invalid value: "a:b": ClusterTrustBundle without signer name must not have ":" in its name"#,
        ],
    );
}

#[test]
fn only_a_changed_bundle_is_parsed() {
    let named = |signer: &str, text: &str| bundle("example.com:a:b", signer, text);
    let old = named("example.com/a", "nothing");
    check_update(GROUP, "clustertrustbundles", Some(old.clone()), old.clone(), &[]);
    check_update(
        GROUP,
        "clustertrustbundles",
        Some(old),
        named("example.com/a", "other"),
        &[
            r#"spec.trustBundle: Invalid value: "<value omitted>": at least one trust anchor must be provided"#,
        ],
    );
}

/// A valid `PodCertificateRequest` that `key` signed.
fn request(key: &KeyPair) -> Value {
    let signed = CertificateParams::default().serialize_request(key).unwrap();
    json!({
        "metadata": {"name": "r"},
        "spec": {
            "signerName": "example.com/a",
            "podName": "p",
            "podUID": "1",
            "serviceAccountName": "s",
            "serviceAccountUID": "2",
            "nodeName": "n",
            "nodeUID": "3",
            "maxExpirationSeconds": 86_400,
            "stubPKCS10Request": STANDARD.encode(signed.der()),
        },
    })
}

/// Creates a request with `changes` in the fields of its spec. Checks that the errors are `expected`.
#[track_caller]
fn check_request(changes: &Value, expected: &[&str]) {
    let mut new = request(&KeyPair::generate().unwrap());
    for (field, value) in changes.as_object().unwrap() {
        new["spec"][field] = value.clone();
    }
    check_create(GROUP, "podcertificaterequests", new, expected);
}

#[test]
fn a_request_must_have_valid_uids_annotations_and_duration() {
    check_request(&json!({"unverifiedUserAnnotations": {"example.com/A": "b"}}), &[]);
    check_request(
        &json!({"podUID": "", "nodeUID": "1".repeat(129), "unverifiedUserAnnotations": {"a": "b"}}),
        &[
            r#"spec.unverifiedUserAnnotations: Invalid value: "a": must be a domain-prefixed key (such as "acme.io/foo")"#,
            r#"spec.podUID: Invalid value: "": must not be empty"#,
            "spec.nodeUID: Too long: may not be more than 128 bytes",
        ],
    );
    check_request(
        &json!({"maxExpirationSeconds": 60}),
        &["spec.maxExpirationSeconds: Invalid value: 60: must be in the range [3600, 7862400]"],
    );
    check_request(
        &json!({"maxExpirationSeconds": 86_401, "signerName": "kubernetes.io/a"}),
        &["spec.maxExpirationSeconds: Invalid value: 86401: must be in the range [3600, 86400]"],
    );
}

#[test]
fn a_request_proves_possession_of_its_key() {
    let key = KeyPair::generate().unwrap();
    let public = STANDARD.encode(key.subject_public_key_info());
    let proof = STANDARD.encode(key.sign(b"1").unwrap());
    let other_proof = STANDARD.encode(key.sign(b"2").unwrap());
    check_request(
        &json!({"stubPKCS10Request": null, "pkixPublicKey": public, "proofOfPossession": proof}),
        &[],
    );
    check_request(
        &json!({"stubPKCS10Request": null, "pkixPublicKey": public, "proofOfPossession": other_proof}),
        &["spec.proofOfPossession: Invalid value: could not verify proof-of-possession signature"],
    );
    check_request(
        &json!({"pkixPublicKey": public}),
        &[
            "spec: Invalid value: exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set",
        ],
    );
    check_request(
        &json!({"stubPKCS10Request": "AAAA"}),
        &["spec.stubPKCS10Request: Invalid value: must be a valid PKCS#10 CSR"],
    );
    let signed = CertificateParams::default().serialize_request(&key).unwrap();
    let mut bytes = signed.der().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    check_request(
        &json!({"stubPKCS10Request": STANDARD.encode(bytes)}),
        &["spec.stubPKCS10Request: Invalid value: invalid signature"],
    );
}

#[test]
fn signatures_with_different_algorithms_are_verified() {
    // OpenSSL created these certificate requests. Each request has a different algorithm or salt length.
    for line in include_str!("certificates/signed-requests.txt").lines() {
        let (algorithm, signed) = line.split_once(": ").unwrap();
        let expected = ["spec.stubPKCS10Request: Invalid value: invalid signature"];
        let is_valid = !algorithm.ends_with("another salt");
        check_request(&json!({"stubPKCS10Request": signed}), if is_valid { &[] } else { &expected });
        let mut changed = STANDARD.decode(signed).unwrap();
        *changed.last_mut().unwrap() ^= 1;
        check_request(&json!({"stubPKCS10Request": STANDARD.encode(changed)}), &expected);
    }
    let proof =
        json!({"stubPKCS10Request": null, "pkixPublicKey": P521_KEY, "proofOfPossession": P521_PROOF});
    check_request(&proof, &[]);
}

/// A public key on the curve P-521.
const P521_KEY: &str = "MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQARgEylR+hH0L0ttetlsolpBgGREg8ppDbnJ6Mr/SJUAze5oJTtEsd+VH0wR7WBHiIycCTpyj9IQxJQxpb5vsBA+UBtD10bRQt2FacGyhv2KZ0xHjSo9PS9Dy+FyNc/0CAI0F305HQg8cxOgBkWELrBLBzj0+cXwRNV3pxLk6DSolnLrM=";
/// The signature of the pod UID in [`request`] by the private key of [`P521_KEY`].
const P521_PROOF: &str = "MIGIAkIA6FSpdSECauG53wdn72HN1bQCVIzjRAm3//N1xjBC/WUetcgKttfkr6RbFQfy/7YtL6w1+7LNqStYlyDhk3SzIBUCQgCQR3pDjcvV7YVNB/0TJcw9wZETu6kARNQL2qxY4gT718YPA34ojWUchppLEEx0VSSpYBHUsTw6Jlh860IFLkOTwA==";

/// Validates the change of a request's status from `old` to `status`. `key` signed the request. Returns the fields that
/// have errors.
fn status_error_fields(key: &KeyPair, old: &Value, status: &Value) -> Vec<String> {
    let strategy = Strategy::of(GROUP, "v1", "PodCertificateRequest").unwrap();
    let (mut stored, mut new) = (request(key), request(key));
    stored["status"] = old.clone();
    new["status"] = status.clone();
    let update = SubresourceUpdate {
        subresource: "status",
        old: &stored,
        namespace_labels: &Labels::default,
        now: START,
    };
    strategy.subresource_errors(&update, &new).into_iter().map(|error| error.field).collect()
}

/// A status with one condition.
fn status_with_condition(kind: &str) -> Value {
    json!({"conditions": [{"type": kind, "status": "True", "reason": "R", "message": "", "lastTransitionTime": START}]})
}

#[test]
fn a_status_changes_only_if_one_terminal_condition_is_added() {
    let key = KeyPair::generate().unwrap();
    let none = json!({});
    assert_eq!(status_error_fields(&key, &none, &json!({"certificateChain": "x"})), ["status"]);
    assert_eq!(
        status_error_fields(&key, &none, &status_with_condition("Other")),
        ["status.conditions.[0].type"]
    );
    assert!(status_error_fields(&key, &none, &status_with_condition("Denied")).is_empty());
    assert_eq!(status_error_fields(&key, &status_with_condition("Denied"), &none), ["status"]);
    let mut failed = status_with_condition("Failed");
    failed["certificateChain"] = "x".into();
    assert_eq!(status_error_fields(&key, &none, &failed), ["status"]);
    let two = json!({
        "conditions": [status_with_condition("Failed")["conditions"][0], status_with_condition("Denied")["conditions"][0]],
    });
    assert_eq!(status_error_fields(&key, &none, &two), ["status.conditions.[1].type"]);
}

#[test]
fn an_issued_certificate_must_have_the_requested_key_and_the_times_in_the_status() {
    let key = KeyPair::generate().unwrap();
    let issued = |chain: &str, times: [&str; 3]| {
        let mut status = status_with_condition("Issued");
        status["certificateChain"] = chain.into();
        for (field, time) in ["notBefore", "notAfter", "beginRefreshAt"].into_iter().zip(times) {
            status[field] = if time.is_empty() { Value::Null } else { time.into() };
        }
        status_error_fields(&key, &json!({}), &status)
    };
    let refresh = "2024-01-01T12:00:00Z";
    let chain = certificate(&key, IsCa::NoCa);
    let other = authority_certificate();
    assert!(issued(&format!("{chain}{other}"), [START, END, refresh]).is_empty());
    assert_eq!(issued("", [START, END, refresh]), ["status.certificateChain"]);
    assert_eq!(issued(&other, [START, END, refresh]), ["status.certificateChain"]);
    assert_eq!(issued(&chain, [START, "", ""]), ["status.notAfter", "status.beginRefreshAt"]);
    assert_eq!(issued(&chain, [START, refresh, refresh]), ["status.notAfter"]);
    assert_eq!(issued(&chain, [START, END, END]), ["status.beginRefreshAt"]);
    assert_eq!(issued(&chain, [END, END, refresh]), ["status.notBefore"]);
}
