#![cfg_attr(feature = "schema", doc = include_str!("../README.md"))]
//! # For maintainers
//!
//! This crate must not perform IO, read a clock or depend on an async runtime.

#[doc(hidden)]
pub mod __client;
#[doc(hidden)]
pub mod __private;
pub mod admission;
pub mod cel;
#[cfg(feature = "cel")]
mod cel_validator;
pub mod conversion;
mod converter;
pub mod crd;
pub mod discovery;
pub mod duration;
pub mod error_boundary;
mod extract_applied;
mod field_set;
pub mod gvk;
mod managed_fields;
mod merge_strategy;
pub mod metadata;
mod null;
pub mod object;
pub mod params;
mod quantity;
mod redact;
pub mod request;
mod resource;
pub mod response;
mod restart;
#[cfg(feature = "schema")]
pub mod schema;
#[cfg(feature = "cel")]
mod schema_validator;
mod selector;
mod table;
mod timestamp;
mod undecodable_object;
#[cfg(feature = "cel")]
mod validation_error;
pub mod version;
mod watch_event;
mod wire_format;

/// [`DynamicObject`] and related types. The module path is the same as in the crate `kube`.
pub mod dynamic {
    pub use super::object::{ApiResource, DynamicObject, ParseDynamicObjectError};
    pub use super::resource::DynamicResourceScope;
}

/// [`KubeletDebugParams`](kubelet_debug::KubeletDebugParams). The module path is the same as in the crate `kube`.
pub mod kubelet_debug {
    pub use super::request::KubeletDebugParams;
}

/// Label selectors. The module path is the same as in the crate `kube`.
pub mod labels {
    pub use super::selector::{Expression, ParseExpressionError, Selector, SelectorExt};
}

/// Parameters of subresources, and the type `Scale`. The module path is the same as in the crate `kube`.
pub mod subresource {
    pub use super::params::{AttachParams, EvictParams, LogParams};
    pub use k8s_openapi::api::autoscaling::v1::{Scale, ScaleSpec, ScaleStatus};
}

/// [`Restart`]. The module path is the same as in the crate `kube`.
pub mod util {
    pub use super::restart::Restart;
}

/// [`WatchEvent`] and its parts. The module path is the same as in the crate `kube`.
pub mod watch {
    pub use super::watch_event::{Bookmark, BookmarkMeta, WatchEvent};
}

pub use cel::{Message, ParseReasonError, Reason, Rule};
pub use crd::CustomResourceExt;
pub use duration::Duration;
pub use error_boundary::DeserializeGuard;
pub use extract_applied::extract_applied;
pub use field_set::{FieldSet, ParseFieldPathError};
pub use gvk::{GroupVersion, GroupVersionKind, GroupVersionResource, ParseGroupVersionError};
pub use managed_fields::applied_fields;
pub use merge_strategy::{ListMerge, MapMerge, MergeStrategy, StructMerge};
pub use metadata::{ListMeta, ObjectMeta, TypeMeta};
pub use object::{
    ApiResource, DynamicObject, HasSpec, HasStatus, NotUsed, Object, ObjectList, ParseDynamicObjectError,
    PartialObjectMeta, PartialObjectMetaExt,
};
pub use params::{
    AttachParams, DeleteParams, EvictParams, GetParams, ListParams, LogParams, LogStream, Patch, PatchParams,
    PostParams, Preconditions, PropagationPolicy, Seconds, ValidationDirective, VersionMatch, WatchParams,
};
pub use quantity::{ParseQuantityError, ParsedQuantity};
pub(crate) use redact::redact_decode_error;
pub use request::Request;
pub use resource::{
    ClusterResourceScope, ClusterScope, DynamicResourceScope, NamespaceResourceScope, NamespaceScope,
    Representation, Resource, ResourceExt, ResourceScope, SubResourceScope, api_version_from_group_version,
};
#[expect(deprecated, reason = "kube exports this name, too")]
pub use response::ErrorResponse;
pub use response::{Status, StatusCause, StatusDetails, StatusSummary, reason};
pub use restart::Restart;
pub use selector::{Expression, ParseExpressionError, Selector, SelectorExt};
pub use table::{Table, TableColumnDefinition, TableRow};
pub use undecodable_object::{ObjectOrigin, UndecodableObject};
pub use version::{ParseResourceVersionError, ResourceVersion, Version};
pub use watch_event::{Bookmark, BookmarkMeta, WatchEvent};
pub use wire_format::WireFormat;
