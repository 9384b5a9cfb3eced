//! A kind modelled on `Prometheus` of the Prometheus operator (`monitoring.coreos.com/v1`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, EmptyDirVolumeSource, LocalObjectReference, ResourceRequirements, SecretKeySelector,
    Toleration, TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube_derive::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{DerivedKind, derived_kind};

/// A Prometheus server.
#[derive(CustomResource, KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[kube(
    group = "schema.example.com",
    version = "v1",
    kind = "ModelPrometheus",
    namespaced,
    status = "PrometheusStatus",
    scale(spec_replicas_path = ".spec.replicas", status_replicas_path = ".status.replicas")
)]
#[x_kube(validation = ("!has(self.shards) || self.shards * self.replicas <= 100", "at most 100 pods"))]
#[serde(rename_all = "camelCase")]
pub(crate) struct PrometheusSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pod_metadata: Option<PodMetadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_monitor_selector: Option<LabelSelector>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod_monitor_selector: Option<LabelSelector>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_selector: Option<LabelSelector>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default)]
    paused: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(default)]
    image_pull_secrets: Vec<LocalObjectReference>,
    #[serde(default = "one")]
    #[schemars(range(min = 0))]
    replicas: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    shards: Option<i32>,
    #[serde(default)]
    log_level: LogLevel,
    #[serde(default)]
    log_format: LogFormat,
    #[serde(default = "thirty_seconds")]
    #[schemars(regex(
        pattern = "^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$"
    ))]
    scrape_interval: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    scrape_timeout: Option<String>,
    #[serde(default)]
    external_labels: BTreeMap<String, String>,
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Set)]
    enable_features: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^(0|([0-9]*[.])?[0-9]+((K|M|G|T|E|P)i?)?B)$"))]
    retention_size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage: Option<Storage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<ResourceRequirements>,
    #[serde(default)]
    node_selector: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_account_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    affinity: Option<Affinity>,
    #[serde(default)]
    tolerations: Vec<Toleration>,
    #[serde(default)]
    topology_spread_constraints: Vec<TopologySpreadConstraint>,
    // The API server estimates the cost of the validation rule of `RemoteWrite` from this maximum number of items.
    #[serde(default)]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["url".into()]))]
    remote_write: Vec<RemoteWrite>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alerting: Option<Alerting>,
    #[serde(skip_serializing_if = "Option::is_none")]
    web: Option<Web>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<Query>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tsdb: Option<Tsdb>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exemplars: Option<Exemplars>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60))]
    maximum_startup_duration_seconds: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_size_limit: Option<String>,
    #[serde(default)]
    host_network: bool,
    #[serde(default)]
    listen_local: bool,
    #[serde(default)]
    min_ready_seconds: u32,
}

fn one() -> i32 {
    1
}

