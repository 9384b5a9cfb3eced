//! `WireFormat`: the choice between JSON and Protobuf.

/// The format in which a client reads objects. Writes are JSON.
///
/// Protobuf takes about two thirds of the bytes, and the API server encodes it in a quarter of the time. API servers
/// support Protobuf for built-in kinds and, in requests for metadata only, for all kinds. A client reads other objects,
/// such as custom resources, as JSON. If a server refuses Protobuf for a kind (406 or 415), the client repeats the
/// request for JSON and remembers the kind. The client decodes each response by its `Content-Type`.
///
/// This crate knows the Protobuf fields of Kubernetes 1.33 to 1.37, and drops fields of newer servers. Unlike with
/// JSON, a [`DynamicObject`](super::DynamicObject) therefore lacks such fields, and a replace with this object would
/// remove them on the server.
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
    /// Protobuf where possible for lists and watches, whose responses are large. JSON for get: a program often changes
    /// the object and writes it, and a Protobuf object may lack fields.
    Auto,
}
