//! A kind modelled on `Certificate` of cert-manager (`cert-manager.io/v1`).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube_derive::{ApplyConfiguration, CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{DerivedKind, derived_kind};

/// A request for an X.509 certificate.
#[derive(CustomResource, KubeSchema, ApplyConfiguration, Clone, Debug, Serialize, Deserialize)]
#[kube(
    group = "schema.example.com",
    version = "v1",
    kind = "ModelCertificate",
    namespaced,
    status = "CertificateStatus",
    apply,
    printcolumn(name = "Secret", type_ = "string", json_path = ".spec.secretName")
)]
#[x_kube(validation = ("has(self.commonName) || has(self.dnsNames) || has(self.uris) || has(self.emailAddresses)", "needs a name"))]
#[x_kube(validation = Rule::new("!has(self.renewBefore) || !has(self.renewBeforePercentage)")
    .message("set renewBefore or renewBeforePercentage").field_path(".renewBefore"))]
#[serde(rename_all = "camelCase")]
pub(crate) struct CertificateSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Subject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    literal_subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    common_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^([0-9]+(h|m|s))+$"))]
    duration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^([0-9]+(h|m|s))+$"))]
    renew_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 99))]
    renew_before_percentage: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    dns_names: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_addresses: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uris: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    other_names: Option<Vec<OtherName>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_addresses: Option<Vec<String>>,
    #[schemars(length(min = 1, max = 253))]
    secret_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_template: Option<SecretTemplate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keystores: Option<Keystores>,
    issuer_ref: IssuerRef,
    #[serde(rename = "isCA", default)]
    is_ca: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    usages: Option<Vec<Usage>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_key: Option<PrivateKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature_algorithm: Option<SignatureAlgorithm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encode_usages_in_request: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    revision_history_limit: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    additional_output_formats: Option<Vec<OutputFormat>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_constraints: Option<NameConstraints>,
}

/// The fields of a distinguished name.
#[derive(KubeSchema, ApplyConfiguration, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub(crate) struct Subject {
    organizations: Vec<String>,
    countries: Vec<String>,
    organizational_units: Vec<String>,
    localities: Vec<String>,
    provinces: Vec<String>,
    street_addresses: Vec<String>,
    postal_codes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_number: Option<String>,
}

#[derive(KubeSchema, ApplyConfiguration, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OtherName {
    #[schemars(regex(pattern = r"^[0-9]+(\.[0-9]+)+$"))]
    oid: String,
    #[serde(rename = "utf8Value")]
    utf8_value: String,
}

#[derive(KubeSchema, ApplyConfiguration, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SecretTemplate {
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(KubeSchema, ApplyConfiguration, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Keystores {
    #[serde(skip_serializing_if = "Option::is_none")]
    jks: Option<Jks>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pkcs12: Option<Pkcs12>,
}

#[derive(KubeSchema, ApplyConfiguration, Clone, Debug, Serialize, Deserialize)]
#[x_kube(validation = ("has(self.password) != has(self.passwordSecretRef)", "needs one password"))]
#[serde(rename_all = "camelCase")]
pub(crate) struct Jks {
    create: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_secret_ref: Option<SecretKeyRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

#[derive(KubeSchema, ApplyConfiguration, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pkcs12 {
    create: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Profile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_secret_ref: Option<SecretKeyRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

#[derive(KubeSchema, ApplyConfiguration, Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Profile {
    LegacyRC2,
    LegacyDES,
    Modern2023,
}

#[derive(KubeSchema, ApplyConfiguration, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SecretKeyRef {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

#[derive(KubeSchema, ApplyConfiguration, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct IssuerRef {
    name: String,
    #[serde(default = "default_issuer_kind")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
}

fn default_issuer_kind() -> String {
    "Issuer".to_owned()
}

#[derive(KubeSchema, ApplyConfiguration, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Usage {
    #[serde(rename = "digital signature")]
    DigitalSignature,
    #[serde(rename = "key encipherment")]
    KeyEncipherment,
    #[serde(rename = "server auth")]
    ServerAuth,
    #[serde(rename = "client auth")]
    ClientAuth,
    Any,
}

#[derive(KubeSchema, ApplyConfiguration, Clone, Debug, Serialize, Deserialize)]
#[x_kube(validation = ("self.algorithm != 'Ed25519' || !has(self.size)", "Ed25519 has no size"))]
#[serde(rename_all = "camelCase")]
pub(crate) struct PrivateKey {
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation_policy: Option<RotationPolicy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<Encoding>,
    #[serde(default)]
    algorithm: Algorithm,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 256, max = 8192))]
    size: Option<i32>,
}

#[derive(KubeSchema, ApplyConfiguration, Clone, Debug, Serialize, Deserialize)]
pub(crate) enum RotationPolicy {
    Never,
    Always,
}

#[derive(KubeSchema, ApplyConfiguration, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Encoding {
    Pkcs1,
    Pkcs8,
}

#[derive(KubeSchema, ApplyConfiguration, Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) enum Algorithm {
    #[default]
    #[serde(rename = "RSA")]
    Rsa,
    #[serde(rename = "ECDSA")]
    Ecdsa,
    Ed25519,
}

#[derive(KubeSchema, ApplyConfiguration, Clone, Debug, Serialize, Deserialize)]
pub(crate) enum SignatureAlgorithm {
    SHA256WithRSA,
    ECDSAWithSHA256,
    PureEd25519,
}

#[derive(KubeSchema, ApplyConfiguration, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OutputFormat {
    #[serde(rename = "type")]
    kind: OutputType,
}

