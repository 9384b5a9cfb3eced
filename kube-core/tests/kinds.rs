//! Each derive of kube-derive in a crate that depends on kube-core and not on kube-client.
#![cfg(feature = "schema")]

use kube_core::{CustomResourceExt, NamespaceResourceScope, ObjectMeta, Resource};
use kube_derive::{ApplyConfiguration, CustomResource, KubeSchema, Resource};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Backups of a volume.
#[derive(CustomResource, ApplyConfiguration, KubeSchema, Clone, Debug, Deserialize, Serialize)]
#[kube(group = "example.com", version = "v1", kind = "Backup", namespaced, status = "BackupStatus", apply)]
#[kube(crates(kube_core = "kube_core"))]
#[apply(crates(kube_core = "kube_core"))]
#[x_kube(crates(kube_core = "kube_core"), validation = ("self.keep > 0", "keep at least one"))]
struct BackupSpec {
    keep: i32,
    #[x_kube(merge_strategy = ListMerge::Set)]
    volumes: Vec<String>,
}

/// The last backup.
#[derive(ApplyConfiguration, KubeSchema, Clone, Debug, Deserialize, Serialize)]
#[apply(crates(kube_core = "kube_core"))]
#[x_kube(crates(kube_core = "kube_core"))]
struct BackupStatus {
    /// The number of kept backups.
    kept: Option<i32>,
}

/// A backup without its spec.
#[derive(Resource, Clone, Debug)]
#[resource(inherit = Backup, crates(kube_core = "kube_core"))]
struct BackupName {
    metadata: ObjectMeta,
}

/// The kind of a namespaced type.
fn namespaced_kind<K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>>() -> String {
    K::kind(&()).into_owned()
}

#[test]
fn every_derive_works_without_kube_client() {
    let crd = serde_json::to_value(Backup::crd()).unwrap();
    let properties = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    let rule = json!([{"rule": "self.keep > 0", "message": "keep at least one"}]);
    assert_eq!(properties["spec"]["x-kubernetes-validations"], rule);
    assert_eq!(properties["spec"]["properties"]["volumes"]["x-kubernetes-list-type"], "set");
    assert_eq!(properties["status"]["properties"]["kept"]["description"], "The number of kept backups.");

    let mut apply = BackupApply::new("a");
    apply.spec.get_or_insert_default().keep = Some(3);
    let expected = json!({
        "apiVersion": "example.com/v1", "kind": "Backup", "metadata": {"name": "a"}, "spec": {"keep": 3},
    });
    assert_eq!(serde_json::to_value(&apply).unwrap(), expected);

    assert_eq!(namespaced_kind::<BackupName>(), "Backup");
}

/// A type is plain, and so compiles fast, if its schema is a `KnownType`.
#[test]
fn the_path_of_a_crate_leaves_a_type_plain() {
    fn assert_plain<T: kube_core::__private::KnownType>() {}
    assert_plain::<BackupStatus>();
}
