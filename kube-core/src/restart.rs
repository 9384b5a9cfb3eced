//! `Restart`: the kinds of workloads that `Api::restart` can restart.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};

/// Kinds of workloads that `Api::restart` can restart. The restart sets an annotation of the pod template.
///
/// A replica set without a deployment does not replace its existing pods: only pods that it creates later have the
/// changed template.
pub trait Restart {}

impl Restart for DaemonSet {}
impl Restart for Deployment {}
impl Restart for ReplicaSet {}
impl Restart for StatefulSet {}
