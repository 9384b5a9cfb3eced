//! `UndecodableObject`: the error for an undecodable object of a list or a watch.

use serde::Deserialize;
use std::fmt;

/// The error for an object that does not decode into the requested type.
///
/// The error affects a single object. A `ListStream` or a watch continues with the next object; a method that
/// returns a whole list fails. Usual causes are a Rust type that is stricter than the CRD's schema, and
/// objects that were stored before the schema became stricter.
#[derive(Debug)]
#[non_exhaustive]
pub struct UndecodableObject {
    /// The origin of the object: a list, or an `ADDED`, `MODIFIED` or `DELETED` event of a watch.
    pub origin: ObjectOrigin,
    /// The requested kind. Some errors of kube-runtime contain the name of the requested Rust type instead.
    pub expected: String,
    /// The object's name; `None` if the object's metadata is not readable.
    pub name: Option<String>,
    /// The object's namespace; `None` for a cluster-scoped object, or if the object's metadata is not readable.
    pub namespace: Option<String>,
    /// The object's resource version; `None` if the object's metadata is not readable.
    pub resource_version: Option<String>,
    /// The object's uid; `None` if the object's metadata is not readable.
    pub uid: Option<String>,
    /// The error of the decoder, with the position in the object's JSON.
    pub source: serde_json::Error,
}

/// The origin of an object: a list, or a type of watch event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ObjectOrigin {
    /// An item of a list.
    List,
    /// The object of an `ADDED` event.
    Added,
    /// The object of a `MODIFIED` event.
    Modified,
    /// The object of a `DELETED` event. The object is deleted, even if its last state does not decode.
    Deleted,
}

impl UndecodableObject {
    /// Creates an error without the object's name, namespace, resource version and uid. Set these fields afterwards.
    pub fn new(expected: &str, origin: ObjectOrigin, source: serde_json::Error) -> Self {
        Self {
            origin,
            expected: expected.to_owned(),
            name: None,
            namespace: None,
            resource_version: None,
            uid: None,
            source,
        }
    }

    /// Sets name, namespace, resource version and uid from the object's JSON, if the metadata is readable.
    #[doc(hidden)]
    pub fn with_identity_from_json(mut self, json: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct ObjectIdentity {
            metadata: Option<IdentityFields>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct IdentityFields {
            name: Option<String>,
            namespace: Option<String>,
            resource_version: Option<String>,
            uid: Option<String>,
        }
        if let Ok(ObjectIdentity { metadata: Some(meta) }) = serde_json::from_slice(json) {
            self.name = meta.name;
            self.namespace = meta.namespace;
            self.resource_version = meta.resource_version;
            self.uid = meta.uid;
        }
        self
    }
}

impl fmt::Display for UndecodableObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "decode {} ", self.expected)?;
        match (&self.namespace, &self.name) {
            (Some(namespace), Some(name)) => write!(f, "{namespace}/{name}"),
            (None, Some(name)) => f.write_str(name),
            _ => f.write_str("without a readable name"),
        }?;
        f.write_str(match self.origin {
            ObjectOrigin::List => " of a list",
            ObjectOrigin::Added => " of an ADDED event",
            ObjectOrigin::Modified => " of a MODIFIED event",
            ObjectOrigin::Deleted => " of a DELETED event",
        })
    }
}

impl std::error::Error for UndecodableObject {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
