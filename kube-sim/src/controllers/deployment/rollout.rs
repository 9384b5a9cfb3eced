//! The rollouts of a deployment: they replace the pods of the old replica sets by pods of the new replica set.

use serde_json::Value;

use super::{Deployment, is_active, revision};
use crate::controllers::objects::{PODS, REPLICA_SETS, is_terminating, name, number, storage_key_in};
use crate::controllers::owned_objects::controlled_objects;
use crate::controllers::pods::is_finished;
use crate::controllers::writes;

impl Deployment<'_> {
    /// Performs a step of a rolling update. Keeps at most `maxSurge` additional pods and at most `maxUnavailable`
    /// unavailable pods.
    pub(super) fn roll_out(&mut self) {
        if !self.ensure_new_set() {
            return;
        }
        let Some(new) = self.new_set.clone() else { return };
        let size = self.new_set_size(number(&new["spec"]["replicas"]));
        if !self.scale_new_set(size) && !self.scale_down_old_sets() && self.is_complete() {
            self.delete_excess_old_sets();
        }
        self.update_rollout_status();
    }

    /// Performs a step of a rollout that deletes the old pods before it creates the new ones.
    pub(super) fn roll_out_by_recreation(&mut self) {
        let mut scaled = false;
        for at in 0..self.old_sets.len() {
            scaled |= self.scale_old_set(at, 0);
        }
        if scaled || self.has_unfinished_old_pods() {
            return self.update_rollout_status();
        }
        if !self.ensure_new_set() {
            return;
        }
        self.scale_new_set(self.replicas());
        if self.is_complete() {
            self.delete_excess_old_sets();
        }
        self.update_rollout_status();
    }

    /// The target size of the new replica set, which now has `current` replicas (`NewRSNewReplicas`).
    pub(super) fn new_set_size(&self, current: i64) -> i64 {
        let wanted = self.replicas();
        if !self.is_rolling_update() || current > wanted {
            return wanted;
        }
        let all: i64 = self.all_sets().map(|set| number(&set["spec"]["replicas"])).sum();
        let free = (wanted + self.max_surge() - all).max(0);
        current + free.min(wanted - current)
    }

    /// Scales the new replica set. Returns whether its size has changed.
    fn scale_new_set(&mut self, size: i64) -> bool {
        let Some(set) = self.new_set.clone() else { return false };
        match self.scale_set(&set, size, false) {
            Some(written) => {
                let changed = written["spec"]["replicas"] != set["spec"]["replicas"];
                self.new_set = Some(written);
                changed
            }
            None => false,
        }
    }

    /// Scales the old replica set at the index `at`. Returns whether its size has changed.
    fn scale_old_set(&mut self, at: usize, size: i64) -> bool {
        let set = self.old_sets[at].clone();
        match self.scale_set(&set, size, false) {
            Some(written) => {
                let changed = written["spec"]["replicas"] != set["spec"]["replicas"];
                self.old_sets[at] = written;
                changed
            }
            None => false,
        }
    }

    /// Scales down the old replica sets (`reconcileOldReplicaSets`). First removes their unavailable pods. Then removes
    /// available pods, as long as enough available pods remain in all replica sets together. Returns whether a size has
    /// changed.
    fn scale_down_old_sets(&mut self) -> bool {
        let size = |set: &Value| number(&set["spec"]["replicas"]);
        let available = |set: &Value| number(&set["status"]["availableReplicas"]);
        if self.old_sets.iter().all(|set| !is_active(set)) {
            return false;
        }
        let min_available = self.replicas() - self.max_unavailable();
        let new_unavailable = self.new_set.as_ref().map_or(0, |set| size(set) - available(set));
        let all: i64 = self.all_sets().map(size).sum();
        let mut excess = all - min_available - new_unavailable;
        if excess <= 0 {
            return false;
        }
        let mut scaled = false;
        for at in 0..self.old_sets.len() {
            let unhealthy = (size(&self.old_sets[at]) - available(&self.old_sets[at])).max(0).min(excess);
            if unhealthy > 0 {
                scaled |= self.scale_old_set(at, size(&self.old_sets[at]) - unhealthy);
                excess -= unhealthy;
            }
        }
        let mut spare = self.all_sets().map(available).sum::<i64>() - min_available;
        for at in 0..self.old_sets.len() {
            let less = size(&self.old_sets[at]).min(spare);
            if less > 0 {
                scaled |= self.scale_old_set(at, size(&self.old_sets[at]) - less);
                spare -= less;
            }
        }
        scaled
    }

    /// Whether an old replica set has pods that have not ended.
    fn has_unfinished_old_pods(&self) -> bool {
        let mut pods = self.old_sets.iter().flat_map(|set| controlled_objects(self.state, set, PODS));
        pods.any(|pod| !is_finished(&pod))
    }

    /// Deletes the old replica sets beyond `revisionHistoryLimit`, lowest revision first. Keeps replica sets
    /// that have pods, whose `spec.replicas` is not zero, or whose status is outdated.
    pub(super) fn delete_excess_old_sets(&mut self) {
        let Some(limit) = self.spec()["revisionHistoryLimit"].as_u64().filter(|l| *l != i32::MAX as u64)
        else {
            return;
        };
        let mut old: Vec<&Value> = self.old_sets.iter().filter(|set| !is_terminating(set)).collect();
        let excess = old.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
        old.sort_by_key(|set| revision(set));
        let is_unused = |set: &&&Value| {
            let observed = number(&set["status"]["observedGeneration"]);
            number(&set["status"]["replicas"]) == 0
                && !is_active(set)
                && number(&set["metadata"]["generation"]) <= observed
        };
        let unused: Vec<Value> =
            old.iter().take(excess).filter(is_unused).map(|set| (*set).clone()).collect();
        for set in unused {
            writes::delete(self.state, &storage_key_in(REPLICA_SETS, &set));
            self.old_sets.retain(|old| name(old) != name(&set));
        }
    }
}
