//! `UndecodableObject`: an object that a server sent and that does not have the shape the program asked for.

use serde::Deserialize;
use std::fmt;

/// An object that does not decode into the type asked for.
///
/// It concerns this object alone: lists and watches go on with the next. Usual causes are a type that is stricter than
/// the CRD's schema, or objects that were stored before the schema became stricter.
#[derive(Debug)]
#[non_exhaustive]
pub struct UndecodableObject {
    /// How the object came.
    pub origin: ObjectOrigin,
    /// The kind that the program asked for.
    pub expected: String,
    /// The object's name, where at least that could be read.
    pub name: Option<String>,
    /// The object's namespace; `None` for objects of the cluster.
    pub namespace: Option<String>,
    /// The object's resource version.
    pub resource_version: Option<String>,
    /// The object's uid.
    pub uid: Option<String>,
    /// What does not fit, and where in the object's text.
    pub source: serde_json::Error,
}

/// How an object came from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ObjectOrigin {
    /// In a list.
    List,
    /// In an `ADDED` event.
    Added,
    /// In a `MODIFIED` event.
    Modified,
    /// In a `DELETED` event: the object is gone, whatever it looked like.
    Deleted,
}

impl UndecodableObject {
    /// An object of which nothing but the kind is known; the other fields may be set afterwards.
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

    /// Reads the object's identity off its text, as far as there is one.
    #[cfg_attr(not(feature = "client"), expect(dead_code, reason = "only the client decodes"))]
    pub(crate) fn identified_by(mut self, text: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Identity {
            metadata: Option<Meta>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Meta {
            name: Option<String>,
            namespace: Option<String>,
            resource_version: Option<String>,
            uid: Option<String>,
        }
        if let Ok(Identity { metadata: Some(meta) }) = serde_json::from_slice(text) {
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
