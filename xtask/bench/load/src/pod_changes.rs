//! Generates the initial pods, the watch events that change them, and the pods that a relist returns.

use fastrand::Rng;

use crate::format::{Format, TypeInfo};
use crate::pods::{Pod, PodGenerator, SELECTED_SHARD};

/// The resource version of the initial list.
pub(crate) const LIST_VERSION: u64 = 1_000_000;
/// The resource version of the list that a relist returns.
pub(crate) const RELIST_VERSION: u64 = 3_000_000;
/// The resource version before the first event. The n-th event has this version plus n.
const VERSION_BEFORE_EVENTS: u64 = 2_000_000;

/// The pods of the initial list; the last is the sentinel.
pub(crate) fn initial_pods(count: usize) -> Vec<Pod> {
    (0..count)
        .map(|index| Pod {
            index,
            sentinel: index + 1 == count,
            version: LIST_VERSION - (index as u64 % 1000),
            generation: 1,
            restarts: 0,
        })
        .collect()
}

/// The watch events of a dataset, the pods that exist after these events, and the pods that each filter keeps.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// The type and the pod of each event.
    all: Vec<(&'static str, Pod)>,
    /// The pods that exist after all events.
    pub(crate) after: Vec<Pod>,
    /// The pods of the events that a generation predicate keeps: one event in a hundred.
    pub(crate) new_generation: Vec<Pod>,
    /// The pods of the events that the bench's label selector keeps: about one event in a hundred.
    pub(crate) selected: Vec<Pod>,
}

impl Events {
    /// Generates `events` watch events on `count` pods. Of every 200 events, one deletes a pod, one adds a pod, one
    /// increments a generation, and all others change a status. The last event modifies the sentinel, which passes
    /// every filter.
    pub(crate) fn new(count: usize, events: usize, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut live = initial_pods(count);
        let mut sentinel = live.pop();
        let mut generated = Self::default();
        let mut next = count;
        for number in 1..events {
            let version = VERSION_BEFORE_EVENTS + number as u64;
            match number % 200 {
                37 if live.len() > 1 => {
                    let mut pod = live.swap_remove(rng.usize(..live.len()));
                    pod.version = version;
                    generated.all.push(("DELETED", pod));
                }
                137 => {
                    let pod = Pod { index: next, sentinel: false, version, generation: 1, restarts: 0 };
                    next += 1;
                    live.push(pod);
                    generated.all.push(("ADDED", pod));
                    generated.new_generation.push(pod);
                    generated.push_if_selected(&pod);
                }
                place if !live.is_empty() => {
                    let at = rng.usize(..live.len());
                    let pod = &mut live[at];
                    pod.version = version;
                    pod.restarts += 1;
                    pod.generation += u32::from(place == 87);
                    let pod = *pod;
                    generated.all.push(("MODIFIED", pod));
                    if place == 87 {
                        generated.new_generation.push(pod);
                    }
                    generated.push_if_selected(&pod);
                }
                _ => {}
            }
        }
        if let Some(pod) = &mut sentinel {
            pod.version = VERSION_BEFORE_EVENTS + events as u64;
            pod.generation += 1;
            generated.all.push(("MODIFIED", *pod));
            generated.new_generation.push(*pod);
            generated.push_if_selected(pod);
            live.push(*pod);
        }
        generated.after = live;
        generated
    }

    /// Adds the pod to [`Self::selected`] if the bench's label selector matches the pod.
    fn push_if_selected(&mut self, pod: &Pod) {
        if pod.shard() == SELECTED_SHARD {
            self.selected.push(*pod);
        }
    }

    /// Encodes all events in order. Each event is one HTTP chunk.
    pub(crate) fn chunks(&self, pods: &PodGenerator, type_info: TypeInfo, format: Format) -> Vec<u8> {
        let (mut chunks, mut json, mut item) = (Vec::new(), Vec::new(), Vec::new());
        for (event_type, pod) in &self.all {
            json.clear();
            item.clear();
            pods.write(pod, &mut json);
            format.append_item(type_info, &json, &mut item);
            format.append_event(event_type, format.object_body(type_info, &item).parts(), &mut chunks);
        }
        chunks
    }
}

/// The pods that a relist returns. Compared with the initial list, a tenth of the pods is modified. Of every 200 pods,
/// one is deleted and one is added. The sentinel is modified as well.
pub(crate) fn relisted_pods(count: usize) -> Vec<Pod> {
    let mut pods = initial_pods(count);
    let sentinel = pods.pop();
    pods.retain(|pod| pod.index % 200 != 99);
    for pod in &mut pods {
        if pod.index % 10 == 3 {
            pod.version = RELIST_VERSION - (pod.index as u64 % 1000);
            pod.restarts += 1;
        }
    }
    let new = (0..count / 200).map(|number| Pod {
        index: count + number,
        sentinel: false,
        version: RELIST_VERSION - 1,
        generation: 1,
        restarts: 0,
    });
    pods.extend(new);
    pods.extend(sentinel.map(|pod| Pod { version: RELIST_VERSION, generation: pod.generation + 1, ..pod }));
    pods
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeMap;

    #[test]
    fn events_transform_initial_state_into_final_state() {
        let pods = PodGenerator::new(300, 1);
        let events = Events::new(300, 1000, 2);
        let mut state: BTreeMap<_, _> = initial_pods(300)
            .iter()
            .map(|pod| (pods.namespaced_name(pod), pod.version.to_string()))
            .collect();
        let mut last = 0;
        let type_info = TypeInfo { api_version: "v1", kind: "Pod", custom: false };
        let chunks = events.chunks(&pods, type_info, Format::Json);
        let (mut rest, mut count) = (chunks.as_slice(), 0);
        while !rest.is_empty() {
            let end = rest.windows(2).position(|two| two == b"\r\n").unwrap();
            let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
            let frame = &rest[end + 2..][..length];
            assert_eq!(&rest[end + 2 + length..][..2], b"\r\n");
            (rest, count) = (&rest[end + 2 + length + 2..], count + 1);
            let event: Value = serde_json::from_slice(frame).unwrap();
            let text = |pointer: &str| event.pointer(pointer).unwrap().as_str().unwrap().to_owned();
            let place = (text("/object/metadata/namespace"), text("/object/metadata/name"));
            let version = text("/object/metadata/resourceVersion");
            assert!(version.parse::<u64>().unwrap() > last);
            last = version.parse().unwrap();
            match text("/type").as_str() {
                "DELETED" => assert!(state.remove(&place).is_some()),
                "ADDED" => assert!(state.insert(place, version).is_none()),
                _ => assert!(state.insert(place, version).is_some()),
            }
        }
        let after: BTreeMap<_, _> =
            events.after.iter().map(|pod| (pods.namespaced_name(pod), pod.version.to_string())).collect();
        assert_eq!(state, after);
        assert_eq!(count, 1000);
    }

    #[test]
    fn filters_keep_one_event_in_a_hundred() {
        let events = Events::new(2_000, 10_000, 2);
        assert_eq!(events.new_generation.len(), 101);
        assert!((60..140).contains(&events.selected.len()), "{}", events.selected.len());
    }

    #[test]
    fn a_relist_modifies_one_pod_in_ten() {
        let before = initial_pods(2_000);
        let after = relisted_pods(2_000);
        assert_eq!(after.len(), before.len());
        let same = after.iter().filter(|pod| pod.version <= LIST_VERSION).count();
        assert_eq!(same, 2_000 - 200 - 10 - 1);
        assert!(after.last().unwrap().sentinel);
    }
}
