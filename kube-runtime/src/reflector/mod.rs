//! Reflectors: a cache of a collection that mirrors the server.
//!
//! A [`Writer`] takes events, any number of [`Store`]s read. [`reflector`](reflector()) joins them to a stream of events;
//! [`Reflector`] is an object that does all of it at each call of [`poll`](Reflector::poll).

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
pub use reflect::{Reflect, reflector};
pub use store::{Store, WriterDropped};
pub use writer::{Change, Writer, store, store_with};
