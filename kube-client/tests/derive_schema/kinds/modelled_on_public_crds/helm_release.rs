//! A kind modelled on `HelmRelease` of Flux (`helm.toolkit.fluxcd.io/v2`).

use std::collections::BTreeMap;

use kube_derive::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{DerivedKind, derived_kind};

/// A release of a Helm chart.
#[derive(CustomResource, KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[kube(group = "schema.example.com", version = "v1", kind = "ModelHelmRelease", namespaced)]
#[x_kube(validation = ("has(self.chart) != has(self.chartRef)", "either chart or chartRef must be set"))]
#[serde(rename_all = "camelCase")]
pub(crate) struct HelmReleaseSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    chart: Option<ChartTemplate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chart_ref: Option<SourceRef>,
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    interval: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kube_config: Option<KubeConfigRef>,
    #[serde(default)]
    suspend: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 53))]
    release_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    target_namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("storageNamespace is immutable"))]
    storage_namespace: Option<String>,
    #[serde(default)]
    depends_on: Vec<ObjectRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    max_history: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_account_name: Option<String>,
    #[serde(default = "yes")]
    persistent_client: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    drift_detection: Option<DriftDetection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    install: Option<Install>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upgrade: Option<Upgrade>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<Test>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollback: Option<Rollback>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uninstall: Option<Uninstall>,
    #[serde(default)]
    values_from: Vec<ValuesReference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    post_renderers: Vec<PostRenderer>,
}

