//! The scaling of replica sets after a change of the deployment's `spec.replicas`.

use serde_json::Value;

use super::{
    DESIRED_REPLICAS_ANNOTATION, Deployment, MAX_REPLICAS_ANNOTATION, compare_by_creation_time, is_active,
};
use crate::controllers::objects::{REPLICA_SETS, annotation, name, number, storage_key_in};
use crate::controllers::writes::{self, CONTROLLER_MANAGER, Part};

impl Deployment<'_> {
    /// Distributes the replicas of the deployment over its replica sets (`DeploymentController.scale`).
    pub(super) fn scale(&mut self) {
        let active = self.all_sets().filter(|set| is_active(set)).count();
        if active < 2 {
            let only = self.all_sets().find(|set| is_active(set));
            let target = only.or(self.new_set.as_ref()).or(self.old_sets.last()).cloned();
            if let Some(set) = target {
                self.scale_and_reload(&set, self.replicas(), false);
            }
            return;
        }
        if self.is_saturated() {
            for set in self.old_sets.clone().iter().filter(|set| is_active(set)) {
                self.scale_and_reload(set, 0, false);
            }
        } else if self.is_rolling_update() {
            self.scale_proportionally();
        }
    }

    /// Whether the new replica set has all replicas of the deployment, and all of them are available.
    fn is_saturated(&self) -> bool {
        self.new_set.as_ref().is_some_and(|set| {
            let desired =
                annotation(set, DESIRED_REPLICAS_ANNOTATION).and_then(|text| text.parse::<i64>().ok());
            let counts = [&set["spec"]["replicas"], &set["status"]["availableReplicas"]];
            desired == Some(self.replicas()) && counts.iter().all(|count| number(count) == self.replicas())
        })
    }

    /// Distributes the added or removed replicas in proportion to the sizes of the replica sets.
    fn scale_proportionally(&mut self) {
        let size = |set: &Value| number(&set["spec"]["replicas"]);
        let mut sets: Vec<Value> = self.all_sets().filter(|set| is_active(set)).cloned().collect();
        let allowed = if self.replicas() > 0 { self.replicas() + self.max_surge() } else { 0 };
        let to_add = allowed - sets.iter().map(size).sum::<i64>();
        sets.sort_by(|a, b| {
            let age = compare_by_creation_time(a, b);
            size(b).cmp(&size(a)).then(if to_add > 0 { age.reverse() } else { age })
        });
        let mut added = 0;
        let mut sizes: Vec<i64> = Vec::new();
        for set in &sets {
            let share = if to_add == 0 || to_add == added { 0 } else { self.replicas_to_add(set) };
            let rest = to_add - added;
            let share = if to_add > 0 { share.min(rest) } else { share.max(rest) };
            sizes.push(size(set) + share);
            added += share;
        }
        if let Some(first) = sizes.first_mut() {
            *first = (*first + to_add - added).max(0);
        }
        for (set, size) in sets.iter().zip(sizes) {
            self.scale_and_reload(set, size, true);
        }
    }

    /// The number of replicas to add to a replica set so that the replica set keeps its share of the deployment;
    /// negative if the replica set must shrink (`getReplicaSetFraction`).
    fn replicas_to_add(&self, set: &Value) -> i64 {
        let size = number(&set["spec"]["replicas"]);
        if self.replicas() == 0 {
            return -size;
        }
        let recorded = annotation(set, MAX_REPLICAS_ANNOTATION).and_then(|text| text.parse::<i64>().ok());
        let before = recorded.filter(|max| *max != 0).unwrap_or(number(&self.object["status"]["replicas"]));
        if before <= 0 {
            return 0;
        }
        let scaled = size * (self.replicas() + self.max_surge());
        // `scaled` and `before` are not negative, so this division rounds half up.
        (2 * scaled + before) / (2 * before) - size
    }

    /// Scales a replica set, and replaces the copy in `self` by the written replica set.
    fn scale_and_reload(&mut self, set: &Value, size: i64, forced: bool) {
        let Some(written) = self.scale_set(set, size, forced) else { return };
        let own = self.old_sets.iter_mut().chain(&mut self.new_set).find(|own| name(own) == name(set));
        if let Some(own) = own {
            *own = written;
        }
    }

    /// Scales a replica set, and creates an Event if the size changes. Also sets the annotations that contain the
    /// replica counts of the deployment. If the size does not change and `forced` is false, writes nothing. Returns the
    /// written replica set; `None` if nothing was written.
    pub(super) fn scale_set(&mut self, set: &Value, size: i64, forced: bool) -> Option<Value> {
        let before = number(&set["spec"]["replicas"]);
        if before == size && !forced {
            return None;
        }
        let mut wanted = set.clone();
        self.set_replicas_annotations(&mut wanted);
        let storage_key = storage_key_in(REPLICA_SETS, set);
        let written = writes::modify(self.state, &storage_key, Part::Object, CONTROLLER_MANAGER, |stored| {
            stored["spec"]["replicas"] = size.into();
            stored["metadata"]["annotations"] = wanted["metadata"]["annotations"].clone();
        });
        let written = written.ok().flatten()?;
        if before != size {
            let direction = if before < size { "up" } else { "down" };
            let message = format!("Scaled {direction} replica set {} from {before} to {size}", name(set));
            self.record_event(false, "ScalingReplicaSet", &message);
        }
        Some(written)
    }
}
