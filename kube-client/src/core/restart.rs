//! `Restart`: the workloads whose pods a change of the pod template replaces.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};

/// Workloads with a pod template, which `Api::restart` can change.
///
/// The pods of a replica set without a deployment are only replaced when they are deleted.
pub trait Restart {}

impl Restart for DaemonSet {}
impl Restart for Deployment {}
impl Restart for ReplicaSet {}
impl Restart for StatefulSet {}
