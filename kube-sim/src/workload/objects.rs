//! Realistic objects: nodes, and what lives on them.

use serde_json::{Value, json};

/// A ready node.
pub(crate) fn node(name: &str, number: usize, now: &str) -> Value {
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": now, "lastTransitionTime": now,
        })
    };
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
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
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
