//! The pods and the volume claims of a stateful set.

use serde_json::{Value, json};

use super::{COMPONENT, KIND, StatefulSet};
use crate::controllers::controller_revisions::{REVISION_LABEL, template_of};
use crate::controllers::events;
use crate::controllers::objects::{PODS, find, name, namespace, number};
use crate::controllers::owned_objects::pod_from_template;
use crate::controllers::writes::{self, CONTROLLER_MANAGER};

const CLAIMS: &str = "/persistentvolumeclaims";

impl StatefulSet<'_> {
    /// Creates the pod with this ordinal, and its volume claims.
    pub(super) fn create_pod(&mut self, ordinal: i64) {
        let pod = self.new_pod(ordinal);
        self.create_claims(ordinal);
        let involved = KIND.involved_object(&self.object);
        let subject = format!("Pod {} in StatefulSet {}", name(&pod), name(&self.object));
        match writes::create(self.state, PODS, &pod, CONTROLLER_MANAGER) {
            Ok(_) => {
                let message = format!("Create {subject} successful");
                events::record_normal(self.state, COMPONENT, &involved, "SuccessfulCreate", &message);
            }
            Err(error) => {
                let message = format!("Create {subject} failed error: {error}");
                events::record_warning(self.state, COMPONENT, &involved, "FailedCreate", &message);
            }
        }
    }

    /// The pod with this ordinal. A pod whose ordinal is below `partition` has the old revision.
    fn new_pod(&self, ordinal: i64) -> Value {
        let update = &self.spec()["updateStrategy"]["rollingUpdate"];
        let is_old = ordinal < number(&update["partition"]);
        let old = self.revisions.find(&self.old_revision).filter(|_| is_old);
        let revision = old.unwrap_or(self.revisions.current());
        let template = template_of(revision);
        let mut pod = pod_from_template(KIND, &self.object, &template);
        let pod_name = format!("{}-{ordinal}", name(&self.object));
        if let Some(metadata) = pod["metadata"].as_object_mut() {
            metadata.remove("generateName");
        }
        pod["metadata"]["name"] = pod_name.as_str().into();
        let labels = &mut pod["metadata"]["labels"];
        labels["statefulset.kubernetes.io/pod-name"] = pod_name.as_str().into();
        labels["apps.kubernetes.io/pod-index"] = ordinal.to_string().into();
        labels[REVISION_LABEL] = name(revision).into();
        pod["spec"]["hostname"] = pod_name.into();
        if let Some(service) = self.spec()["serviceName"].as_str().filter(|service| !service.is_empty()) {
            pod["spec"]["subdomain"] = service.into();
        }
        self.add_volumes(&mut pod, ordinal);
        pod
    }

    /// Adds a volume for each volume claim. If the pod template has a volume with the same name, the added volume replaces
    /// the volume of the template.
    fn add_volumes(&self, pod: &mut Value, ordinal: i64) {
        let claims = self.spec()["volumeClaimTemplates"].as_array().into_iter().flatten();
        let claims: Vec<&Value> = claims.collect();
        if claims.is_empty() {
            return;
        }
        let mut volumes: Vec<Value> = pod["spec"]["volumes"].as_array().cloned().unwrap_or_default();
        volumes.retain(|volume| claims.iter().all(|claim| volume["name"] != name(claim)));
        volumes.extend(claims.iter().map(|claim| {
            json!({"name": name(claim), "persistentVolumeClaim": {"claimName": self.claim_name(claim, ordinal)}})
        }));
        pod["spec"]["volumes"] = volumes.into();
    }

    fn claim_name(&self, claim: &Value, ordinal: i64) -> String {
        format!("{}-{}-{ordinal}", name(claim), name(&self.object))
    }

    /// Creates the missing volume claims of a pod. The claims stay when the pod is deleted.
    fn create_claims(&mut self, ordinal: i64) {
        let templates = self.spec()["volumeClaimTemplates"].as_array().cloned().unwrap_or_default();
        for template in templates {
            let claim_name = self.claim_name(&template, ordinal);
            let namespace_name = namespace(&self.object).to_owned();
            if find(self.state, CLAIMS, &namespace_name, &claim_name).is_some() {
                continue;
            }
            let labels = &self.spec()["selector"]["matchLabels"];
            let mut claim = json!({
                "metadata": {"name": claim_name, "namespace": namespace_name, "labels": labels},
                "spec": template["spec"],
            });
            for field in ["labels", "annotations"] {
                for (key, value) in template["metadata"][field].as_object().into_iter().flatten() {
                    claim["metadata"][field][key] = value.clone();
                }
            }
            let involved = KIND.involved_object(&self.object);
            let set = name(&self.object);
            let subject = format!("Pod {set}-{ordinal} in StatefulSet {set}");
            match writes::create(self.state, CLAIMS, &claim, CONTROLLER_MANAGER) {
                Ok(_) => {
                    let message = format!("Create Claim {claim_name} {subject} success");
                    events::record_normal(self.state, COMPONENT, &involved, "SuccessfulCreate", &message);
                }
                Err(error) => {
                    let message = format!("Create Claim {claim_name} for {subject} failed error: {error}");
                    events::record_warning(self.state, COMPONENT, &involved, "FailedCreate", &message);
                }
            }
        }
    }
}
