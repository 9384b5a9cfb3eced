//! Creates the JSON of the Node objects, and writes kwok's configuration. kwok marks pods Ready without running
//! containers. This module sends no requests.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

/// The Node object `node-{index}`.
pub(super) fn node(index: usize) -> Value {
    let name = format!("node-{index}");
    let resources = json!({ "cpu": "32", "memory": "256Gi", "ephemeral-storage": "100Gi", "pods": "500" });
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "type": "kwok",
            },
        },
        "status": { "capacity": resources, "allocatable": resources },
    })
}

/// Counts the items of a NodeList that have the condition `Ready` with the status `True`.
pub(super) fn count_ready(list: &Value) -> usize {
    let is_ready = |node: &Value| {
        node["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    };
    list["items"].as_array().into_iter().flatten().filter(|node| is_ready(node)).count()
}

/// Writes kwok's configuration into `folder`, and returns the path of the file. The configuration contains kwok's
/// options and `Stage` objects.
pub(super) fn write_config(folder: &Path, stages: &[PathBuf]) -> anyhow::Result<PathBuf> {
    let options = json!({
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokConfiguration",
        "options": {
            "manageAllNodes": true,
            // kwok must not serve logs, exec, attach and port-forward: the stand-in for the kubelets serves
            // them.
            "enableDebuggingHandlers": false,
            // kwok does not start if one of these three options is missing.
            "podPlayStageParallelism": 4,
            "nodePlayStageParallelism": 4,
            "nodeLeaseParallelism": 4,
        },
    });
    let mut text = yaml_serde::to_string(&options).context("cannot write YAML")?;
    for stage in stages {
        text.push_str("\n---\n");
        text.push_str(
            &fs::read_to_string(stage).with_context(|| format!("cannot read {}", stage.display()))?,
        );
    }
    let path = folder.join("kwok.yaml");
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ready_nodes_are_counted() {
        let node = |kind: &str, status: &str| json!({ "status": { "conditions": [{ "type": kind, "status": status }] } });
        let list = json!({ "items": [
            node("Ready", "True"), node("Ready", "False"), node("MemoryPressure", "True"), json!({}),
        ]});
        assert_eq!(count_ready(&list), 1);
        assert_eq!(count_ready(&json!({})), 0);
    }

    #[test]
    fn the_configuration_contains_every_stage() {
        let folder = tempfile::tempdir().unwrap();
        let stage = folder.path().join("stage.yaml");
        fs::write(&stage, "kind: Stage").unwrap();
        let text =
            fs::read_to_string(write_config(folder.path(), std::slice::from_ref(&stage)).unwrap()).unwrap();
        let kinds: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("kind: ")).collect();
        assert_eq!(kinds, ["KwokConfiguration", "Stage"]);
        assert!(write_config(folder.path(), &["/nonexistent".into()]).is_err());
    }
}
