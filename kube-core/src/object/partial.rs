//! `PartialObjectMeta`: an object reduced to its type and metadata.

use super::{DynamicObject, dynamic::type_meta_of_fields};
use crate::{ObjectMeta, Representation, Resource, TypeMeta};
use serde::{Deserialize, Deserializer, Serialize};
use std::{borrow::Cow, marker::PhantomData};

/// The metadata of an object of kind `K`, as `meta/v1 PartialObjectMetadata`.
///
/// An `Api<PartialObjectMeta<K>>` requests metadata only. This reduces network traffic, decoding time and memory.
#[derive(Serialize, Clone, Debug)]
#[serde(rename_all = "camelCase", bound(serialize = ""))]
pub struct PartialObjectMeta<K = DynamicObject> {
    /// `apiVersion` and `kind`. In a server's response, these are `meta.k8s.io/v1` and `PartialObjectMetadata`; in a
    /// request, they are those of `K`.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub types: Option<TypeMeta>,
    /// The object's metadata.
    pub metadata: ObjectMeta,
    #[serde(skip)]
    kind: PhantomData<fn() -> K>,
}

impl<K> Default for PartialObjectMeta<K> {
    fn default() -> Self {
        Self { types: None, metadata: ObjectMeta::default(), kind: PhantomData }
    }
}

impl<K> PartialEq for PartialObjectMeta<K> {
    fn eq(&self, other: &Self) -> bool {
        self.types == other.types && self.metadata == other.metadata
    }
}

impl<'de, K> Deserialize<'de> for PartialObjectMeta<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct DecodedFields {
            api_version: Option<String>,
            kind: Option<String>,
            #[serde(default)]
            metadata: ObjectMeta,
        }
        let raw = DecodedFields::deserialize(deserializer)?;
        Ok(Self::from_parts(raw.api_version, raw.kind, raw.metadata))
    }
}

impl<K> PartialObjectMeta<K> {
    /// Creates an object from the fields of its JSON form.
    #[doc(hidden)]
    pub fn from_parts(api_version: Option<String>, kind: Option<String>, metadata: ObjectMeta) -> Self {
        Self { types: type_meta_of_fields(api_version, kind), metadata, kind: PhantomData }
    }
}

/// Converts metadata into a [`PartialObjectMeta`]. Implemented for [`ObjectMeta`] only.
pub trait PartialObjectMetaExt: sealed::Sealed {
    /// Adds the `apiVersion` and `kind` of `K`, which an apply patch requires.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::Pod;
    /// use kube_core::{ObjectMeta, PartialObjectMetaExt};
    ///
    /// let partial = ObjectMeta { name: Some("web".into()), ..ObjectMeta::default() }.into_request_partial::<Pod>();
    /// assert_eq!(partial.types.unwrap().kind, "Pod");
    /// ```
    fn into_request_partial<K: Resource<DynamicType = ()>>(self) -> PartialObjectMeta<K>;
    /// Adds the `apiVersion` and `kind` of `PartialObjectMetadata`, as in a server's response.
    fn into_response_partial<K>(self) -> PartialObjectMeta<K>;
}

impl PartialObjectMetaExt for ObjectMeta {
    fn into_request_partial<K: Resource<DynamicType = ()>>(self) -> PartialObjectMeta<K> {
        PartialObjectMeta { types: Some(TypeMeta::resource::<K>()), metadata: self, kind: PhantomData }
    }

    fn into_response_partial<K>(self) -> PartialObjectMeta<K> {
        let types = TypeMeta { api_version: "meta.k8s.io/v1".into(), kind: "PartialObjectMetadata".into() };
        PartialObjectMeta { types: Some(types), metadata: self, kind: PhantomData }
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for crate::ObjectMeta {}
}

impl<K: Resource> Resource for PartialObjectMeta<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &K::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &K::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &K::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &K::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn representation() -> Representation {
        Representation::Metadata
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Pod;

    #[test]
    fn partial_object_meta_has_the_plural_of_its_type_parameter_and_requests_metadata() {
        assert_eq!(PartialObjectMeta::<Pod>::plural(&()), "pods");
        assert_eq!(PartialObjectMeta::<Pod>::representation(), Representation::Metadata);
    }

    #[test]
    fn the_metadata_of_a_whole_object_decodes() {
        let text = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web"},"spec":{"containers":[]}}"#;
        let partial: PartialObjectMeta<Pod> = serde_json::from_str(text).unwrap();
        assert_eq!(partial.metadata.name.as_deref(), Some("web"));
        let written = serde_json::to_value(&partial).unwrap();
        assert_eq!(
            written,
            serde_json::json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web"}})
        );
    }
}
