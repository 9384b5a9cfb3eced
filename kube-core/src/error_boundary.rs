//! `DeserializeGuard`: an object or, if the object does not decode, its metadata and the error.

use super::{ObjectMeta, PartialObjectMeta, Representation, Resource, TypeMeta, redact_decode_error};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use std::borrow::Cow;
use thiserror::Error;

/// An object of type `K` or, if the object does not decode as a `K`, its metadata and the error of the decoder.
///
/// Without a guard, an undecodable object of a list or a watch causes an error that contains the object's name
/// ([`UndecodableObject`](super::UndecodableObject)). A stream continues after this error; `Api::list` returns the error
/// instead of the list. With a guard, the stores of kube-runtime contain undecodable objects, and controllers reconcile
/// these objects. A reconciler can write the error into the object's status.
///
/// The guard first decodes the object into a JSON value. This takes more time and memory than to decode `K` directly.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_core::{DeserializeGuard, ResourceExt};
///
/// let text = r#"{"metadata": {"name": "web"}, "spec": {"containers": 3}}"#;
/// let pod: DeserializeGuard<Pod> = serde_json::from_str(text)?;
/// assert_eq!(pod.name_any(), "web");
/// assert!(pod.0.unwrap_err().to_string().contains("expected a sequence"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct DeserializeGuard<K>(pub Result<K, InvalidObject>);

/// An object that does not decode.
#[derive(Debug, Clone, Error)]
#[error("{error}")]
pub struct InvalidObject {
    /// The decoder's message. It contains no value of the object.
    pub error: String,
    /// The object's metadata.
    pub metadata: ObjectMeta,
}

impl<'de, K: Resource + DeserializeOwned> Deserialize<'de> for DeserializeGuard<K> {
    /// # Errors
    ///
    /// If the input is not JSON, or if neither the object nor its metadata decodes.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let error = match K::deserialize(&value) {
            Ok(object) => return Ok(Self(Ok(object))),
            Err(error) => redact_decode_error(error).to_string(),
        };
        let partial = PartialObjectMeta::<K>::deserialize(&value);
        let metadata =
            partial.map_err(|error| serde::de::Error::custom(redact_decode_error(error)))?.metadata;
        Ok(Self(Err(InvalidObject { error, metadata })))
    }
}

impl<K: Resource> Resource for DeserializeGuard<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn api_version(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::api_version(dt)
    }

    fn representation() -> Representation {
        K::representation()
    }

    fn complete_types(&mut self, types: &TypeMeta) {
        if let Ok(object) = &mut self.0 {
            object.complete_types(types);
        }
    }

    fn meta(&self) -> &ObjectMeta {
        match &self.0 {
            Ok(object) => object.meta(),
            Err(invalid) => &invalid.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match &mut self.0 {
            Ok(object) => object.meta_mut(),
            Err(invalid) => &mut invalid.metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ResourceExt;
    use k8s_openapi::api::core::v1::{ConfigMap, Pod};
    use serde_json::json;

    #[test]
    fn the_metadata_of_an_undecodable_object_can_be_read_and_changed() {
        let body =
            json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"containers": "secret"}});
        let mut pod: DeserializeGuard<Pod> = serde_json::from_value(body).unwrap();
        assert_eq!((pod.name_any().as_str(), pod.namespace().as_deref()), ("web", Some("shop")));
        pod.labels_mut().insert("broken".into(), "true".into());
        let invalid = pod.0.unwrap_err();
        assert_eq!(invalid.metadata.labels.unwrap()["broken"], "true");
        assert!(!invalid.error.contains("secret"), "{}", invalid.error);
    }

    #[test]
    fn a_guard_contains_an_object_that_decodes() {
        let body = json!({"metadata": {"name": "settings"}, "data": {"a": "1"}});
        let guard: DeserializeGuard<ConfigMap> = serde_json::from_value(body).unwrap();
        assert_eq!(guard.0.unwrap().data.unwrap()["a"], "1");
    }

    #[test]
    fn undecodable_metadata_is_an_error() {
        let body = json!({"metadata": {"labels": 3}});
        assert!(serde_json::from_value::<DeserializeGuard<Pod>>(body).is_err());
        assert!(serde_json::from_value::<DeserializeGuard<Pod>>(json!("text")).is_err());
    }
}
