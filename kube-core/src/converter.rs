//! Conversion of objects between the versions of a kind, for a conversion webhook. This module performs no IO: a webhook
//! passes each review to [`Converter::respond`].

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use thiserror::Error;

use super::{
    Resource, Status,
    conversion::{ConversionRequest, ConversionResponse, ConversionReview},
    reason, redact_decode_error,
};

/// The error for an object that cannot be converted. The text of [`Refused`](Self::Refused) contains the error of a
/// `TryFrom`, which may contain any value of the object. The text of any other variant may contain the object's kind, name,
/// `apiVersion` and field paths, but no other part of the object.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConversionError {
    /// The object's kind is not the kind that the converter converts, or the converter does not know the `apiVersion` of
    /// the object or the desired `apiVersion`.
    #[error("convert {object} to {desired:?}: {unknown:?} is no version of {kind}; the versions are {known}")]
    UnknownVersion {
        /// Kind and name of the object.
        object: String,
        /// The `apiVersion` to convert to.
        desired: String,
        /// The unknown `apiVersion`, or the object's kind if the kind is unknown.
        unknown: String,
        /// The kind that the converter converts.
        kind: String,
        /// All values of `apiVersion` that the converter supports.
        known: String,
    },
    /// The object cannot be decoded in its version, or serialized in the desired version. If the input of
    /// [`check_round_trip`](Converter::check_round_trip) cannot be serialized, `object` is the text "an object", and
    /// `api_version` is the text "its version".
    #[error("{action} {object} as {api_version}")]
    Codec {
        /// `decode` or `serialize`.
        action: &'static str,
        /// Kind and name of the object.
        object: String,
        /// The `apiVersion` in which the object cannot be decoded or serialized.
        api_version: String,
        /// The cause. If the object cannot be decoded, the cause contains no values of the object.
        source: serde_json::Error,
    },
    /// The program's `TryFrom` failed.
    #[error("convert {object} from {from} to {to}: {message}")]
    Refused {
        /// Kind and name of the object.
        object: String,
        /// The `apiVersion` of the `TryFrom`'s input: the object's `apiVersion` or the hub's.
        from: String,
        /// The `apiVersion` of the `TryFrom`'s result: the hub's `apiVersion` or the desired one.
        to: String,
        /// The error of the `TryFrom`.
        message: String,
    },
    /// The object differs after a conversion to another version and back.
    #[error("convert {object} to {through} and back: {path} has changed")]
    Lossy {
        /// Kind and name of the object.
        object: String,
        /// The `apiVersion` of the intermediate version. The object was converted to this version and back.
        through: String,
        /// The path of the first field that differs, such as `.spec.size`.
        path: String,
    },
}

/// Converts an object of one version into the hub version. See [`Converter`].
type ToHub<H> = Box<dyn Fn(Value) -> Result<H, ConversionError> + Send + Sync>;
/// Converts an object of the hub version into an object of the version of a [`Spoke`].
type FromHub<H> = Box<dyn Fn(H) -> Result<Value, ConversionError> + Send + Sync>;

/// A version of the kind, with the conversions between this version and the hub. The version may be
/// that of the hub itself.
struct Spoke<H> {
    api_version: String,
    to_hub: ToHub<H>,
    from_hub: FromHub<H>,
}

/// Converts objects between the versions of one kind. One version, the type `H`, is the hub. For every version except
/// the hub, the program implements `TryFrom` or `From` to the hub and from the hub. A conversion between two of these
/// versions goes through the hub.
///
/// The hub is usually the storage version. In the metadata, a conversion may change only labels and annotations. See
/// [Versions in CustomResourceDefinitions](https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/).
///
/// ```
/// use kube_core::{ObjectMeta, conversion::Converter};
/// use serde_json::json;
/// # use kube_derive::CustomResource;
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
/// # #[kube(crates(kube_core = "kube_core"))]
/// # #[kube(group = "example.com", version = "v1", kind = "Site", root = "SiteV1")]
/// # struct SpecV1 { port: u16 }
/// # #[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
/// # #[kube(crates(kube_core = "kube_core"))]
/// # #[kube(group = "example.com", version = "v2", kind = "Site")]
/// # struct SiteSpec { ports: Vec<u16> }
///
/// // `SiteV1` has the field `port`, and `Site`, the hub, has the field `ports`.
/// impl From<SiteV1> for Site {
///     fn from(old: SiteV1) -> Self {
///         Site { metadata: old.metadata, spec: SiteSpec { ports: vec![old.spec.port] } }
///     }
/// }
///
/// impl TryFrom<Site> for SiteV1 {
///     type Error = &'static str;
///
///     fn try_from(site: Site) -> Result<Self, Self::Error> {
///         let [port] = site.spec.ports[..] else { return Err("v1 has exactly one port") };
///         Ok(SiteV1 { metadata: site.metadata, spec: SpecV1 { port } })
///     }
/// }
///
/// let converter = Converter::<Site>::new().with_version::<SiteV1>();
/// let old = json!({"apiVersion": "example.com/v1", "kind": "Site", "metadata": {"name": "a"}, "spec": {"port": 80}});
/// let new = converter.convert(&old, "example.com/v2")?;
/// assert_eq!(new["spec"]["ports"], json!([80]));
/// assert_eq!(converter.convert(&new, "example.com/v1")?, old);
/// converter.check_round_trip(&old)?;
/// # Ok::<(), kube_core::conversion::ConversionError>(())
/// ```
pub struct Converter<H> {
    spokes: Vec<Spoke<H>>,
    kind: String,
}

