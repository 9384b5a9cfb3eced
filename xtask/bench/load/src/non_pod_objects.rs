//! Generates nodes, config maps, and custom resources with thirty spec fields.

use fastrand::Rng;

use crate::format::Format;
use crate::object_set::ObjectSet;
use crate::pods::{random_hex, random_uid, timestamp};
use crate::template::Template;

/// The resource version of all objects that this module generates.
const VERSION: &str = "900000";

/// Generates nodes.
pub(crate) fn nodes(count: usize, seed: u64) -> ObjectSet {
    let template = Template::parse(include_str!("../data/node.json"));
    let mut rng = Rng::with_seed(seed);
    let images = images(&mut rng);
    generate(count, |index, out| {
        let index64 = index as u64;
        template.render(
            &[
                ("name", &format!("node-{index:04}")),
                ("uid", &random_uid(&mut rng)),
                ("version", VERSION),
                ("created", &timestamp(index64)),
                ("changed", &timestamp(2_000_000 + index64 % 10)),
                ("zone", ["zone-a", "zone-b", "zone-c"][index % 3]),
                ("cidr", &format!("10.{}.{}.0/24", 64 + index / 256 % 64, index % 256)),
                ("hash", &random_hex(&mut rng, 17)),
                ("hostip", &format!("192.168.{}.{}", index / 250, 1 + index % 250)),
                ("machine", &random_hex(&mut rng, 32)),
                ("boot", &random_uid(&mut rng)),
                ("images", &images),
            ],
            out,
        );
    })
}

/// The JSON of `status.images`, which is the same on all nodes.
fn images(rng: &mut Rng) -> String {
    let image = |index: usize, rng: &mut Rng| {
        let name = format!("registry.example.com/system/image-{index}");
        let size = 5_000_000 + rng.u64(..900_000_000);
        format!(
            r#"{{"names":["{name}@sha256:{}","{name}:v1.{index}"],"sizeBytes":{size}}}"#,
            random_hex(rng, 64)
        )
    };
    let all: Vec<_> = (0..20).map(|index| image(index, rng)).collect();
    format!("[{}]", all.join(","))
}

/// Generates config maps.
pub(crate) fn config_maps(count: usize, seed: u64) -> ObjectSet {
    let template = Template::parse(include_str!("../data/configmap.json"));
    let mut rng = Rng::with_seed(seed);
    generate(count, |index, out| {
        template.render(
            &[
                ("name", &format!("settings-{index}")),
                ("namespace", &format!("team-{:04}", index / 400)),
                ("app", &format!("app-{}", index / 40)),
                ("uid", &random_uid(&mut rng)),
                ("version", VERSION),
                ("created", &timestamp(index as u64)),
                ("ttl", &rng.u16(1..3600).to_string()),
                ("zone", ["zone-a", "zone-b", "zone-c"][index % 3]),
            ],
            out,
        );
    })
}

/// Generates custom resources with thirty spec fields.
pub(crate) fn widgets(count: usize, seed: u64) -> ObjectSet {
    let template = Template::parse(include_str!("../data/widget.json"));
    let mut rng = Rng::with_seed(seed);
    generate(count, |index, out| {
        template.render(
            &[
                ("at", "@"),
                ("name", &format!("widget-{index}")),
                ("namespace", &format!("team-{:04}", index / 400)),
                ("app", &format!("app-{}", index / 40)),
                ("system", ["billing", "catalog", "orders"][index % 3]),
                ("tag", "v1.2.3"),
                ("uid", &random_uid(&mut rng)),
                ("version", VERSION),
                ("created", &timestamp(index as u64)),
                ("changed", &timestamp(index as u64 + 5)),
                ("zone", ["zone-a", "zone-b", "zone-c"][index % 3]),
                ("replicas", &rng.u8(1..9).to_string()),
                ("cpu", &(50 * rng.u32(1..40)).to_string()),
                ("memory", &(64 * rng.u32(1..60)).to_string()),
                ("shard", &(index % 100).to_string()),
                ("ttl", &rng.u16(1..3600).to_string()),
                ("revision", &rng.u32(1..100).to_string()),
            ],
            out,
        );
    })
}

/// Generates `count` objects: `write_one` appends the JSON of the object with the given index.
fn generate(count: usize, mut write_one: impl FnMut(usize, &mut Vec<u8>)) -> ObjectSet {
    let mut set = ObjectSet::new(Format::Json);
    for index in 0..count {
        set.push(|out| write_one(index, out));
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[track_caller]
    fn check_objects(set: &ObjectSet, kind: &str) {
        assert_eq!(set.len(), 50, "{kind}");
        for index in 0..set.len() {
            let object: Value = serde_json::from_slice(set.item(index)).unwrap();
            assert!(object["metadata"]["managedFields"].is_array(), "{kind}");
        }
    }

    #[test]
    fn every_object_is_json_with_managed_fields() {
        check_objects(&nodes(50, 1), "nodes");
        check_objects(&config_maps(50, 1), "config maps");
        check_objects(&widgets(50, 1), "widgets");
    }

    #[test]
    fn a_widget_has_thirty_spec_fields() {
        let widget: Value = serde_json::from_slice(widgets(1, 1).item(0)).unwrap();
        assert_eq!(widget["spec"].as_object().unwrap().len(), 30);
    }
}
