//! One stored object: its JSON, and the values that selectors, paging and garbage collection read.
//!
//! Objects are stored as serialized JSON because a `Value` uses several times the memory. Most reads of clients copy
//! the bytes unchanged, without a `Value`.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;

use super::selector::Labels;
use crate::schema::Schema;

/// An object at one resource version. It is immutable and shared by `Arc`.
#[derive(Debug)]
pub(crate) struct StoredObject {
    /// `NAMESPACE/NAME`, or the name of a cluster-scoped object. Lists are in the order of the keys.
    pub(crate) key: Arc<str>,
    pub(crate) version: u64,
    pub(crate) uid: Arc<str>,
    pub(crate) labels: Labels,
    /// The values of the selectable fields, in the order of `Resource::fields`.
    pub(crate) fields: Arc<[Box<str>]>,
    /// Whether the object has a deletionTimestamp.
    pub(crate) is_terminating: bool,
    /// The uids in the owner references.
    pub(crate) owners: Vec<Arc<str>>,
    /// The API version of the object; `None` for a built-in kind, which has one storage version.
    pub(crate) api_version: Option<Arc<str>>,
    /// The schema with which the server has defaulted and pruned a custom resource. `None` for a built-in kind, or if
    /// the schema is unknown.
    pub(crate) schema: Option<Arc<Schema>>,
    /// The object in its storage version, as JSON without `apiVersion` and `kind`.
    body: Bytes,
}

impl StoredObject {
    /// Serializes `value` without `apiVersion` and `kind`, and extracts the uid, the labels, the owners and
    /// `is_terminating`. `fields` are the values of the selectable fields.
    pub(crate) fn new(key: Arc<str>, version: u64, fields: Arc<[Box<str>]>, mut value: Value) -> Self {
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
            is_terminating: meta["deletionTimestamp"].is_string(),
            owners,
            api_version: None,
            schema: None,
            body: without_spare_capacity(value.to_string()),
        }
    }

    /// An object of a built-in kind from its JSON without `apiVersion` and `kind`. The object is not terminating, and has no
    /// owners.
    pub(super) fn from_text(key: Arc<str>, version: u64, uid: &str, body: String) -> Self {
        Self {
            key,
            version,
            uid: Arc::from(uid),
            labels: Labels::default(),
            fields: Arc::default(),
            is_terminating: false,
            owners: Vec::new(),
            api_version: None,
            schema: None,
            body: without_spare_capacity(body),
        }
    }

    /// Sets the labels and the values of the selectable fields, which the JSON contains too.
    pub(super) fn with_labels_and_fields(self, labels: Labels, fields: Arc<[Box<str>]>) -> Self {
        Self { labels, fields, ..self }
    }

    /// Sets the API version of the object.
    pub(crate) fn with_api_version(self, api_version: Option<Arc<str>>) -> Self {
        Self { api_version, ..self }
    }

    /// Sets the schema with which the server has defaulted and pruned the object.
    pub(crate) fn with_schema(self, schema: Option<Arc<Schema>>) -> Self {
        Self { schema, ..self }
    }

    /// Shares the key, the uid, the labels and the values of the selectable fields with `before`, an earlier version of
    /// the object, if they are equal in both versions. This saves memory, because the history keeps both versions.
    pub(super) fn share_values_with(mut self, before: Option<&Self>) -> Self {
        if let Some(before) = before {
            if self.key == before.key {
                self.key = before.key.clone();
            }
            if self.uid == before.uid {
                self.uid = before.uid.clone();
            }
            if self.labels == before.labels {
                self.labels = before.labels.clone();
            }
            if self.fields == before.fields {
                self.fields = before.fields.clone();
            }
        }
        self
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
        #[cfg(test)]
        DECODE_COUNT.set(decode_count() + 1);
        serde_json::from_slice(&self.body).expect("the store only holds text that it wrote itself")
    }

    /// The object with `apiVersion` and `kind`.
    pub(crate) fn typed_value(&self, api_version: &str, kind: &str) -> Value {
        let mut value = self.value();
        value["apiVersion"] = api_version.into();
        value["kind"] = kind.into();
        value
    }

    /// The JSON without `apiVersion` and `kind`: the form of an item in a list of a built-in kind.
    pub(crate) fn bare_json(&self) -> &Bytes {
        &self.body
    }

    /// Appends the JSON to `out`, with `kind` and `apiVersion` as the first fields.
    pub(crate) fn write_typed(&self, api_version: &str, kind: &str, out: &mut BytesMut) {
        out.reserve(self.body.len() + api_version.len() + kind.len() + 32);
        out.put_slice(b"{\"kind\":\"");
        out.put_slice(kind.as_bytes());
        out.put_slice(b"\",\"apiVersion\":\"");
        out.put_slice(api_version.as_bytes());
        out.put_slice(b"\",");
        out.put_slice(&self.body[1..]);
    }

    /// The JSON with `kind` and `apiVersion` as the first fields.
    pub(crate) fn typed_json(&self, api_version: &str, kind: &str) -> Bytes {
        let mut out = BytesMut::new();
        self.write_typed(api_version, kind, &mut out);
        out.freeze()
    }

    /// The size of the JSON without `apiVersion` and `kind`, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.body.len()
    }
}

/// Converts a text to `Bytes` without spare capacity. `Bytes::from(text)` would keep the spare capacity of
/// the `String`, and use up to twice the memory.
fn without_spare_capacity(text: String) -> Bytes {
    Bytes::from(text.into_bytes().into_boxed_slice())
}

#[cfg(test)]
thread_local! {
    static DECODE_COUNT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// The number of times that this thread has decoded an object.
#[cfg(test)]
pub(crate) fn decode_count() -> usize {
    DECODE_COUNT.get()
}

/// The key of an object in its table. `namespace` is empty for a cluster-scoped object.
pub(crate) fn key(namespace: &str, name: &str) -> Arc<str> {
    if namespace.is_empty() { Arc::from(name) } else { Arc::from(format!("{namespace}/{name}")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_versions_of_an_object_share_equal_values() {
        let stored = |uid: &str, label: &str| {
            let value = json!({"metadata": {"uid": uid, "labels": {"a": label}}});
            StoredObject::new(Arc::from("x"), 1, Arc::from(["f".into()]), value)
        };
        let before = stored("u", "b");
        let same = stored("u", "b").share_values_with(Some(&before));
        assert!(Arc::ptr_eq(&same.key, &before.key) && Arc::ptr_eq(&same.fields, &before.fields));
        assert!(Arc::ptr_eq(&same.uid, &before.uid) && same.labels.is_shared_with(&before.labels));
        let other = stored("v", "c").share_values_with(Some(&before));
        assert_eq!((&*other.uid, other.labels.get("a")), ("v", Some("c")));
    }

    #[test]
    fn the_text_has_no_spare_capacity() {
        let mut text = String::with_capacity(100);
        text.push_str("{}");
        // The vector takes over the memory of the `Bytes`, so its capacity is the size of that memory.
        assert_eq!(Vec::from(without_spare_capacity(text)).capacity(), 2);
    }
}
