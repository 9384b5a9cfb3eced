//! `WireFormat`: the choice between JSON and Protobuf.

/// The format in which a client reads objects. A client always writes JSON.
///
/// Protobuf needs about two thirds of the bytes of JSON, and the API server encodes it in a quarter of the time. API
/// servers support Protobuf for built-in kinds and, in requests for metadata only, for all kinds. A client reads other
/// objects, such as custom resources, as JSON. If a server refuses Protobuf for a kind (406 or 415), the client remembers
/// the kind, and repeats the request with JSON as the requested format. The client decodes each response by its
/// `Content-Type`.
///
/// This crate knows the Protobuf fields of Kubernetes 1.33 to 1.37, and drops Protobuf fields that only newer servers
/// have. A [`DynamicObject`](super::DynamicObject) from Protobuf therefore lacks the fields of newer servers, and a replace
/// with this object would remove these fields on the server. A `DynamicObject` from JSON has all fields.
///
/// ```
/// use kube_core::WireFormat;
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
    /// Protobuf where possible for lists and watches, whose responses are large. JSON for get, because a
    /// program often changes the object and writes it, and a Protobuf object may lack fields.
    Auto,
}
