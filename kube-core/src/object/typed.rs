//! `Object<P, U>`: an object with a spec of type `P` and a status of type `U`. The program defines both types, and may
//! leave out fields that it does not need.

use super::{ApiResource, missing_field};
use crate::{DynamicResourceScope, ObjectMeta, Resource, TypeMeta};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{IgnoredAny, MapAccess, Visitor},
    ser::SerializeMap,
};
use std::{borrow::Cow, fmt, marker::PhantomData};

/// Kinds that have a spec.
pub trait HasSpec {
    /// The spec's type.
    type Spec;
    /// The spec.
    fn spec(&self) -> &Self::Spec;
    /// The spec, mutable.
    fn spec_mut(&mut self) -> &mut Self::Spec;
}

/// Kinds that have a status.
pub trait HasStatus {
    /// The status's type.
    type Status;
    /// The status; `None` until a controller sets it.
    fn status(&self) -> Option<&Self::Status>;
    /// The status, mutable.
    fn status_mut(&mut self) -> &mut Option<Self::Status>;
}

/// An object of any kind, with a spec `P` and a status `U` that declare only the fields that the program needs.
///
/// The decoder skips fields that `P` and `U` do not declare, without allocating memory for them. Do not send this
/// object in a replace request: the request would remove the skipped fields. A merge patch keeps the skipped fields,
/// except in lists, because the patch replaces a list as a whole.
///
/// ```
/// use kube_core::{NotUsed, Object};
/// use serde::Deserialize;
///
/// #[derive(Clone, Debug, Deserialize)]
/// struct Replicas {
///     replicas: Option<i32>,
/// }
///
/// let text = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},
///                "spec":{"replicas":3,"template":{}},"status":{"readyReplicas":2}}"#;
/// let web: Object<Replicas, NotUsed> = serde_json::from_str(text)?;
/// assert_eq!(web.spec.replicas, Some(3));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Object<P, U> {
    /// `apiVersion` and `kind`. In a list of a built-in kind, the items from the server lack these fields, and an `Api` adds
    /// the fields.
    pub types: Option<TypeMeta>,
    /// The object's metadata.
    pub metadata: ObjectMeta,
    /// The desired state.
    pub spec: P,
    /// The observed state.
    pub status: Option<U>,
}

impl<P, U> Object<P, U> {
    /// Creates an object of the kind `ar`, without a namespace.
    pub fn new(name: &str, ar: &ApiResource, spec: P) -> Self {
        Self {
            types: Some(TypeMeta { api_version: ar.api_version.clone(), kind: ar.kind.clone() }),
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            spec,
            status: None,
        }
    }

    /// Sets the namespace.
    #[must_use]
    pub fn within(mut self, ns: &str) -> Self {
        self.metadata.namespace = Some(ns.to_owned());
        self
    }
}

impl<P, U> Resource for Object<P, U> {
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

impl<P, U> HasSpec for Object<P, U> {
    type Spec = P;

    fn spec(&self) -> &P {
        &self.spec
    }

    fn spec_mut(&mut self) -> &mut P {
        &mut self.spec
    }
}

impl<P, U> HasStatus for Object<P, U> {
    type Status = U;

    fn status(&self) -> Option<&U> {
        self.status.as_ref()
    }

    fn status_mut(&mut self) -> &mut Option<U> {
        &mut self.status
    }
}

impl<P: Serialize, U: Serialize> Serialize for Object<P, U> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(types) = &self.types {
            map.serialize_entry("apiVersion", &types.api_version)?;
            map.serialize_entry("kind", &types.kind)?;
        }
        map.serialize_entry("metadata", &self.metadata)?;
        map.serialize_entry("spec", &self.spec)?;
        if let Some(status) = &self.status {
            map.serialize_entry("status", status)?;
        }
        map.end()
    }
}

impl<'de, P: Deserialize<'de>, U: Deserialize<'de>> Deserialize<'de> for Object<P, U> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<P, U>(PhantomData<(P, U)>);

/// The name of a field of an object. The visitor skips a field with another name (`Other`).
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum FieldName {
    ApiVersion,
    Kind,
    Metadata,
    Spec,
    Status,
    #[serde(other)]
    Other,
}

impl<'de, P: Deserialize<'de>, U: Deserialize<'de>> Visitor<'de> for ObjectVisitor<P, U> {
    type Value = Object<P, U>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Kubernetes object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut api_version, mut kind) = (None::<Option<String>>, None::<Option<String>>);
        let (mut metadata, mut spec, mut status) = (None::<Option<ObjectMeta>>, None, None);
        while let Some(field) = map.next_key()? {
            match field {
                FieldName::ApiVersion => api_version = Some(map.next_value()?),
                FieldName::Kind => kind = Some(map.next_value()?),
                FieldName::Metadata => metadata = Some(map.next_value()?),
                FieldName::Spec => spec = Some(map.next_value()?),
                FieldName::Status => status = map.next_value()?,
                FieldName::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Object {
            types: super::dynamic::type_meta_of_fields(api_version.flatten(), kind.flatten()),
            metadata: metadata.flatten().unwrap_or_default(),
            spec: spec.map_or_else(|| missing_field::deserialize_missing_field("spec"), Ok)?,
            status,
        })
    }
}

/// A spec or status that the program does not use: the decoder skips its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NotUsed {}

impl<'de> Deserialize<'de> for NotUsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SkipVisitor;
        impl<'de> Visitor<'de> for SkipVisitor {
            type Value = NotUsed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_none<E>(self) -> Result<NotUsed, E> {
                Ok(NotUsed {})
            }

            fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<NotUsed, D::Error> {
                IgnoredAny::deserialize(value).map(|_| NotUsed {})
            }
        }
        deserializer.deserialize_option(SkipVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Spec {
        replicas: i32,
    }

    #[test]
    fn an_object_keeps_declared_fields_and_skips_others() {
        let value = json!({"kind": "Deployment", "apiVersion": "apps/v1", "extra": {"a": [1, {"b": null}]},
            "metadata": {"name": "web"}, "spec": {"replicas": 2, "template": {"x": 1}}, "status": null});
        let object: Object<Spec, NotUsed> = serde_json::from_value(value).unwrap();
        assert_eq!(object.spec, Spec { replicas: 2 });
        assert_eq!(object.types.as_ref().unwrap().kind, "Deployment");
        assert_eq!(object.status, None);
        let written = serde_json::to_value(&object).unwrap();
        assert_eq!(
            written,
            json!({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "web"}, "spec": {"replicas": 2}})
        );
    }

    #[test]
    fn a_missing_spec_is_an_error_unless_it_is_optional() {
        let text = r#"{"metadata":{"name":"web"}}"#;
        let error = serde_json::from_str::<Object<Spec, NotUsed>>(text).unwrap_err();
        assert!(error.to_string().contains("missing field `spec`"), "{error}");
        assert!(serde_json::from_str::<Object<Option<Spec>, NotUsed>>(text).unwrap().spec.is_none());
        assert_eq!(serde_json::from_str::<Object<NotUsed, NotUsed>>(text).unwrap().spec, NotUsed {});
    }
}
