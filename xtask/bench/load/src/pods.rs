//! `PodGenerator`: generates realistic pods. The forty pods of an application differ only in fields such as name and
//! uid.

use std::fmt::Write;

use fastrand::Rng;

use crate::template::Template;

/// The number of pods per application.
const REPLICAS: usize = 40;
/// The shard that the bench's label selector matches.
pub(crate) const SELECTED_SHARD: usize = 17;
/// The number of values of the shard label.
const SHARDS: usize = 100;
/// The alphabet of generated name suffixes, as in the API server's `generateName`.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A pod: the fields that events change, and the fields from which [`PodGenerator`] derives all other fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pod {
    /// The index of the pod, from which [`PodGenerator`] derives immutable fields such as the uid.
    pub(crate) index: usize,
    /// Whether this pod is the sentinel, which marks the end of a measurement. The sentinel is the last pod
    /// of each list, and the last event modifies the sentinel.
    pub(crate) sentinel: bool,
    pub(crate) version: u64,
    pub(crate) generation: u32,
    /// The restart count of the pod's container.
    pub(crate) restarts: u32,
}

impl Pod {
    /// The value of the pod's shard label. Each value occurs on one pod in a hundred.
    pub(crate) fn shard(&self) -> usize {
        if self.sentinel { SELECTED_SHARD } else { self.index % SHARDS }
    }
}

/// Generates the JSON of pods.
#[derive(Debug)]
pub(crate) struct PodGenerator {
    apps: Vec<App>,
    seed: u64,
}

/// An application: the values that its forty pods share.
#[derive(Debug)]
struct App {
    template: Template,
    name: String,
    namespace: String,
    hash: String,
}

impl PodGenerator {
    /// Generates the applications for `count` pods.
    pub(crate) fn new(count: usize, seed: u64) -> Self {
        let template = Template::parse(include_str!("../data/pod.json"));
        let apps = (0..count.div_ceil(REPLICAS)).map(|index| App::new(&template, index, seed)).collect();
        Self { apps, seed }
    }

    /// The pod's namespace and name.
    pub(crate) fn namespaced_name(&self, pod: &Pod) -> (String, String) {
        if pod.sentinel {
            return ("zz-sentinel".to_owned(), "sentinel".to_owned());
        }
        let app = self.app(pod.index);
        (app.namespace.clone(), format!("{}-{}-{}", app.name, app.hash, name_suffix(pod.index)))
    }

