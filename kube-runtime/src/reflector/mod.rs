//! Reflectors: caches of collections.
//!
//! A [`Writer`] applies events, and any number of [`Store`]s read. [`reflector`](reflector()) applies a stream of
//! events to a writer; [`Reflector`] owns a watcher and a writer, and updates the cache at each
//! [`poll`](Reflector::poll).

mod compact;
mod object_map;
mod object_ref;
mod packing;
mod page;
mod polling;
mod reflect;
mod store;
mod writer;

pub use compact::Storage;
pub(crate) use object_map::key as object_key;
pub use object_ref::{Extra, ObjectRef};
pub use polling::Reflector;
pub use reflect::{Reflect, reflector};
pub use store::{Store, WriterDropped};
pub use writer::{Change, Writer, store, store_with};
