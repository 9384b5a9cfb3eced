//! Object types that fit any kind: [`Object`], [`DynamicObject`] and [`PartialObjectMeta`]. The type [`ObjectList`] is a
//! list of objects.
//!
//! The `Deserialize` impls of objects are written by hand, because derived impls with `flatten` would buffer the whole
//! object.

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
