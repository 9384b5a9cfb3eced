//! Reflectors: caches of collections.
//!
//! A [`Writer`] applies events, and any number of [`Store`]s read. [`reflector`](reflector()) applies a stream of
//! events to a writer; [`Reflector`] owns a watcher and a writer, and updates the cache at each
//! [`poll`](Reflector::poll).

mod compact;
mod object;
mod object_ref;
mod objects;
mod packing;
mod page;
mod reflect;
mod store;
mod writer;

pub use compact::Storage;
pub use object::Reflector;
pub use object_ref::{Extra, ObjectRef};
pub(crate) use objects::key as object_key;
pub use reflect::{Reflect, reflector};
pub use store::{Store, WriterDropped};
pub use writer::{Change, Writer, store, store_with};
