//! `HotLoops`: finds keys that are reconciled again and again. It only reports; the `queue` schedules.
//!
//! It samples one of 17 reconciles, so that it costs almost nothing. A key with many samples is suspected: its
//! reconciles are then counted exactly before the key is reported.

use super::Key;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube_client::core::ObjectMeta;
use std::time::Duration;
use tokio::time::Instant;

/// The number of reconciles from one sample to the next. The number is prime. Therefore, if a smaller number
/// of keys is reconciled in a fixed cycle, each of these keys is sampled.
const RECONCILES_PER_SAMPLE: u32 = 17;
/// The maximum number of keys with a sample count. When more keys are sampled, keys with few samples are
/// removed, and keys with a large share of the samples remain.
const MAX_SAMPLED_KEYS: usize = 32;
/// The maximum number of suspected keys, whose reconciles are counted exactly.
const MAX_SUSPECTS: usize = 4;
/// The minimum length of a window. A window collects samples. At its end, keys with many samples are suspected, and the
/// next window counts their reconciles.
const MIN_WINDOW: Duration = Duration::from_secs(30);
/// A key with this many reconciles in a window of the length [`MIN_WINDOW`] is in a hot loop. This is a
/// rate of ten reconciles per second. In a window of `n` times this length, the key must have `n` times
/// this number.
const MIN_RECONCILES: u32 = 300;
/// The maximum number of fields that are reported for one changed entry of `managedFields`.
const MAX_FIELDS: usize = 8;

/// Takes samples of the reconciles of all keys, and counts the reconciles of suspected keys.
#[derive(Default)]
pub(super) struct HotLoops {
    /// The number of reconciles since the last sample.
    since_sample: u32,
    /// The sampled keys. Each count is a lower bound of the number of samples of the key.
    samples: Vec<(Key, u32)>,
    suspects: Vec<Suspect>,
    /// The start of the window; `None` if no window is open.
    began: Option<Instant>,
    /// Keys that were reported and are still in a loop.
    reported: Vec<Key>,
}

/// A key whose reconciles are counted.
struct Suspect {
    key: Key,
    reconciles: u32,
    /// The version of the object at the start of the window; `None` if the store did not contain the object.
    before: Option<Version>,
}

/// The resource version of an object, and its managed fields at that version.
struct Version {
    resource_version: Option<String>,
    managed_fields: Vec<ManagedFieldsEntry>,
}

impl Version {
    fn of(meta: &ObjectMeta) -> Self {
        Self {
            resource_version: meta.resource_version.clone(),
            managed_fields: meta.managed_fields.clone().unwrap_or_default(),
        }
    }
}

/// A key that is reconciled in a hot loop.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HotLoop {
    pub(super) key: Key,
    /// The number of reconciles within `window`.
    pub(super) reconciles: u32,
    pub(super) window: Duration,
    /// Whether the object changed within the window.
    pub(super) is_changing: bool,
    /// The field managers whose entries in `managedFields` changed within the window, each with up to [`MAX_FIELDS`]
    /// fields of its entry; empty if the object does not contain its managed fields.
    pub(super) writes: Vec<String>,
}

impl HotLoops {
    /// Records a reconcile. Counts the reconcile if its key is suspected. Of every [`RECONCILES_PER_SAMPLE`]
    /// reconciles, takes the last one as a sample.
    pub(super) fn record_reconcile(&mut self, key: &Key) {
        if let Some(suspect) = self.suspects.iter_mut().find(|suspect| suspect.key == *key) {
            suspect.reconciles = suspect.reconciles.saturating_add(1);
        }
        self.since_sample += 1;
        if self.since_sample < RECONCILES_PER_SAMPLE {
            return;
        }
        self.since_sample = 0;
        if let Some((_, count)) = self.samples.iter_mut().find(|(sampled, _)| sampled == key) {
            *count += 1;
        } else if self.samples.len() < MAX_SAMPLED_KEYS {
            self.samples.push((key.clone(), 1));
        } else {
            // The algorithm of Misra and Gries: only keys with a large share of the samples remain.
            self.samples.retain_mut(|(_, count)| {
                *count -= 1;
                *count > 0
            });
        }
    }

    /// Whether there are samples or suspected keys to check.
    pub(super) fn is_active(&self) -> bool {
        !self.samples.is_empty() || !self.suspects.is_empty()
    }

