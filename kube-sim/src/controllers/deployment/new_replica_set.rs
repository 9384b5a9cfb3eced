//! The new replica set of a deployment is the replica set that has the deployment's pod template. This module
//! selects, updates and creates the new replica set, and records its revision.

use serde_json::{Value, json};

use super::{
    DESIRED_REPLICAS_ANNOTATION, Deployment, HASH_LABEL, KIND, MAX_REPLICAS_ANNOTATION, REVISION_ANNOTATION,
    REVISION_HISTORY_ANNOTATION, revision,
};
use crate::controllers::objects::{
    REPLICA_SETS, annotation, condition, find, hash, is_controlled_by, name, namespace, number,
    storage_key_in,
};
use crate::controllers::writes::{self, CONTROLLER_MANAGER, Part};

/// The annotations that are not copied from a deployment to its replica sets.
const NOT_COPIED_ANNOTATIONS: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION_ANNOTATION,
    REVISION_HISTORY_ANNOTATION,
    DESIRED_REPLICAS_ANNOTATION,
    MAX_REPLICAS_ANNOTATION,
    "deprecated.deployment.rollback.to",
];

/// The maximum length in bytes of the annotation with the previous revisions.
const MAX_REVISION_HISTORY: usize = 2_000;

impl Deployment<'_> {
    /// Divides the replica sets, which are sorted oldest first, into the new replica set and the old ones.
    pub(super) fn divide_sets(&mut self, mut sets: Vec<Value>) {
        let template = without_hash(&self.spec()["template"]);
        let new = sets.iter().position(|set| without_hash(&set["spec"]["template"]) == template);
        self.new_set = new.map(|at| sets.remove(at));
        self.old_sets = sets;
    }

    /// Updates the annotations and `minReadySeconds` of the new replica set, then the revision and the condition
    /// `Progressing` of the deployment (`getNewReplicaSet`). Does nothing if there is no new replica set. Returns
    /// whether the reconcile can continue: false if the replica set could not be written.
    pub(super) fn sync_new_set(&mut self) -> bool {
        let Some(set) = self.new_set.clone() else { return true };
        let mut wanted = set.clone();
        self.set_annotations(&mut wanted);
        let min_ready = self.spec()["minReadySeconds"].clone();
        if wanted["spec"]["minReadySeconds"] != min_ready {
            wanted["spec"]["minReadySeconds"] = min_ready;
        }
        if wanted != set {
            let storage_key = storage_key_in(REPLICA_SETS, &set);
            let written =
                writes::modify(self.state, &storage_key, Part::Object, CONTROLLER_MANAGER, |stored| {
                    stored["metadata"]["annotations"] = wanted["metadata"]["annotations"].clone();
                    stored["spec"]["minReadySeconds"] = wanted["spec"]["minReadySeconds"].clone();
                });
            match written {
                Ok(Some(written)) => self.new_set = Some(written),
                _ => return false,
            }
        }
        let revision = annotation(&wanted, REVISION_ANNOTATION).unwrap_or_default().to_owned();
        let mut changed = self.set_revision(&revision);
        if self.has_deadline() && condition(&self.object, "Progressing").is_none() {
            let message = format!("Found new replica set \"{}\"", name(&set));
            self.set_condition("Progressing", "True", "FoundNewReplicaSet", &message);
            changed = true;
        }
        if changed {
            self.write_status();
        }
        true
    }

    /// Creates the new replica set if it does not exist. Returns whether the replica set exists afterwards.
    pub(super) fn ensure_new_set(&mut self) -> bool {
        if self.new_set.is_some() {
            return true;
        }
        let set = self.new_set_object();
        match writes::create(self.state, REPLICA_SETS, &set, CONTROLLER_MANAGER) {
            Ok(created) => {
                let replicas = number(&created["spec"]["replicas"]);
                if replicas > 0 {
                    let message = format!("Scaled up replica set {} from 0 to {replicas}", name(&created));
                    self.record_event(false, "ScalingReplicaSet", &message);
                }
                self.set_revision(annotation(&created, REVISION_ANNOTATION).unwrap_or_default());
                if self.has_deadline() {
                    let message = format!("Created new replica set \"{}\"", name(&created));
                    self.set_condition("Progressing", "True", "NewReplicaSetCreated", &message);
                }
                self.new_set = Some(created);
                self.write_status();
                true
            }
            Err(error) if error.is_already_exists() => self.resolve_collision(&set),
            Err(error) => {
                let message = format!("Failed to create new replica set \"{}\": {error}", name(&set));
                if self.has_deadline() {
                    self.set_condition("Progressing", "False", "ReplicaSetCreateError", &message);
                    self.write_status();
                }
                self.record_event(true, "ReplicaSetCreateError", &message);
                false
            }
        }
    }

    /// Uses the existing replica set that has the name of `set`, if the deployment controls it and it has the pod
    /// template of the deployment. Otherwise, increases `collisionCount`: the next reconcile computes another hash and
    /// name. Returns whether the deployment now has its new replica set.
    fn resolve_collision(&mut self, set: &Value) -> bool {
        let found = find(self.state, REPLICA_SETS, namespace(set), name(set));
        let is_equal = |found: &Value| {
            is_controlled_by(found, &self.object)
                && without_hash(&found["spec"]["template"]) == without_hash(&self.spec()["template"])
        };
        if let Some(found) = found.filter(is_equal) {
            self.new_set = Some(found);
            return true;
        }
        let collisions = number(&self.object["status"]["collisionCount"]);
        self.object["status"]["collisionCount"] = (collisions + 1).into();
        self.write_status();
        false
    }

    /// The replica set to create for the pod template.
    fn new_set_object(&self) -> Value {
        let mut template = self.spec()["template"].clone();
        let hash = hash(&template, self.object["status"]["collisionCount"].as_i64());
        template["metadata"]["labels"][HASH_LABEL] = hash.as_str().into();
        let mut selector = self.spec()["selector"].clone();
        selector["matchLabels"][HASH_LABEL] = hash.as_str().into();
        let mut set = json!({
            "metadata": {
                "name": format!("{}-{hash}", name(&self.object)),
                "namespace": namespace(&self.object),
                "ownerReferences": [KIND.owner_reference(&self.object)],
                "labels": template["metadata"]["labels"],
            },
            "spec": {
                "replicas": 0,
                "minReadySeconds": self.spec()["minReadySeconds"],
                "selector": selector,
                "template": template,
            },
        });
        set["spec"]["replicas"] = self.new_set_size(0).into();
        self.set_annotations(&mut set);
        self.set_replicas_annotations(&mut set);
        set
    }

    /// Copies the annotations of the deployment to the new replica set, and sets the revision of the replica set
    /// (`SetNewReplicaSetAnnotations`).
    fn set_annotations(&self, set: &mut Value) {
        let own = self.object["metadata"]["annotations"].as_object().into_iter().flatten();
        for (key, value) in own.filter(|(key, _)| !NOT_COPIED_ANNOTATIONS.contains(&key.as_str())) {
            set["metadata"]["annotations"][key] = value.clone();
        }
        let wanted = self.old_sets.iter().map(revision).max().unwrap_or(0) + 1;
        let Some(before) = annotation(set, REVISION_ANNOTATION).map(str::to_owned) else {
            set["metadata"]["annotations"][REVISION_ANNOTATION] = wanted.to_string().into();
            return;
        };
        if before.parse::<i64>().is_ok_and(|before| before < wanted) {
            set["metadata"]["annotations"][REVISION_ANNOTATION] = wanted.to_string().into();
            let history = annotation(set, REVISION_HISTORY_ANNOTATION).unwrap_or_default();
            let mut history: Vec<&str> = history.split(',').filter(|revision| !revision.is_empty()).collect();
            history.push(&before);
            while history.join(",").len() > MAX_REVISION_HISTORY {
                history.remove(0);
            }
            set["metadata"]["annotations"][REVISION_HISTORY_ANNOTATION] = history.join(",").into();
        }
    }

    /// Sets two annotations of a replica set: the desired and the maximum number of replicas of the deployment.
    pub(super) fn set_replicas_annotations(&self, set: &mut Value) {
        let annotations = &mut set["metadata"]["annotations"];
        annotations[DESIRED_REPLICAS_ANNOTATION] = self.replicas().to_string().into();
        annotations[MAX_REPLICAS_ANNOTATION] = (self.replicas() + self.max_surge()).to_string().into();
    }

    /// Sets the revision of the deployment. Returns whether the revision has changed.
    fn set_revision(&mut self, revision: &str) -> bool {
        if annotation(&self.object, REVISION_ANNOTATION) == Some(revision) {
            return false;
        }
        self.object["metadata"]["annotations"][REVISION_ANNOTATION] = revision.into();
        true
    }
}

/// Returns a pod template without the label [`HASH_LABEL`].
fn without_hash(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove(HASH_LABEL);
    }
    template
}
