//! `WireFormat`: the choice between JSON and Protobuf.

/// The format in which a client reads objects. Writes are JSON.
///
/// Protobuf takes about two thirds of the bytes, and the API server encodes it in a quarter of the time. It exists for
/// built-in kinds and, if only their metadata is read, for all kinds. A client reads custom resources, and kinds that
/// have no Protobuf, as JSON. If a server refuses Protobuf for a kind (406 or 415), the client repeats the request for
/// JSON and remembers the kind. Each response is decoded by its `Content-Type`.
///
/// This crate knows the Protobuf fields of Kubernetes 1.33 to 1.37. Unlike with JSON, a
/// [`DynamicObject`](super::DynamicObject) has no fields that a newer server added, and replacing such an object
/// would remove them.
///
/// ```
/// use kube_client::core::WireFormat;
///
/// assert_eq!(WireFormat::default(), WireFormat::Json);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WireFormat {
    /// JSON for all requests: the default.
    #[default]
    Json,
    /// Protobuf where possible, for get, list and watch.
    Protobuf,
    /// Protobuf where possible for lists and watches, where its size matters. JSON for get, because a program often
    /// changes and writes the object.
    Auto,
}
