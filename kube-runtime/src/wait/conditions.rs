//! Conditions for built-in kinds, and combinators of conditions. These conditions are pure functions of one
//! state: they use no IO and no clock.

pub use super::Condition;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_client::Resource;

/// True if no object with this uid exists. A new object with the same name has another uid.
#[must_use]
pub fn is_deleted<K: Resource>(uid: &str) -> impl Condition<K> + '_ {
    move |object: Option<&K>| object.is_none_or(|object| object.meta().uid.as_deref() != Some(uid))
}

/// True if the object exists.
#[must_use]
pub fn is_created<K: Resource>() -> impl Condition<K> {
    |object: Option<&K>| object.is_some()
}

/// True if the API server has established the custom resource: the condition `Established` is `True`.
///
/// The endpoints of the resource may still return 404 for a short time afterwards, in particular with several API
/// servers.
#[must_use]
pub fn is_crd_established() -> impl Condition<CustomResourceDefinition> {
    |crd: Option<&CustomResourceDefinition>| {
        let conditions = crd.and_then(|crd| crd.status.as_ref()?.conditions.as_ref());
        conditions.into_iter().flatten().any(|c| is_condition_true("Established", &c.type_, &c.status))
    }
}

/// True if the pod's phase is `Running`: at least one container is running, starting or restarting. The pod
/// is not necessarily ready.
#[must_use]
pub fn is_pod_running() -> impl Condition<Pod> {
    |pod: Option<&Pod>| {
        let phase = pod.and_then(|pod| pod.status.as_ref()?.phase.as_deref());
        phase == Some("Running")
    }
}

/// True if the job succeeded: the condition `Complete` is `True`. Never true for a job that failed.
#[must_use]
pub fn is_job_completed() -> impl Condition<Job> {
    |job: Option<&Job>| {
        let conditions = job.and_then(|job| job.status.as_ref()?.conditions.as_ref());
        conditions.into_iter().flatten().any(|c| is_condition_true("Complete", &c.type_, &c.status))
    }
}

/// True if the rollout of the deployment's current generation is complete: the condition `Progressing` is `True` with
/// reason `NewReplicaSetAvailable`, and `observedGeneration` is at least `generation`.
///
/// Without the check of the generation, a deployment would count as completed directly after an update, because the status
/// is still that of the previous rollout.
#[must_use]
pub fn is_deployment_completed() -> impl Condition<Deployment> {
    |deployment: Option<&Deployment>| {
        let Some((deployment, status)) = deployment.and_then(|d| Some((d, d.status.as_ref()?))) else {
            return false;
        };
        if status.observed_generation < deployment.metadata.generation {
            return false;
        }
        status.conditions.iter().flatten().any(|c| {
            is_condition_true("Progressing", &c.type_, &c.status)
                && c.reason.text() == Some("NewReplicaSetAvailable")
        })
    }
}

/// True if the service has a load balancer address, or is not of type `LoadBalancer`.
///
/// The service has an address if `status.loadBalancer.ingress` has at least one entry, and each entry has an IP address
/// or a host name.
#[must_use]
pub fn is_service_loadbalancer_provisioned() -> impl Condition<Service> {
    |service: Option<&Service>| {
        let Some((service, spec)) = service.and_then(|s| Some((s, s.spec.as_ref()?))) else { return false };
        if spec.type_.as_deref() != Some("LoadBalancer") {
            return true;
        }
        let addresses = || service.status.as_ref()?.load_balancer.as_ref()?.ingress.as_ref();
        addresses().is_some_and(|all| {
            !all.is_empty() && all.iter().all(|address| address.ip.is_some() || address.hostname.is_some())
        })
    }
}

/// True if each entry of the ingress' `status.loadBalancer.ingress` has an IP address or a host name, and there is at
/// least one entry.
#[must_use]
pub fn is_ingress_provisioned() -> impl Condition<Ingress> {
    |ingress: Option<&Ingress>| {
        let addresses = ingress.and_then(|i| i.status.as_ref()?.load_balancer.as_ref()?.ingress.as_ref());
        addresses.is_some_and(|all| {
            !all.is_empty() && all.iter().all(|address| address.ip.is_some() || address.hostname.is_some())
        })
    }
}

/// The negation of a condition; see [`Condition::not`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Not<A>(pub(super) A);

impl<A: Condition<K>, K> Condition<K> for Not<A> {
    fn matches_object(&self, obj: Option<&K>) -> bool {
        !self.0.matches_object(obj)
    }
}

/// The conjunction of two conditions; see [`Condition::and`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct And<A, B>(pub(super) A, pub(super) B);

impl<A: Condition<K>, B: Condition<K>, K> Condition<K> for And<A, B> {
    fn matches_object(&self, obj: Option<&K>) -> bool {
        self.0.matches_object(obj) && self.1.matches_object(obj)
    }
}

/// The disjunction of two conditions; see [`Condition::or`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Or<A, B>(pub(super) A, pub(super) B);

impl<A: Condition<K>, B: Condition<K>, K> Condition<K> for Or<A, B> {
    fn matches_object(&self, obj: Option<&K>) -> bool {
        self.0.matches_object(obj) || self.1.matches_object(obj)
    }
}

/// Whether a status condition has the type `wanted` and the status `True`.
fn is_condition_true(wanted: &str, type_: &impl TextField, status: &impl TextField) -> bool {
    type_.text() == Some(wanted) && status.text() == Some("True")
}

/// A text field that is optional in some versions of the Kubernetes API and required in others.
trait TextField {
    /// The value, if the field is set.
    fn text(&self) -> Option<&str>;
}

impl TextField for String {
    fn text(&self) -> Option<&str> {
        Some(self)
    }
}

impl TextField for Option<String> {
    fn text(&self) -> Option<&str> {
        self.as_deref()
    }
}
