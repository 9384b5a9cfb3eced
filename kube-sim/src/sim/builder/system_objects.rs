//! The objects that an API server creates at its start. They are stored as recorded: requests that create them would take
//! longer than the rest of the start.

use std::sync::OnceLock;

use serde_json::Value;

use crate::builtin::{BOOTSTRAP_POLICY, SYSTEM_OBJECTS};
use crate::clock::Random;
use crate::controllers;
use crate::sim::Sim;
use crate::store::State;
use crate::store::template::Template;

/// The numbers of the random streams of the uids.
const STREAM: u64 = 0x0073_7973_7465_6d73;
const POLICY_STREAM: u64 = 0x0070_6f6c_6963_7900;

/// Creates the objects, in the order in which they are recorded.
#[expect(clippy::expect_used, reason = "the recorded objects are JSON, which a test checks")]
pub(super) fn create(state: &mut State, seed: u64) {
    static TEMPLATES: OnceLock<Vec<Template>> = OnceLock::new();
    let templates = TEMPLATES.get_or_init(|| {
        let objects = SYSTEM_OBJECTS.lines().map(serde_json::from_str);
        objects.map(|object| template(state, object.expect("a recorded object is JSON"))).collect()
    });
    // A stream of their own: a further object does not change the names that the server generates.
    state.create_from(templates, &mut Random::stream(seed, STREAM));
    controllers::run(state);
}

/// The template of a recorded object.
#[expect(clippy::expect_used, reason = "the recorded objects are of built-in kinds, which a test checks")]
fn template(state: &State, object: Value) -> Template {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let resource = state.registry.find_kind(text("apiVersion"), text("kind"));
    Template::new(&resource.expect("a recorded object is of a built-in kind"), object)
}

/// Creates the bootstrap roles and bindings.
pub(super) fn create_policy(state: &mut State, seed: u64) {
    static TEMPLATES: OnceLock<Vec<Template>> = OnceLock::new();
    let templates = TEMPLATES.get_or_init(|| {
        let sim = Sim::new();
        BOOTSTRAP_POLICY.lines().map(|line| policy_template(&sim, state, line)).collect()
    });
    state.create_from(templates, &mut Random::stream(seed, POLICY_STREAM));
    controllers::run(state);
}

/// The template of a role or binding. It is recorded as a client sends it, and completed by a create.
#[expect(clippy::expect_used, reason = "the recorded roles are valid, which a test checks")]
fn policy_template(sim: &Sim, state: &State, line: &str) -> Template {
    let recorded: Value = serde_json::from_str(line).expect("a recorded role is JSON");
    let mut created = sim.create(&recorded).expect("a recorded role is valid");
    let metadata = &mut created["metadata"];
    metadata["creationTimestamp"] = "$NOW".into();
    for entry in metadata["managedFields"].as_array_mut().into_iter().flatten() {
        entry["manager"] = "kube-apiserver".into();
        entry["time"] = "$NOW".into();
    }
    template(state, created)
}