fn yes() -> bool {
    true
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ChartTemplate {
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<TemplateMetadata>,
    spec: ChartSpec,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TemplateMetadata {
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChartSpec {
    #[schemars(length(min = 1, max = 2048))]
    chart: String,
    #[serde(default = "any_version")]
    version: String,
    source_ref: SourceRef,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<String>,
    #[serde(default)]
    reconcile_strategy: ReconcileStrategy,
    #[serde(default)]
    values_files: Vec<String>,
    #[serde(default)]
    ignore_missing_values_files: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    verify: Option<Verification>,
}

fn any_version() -> String {
    "*".to_owned()
}

#[derive(KubeSchema, Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) enum ReconcileStrategy {
    #[default]
    ChartVersion,
    Revision,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verification {
    provider: Provider,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_ref: Option<ObjectRef>,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Provider {
    Cosign,
    Notation,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SourceRef {
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<String>,
    kind: SourceKind,
    #[schemars(length(min = 1, max = 253))]
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    namespace: Option<String>,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
pub(crate) enum SourceKind {
    HelmRepository,
    GitRepository,
    Bucket,
    #[serde(rename = "OCIRepository")]
    OciRepository,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KubeConfigRef {
    secret_ref: KeyRef,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeyRef {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ObjectRef {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DriftDetection {
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<DriftMode>,
    #[serde(default)]
    ignore: Vec<IgnoreRule>,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DriftMode {
    Enabled,
    Warn,
    Disabled,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct IgnoreRule {
    #[schemars(length(min = 1))]
    paths: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Selector>,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub(crate) struct Selector {
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_selector: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotation_selector: Option<String>,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Remediation {
    #[serde(default)]
    #[schemars(range(min = -1))]
    retries: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ignore_test_failures: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remediate_last_failure: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strategy: Option<RemediationStrategy>,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RemediationStrategy {
    Rollback,
    Uninstall,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
pub(crate) enum CrdsPolicy {
    Skip,
    Create,
    CreateReplace,
}

/// The waits and hooks that an action of Helm skips.
#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SkippedSteps {
    #[serde(default)]
    disable_wait: bool,
    #[serde(default)]
    disable_wait_for_jobs: bool,
    #[serde(default)]
    disable_hooks: bool,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Install {
    #[serde(flatten)]
    skipped_steps: SkippedSteps,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remediation: Option<Remediation>,
    #[serde(default)]
    replace: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    crds: Option<CrdsPolicy>,
    #[serde(default)]
    create_namespace: bool,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Upgrade {
    #[serde(flatten)]
    skipped_steps: SkippedSteps,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remediation: Option<Remediation>,
    #[serde(default)]
    force: bool,
    #[serde(default)]
    preserve_values: bool,
    #[serde(default)]
    cleanup_on_fail: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    crds: Option<CrdsPolicy>,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Test {
    enable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    #[serde(default)]
    ignore_failures: bool,
    #[serde(default)]
    filters: Vec<Filter>,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Filter {
    #[schemars(length(min = 1, max = 253))]
    name: String,
    #[serde(default)]
    exclude: bool,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rollback {
    #[serde(flatten)]
    skipped_steps: SkippedSteps,
    #[serde(default)]
    recreate: bool,
    #[serde(default)]
    force: bool,
    #[serde(default)]
    cleanup_on_fail: bool,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Uninstall {
    #[serde(default)]
    keep_history: bool,
    #[serde(default)]
    disable_hooks: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_propagation: Option<Propagation>,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ValuesReference {
    kind: ValuesKind,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[\-._a-zA-Z0-9]+$"))]
    values_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_path: Option<String>,
    #[serde(default)]
    optional: bool,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
pub(crate) enum ValuesKind {
    Secret,
    ConfigMap,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PostRenderer {
    kustomize: Kustomize,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kustomize {
    #[serde(default)]
    patches: Vec<KustomizePatch>,
    #[serde(default)]
    images: Vec<Image>,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KustomizePatch {
    patch: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Selector>,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Image {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

/// The kind `ModelHelmRelease`, with specs that the server must accept and specs that the server must reject.
pub(super) fn kind_with_specs() -> DerivedKind {
    let skipped_steps = json!({"disableWait": false, "disableWaitForJobs": false, "disableHooks": false});
    let with_skipped_steps = |own: Value| {
        let mut all = skipped_steps.clone();
        for (name, value) in own.as_object().expect("an object") {
            all[name] = value.clone();
        }
        all
    };
    let remediation = json!({"retries": -1, "ignoreTestFailures": true, "strategy": "rollback"});
    let full = json!({
        "chart": {
            "metadata": {"labels": {"a": "b"}, "annotations": {}},
            "spec": {
                "chart": "podinfo", "version": ">=1.0.0", "interval": "5m", "reconcileStrategy": "Revision",
                "sourceRef": {"kind": "HelmRepository", "name": "podinfo", "namespace": "flux-system"},
                "valuesFiles": ["a.yaml"], "ignoreMissingValuesFiles": true,
                "verify": {"provider": "cosign", "secretRef": {"name": "keys"}},
            },
        },
        "interval": "1.5h", "kubeConfig": {"secretRef": {"name": "k", "key": "value"}}, "suspend": false,
        "releaseName": "podinfo", "targetNamespace": "web", "storageNamespace": "web",
        "dependsOn": [{"name": "a"}, {"name": "b", "namespace": "c"}], "timeout": "30s", "maxHistory": 0,
        "serviceAccountName": "sa", "persistentClient": false,
        "driftDetection": {"mode": "warn", "ignore": [{"paths": ["/spec/replicas"], "target": {"kind": "Deployment"}}]},
        "install": with_skipped_steps(json!({"replace": true, "createNamespace": true, "crds": "CreateReplace", "remediation": remediation})),
        "upgrade": with_skipped_steps(json!({"force": true, "preserveValues": false, "cleanupOnFail": true, "remediation": remediation})),
        "test": {"enable": true, "ignoreFailures": false, "filters": [{"name": "a", "exclude": true}]},
        "rollback": with_skipped_steps(json!({"recreate": false, "force": false, "cleanupOnFail": false})),
        "uninstall": {"keepHistory": true, "disableHooks": false, "deletionPropagation": "orphan"},
        "valuesFrom": [{"kind": "Secret", "name": "v", "valuesKey": "values.yaml", "targetPath": "a.b", "optional": true}],
        "values": {"replicas": 2, "nested": {"list": [1, "two", {"three": null}]}},
        "postRenderers": [{"kustomize": {
            "patches": [{"patch": "- op: remove", "target": {"labelSelector": "a=b"}}],
            "images": [{"name": "a", "newTag": "1", "digest": "sha256:0"}],
        }}],
    });
    let small = json!({
        "chartRef": {"kind": "OCIRepository", "name": "a"}, "interval": "10m", "suspend": true, "dependsOn": [],
        "persistentClient": true, "valuesFrom": [], "postRenderers": [],
    });
    derived_kind::<ModelHelmRelease>(
        vec![full, small],
        &[
            ("/chart", json!(null)),
            ("/chartRef", json!({"kind": "OCIRepository", "name": "a"})),
            ("/chart/spec/chart", json!("")),
            ("/chart/spec/sourceRef", json!(null)),
            ("/chart/spec/sourceRef/kind", json!("Registry")),
            ("/chart/spec/sourceRef/name", json!("n".repeat(254))),
            ("/chart/spec/reconcileStrategy", json!("Never")),
            ("/chart/spec/verify/provider", json!("Cosign")),
            ("/chart/metadata/labels", json!({"a": {}})),
            ("/interval", json!("5 minutes")),
            ("/interval", json!(null)),
            ("/kubeConfig/secretRef", json!(null)),
            ("/suspend", json!("false")),
            ("/releaseName", json!("r".repeat(54))),
            ("/targetNamespace", json!("")),
            ("/dependsOn", json!([{"namespace": "c"}])),
            ("/maxHistory", json!(-1)),
            ("/driftDetection/mode", json!("on")),
            ("/driftDetection/ignore/0/paths", json!([])),
            ("/install/crds", json!("Replace")),
            ("/install/disableWait", json!("yes")),
            ("/install/remediation/retries", json!(-2)),
            ("/upgrade/remediation/strategy", json!("retry")),
            ("/test/enable", json!(null)),
            ("/test/filters/0/name", json!("")),
            ("/uninstall/deletionPropagation", json!("Background")),
            ("/valuesFrom/0/valuesKey", json!("a/b")),
            ("/valuesFrom/0/kind", json!("Pod")),
            ("/values", json!([1])),
            ("/postRenderers/0/kustomize/patches/0/patch", json!(null)),
            ("/postRenderers/0/kustomize/images", json!([{}])),
        ],
    )
}
