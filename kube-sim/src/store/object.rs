//! One stored object: its JSON, and the fields that selectors, paging and garbage collection read.
//!
//! The object is stored as serialized JSON: a `Value` of a pod uses several times the memory, most reads copy the bytes
//! unchanged, and only writes need the `Value`.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;

use super::selector::Labels;

/// An object at one resource version. Immutable and shared.
#[derive(Debug)]
pub(crate) struct Stored {
    /// `namespace/name`, or the name alone: the order of lists.
    pub(crate) key: Arc<str>,
    pub(crate) version: u64,
    pub(crate) uid: Arc<str>,
    pub(crate) labels: Labels,
    /// Values of the selectable fields of the kind, in the order of `Resource::fields`.
    pub(crate) fields: Vec<String>,
    /// Uids of the owners.
    pub(crate) owners: Vec<Arc<str>>,
    /// The object in its storage version, as JSON without `apiVersion` and `kind`.
    body: Bytes,
}

impl Stored {
    /// Serializes `value` without `apiVersion` and `kind`, and extracts the indexed fields.
    pub(crate) fn new(key: Arc<str>, version: u64, fields: Vec<String>, mut value: Value) -> Self {
        if let Some(object) = value.as_object_mut() {
            object.remove("apiVersion");
            object.remove("kind");
        }
        let meta = &value["metadata"];
        let owners = meta["ownerReferences"]
            .as_array()
            .map(|refs| refs.iter().filter_map(|r| r["uid"].as_str()).map(Arc::from).collect())
            .unwrap_or_default();
        Self {
            key,
            version,
            uid: Arc::from(meta["uid"].as_str().unwrap_or_default()),
            labels: Labels::of(meta),
            fields,
            owners,
            body: Bytes::from(value.to_string()),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.key.rsplit_once('/').map_or(&*self.key, |(_, name)| name)
    }

    pub(crate) fn namespace(&self) -> &str {
        self.key.rsplit_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// The object without `apiVersion` and `kind`.
    #[expect(clippy::expect_used, reason = "the store only holds text that it wrote itself")]
    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the store only holds text that it wrote itself")
    }

    /// The object with `apiVersion` and `kind`.
    pub(crate) fn typed_value(&self, api_version: &str, kind: &str) -> Value {
        let mut value = self.value();
        value["apiVersion"] = api_version.into();
        value["kind"] = kind.into();
        value
    }

    /// The JSON without `apiVersion` and `kind`, as an item of a list of a built-in kind.
    pub(crate) fn bare(&self) -> &Bytes {
        &self.body
    }

    /// Appends the JSON, beginning with `kind` and `apiVersion`.
    pub(crate) fn write_typed(&self, api_version: &str, kind: &str, out: &mut BytesMut) {
        out.reserve(self.body.len() + api_version.len() + kind.len() + 32);
        out.put_slice(b"{\"kind\":\"");
        out.put_slice(kind.as_bytes());
        out.put_slice(b"\",\"apiVersion\":\"");
        out.put_slice(api_version.as_bytes());
        out.put_slice(b"\",");
        out.put_slice(&self.body[1..]);
    }

    /// The JSON, beginning with `kind` and `apiVersion`.
    pub(crate) fn typed(&self, api_version: &str, kind: &str) -> Bytes {
        let mut out = BytesMut::new();
        self.write_typed(api_version, kind, &mut out);
        out.freeze()
    }

    pub(crate) fn len(&self) -> usize {
        self.body.len()
    }
}

/// The key of an object; cluster-scoped objects have an empty namespace.
pub(crate) fn key(namespace: &str, name: &str) -> Arc<str> {
    if namespace.is_empty() { Arc::from(name) } else { Arc::from(format!("{namespace}/{name}")) }
}