    /// Appends the pod's JSON.
    pub(crate) fn write(&self, pod: &Pod, out: &mut Vec<u8>) {
        let app = self.app(pod.index);
        let mut rng = Rng::with_seed(self.seed ^ (pod.index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (namespace, name) = self.namespaced_name(pod);
        let node = rng.u32(..u32::try_from(self.apps.len() + 1).unwrap_or(u32::MAX));
        let (created, started) = (timestamp(pod.index as u64 * 7), timestamp(pod.index as u64 * 7 + 9));
        app.template.render(
            &[
                ("name", &name),
                ("namespace", &namespace),
                ("uid", &random_uid(&mut rng)),
                ("version", &pod.version.to_string()),
                ("generation", &pod.generation.to_string()),
                ("created", &created),
                ("started", &started),
                ("changed", &if pod.restarts == 0 { started.clone() } else { timestamp(pod.version) }),
                ("shard", &pod.shard().to_string()),
                ("zone", ["zone-a", "zone-b", "zone-c"][pod.index % 3]),
                ("sandbox", &random_hex(&mut rng, 64)),
                ("podip", &format!("10.{}.{}.{}", 64 + node % 64, rng.u8(..), rng.u8(1..))),
                ("hostip", &format!("192.168.{}.{}", node / 250, 1 + node % 250)),
                ("node", &format!("node-{node:04}")),
                ("suffix", &name_suffix(pod.index)),
                ("restarts", &pod.restarts.to_string()),
                ("ready", if pod.restarts.is_multiple_of(2) { "True" } else { "False" }),
                ("container", &random_hex(&mut rng, 64)),
            ],
            out,
        );
    }

    /// The application of the pod with this index.
    fn app(&self, index: usize) -> &App {
        &self.apps[index / REPLICAS % self.apps.len()]
    }
}

impl App {
    fn new(template: &Template, index: usize, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed.wrapping_add(index as u64 * 2_654_435_761));
        let words = ["billing", "catalog", "checkout", "identity", "ledger", "orders", "search", "shipping"];
        let roles = ["api", "gateway", "indexer", "scheduler", "worker"];
        let system = words[rng.usize(..words.len())];
        let name = format!("{system}-{}-{index}", roles[rng.usize(..roles.len())]);
        let hash = random_hex(&mut rng, 10);
        let mut env = String::new();
        for number in 0..rng.usize(1..5) {
            // Writing to a string cannot fail.
            let _ = write!(
                env,
                r#",{{"name":"FEATURE_{number}_ENDPOINT","value":"https://{system}-{number}.internal.example.com/v1"}}"#
            );
        }
        let values = [
            ("app", name.clone()),
            ("at", "@".to_owned()),
            (
                "args",
                format!(
                    r#"["--config=/etc/{name}/config.yaml","--workers={}","--listen=:8080"]"#,
                    rng.u8(1..33)
                ),
            ),
            ("checksum", random_hex(&mut rng, 64)),
            ("component", roles[rng.usize(..roles.len())].to_owned()),
            ("cpu", (50 * rng.u32(1..20)).to_string()),
            ("digest", random_hex(&mut rng, 64)),
            ("env", "production".to_owned()),
            ("extra_env", env),
            ("hash", hash.clone()),
            ("memory", (64 * rng.u32(1..16)).to_string()),
            ("owner", random_uid(&mut rng)),
            ("priority", (1000 * rng.u32(1..4)).to_string()),
            ("restarted", timestamp(rng.u64(..2_000_000))),
            ("system", system.to_owned()),
            ("tag", format!("v{}.{}.{}", rng.u8(1..5), rng.u8(..30), rng.u8(..10))),
        ];
        Self { template: template.bind(&values), name, namespace: format!("team-{:04}", index / 10), hash }
    }
}

/// Formats a time as in RFC 3339: 1 May 2026 plus `second` seconds. Each month counts as 28 days. The month after December
/// is May of the same year.
pub(crate) fn timestamp(second: u64) -> String {
    let (minute, hour, day) = (second / 60, second / 3600, second / 86400);
    format!(
        "2026-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        5 + day / 28 % 8,
        1 + day % 28,
        hour % 24,
        minute % 60,
        second % 60
    )
}

/// A string of `digits` random hexadecimal digits.
pub(crate) fn random_hex(rng: &mut Rng, digits: usize) -> String {
    (0..digits).map(|_| char::from_digit(rng.u32(..16), 16).unwrap_or('0')).collect()
}

/// A random uid.
pub(crate) fn random_uid(rng: &mut Rng) -> String {
    let parts = [8, 4, 4, 4, 12].map(|digits| random_hex(rng, digits));
    parts.join("-")
}

/// A suffix of five characters. Different indices below fourteen million have different suffixes.
fn name_suffix(mut index: usize) -> String {
    (0..5)
        .map(|_| {
            let letter = ALPHABET[index % ALPHABET.len()];
            index /= ALPHABET.len();
            char::from(letter)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Format;
    use crate::object_set::ObjectSet;
    use serde_json::Value;

    /// The JSON of `count` pods.
    fn pod_set(count: usize, seed: u64) -> ObjectSet {
        let pods = PodGenerator::new(count, seed);
        let mut set = ObjectSet::new(Format::Json);
        for index in 0..count {
            let pod = Pod { index, sentinel: false, version: 1_000_000, generation: 1, restarts: 0 };
            set.push(|out| pods.write(&pod, out));
        }
        set
    }

    #[test]
    fn pods_have_a_realistic_size() {
        let set = pod_set(400, 1);
        let mean = set.byte_count() / set.len();
        assert!((8_200..8_800).contains(&mean), "{mean} bytes");
        let pod: Value = serde_json::from_slice(set.item(7)).unwrap();
        let managed = pod["metadata"]["managedFields"].to_string().len();
        let share = managed * 100 / set.item(7).len();
        assert!((34..38).contains(&share), "{share} %");
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        assert_eq!(pod_set(100, 5).span(0..100), pod_set(100, 5).span(0..100));
        assert_ne!(pod_set(100, 5).span(0..100), pod_set(100, 6).span(0..100));
    }

    #[test]
    fn names_are_unique() {
        let pods = PodGenerator::new(5_000, 1);
        let names: std::collections::BTreeSet<_> = (0..5_000)
            .map(|index| {
                pods.namespaced_name(&Pod { index, sentinel: false, version: 1, generation: 1, restarts: 0 })
            })
            .collect();
        assert_eq!(names.len(), 5_000);
    }
}
