//! `DynamicObject`: an object of any kind. The metadata is typed; the other fields are JSON values.

use super::ApiResource;
use crate::{DynamicResourceScope, ObjectMeta, Resource, TypeMeta};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, MapAccess, Visitor},
    ser::{Error as _, SerializeMap},
};
use serde_json::{Map, Value};
use std::{borrow::Cow, fmt};
use thiserror::Error;

/// The error for a [`DynamicObject`] that does not deserialize as the requested type.
#[derive(Debug, Error)]
#[error("parse {object} as {kind}")]
pub struct ParseDynamicObjectError {
    object: String,
    kind: &'static str,
    source: serde_json::Error,
}

/// An object whose kind is known only at run time.
///
/// ```
/// use kube_core::DynamicObject;
///
/// let text = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"a":"1"}}"#;
/// let object: DynamicObject = serde_json::from_str(text)?;
/// assert_eq!(object.data["data"]["a"], "1");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DynamicObject {
    /// `apiVersion` and `kind`. In a list of a built-in kind, the items from the server lack these fields, and an `Api` adds
    /// the fields.
    pub types: Option<TypeMeta>,
    /// The object's metadata.
    pub metadata: ObjectMeta,
    /// Every other field, as a JSON object; null means no fields.
    pub data: Value,
}

impl DynamicObject {
    /// Creates an object of the kind `resource`, without a namespace and without data.
    pub fn new(name: &str, resource: &ApiResource) -> Self {
        Self {
            types: Some(TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() }),
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            data: Value::Object(Map::new()),
        }
    }

    /// Sets all fields except the type and the metadata. `data` must be a JSON object or null: otherwise the object
    /// does not serialize.
    #[must_use]
    pub fn data(mut self, data: Value) -> Self {
        self.data = data;
        self
    }

    /// Sets the namespace.
    #[must_use]
    pub fn within(mut self, ns: &str) -> Self {
        self.metadata.namespace = Some(ns.to_owned());
        self
    }

    /// Converts the object into a type that is known at compile time.
    ///
    /// # Errors
    ///
    /// If `data` is neither a JSON object nor null, or if the object's fields do not deserialize as `K`.
    pub fn try_parse<K: Resource + DeserializeOwned>(self) -> Result<K, ParseDynamicObjectError> {
        let object = match &self.metadata.name {
            Some(name) => format!("object {name:?}"),
            None => "object without a name".to_owned(),
        };
        let parsed =
            serde_json::to_value(self).and_then(serde_json::from_value).map_err(crate::redact_decode_error);
        parsed.map_err(|source| ParseDynamicObjectError { object, kind: std::any::type_name::<K>(), source })
    }
}

impl Resource for DynamicObject {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn group(dt: &ApiResource) -> Cow<'_, str> {
        dt.group.as_str().into()
    }

    fn version(dt: &ApiResource) -> Cow<'_, str> {
        dt.version.as_str().into()
    }

    fn kind(dt: &ApiResource) -> Cow<'_, str> {
        dt.kind.as_str().into()
    }

    fn plural(dt: &ApiResource) -> Cow<'_, str> {
        dt.plural.as_str().into()
    }

    fn api_version(dt: &ApiResource) -> Cow<'_, str> {
        dt.api_version.as_str().into()
    }

    fn complete_types(&mut self, types: &TypeMeta) {
        self.types.get_or_insert_with(|| types.clone());
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Serialize for DynamicObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = match &self.data {
            Value::Object(fields) => Some(fields),
            Value::Null => None,
            _ => return Err(S::Error::custom("the data of a DynamicObject is not a JSON object")),
        };
        let mut map = serializer.serialize_map(None)?;
        if let Some(types) = &self.types {
            map.serialize_entry("apiVersion", &types.api_version)?;
            map.serialize_entry("kind", &types.kind)?;
        }
        map.serialize_entry("metadata", &self.metadata)?;
        for (key, value) in fields.into_iter().flatten() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for DynamicObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DynamicObjectVisitor)
    }
}

struct DynamicObjectVisitor;

impl<'de> Visitor<'de> for DynamicObjectVisitor {
    type Value = DynamicObject;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Kubernetes object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DynamicObject, A::Error> {
        let (mut api_version, mut kind) = (None, None);
        let mut metadata = None::<ObjectMeta>;
        let mut data = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "apiVersion" => api_version = map.next_value()?,
                "kind" => kind = map.next_value()?,
                "metadata" => metadata = map.next_value()?,
                _ => drop(data.insert(key, map.next_value()?)),
            }
        }
        Ok(DynamicObject {
            types: type_meta_of_fields(api_version, kind),
            metadata: metadata.unwrap_or_default(),
            data: Value::Object(data),
        })
    }
}

/// `apiVersion` and `kind` as a `TypeMeta`; `None` if both are missing.
pub(super) fn type_meta_of_fields(api_version: Option<String>, kind: Option<String>) -> Option<TypeMeta> {
    (api_version.is_some() || kind.is_some())
        .then(|| TypeMeta { api_version: api_version.unwrap_or_default(), kind: kind.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{ConfigMap, Pod};
    use serde_json::json;

    #[test]
    fn a_dynamic_object_round_trips_through_json_and_parses_as_a_typed_object() {
        let value =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}});
        let object: DynamicObject = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(&object).unwrap(), value);
        let parsed: ConfigMap = object.try_parse().unwrap();
        assert_eq!(parsed.data.unwrap()["a"], "1");
    }

    #[test]
    fn numbers_do_not_change_in_a_round_trip() {
        let text =
            r#"{"metadata":{},"n":[3.3057426499100186e299,9007199254740993,-9223372036854775808,0.1]}"#;
        let object: DynamicObject = serde_json::from_str(text).unwrap();
        let written = serde_json::to_string(&object).unwrap();
        assert_eq!(written.replace("e+299", "e299"), text);
    }

    #[test]
    fn the_parse_error_contains_the_name_of_the_object() {
        let pod = ApiResource::erase::<Pod>(&());
        let object = DynamicObject::new("web", &pod).data(json!({"spec": {"containers": 1}}));
        let error = object.try_parse::<Pod>().unwrap_err();
        assert!(error.to_string().contains("object \"web\""), "{error}");
        assert!(std::error::Error::source(&error).is_some());
    }

    #[test]
    fn data_that_is_not_an_object_does_not_serialize() {
        let pod = ApiResource::erase::<Pod>(&());
        assert!(serde_json::to_value(DynamicObject::new("web", &pod).data(json!([1]))).is_err());
    }
}
