//! `Widget`: a derived custom resource with thirty spec fields.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::library::CustomResource;

/// The spec of a `Widget`, similar to that of a typical operator's custom resource.
#[derive(CustomResource, Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[kube(group = "bench.example", version = "v1", kind = "Widget", namespaced, status = "WidgetStatus")]
#[serde(rename_all = "camelCase")]
pub(crate) struct WidgetSpec {
    pub(crate) image: String,
    pub(crate) replicas: i32,
    pub(crate) paused: bool,
    pub(crate) tier: Tier,
    pub(crate) owner: String,
    pub(crate) contact: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) region: String,
    pub(crate) zones: Vec<String>,
    pub(crate) cpu: String,
    pub(crate) memory: String,
    pub(crate) storage_class: Option<String>,
    pub(crate) storage_size: String,
    pub(crate) access_mode: String,
    pub(crate) backup_schedule: Option<String>,
    pub(crate) backup_retention_days: Option<u32>,
    pub(crate) maintenance_window: Option<String>,
    pub(crate) tls_secret: Option<String>,
    pub(crate) hostnames: Vec<String>,
    pub(crate) ports: Vec<Port>,
    pub(crate) args: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) feature_gates: BTreeMap<String, bool>,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) priority: i32,
    pub(crate) timeout_seconds: u64,
    pub(crate) max_surge: Option<i32>,
    pub(crate) max_unavailable: Option<i32>,
    pub(crate) log_level: String,
    pub(crate) revision: i64,
}

/// A service level.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
pub(crate) enum Tier {
    Gold,
    Silver,
}

/// A named port.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Port {
    pub(crate) name: String,
    pub(crate) port: u16,
}

/// The status of a `Widget`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WidgetStatus {
    pub(crate) phase: String,
    pub(crate) observed_generation: i64,
    pub(crate) ready_replicas: i32,
    pub(crate) conditions: Vec<Condition>,
}

/// A condition of the status.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Condition {
    pub(crate) r#type: String,
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) last_transition_time: String,
}