fn thirty_seconds() -> String {
    "30s".to_owned()
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PodMetadata {
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(KubeSchema, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    Debug,
    #[default]
    Info,
    Warn,
    Error,
}

#[derive(KubeSchema, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Logfmt,
    Json,
}

/// The storage of the time series.
#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Storage {
    EmptyDir(EmptyDirVolumeSource),
    Claim(Claim),
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Claim {
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_class_name: Option<String>,
    size: k8s_openapi::apimachinery::pkg::api::resource::Quantity,
    #[schemars(length(min = 1))]
    access_modes: Vec<AccessMode>,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
pub(crate) enum AccessMode {
    ReadWriteOnce,
    ReadWriteMany,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[x_kube(validation = ("[has(self.basicAuth), has(self.authorization), has(self.oauth2)].filter(x, x).size() <= 1", "only one authentication"))]
#[serde(rename_all = "camelCase")]
pub(crate) struct RemoteWrite {
    #[schemars(length(min = 1), regex(pattern = "^https?://.+$"))]
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_timeout: Option<String>,
    #[serde(default)]
    write_relabel_configs: Vec<RelabelConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    basic_auth: Option<BasicAuth>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization: Option<Authorization>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oauth2: Option<OAuth2>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_config: Option<QueueConfig>,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RelabelConfig {
    #[serde(default)]
    source_labels: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    separator: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    regex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modulus: Option<u64>,
    #[serde(default)]
    action: RelabelAction,
}

#[derive(KubeSchema, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RelabelAction {
    #[default]
    Replace,
    Keep,
    Drop,
    HashMod,
    LabelDrop,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BasicAuth {
    username: SecretKeySelector,
    password: SecretKeySelector,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Authorization {
    #[serde(rename = "type")]
    kind: String,
    credentials: SecretKeySelector,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OAuth2 {
    client_id: SecretKeySelector,
    token_url: String,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[x_kube(validation = ("!has(self.minShards) || !has(self.maxShards) || self.minShards <= self.maxShards", "minShards above maxShards"))]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueueConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_shards: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_shards: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_samples_per_send: Option<i32>,
    #[serde(default)]
    retry_on_rate_limit: bool,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Alerting {
    alertmanagers: Vec<Alertmanager>,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Alertmanager {
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
    port: IntOrString,
    #[serde(default)]
    scheme: Scheme,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_prefix: Option<String>,
    #[serde(default)]
    api_version: AlertmanagerVersion,
}

#[derive(KubeSchema, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scheme {
    #[default]
    Http,
    Https,
}

#[derive(KubeSchema, Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) enum AlertmanagerVersion {
    #[serde(rename = "v1")]
    V1,
    #[default]
    #[serde(rename = "v2")]
    V2,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Web {
    #[serde(skip_serializing_if = "Option::is_none")]
    page_title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connections: Option<u16>,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Query {
    #[serde(skip_serializing_if = "Option::is_none")]
    lookback_delta: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    max_concurrency: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_samples: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tsdb {
    out_of_order_time_window: String,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Exemplars {
    max_size: i64,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PrometheusStatus {
    paused: Option<bool>,
    replicas: i32,
    updated_replicas: Option<i32>,
    available_replicas: Option<i32>,
    unavailable_replicas: Option<i32>,
    selector: Option<String>,
}

/// The kind `ModelPrometheus` with its specs.
pub(super) fn kind_with_specs() -> DerivedKind {
    let key = json!({"name": "s", "key": "k"});
    let full = json!({
        "podMetadata": {"labels": {"a": "b"}, "annotations": {}},
        "serviceMonitorSelector": {"matchLabels": {"team": "a"}},
        "podMonitorSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}, "ruleSelector": {},
        "version": "v3.0.0", "paused": false, "image": "prom", "imagePullSecrets": [{"name": "pull"}], "replicas": 2,
        "shards": 3, "logLevel": "warn", "logFormat": "json", "scrapeInterval": "1m30s", "scrapeTimeout": "10s",
        "externalLabels": {"cluster": "a"}, "enableFeatures": ["a", "b"], "externalUrl": "http://a", "retention": "30d",
        "retentionSize": "1.5GiB",
        "storage": {"claim": {"storageClassName": "fast", "size": "10Gi", "accessModes": ["ReadWriteOnce"]}},
        "resources": {"requests": {"cpu": "1", "memory": "2Gi"}}, "nodeSelector": {"disk": "ssd"},
        "serviceAccountName": "sa",
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "a", "operator": "Exists"}]},
        ]}}},
        "tolerations": [{"key": "a", "operator": "Exists", "tolerationSeconds": 5}],
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
        "remoteWrite": [
            {
                "url": "https://a", "name": "a", "headers": {"X-A": "b"}, "remoteTimeout": "30s",
                "writeRelabelConfigs": [{"sourceLabels": ["a"], "regex": ".*", "modulus": 8, "action": "hashmod"}],
                "basicAuth": {"username": key, "password": key},
                "queueConfig": {"capacity": 1, "minShards": 1, "maxShards": 2, "retryOnRateLimit": true},
            },
            {"url": "https://b", "headers": {}, "writeRelabelConfigs": [], "authorization": {"type": "Bearer", "credentials": key}},
        ],
        "alerting": {"alertmanagers": [
            {"namespace": "a", "name": "b", "port": "web", "scheme": "https", "apiVersion": "v2"},
            {"name": "c", "port": 9093, "scheme": "http", "apiVersion": "v1"},
        ]},
        "web": {"pageTitle": "a", "maxConnections": 65535},
        "query": {"lookbackDelta": "5m", "maxConcurrency": 1, "maxSamples": 5, "timeout": "2m"},
        "tsdb": {"outOfOrderTimeWindow": "10m"}, "exemplars": {"maxSize": 1000}, "maximumStartupDurationSeconds": 60,
        "sampleLimit": 1, "targetLimit": 2, "labelLimit": 3, "bodySizeLimit": "1MB", "hostNetwork": true,
        "listenLocal": false, "minReadySeconds": 5,
    });
    let small = json!({
        "paused": true, "imagePullSecrets": [], "replicas": 0, "logLevel": "info", "logFormat": "logfmt",
        "scrapeInterval": "30s", "externalLabels": {}, "enableFeatures": [], "nodeSelector": {}, "tolerations": [],
        "storage": {"emptyDir": {"medium": "Memory", "sizeLimit": 5}}, "topologySpreadConstraints": [], "remoteWrite": [],
        "hostNetwork": false, "listenLocal": false, "minReadySeconds": 0,
    });
    derived_kind::<ModelPrometheus>(
        vec![full, small],
        &[
            ("/replicas", json!(-1)),
            ("/replicas", json!(40)),
            ("/replicas", json!("2")),
            ("/shards", json!(0)),
            ("/logLevel", json!("WARN")),
            ("/logFormat", json!(["json"])),
            ("/scrapeInterval", json!("30 s")),
            ("/retentionSize", json!("10")),
            ("/enableFeatures", json!(["a", "a"])),
            ("/externalLabels", json!({"cluster": 1})),
            ("/storage", json!({})),
            ("/storage/emptyDir", json!({})),
            ("/storage/claim/accessModes", json!([])),
            ("/storage/claim/accessModes", json!(["ReadOnly"])),
            ("/storage/claim/size", json!({"a": 1})),
            ("/resources/requests", json!({"cpu": true})),
            ("/serviceMonitorSelector/matchLabels", json!(["a"])),
            ("/podMonitorSelector/matchExpressions/0/operator", json!(null)),
            ("/tolerations/0/tolerationSeconds", json!("5")),
            ("/topologySpreadConstraints/0/maxSkew", json!(null)),
            ("/remoteWrite/0/url", json!("ftp://a")),
            ("/remoteWrite/0/url", json!("https://b")),
            (
                "/remoteWrite/0/authorization",
                json!({"type": "Bearer", "credentials": {"name": "s", "key": "k"}}),
            ),
            ("/remoteWrite/0/basicAuth/password", json!(null)),
            ("/remoteWrite/0/queueConfig/minShards", json!(3)),
            ("/remoteWrite/0/queueConfig/capacity", json!(2_147_483_648_u64)),
            ("/remoteWrite/0/writeRelabelConfigs/0/action", json!("rename")),
            ("/remoteWrite/0/writeRelabelConfigs/0/modulus", json!(-1)),
            ("/alerting/alertmanagers/0/port", json!(1.5)),
            ("/alerting/alertmanagers/0/scheme", json!("ftp")),
            ("/web/maxConnections", json!(65536)),
            ("/query/maxConcurrency", json!(0)),
            ("/tsdb/outOfOrderTimeWindow", json!(null)),
            ("/maximumStartupDurationSeconds", json!(59)),
            ("/minReadySeconds", json!(-1)),
        ],
    )
}
