//! Objects over types of one's own choice: [`Object`], [`DynamicObject`], [`PartialObjectMeta`], and lists of them.
//!
//! Decoding is written by hand, so that an incomplete type costs only the fields that it names: nothing is buffered, and
//! what no field asks for is skipped in the text.

mod absent;
mod api_resource;
mod dynamic;
mod list;
mod partial;
mod typed;

pub use api_resource::ApiResource;
pub use dynamic::{DynamicObject, ParseDynamicObjectError};
pub use list::ObjectList;
pub use partial::{PartialObjectMeta, PartialObjectMetaExt};
pub use typed::{HasSpec, HasStatus, NotUsed, Object};
