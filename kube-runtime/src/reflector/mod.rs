//! Reflectors: caches of collections.
//!
//! A [`Writer`] applies events, and any number of [`Store`]s read. [`reflector`](reflector()) applies a stream of
//! events to a writer, and emits the events; [`deltas`](deltas()) emits the changes of the store. [`Reflector`] owns a
//! watcher and a writer, and updates the cache at each [`poll`](Reflector::poll).

mod compact;
mod delta;
mod deltas;
mod lookup;
mod object_map;
mod object_ref;
mod packing;
mod page;
mod polling;
mod reflect;
mod snapshot;
mod storable;
pub mod store;
mod stored_object;
mod writer;

pub use compact::Storage;
pub use delta::{Cause, Delta, DeltaKind};
pub use deltas::{Deltas, StoreEvent, deltas};
pub use lookup::Lookup;
pub(crate) use object_ref::is_owner_of_kind;
pub use object_ref::{Extra as ObjectRefExtra, ObjectRef};
pub use polling::Reflector;
pub use reflect::{Reflect, reflector};
pub(crate) use storable::Storable;
pub use store::{Store, WriterDropped};
pub(crate) use writer::DeltaIter;
pub use writer::{Change, Writer, store, store_with};
