//! The controller of resource quotas: writes the usage of each quota to its status. The admission plugin
//! ResourceQuota in `handler::quota` refuses objects that exceed a quota.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::writes::{self, CONTROLLER_MANAGER, Part};
use super::{Keys, is_deletion, object_of, own_key};
use crate::handler::quota::{self, QUOTAS};
use crate::store::State;
use crate::store::queue::Key;
use crate::store::table::Event;

/// The key of a changed quota; or, after a change of another object, the keys of the quotas in the namespace of this
/// object.
pub(super) fn keys_to_reconcile(state: &State, storage: &Arc<str>, event: &Event) -> Keys {
    if &**storage == QUOTAS {
        return if is_deletion(event) { Keys::new() } else { own_key(storage, event) };
    }
    let Some(table) = state.table(QUOTAS).filter(|_| !event.object.namespace().is_empty()) else {
        return Keys::new();
    };
    let quotas = table.objects(event.object.namespace()).into_iter();
    quotas.map(|found| ((Arc::from(QUOTAS), found.key.clone()), found.uid.clone(), Duration::ZERO)).collect()
}

/// Writes the usage of a quota.
pub(super) fn reconcile(state: &mut State, key: &Key) {
    let Some(stored) = object_of(state, key) else { return };
    let object = stored.value();
    let used = quota::usage(state, &object);
    let used: serde_json::Map<_, _> = used
        .into_iter()
        .map(|(resource, amount)| (resource.clone(), quota::format_amount(&resource, amount).into()))
        .collect();
    let hard = object["spec"]["hard"].clone();
    // An error needs no handling: the next change of an object in the namespace causes another reconcile.
    let _ = writes::modify(state, &key.object, Part::Status, CONTROLLER_MANAGER, |stored| {
        stored["status"] = json!({"hard": hard, "used": used});
    });
}
