//! Object types that fit any kind: [`Object`], [`DynamicObject`] and [`PartialObjectMeta`]. The type [`ObjectList`] is a
//! list of objects.
//!
//! The `Deserialize` impls of objects do not use `flatten`, because a derived impl with `flatten` buffers every field that
//! its struct does not declare.

mod api_resource;
mod dynamic;
mod list;
mod missing_field;
mod partial;
mod typed;

pub use api_resource::ApiResource;
pub use dynamic::{DynamicObject, ParseDynamicObjectError};
pub use list::ObjectList;
pub use partial::{PartialObjectMeta, PartialObjectMetaExt};
pub use typed::{HasSpec, HasStatus, NotUsed, Object};
