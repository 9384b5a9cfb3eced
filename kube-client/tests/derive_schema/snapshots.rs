//! For each kind except `TemplateKind`, compares the schema of the spec with the kind's file in `snapshots/`. A change of
//! the schema needs a change of the file, which reviewers see.
//!
//! `UPDATE_SNAPSHOTS=1 cargo test -p kube-client --test derive_schema snapshots` writes the files.

use std::path::Path;

use super::{all_kinds, kind_name, schema_of};

#[expect(clippy::disallowed_methods, reason = "a variable requests new snapshots")]
#[test]
fn schemas_equal_their_snapshots() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/derive_schema/snapshots");
    let is_update = std::env::var_os("UPDATE_SNAPSHOTS").is_some();
    let mut names = Vec::new();
    // `TemplateKind` has no snapshot: its schema is the schema of `PodTemplateSpec` in `k8s-openapi`.
    for derived in all_kinds().into_iter().filter(|derived| kind_name(derived) != "TemplateKind") {
        let name = format!("{}.json", kind_name(&derived));
        let text = format!("{:#}\n", schema_of(&derived)["properties"]["spec"]);
        if is_update {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(&name), &text).unwrap();
        }
        let snapshot = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert_eq!(text, snapshot, "{name}: if the change is intended, run the test with UPDATE_SNAPSHOTS=1");
        names.push(name);
    }
    for file in std::fs::read_dir(&folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(names.contains(&name), "{name} is the snapshot of no kind: delete it");
    }
}
