//! Builds realistic nodes, deployments and pods.

use serde_json::{Value, json};

/// The type, reason and message of the pressure conditions of a node that has no resource pressure. The
/// status of each of these conditions is `False`. The condition `Ready` is not in this list.
pub(super) const HEALTHY_CONDITIONS: [(&str, &str, &str); 3] = [
    ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
];

/// A ready node, whose addresses and zone depend on `number`.
pub(crate) fn node(name: &str, number: usize, now: &str) -> Value {
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": now, "lastTransitionTime": now,
        })
    };
    let mut conditions: Vec<Value> = HEALTHY_CONDITIONS
        .iter()
        .map(|(kind, reason, message)| condition(kind, "False", reason, message))
        .collect();
    conditions.push(condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"));
    let capacity = json!({
        "cpu": "8", "memory": "32792912Ki", "ephemeral-storage": "203234260Ki",
        "hugepages-1Gi": "0", "hugepages-2Mi": "0", "pods": "110",
    });
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "beta.kubernetes.io/arch": "amd64",
                "beta.kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "topology.kubernetes.io/zone": format!("zone-{}", char::from(b'a' + u8::try_from(number % 3).unwrap_or(0))),
            },
            "annotations": {"node.alpha.kubernetes.io/ttl": "0"},
        },
        "spec": {
            "podCIDR": format!("10.{}.{}.0/24", 128 + number / 256 % 64, number % 256),
            "podCIDRs": [format!("10.{}.{}.0/24", 128 + number / 256 % 64, number % 256)],
            "providerID": format!("sim://{name}"),
        },
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": format!("172.18.{}.{}", number / 250 % 250, number % 250 + 2)},
                {"type": "Hostname", "address": name},
            ],
            "allocatable": capacity,
            "capacity": capacity,
            "conditions": conditions,
            "declaredFeatures": [
                "InPlacePodLevelResourcesVerticalScaling",
                "InPlacePodVerticalScalingInitContainers",
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "architecture": "amd64",
                "bootID": "00000000-0000-4000-8000-000000000000",
                "containerRuntimeVersion": "containerd://2.1.4",
                "kernelVersion": "6.12.0",
                "kubeProxyVersion": "",
                "kubeletVersion": "v1.37.2",
                "machineID": format!("{number:032x}"),
                "operatingSystem": "linux",
                "osImage": "Debian GNU/Linux 13 (trixie)",
                "systemUUID": format!("00000000-0000-4000-8000-{number:012x}"),
            },
        },
    })
}

/// The namespaces of the simulator's deployments.
pub(super) const NAMESPACES: [&str; 3] = ["shop", "media", "platform"];

/// The names of the first deployments. The names of further deployments end with a number.
const DEPLOYMENT_NAMES: [&str; 8] =
    ["frontend", "encoder", "gateway", "cart", "thumbnails", "search", "checkout", "catalogue"];

/// The `i`-th deployment that the simulator creates.
pub(super) fn deployment(i: usize) -> Value {
    let base = DEPLOYMENT_NAMES[i % DEPLOYMENT_NAMES.len()];
    let name = if i < DEPLOYMENT_NAMES.len() {
        base.to_owned()
    } else {
        format!("{base}-{}", i / DEPLOYMENT_NAMES.len())
    };
    let flaky = i % 5 == 4;
    let labels = json!({
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/managed-by": "kube-sim",
        "stability": if flaky { "flaky" } else { "steady" },
    });
    let image = format!("registry.example.com/{name}:1.0.0");
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": {"deployment.kubernetes.io/revision": "1"},
        },
        "spec": {
            "replicas": 2 + i % 3,
            "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"},
                },
                "spec": pod_spec(&name, &image),
            },
        },
    })
}

/// The spec of a pod with one container of this name and image.
fn pod_spec(name: &str, image: &str) -> Value {
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": "http"}, "periodSeconds": 10});
    json!({
        "serviceAccountName": name,
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": name,
            "image": image,
            "args": ["--listen=:8080", "--log-format=json"],
            "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
            "env": [
                {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
                {"name": "LOG_LEVEL", "value": "info"},
            ],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
            "livenessProbe": probe("/livez"),
            "readinessProbe": probe("/readyz"),
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            "volumeMounts": [
                {"name": "config", "mountPath": "/etc/app", "readOnly": true},
                {"name": "kube-api-access", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true},
            ],
        }],
        "volumes": [
            {"name": "config", "configMap": {"name": name, "optional": true}},
            {"name": "kube-api-access", "projected": {"sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
            ]}},
        ],
        "tolerations": [
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
            {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
        ],
    })
}

/// A pod that runs to completion.
pub(super) fn batch_pod() -> Value {
    let mut spec = pod_spec("report", "registry.example.com/report:2.1.0");
    spec["restartPolicy"] = "Never".into();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "report-", "namespace": "batch", "labels": {"app.kubernetes.io/name": "report"}},
        "spec": spec,
    })
}
