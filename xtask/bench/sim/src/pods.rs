//! Measures the memory of a server with many pods.

use anyhow::{Context, ensure};
use kube_sim::Sim;
use serde_json::{Value, json};

/// A pod with the fields of spec and status that the pods of a cluster typically have.
const POD: &str = include_str!("pod.json");
/// The number of pods in a namespace.
const PODS_PER_NAMESPACE: u32 = 1000;

/// Creates `count` pods. Returns the growth of the resident memory for the first pod, the growth for all other pods, and
/// the length of the last pod's JSON, all in bytes. The growth for the first pod includes the data that a process parses
/// for its first pod, such as the schema of pods. All servers of the process share this data.
///
/// # Errors
/// If the server refuses an object or does not list all pods, or if the memory of this process cannot be read.
pub(crate) fn measure(count: u32) -> anyhow::Result<Value> {
    let template: Value = serde_json::from_str(POD).context("pod.json is not valid")?;
    let sim = Sim::new();
    let before = resident_bytes()?;
    let (mut last, mut with_one) = (Value::Null, before);
    for index in 0..count {
        let namespace = format!("team-{}", index / PODS_PER_NAMESPACE);
        if index % PODS_PER_NAMESPACE == 0 {
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
            sim.create(&object)?;
        }
        last = sim.create(&pod(&template, &namespace, index))?;
        let mut status = template["status"].clone();
        status["podIP"] = format!("10.64.{}.{}", index / 250 % 250, index % 250).into();
        status["podIPs"] = json!([{"ip": status["podIP"]}]);
        last["status"] = status;
        last = sim.update_status(&last)?;
        if index == 0 {
            with_one = resident_bytes()?;
        }
    }
    let (first, others) = (with_one - before, resident_bytes()?.saturating_sub(with_one));
    let mut found = 0;
    for namespace in 0..count.div_ceil(PODS_PER_NAMESPACE) {
        found += sim.list("v1", "Pod", &format!("team-{namespace}"))?.len();
    }
    ensure!(found == count as usize, "the server has {found} pods instead of {count}");
    Ok(
        json!({"count": count, "first_bytes": first, "other_bytes": others, "json_bytes": last.to_string().len()}),
    )
}

/// Pod number `index`: a copy of `template` with the pod's own metadata and node, and without a status.
fn pod(template: &Value, namespace: &str, index: u32) -> Value {
    let mut pod = template.clone();
    pod["metadata"]["name"] = format!("checkout-worker-5d78c9869d-{index:05}").into();
    pod["metadata"]["namespace"] = namespace.into();
    pod["metadata"]["labels"]["bench.example/shard"] = (index % 100).to_string().into();
    pod["metadata"]["annotations"]["cni.projectcalico.org/containerID"] = format!("{index:064x}").into();
    pod["spec"]["nodeName"] = format!("node-{:04}", index / 100).into();
    if let Some(pod) = pod.as_object_mut() {
        pod.remove("status");
    }
    pod
}

/// The resident memory of this process.
fn resident_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<u64> = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    Ok(kib.context("/proc/self/status has no VmRSS")? * 1024)
}