#[derive(KubeSchema, ApplyConfiguration, Clone, Debug, Serialize, Deserialize)]
pub(crate) enum OutputType {
    #[serde(rename = "DER")]
    Der,
    #[serde(rename = "CombinedPEM")]
    CombinedPem,
}

#[derive(KubeSchema, ApplyConfiguration, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NameConstraints {
    #[serde(default)]
    critical: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    permitted: Option<NameConstraint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    excluded: Option<NameConstraint>,
}

#[derive(KubeSchema, ApplyConfiguration, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NameConstraint {
    #[serde(default)]
    dns_domains: Vec<String>,
    #[serde(default)]
    ip_ranges: Vec<String>,
    #[serde(default)]
    email_addresses: Vec<String>,
    #[serde(default)]
    uri_domains: Vec<String>,
}

#[derive(KubeSchema, ApplyConfiguration, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CertificateStatus {
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    conditions: Option<Vec<Condition>>,
    last_failure_time: Option<Time>,
    not_before: Option<Time>,
    not_after: Option<Time>,
    renewal_time: Option<Time>,
    revision: Option<i64>,
    next_private_key_secret_name: Option<String>,
    failed_issuance_attempts: Option<i32>,
}

#[derive(KubeSchema, ApplyConfiguration, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: ConditionStatus,
    last_transition_time: Option<Time>,
    reason: Option<String>,
    message: Option<String>,
    observed_generation: Option<i64>,
}

#[derive(KubeSchema, ApplyConfiguration, Clone, Debug, Serialize, Deserialize)]
pub(crate) enum ConditionStatus {
    True,
    False,
    Unknown,
}

/// The kind `ModelCertificate` with its specs.
pub(super) fn kind_with_specs() -> DerivedKind {
    let full = json!({
        "subject": {
            "organizations": ["Example"], "countries": ["CH"], "organizationalUnits": [], "localities": [], "provinces": [],
            "streetAddresses": [], "postalCodes": ["8000"], "serialNumber": "1",
        },
        "commonName": "a.example.com", "duration": "2160h", "renewBefore": "360h", "dnsNames": ["a.example.com", "b.example.com"],
        "ipAddresses": ["10.0.0.1"], "uris": ["spiffe://a"], "otherNames": [{"oid": "1.3.6.1", "utf8Value": "a"}],
        "emailAddresses": ["a@example.com"], "secretName": "a-tls",
        "secretTemplate": {"annotations": {"a": "b"}, "labels": {"c": "d"}},
        "keystores": {
            "jks": {"create": true, "alias": "a", "passwordSecretRef": {"name": "p", "key": "k"}},
            "pkcs12": {"create": false, "profile": "Modern2023", "password": "changeit"},
        },
        "issuerRef": {"name": "ca", "kind": "ClusterIssuer", "group": "cert-manager.io"}, "isCA": false,
        "usages": ["server auth", "any"],
        "privateKey": {"rotationPolicy": "Always", "encoding": "PKCS8", "algorithm": "ECDSA", "size": 256},
        "signatureAlgorithm": "ECDSAWithSHA256", "encodeUsagesInRequest": true, "revisionHistoryLimit": 1,
        "additionalOutputFormats": [{"type": "DER"}, {"type": "CombinedPEM"}],
        "nameConstraints": {
            "critical": true,
            "permitted": {"dnsDomains": ["example.com"], "ipRanges": [], "emailAddresses": [], "uriDomains": []},
            "excluded": {"dnsDomains": [], "ipRanges": ["10.0.0.0/8"], "emailAddresses": [], "uriDomains": []},
        },
    });
    let small = json!({
        "uris": ["spiffe://a"], "secretName": "a", "issuerRef": {"name": "ca", "kind": "Issuer"}, "isCA": true,
        "renewBeforePercentage": 33, "privateKey": {"algorithm": "Ed25519"},
    });
    derived_kind::<ModelCertificate>(
        vec![full, small],
        &[
            ("/secretName", json!(null)),
            ("/secretName", json!("")),
            ("/secretName", json!("s".repeat(254))),
            ("/issuerRef", json!(null)),
            ("/issuerRef/name", json!(null)),
            ("/issuerRef/kind", json!(["Issuer"])),
            ("/commonName", json!("c".repeat(65))),
            ("/duration", json!("90d")),
            ("/duration", json!(90)),
            ("/renewBeforePercentage", json!(33)),
            ("/renewBeforePercentage", json!(100)),
            ("/dnsNames", json!(["a.example.com", "a.example.com"])),
            ("/dnsNames", json!([""])),
            ("/dnsNames", json!("a.example.com")),
            ("/otherNames/0/oid", json!("1.")),
            ("/otherNames/0/utf8Value", json!(null)),
            ("/usages", json!(["server auth", "serving"])),
            ("/isCA", json!("yes")),
            ("/privateKey/size", json!(128)),
            ("/privateKey/size", json!(256.5)),
            ("/privateKey/algorithm", json!("DSA")),
            ("/privateKey/algorithm", json!("Ed25519")),
            ("/revisionHistoryLimit", json!(0)),
            ("/revisionHistoryLimit", json!(4_294_967_296_u64)),
            ("/additionalOutputFormats", json!([{"type": "DER"}, {"type": "DER"}])),
            ("/additionalOutputFormats", json!([{}])),
            ("/keystores/jks/create", json!(null)),
            ("/keystores/jks/password", json!("two")),
            ("/keystores/pkcs12/profile", json!("Old")),
            ("/secretTemplate/labels", json!({"a": 1})),
            ("/nameConstraints/permitted/dnsDomains", json!([1])),
            ("/subject/countries", json!({"a": "CH"})),
        ],
    )
}
