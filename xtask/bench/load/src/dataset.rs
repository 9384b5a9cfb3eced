//! `Dataset`: all served objects and events, generated at first use, and their digests.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde_json::Value;

use crate::digest::{Digest, five_fields};
use crate::format::{Format, TypeInfo};
use crate::non_pod_objects;
use crate::object_set::{ObjectSet, Objects};
use crate::pod_changes::{self, Events};
use crate::pods::{Pod, PodGenerator};

/// The `apiVersion` and `kind` of pods.
const POD: TypeInfo = TypeInfo { api_version: "v1", kind: "Pod", custom: false };

/// All served objects and events. The same number of pods and the same seed give the same bytes.
#[derive(Debug)]
pub(crate) struct Dataset {
    count: usize,
    seed: u64,
    pods: PodGenerator,
    pod_indices: OnceLock<HashMap<(String, String), usize>>,
    listed: OnceLock<Objects>,
    relisted: OnceLock<Objects>,
    events: OnceLock<Events>,
    json_events: OnceLock<Vec<u8>>,
    protobuf_events: OnceLock<Vec<u8>>,
    nodes: OnceLock<Objects>,
    config_maps: OnceLock<Objects>,
    secrets: Objects,
    widgets: OnceLock<Objects>,
}

impl Dataset {
    /// A dataset with `count` pods.
    pub(crate) fn new(count: usize, seed: u64) -> Self {
        Self {
            count,
            seed,
            pods: PodGenerator::new(count, seed),
            pod_indices: OnceLock::new(),
            listed: OnceLock::new(),
            relisted: OnceLock::new(),
            events: OnceLock::new(),
            json_events: OnceLock::new(),
            protobuf_events: OnceLock::new(),
            nodes: OnceLock::new(),
            config_maps: OnceLock::new(),
            secrets: built_in_objects("Secret", ObjectSet::new(Format::Json)),
            widgets: OnceLock::new(),
        }
    }

    /// Generates, in `format`, the data of the bench's rows whose field `needs_preparation` is true.
    pub(crate) fn generate_prepared_data(&self, format: Format) {
        self.event_chunks(format);
        self.relisted_pods().in_format(format);
        if format == Format::Protobuf {
            for objects in [self.pods(), self.nodes(), self.config_maps()] {
                objects.in_format(format);
            }
        }
    }

    /// The pods of the initial list.
    pub(crate) fn pods(&self) -> &Objects {
        self.listed.get_or_init(|| Objects::new(POD, self.serialise(&pod_changes::initial_pods(self.count))))
    }

    /// The pods that a relist returns.
    pub(crate) fn relisted_pods(&self) -> &Objects {
        self.relisted
            .get_or_init(|| Objects::new(POD, self.serialise(&pod_changes::relisted_pods(self.count))))
    }

    /// The watch events. Their number is the number of pods.
    fn events(&self) -> &Events {
        self.events.get_or_init(|| Events::new(self.count, self.count, self.seed + 1))
    }

    /// The watch events as HTTP chunks.
    pub(crate) fn event_chunks(&self, format: Format) -> &[u8] {
        let chunks = match format {
            Format::Json => &self.json_events,
            Format::Protobuf => &self.protobuf_events,
        };
        chunks.get_or_init(|| self.events().chunks(&self.pods, POD, format))
    }

    /// The nodes, one per twenty pods.
    pub(crate) fn nodes(&self) -> &Objects {
        let count = self.count.div_ceil(20);
        self.nodes.get_or_init(|| built_in_objects("Node", non_pod_objects::nodes(count, self.seed + 2)))
    }

    /// The config maps. There are as many config maps as pods.
    pub(crate) fn config_maps(&self) -> &Objects {
        self.config_maps.get_or_init(|| {
            built_in_objects("ConfigMap", non_pod_objects::config_maps(self.count, self.seed + 3))
        })
    }

    /// The secrets, an empty set.
    pub(crate) fn secrets(&self) -> &Objects {
        &self.secrets
    }

    /// The custom resources, each with thirty spec fields. There are as many custom resources as pods.
    pub(crate) fn widgets(&self) -> &Objects {
        let type_info = TypeInfo { api_version: "bench.example/v1", kind: "Widget", custom: true };
        self.widgets
            .get_or_init(|| Objects::new(type_info, non_pod_objects::widgets(self.count, self.seed + 4)))
    }

    /// The namespaces and names of up to `count` pods, at regular intervals in the initial list.
    pub(crate) fn pod_names(&self, count: usize) -> Vec<(String, String)> {
        let all = pod_changes::initial_pods(self.count);
        let step = (all.len() / count.max(1)).max(1);
        all.iter().step_by(step).take(count).map(|pod| self.pods.namespaced_name(pod)).collect()
    }

    /// The index in [`pods`](Self::pods) of the pod with this namespace and name; `None` if there is no such pod.
    pub(crate) fn find_pod_index(&self, namespace: &str, name: &str) -> Option<usize> {
        let pod_indices = self.pod_indices.get_or_init(|| {
            let all = pod_changes::initial_pods(self.count);
            all.iter().map(|pod| (self.pods.namespaced_name(pod), pod.index)).collect()
        });
        pod_indices.get(&(namespace.to_owned(), name.to_owned())).copied()
    }

    /// The digest of a set of objects. `name` is the name of the set, such as `pods` or `relisted`. Returns `None` if no set
    /// has this name.
    pub(crate) fn digest(&self, name: &str) -> Option<Digest> {
        Some(match name {
            "pods" => digest(&self.pods().json, Value::clone),
            "five-fields" => digest(&self.pods().json, five_fields),
            "relisted" => digest(&self.relisted_pods().json, Value::clone),
            "after-events" => digest(&self.serialise(&self.events().after), Value::clone),
            "new-generation" => digest(&self.serialise(&self.events().new_generation), Value::clone),
            "selected" => digest(&self.serialise(&self.events().selected), Value::clone),
            "widgets" => digest(&self.widgets().json, Value::clone),
            "kinds" => {
                let mut sum = digest(&self.nodes().json, Value::clone);
                sum.merge(digest(&self.config_maps().json, Value::clone));
                sum.merge(digest(&self.widgets().json, Value::clone));
                sum
            }
            _ => return None,
        })
    }

    /// The JSON of these pods.
    fn serialise(&self, pods: &[Pod]) -> ObjectSet {
        let mut set = ObjectSet::new(Format::Json);
        for pod in pods {
            set.push(|out| self.pods.write(pod, out));
        }
        set
    }
}

/// Objects of a built-in kind of the core group.
fn built_in_objects(kind: &'static str, json: ObjectSet) -> Objects {
    Objects::new(TypeInfo { api_version: "v1", kind, custom: false }, json)
}

/// The digest of the values that `view` returns for the objects of a set.
fn digest(set: &ObjectSet, view: impl Fn(&Value) -> Value + Sync) -> Digest {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let part = |worker: usize| {
        let mut sum = Digest::default();
        for index in (worker..set.len()).step_by(workers) {
            // Invalid JSON counts as `null`, so the digest differs from every contender's.
            let object = serde_json::from_slice::<Value>(set.item(index)).unwrap_or_default();
            sum.add_object(view(&object));
        }
        sum
    };
    std::thread::scope(|scope| {
        let part = &part;
        let parts: Vec<_> = (0..workers).map(|worker| scope.spawn(move || part(worker))).collect();
        let mut sum = Digest::default();
        for handle in parts {
            match handle.join() {
                Ok(part) => sum.merge(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        sum
    })
}
