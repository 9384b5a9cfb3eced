//! The handler of a mutating webhook, and the patch with the changes that the handler makes.

use super::admission::{answer_to_undecodable_object, review_handler};
use super::rejection::Rejection;
use super::router::ReviewHandler;
use kube_client::core::admission::{AdmissionRequest, AdmissionResponse};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Wraps the `handler` of [`Server::mutate`](super::Server::mutate) as a handler of reviews.
pub(super) fn mutation_handler<K, Fut>(
    handler: impl Fn(K, AdmissionRequest<K>) -> Fut + Send + Sync + 'static,
) -> ReviewHandler
where
    K: Serialize + DeserializeOwned + Send + 'static,
    Fut: Future<Output = Result<K, Rejection>> + Send + 'static,
{
    let handler = Arc::new(handler);
    review_handler(move |request| {
        let handler = handler.clone();
        async move {
            let mut typed = match request.decode::<K>() {
                Ok(typed) => typed,
                Err(error) => return answer_to_undecodable_object(&request, &error),
            };
            let allowed = AdmissionResponse::from(&request);
            let (Some(object), Some(received)) = (typed.object.take(), request.object) else {
                return allowed;
            };
            let changed = async {
                let before = serde_json::to_value(&object)?;
                let after = serde_json::to_value(handler(object, typed).await?)?;
                Ok(value_with_changes(received.clone(), &before, after))
            };
            let changed: Result<Value, Rejection> = changed.await;
            match changed {
                Ok(changed) if changed == received => allowed,
                Ok(changed) => {
                    let patch = json_patch::diff(&received, &changed);
                    let patched = allowed.clone().with_patch(patch).map_err(Rejection::from);
                    patched.unwrap_or_else(|rejection| rejection.apply_to(allowed))
                }
                Err(rejection) => rejection.apply_to(allowed),
            }
        }
    })
}

/// Returns the object that the API server sent (`received`) with the changes of a handler. `before` is the
/// typed form of the object before the call of the handler, and `after` is the typed form after the call. The
/// typed form may lack fields of `received`, and may contain defaults that `received` lacks. If a value is
/// replaced as a whole, such as an array whose length changes, the new value has these differences. The rest
/// of the result does not have them.
fn value_with_changes(received: Value, before: &Value, after: Value) -> Value {
    if *before == after {
        return received;
    }
    match (received, before, after) {
        (Value::Object(received), Value::Object(before), Value::Object(after)) => {
            Value::Object(fields_with_changes(received, before, after))
        }
        // Items can be matched only between arrays of equal length; other arrays are replaced.
        (Value::Array(received), Value::Array(before), Value::Array(after))
            if received.len() == before.len() && before.len() == after.len() =>
        {
            let items = received.into_iter().zip(before).zip(after);
            Value::Array(
                items
                    .map(|((received, before), after)| value_with_changes(received, before, after))
                    .collect(),
            )
        }
        (_, _, after) => after,
    }
}

fn fields_with_changes(
    mut received: Map<String, Value>,
    before: &Map<String, Value>,
    mut after: Map<String, Value>,
) -> Map<String, Value> {
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        received.remove(name);
    }
    after.retain(|name, value| before.get(name) != Some(value));
    for (name, value) in after {
        let value = match (received.remove(&name), before.get(&name)) {
            (Some(received), Some(before)) => value_with_changes(received, before, value),
            _ => value,
        };
        received.insert(name, value);
    }
    received
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn assert_result(received: Value, before: &Value, after: Value, expected: &Value) {
        assert_eq!(value_with_changes(received, before, after), *expected);
    }

    #[test]
    fn only_values_that_the_handler_changes_are_applied() {
        let received = json!({"spec": {"unknown": 1, "size": 2, "list": [{"a": 1, "unknown": 2}]}});
        let before = json!({"spec": {"size": 2, "default": 3, "list": [{"a": 1}]}, "status": null});
        assert_result(received.clone(), &before, before.clone(), &received);
        let after = json!({"spec": {"size": 4, "default": 3, "list": [{"a": 5}]}, "status": null});
        let expected = json!({"spec": {"unknown": 1, "size": 4, "list": [{"a": 5, "unknown": 2}]}});
        assert_result(received.clone(), &before, after, &expected);
        let after = json!({"spec": {"default": 6, "list": []}, "status": {"ready": true}});
        let expected = json!({"spec": {"unknown": 1, "default": 6, "list": []}, "status": {"ready": true}});
        assert_result(received, &before, after, &expected);
    }

    #[test]
    fn a_field_is_replaced_added_or_removed_as_a_whole() {
        assert_result(json!({"a": [1]}), &json!({"a": [1]}), json!({"a": {"b": 1}}), &json!({"a": {"b": 1}}));
        assert_result(json!({}), &json!({"a": {"b": 1}}), json!({"a": {"b": 2}}), &json!({"a": {"b": 2}}));
        assert_result(json!({"a": {"c": 1}}), &json!({"a": {}}), json!({}), &json!({}));
    }
}