    /// Ends the window if its time is over. Returns the hot loops of the window, without those that were reported
    /// earlier and have not ended since. `find` returns the current metadata of an object.
    pub(super) fn end_window_if_over(
        &mut self,
        now: Instant,
        find: impl Fn(&Key) -> Option<ObjectMeta>,
    ) -> Vec<HotLoop> {
        let window = now.saturating_duration_since(*self.began.get_or_insert(now));
        if window < MIN_WINDOW {
            return Vec::new();
        }
        let limit = u32::try_from(window.as_secs() / MIN_WINDOW.as_secs()).unwrap_or(u32::MAX);
        let limit = MIN_RECONCILES.saturating_mul(limit);
        let suspects = std::mem::take(&mut self.suspects);
        let hot: Vec<_> = suspects.into_iter().filter(|suspect| suspect.reconciles >= limit).collect();
        self.reported.retain(|key| hot.iter().any(|suspect| suspect.key == *key));
        let mut found = Vec::new();
        for suspect in hot {
            if !self.reported.contains(&suspect.key) {
                self.reported.push(suspect.key.clone());
                found.push(suspect.into_hot_loop(window, &find));
            }
        }
        self.samples.sort_unstable_by_key(|(_, count)| std::cmp::Reverse(*count));
        let sampled = self.samples.drain(..);
        let suspects = sampled
            .filter(|(_, count)| count.saturating_mul(RECONCILES_PER_SAMPLE) >= limit)
            .take(MAX_SUSPECTS);
        self.suspects = suspects
            .map(|(key, _)| Suspect { before: find(&key).map(|meta| Version::of(&meta)), key, reconciles: 0 })
            .collect();
        self.began = self.is_active().then_some(now);
        found
    }
}

impl Suspect {
    fn into_hot_loop(self, window: Duration, find: impl Fn(&Key) -> Option<ObjectMeta>) -> HotLoop {
        let Self { key, reconciles, before } = self;
        let after = find(&key).map(|meta| Version::of(&meta));
        let (is_changing, writes) = match (&before, &after) {
            (Some(before), Some(after)) => {
                (before.resource_version != after.resource_version, describe_writes(before, after))
            }
            _ => (false, Vec::new()),
        };
        HotLoop { key, reconciles, window, is_changing, writes }
    }
}

/// The text `manager: fields` for each field manager whose entry changed.
fn describe_writes(before: &Version, after: &Version) -> Vec<String> {
    let changed = after.managed_fields.iter().filter(|entry| !before.managed_fields.contains(entry));
    changed
        .map(|entry| {
            let mut fields = Vec::new();
            if let Some(set) = &entry.fields_v1 {
                collect_fields(&set.0, "", &mut fields);
            }
            format!("{}: {}", entry.manager.as_deref().unwrap_or("unknown"), fields.join(", "))
        })
        .collect()
}

/// Appends the paths of a field set (`fieldsV1`) to `fields`, until `fields` has [`MAX_FIELDS`] paths.
fn collect_fields(set: &serde_json::Value, path: &str, fields: &mut Vec<String>) {
    let members = set.as_object().into_iter().flatten();
    let mut members = members.filter_map(|(key, set)| Some((key.strip_prefix("f:")?, set))).peekable();
    if members.peek().is_none() && !path.is_empty() && fields.len() < MAX_FIELDS {
        fields.push(path.to_owned());
    }
    for (name, set) in members {
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        collect_fields(set, &path, fields);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn meta(version: &str, time: &str) -> ObjectMeta {
        serde_json::from_value(json!({"name": "a", "resourceVersion": version, "managedFields": [
            {"manager": "me", "operation": "Update", "time": time,
                "fieldsV1": {"f:status": {"f:seen": {}, "f:list": {"k:{\"a\":1}": {"f:b": {}}}}}},
            {"manager": "other", "operation": "Apply", "fieldsV1": {"f:spec": {}}}]}))
        .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_hot_loop_is_reported_once_with_the_field_manager_and_the_fields_that_it_writes() {
        let mut loops = HotLoops::default();
        let mut found = Vec::new();
        let (hot, began) = (Key::new(None, "hot"), Instant::now());
        for second in 0..200 {
            let now = began + Duration::from_secs(second);
            for n in 0..20 {
                loops.record_reconcile(&hot);
                loops.record_reconcile(&Key::new(None, &format!("cold-{second}-{n}")));
            }
            let time = format!("2020-01-01T00:{:02}:{:02}Z", second / 60, second % 60);
            found.extend(loops.end_window_if_over(now, |_| Some(meta(&second.to_string(), &time))));
        }
        let [HotLoop { key, is_changing: true, writes, reconciles, .. }] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!((key, *reconciles), (&hot, 600));
        assert_eq!(writes, &["me: status.list, status.seen"]);
    }

    #[tokio::test(start_paused = true)]
    async fn many_keys_that_each_have_few_reconciles_are_not_reported() {
        let mut loops = HotLoops::default();
        let began = Instant::now();
        for second in 0..300 {
            // There are `RECONCILES_PER_SAMPLE` keys in a fixed order, so all samples are reconciles of one key.
            for n in 0..34 {
                loops.record_reconcile(&Key::new(None, &(n % 17).to_string()));
            }
            let found = loops.end_window_if_over(began + Duration::from_secs(second), |_| None);
            assert_eq!(found, [], "second {second}");
        }
    }
}