impl<H> fmt::Debug for Converter<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Converter")
            .field("kind", &self.kind)
            .field("versions", &self.known_versions())
            .finish_non_exhaustive()
    }
}

impl<H> Default for Converter<H>
where
    H: Resource<DynamicType = ()> + Serialize + DeserializeOwned + 'static,
{
    fn default() -> Self {
        Self::new()
    }
}

impl<H> Converter<H> {
    /// The `apiVersion` of each known version, separated by commas.
    fn known_versions(&self) -> String {
        self.spokes.iter().map(|spoke| spoke.api_version.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn spoke(&self, api_version: &str) -> Option<&Spoke<H>> {
        self.spokes.iter().find(|spoke| spoke.api_version == api_version)
    }

    /// Converts an object to the version `desired`, such as `example.com/v2`. If the object already has this version,
    /// returns an unchanged copy.
    ///
    /// # Errors
    ///
    /// If the kind or a version is unknown, if the object does not decode as its version, if a `TryFrom` fails, or if
    /// the result does not serialize.
    pub fn convert(&self, object: &Value, desired: &str) -> Result<Value, ConversionError> {
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
        let (current, kind) = (text("apiVersion"), text("kind"));
        let unknown = |unknown: &str| ConversionError::UnknownVersion {
            object: kind_and_name(object),
            desired: desired.to_owned(),
            unknown: unknown.to_owned(),
            kind: self.kind.clone(),
            known: self.known_versions(),
        };
        if kind != self.kind {
            return Err(unknown(kind));
        }
        let from = self.spoke(current).ok_or_else(|| unknown(current))?;
        let to = self.spoke(desired).ok_or_else(|| unknown(desired))?;
        if current == desired {
            return Ok(object.clone());
        }
        let mut converted = (to.from_hub)((from.to_hub)(object.clone())?)?;
        restore_metadata(object, &mut converted);
        Ok(converted)
    }

    /// Converts an object to every other version and back, and checks that the object has not changed. Intended for
    /// property tests with generated objects.
    ///
    /// # Errors
    ///
    /// The same as for [`convert`](Self::convert), and [`ConversionError::Lossy`] with the first field that differs.
    pub fn check_round_trip<K: Serialize>(&self, object: &K) -> Result<(), ConversionError> {
        let object = encode("an object", "its version", object)?;
        let current = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        for spoke in self.spokes.iter().filter(|spoke| spoke.api_version != current) {
            let there = self.convert(&object, &spoke.api_version)?;
            let back = self.convert(&there, current)?;
            if let Some(path) = first_difference(&object, &back, "") {
                let through = spoke.api_version.clone();
                return Err(ConversionError::Lossy { object: kind_and_name(&object), through, path });
            }
        }
        Ok(())
    }

    /// Returns the answer to a review from an API server. The answer contains all objects of the request in the desired
    /// version, or the error of the first object that cannot be converted. If the review has no request, the answer is a
    /// failure with the reason `BadRequest`.
    #[must_use]
    pub fn respond(&self, review: ConversionReview) -> ConversionReview {
        let request = match ConversionRequest::from_review(review) {
            Ok(request) => request,
            Err(error) => {
                let status = Status::failure(&error.to_string(), reason::BAD_REQUEST);
                return ConversionResponse::invalid(status).into_review();
            }
        };
        let desired = &request.desired_api_version;
        let converted: Result<Vec<_>, _> =
            request.objects.iter().map(|object| self.convert(object, desired)).collect();
        let response = ConversionResponse::for_request(request);
        let response = match converted {
            Ok(objects) => response.success(objects),
            Err(error) => response.failure(Status::failure(&text_with_cause(&error), reason::INVALID)),
        };
        response.into_review()
    }
}

impl<H> Converter<H>
where
    H: Resource<DynamicType = ()> + Serialize + DeserializeOwned + 'static,
{
    /// Creates a converter that knows only the version `H`, the hub.
    #[must_use]
    pub fn new() -> Self {
        Self { spokes: Vec::new(), kind: H::kind(&()).into_owned() }.with_version::<H>()
    }

    /// Adds the version `V` of the kind. If the converter already knows the `apiVersion` of `V`, `V`
    /// replaces the earlier type.
    #[must_use]
    pub fn with_version<V>(mut self) -> Self
    where
        V: Resource<DynamicType = ()> + Serialize + DeserializeOwned + 'static,
        V: TryFrom<H, Error: fmt::Display>,
        H: TryFrom<V, Error: fmt::Display>,
    {
        let api_version = V::api_version(&()).into_owned();
        let hub = H::api_version(&()).into_owned();
        let refused = |object: &str, from: &str, to: &str, message: String| ConversionError::Refused {
            object: object.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            message,
        };
        let (version, hub_version) = (api_version.clone(), hub.clone());
        let to_hub = move |object: Value| {
            let name = kind_and_name(&object);
            let decoded: V = serde_json::from_value(object).map_err(|error| ConversionError::Codec {
                action: "decode",
                object: name.clone(),
                api_version: version.clone(),
                source: redact_decode_error(error),
            })?;
            H::try_from(decoded).map_err(|error| refused(&name, &version, &hub_version, error.to_string()))
        };
        let version = api_version.clone();
        let from_hub = move |object: H| {
            let name = format!("{} {:?}", H::kind(&()), object.meta().name.as_deref().unwrap_or_default());
            let converted =
                V::try_from(object).map_err(|error| refused(&name, &hub, &version, error.to_string()))?;
            encode(&name, &version, &converted)
        };
        self.spokes.retain(|spoke| spoke.api_version != api_version);
        self.spokes.push(Spoke { api_version, to_hub: Box::new(to_hub), from_hub: Box::new(from_hub) });
        self
    }
}

/// Serializes `value`. `object` and `api_version` describe the value in the error.
fn encode(object: &str, api_version: &str, value: &impl Serialize) -> Result<Value, ConversionError> {
    serde_json::to_value(value).map_err(|source| ConversionError::Codec {
        action: "serialize",
        object: object.to_owned(),
        api_version: api_version.to_owned(),
        source,
    })
}

/// Kind and name of an object, for errors.
fn kind_and_name(object: &Value) -> String {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = object.get("metadata").and_then(|metadata| metadata.get("name"));
    format!("{} {:?}", text(object.get("kind")), text(name))
}

/// The text of an error and of its cause, on one line.
fn text_with_cause(error: &ConversionError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Replaces the metadata of `converted` by the metadata of `object`, but keeps the labels and annotations of `converted`.
/// The server rejects a conversion that changes name, namespace or uid.
fn restore_metadata(object: &Value, converted: &mut Value) {
    let Some(Value::Object(original)) = object.get("metadata") else { return };
    let mut kept = original.clone();
    for key in ["labels", "annotations"] {
        match converted.get("metadata").and_then(|metadata| metadata.get(key)) {
            Some(value) => drop(kept.insert(key.to_owned(), value.clone())),
            None => drop(kept.remove(key)),
        }
    }
    if let Value::Object(converted) = converted {
        converted.insert("metadata".to_owned(), Value::Object(kept));
    }
}

/// The path of the first difference between `a` and `b`; `None` if they are equal. A missing field equals null.
fn first_difference(a: &Value, b: &Value, path: &str) -> Option<String> {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => x.keys().chain(y.keys()).find_map(|key| {
            let field =
                |object: &serde_json::Map<String, Value>| object.get(key).cloned().unwrap_or_default();
            first_difference(&field(x), &field(y), &format!("{path}.{key}"))
        }),
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            (0..x.len()).find_map(|index| first_difference(&x[index], &y[index], &format!("{path}[{index}]")))
        }
        _ => (a != b).then(|| path.to_owned()),
    }
}
