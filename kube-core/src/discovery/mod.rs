//! The capabilities of a resource, from discovery: its scope, its verbs and its subresources.

pub mod v2;
pub mod verbs;

pub use crate::ApiResource;

/// The scope of a resource: its objects are in namespaces, or belong to the whole cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Objects have no namespace.
    Cluster,
    /// Each object is in a namespace.
    Namespaced,
}

/// The scope, the verbs and the subresources of a resource.
///
/// ```
/// use kube_core::discovery::{ApiCapabilities, Scope, verbs};
///
/// let bindings = ApiCapabilities {
///     scope: Scope::Namespaced,
///     subresources: Vec::new(),
///     operations: vec![verbs::CREATE.to_owned()],
/// };
/// assert!(bindings.supports_operation(verbs::CREATE));
/// assert!(!bindings.supports_operation(verbs::LIST));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiCapabilities {
    /// The scope of the resource.
    pub scope: Scope,
    /// The subresources, in the order in which the server lists them.
    ///
    /// Their [`plural`](ApiResource::plural) is the name of the subresource alone, such as `status`. Their group,
    /// version and kind are those of the objects that the subresource returns: `autoscaling/v1 Scale` for `scale`.
    pub subresources: Vec<(ApiResource, ApiCapabilities)>,
    /// The verbs that the resource supports, such as those in [`verbs`].
    pub operations: Vec<String>,
}

impl ApiCapabilities {
    /// Whether the resource has this verb.
    pub fn supports_operation(&self, operation: &str) -> bool {
        self.operations.iter().any(|verb| verb == operation)
    }
}
