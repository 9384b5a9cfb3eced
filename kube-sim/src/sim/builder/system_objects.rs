//! The objects that an API server creates at its start. They are stored as recorded: requests that create them would take
//! longer than the rest of the start.

use std::sync::OnceLock;

use serde_json::Value;

use crate::builtin::SYSTEM_OBJECTS;
use crate::clock::Random;
use crate::controllers;
use crate::store::State;
use crate::store::template::Template;

/// The number of the random stream of the uids.
const STREAM: u64 = 0x0073_7973_7465_6d73;

/// Creates the objects, in the order in which they are recorded.
pub(super) fn create(state: &mut State, seed: u64) {
    static TEMPLATES: OnceLock<Vec<Template>> = OnceLock::new();
    let templates =
        TEMPLATES.get_or_init(|| SYSTEM_OBJECTS.lines().map(|line| template(state, line)).collect());
    // A stream of their own: a further object does not change the names that the server generates.
    state.create_from(templates, &mut Random::stream(seed, STREAM));
    controllers::run(state);
}

/// The template of a recorded object.
#[expect(clippy::expect_used, reason = "the recorded objects are of built-in kinds, which a test checks")]
fn template(state: &State, line: &str) -> Template {
    let object: Value = serde_json::from_str(line).expect("a recorded object is JSON");
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let resource = state.registry.find_kind(text("apiVersion"), text("kind"));
    Template::new(&resource.expect("a recorded object is of a built-in kind"), object)
}
