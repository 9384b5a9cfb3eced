//! Reflectors: caches of collections.
//!
//! A [`Writer`] applies events to a cache, and any number of [`Store`]s read the cache. [`reflector`](reflector()) passes
//! a stream of events to a writer, and emits the events; [`deltas`](deltas()) emits the changes of the store.
//! [`Store::subscribe`] emits these changes to any number of subscribers. [`Reflector`] owns a watcher and a writer, and
//! updates the cache at each [`poll`](Reflector::poll).

mod activity;
mod cache;
mod change;
mod codec;
mod compact;
mod compression;
mod cycle;
mod delta;
mod deltas;
mod handle;
mod index;
mod lookup;
mod merged;
mod missing_fields;
mod modifier;
mod object_map;
mod object_ref;
mod observers;
#[cfg(feature = "manager")]
mod overview;
mod packing;
mod page;
mod polling;
mod reflect;
mod snapshot;
pub mod store;
mod stored_object;
mod subscription;
mod wire_object;
mod writer;

pub use change::Change;
pub(crate) use change::DeltaIter;
pub use codec::Check;
pub use compact::Storage;
pub(crate) use cycle::StoreCycle;
pub use delta::{Cause, Delta, DeltaKind};
pub use deltas::{Deltas, StoreEvent, deltas};
pub use handle::{ReflectHandle, store_shared};
pub use index::{Index, indexes};
pub use lookup::Lookup;
pub(crate) use merged::WatchedDeltas;
pub use merged::{MergedDeltas, merged};
pub(crate) use modifier::modify_item;
pub(crate) use object_ref::is_owner_of_kind;
pub use object_ref::{Extra as ObjectRefExtra, ObjectRef};
#[cfg(feature = "manager")]
pub(crate) use overview::Overview;
pub use polling::Reflector;
pub use reflect::{Reflect, reflector};
pub use store::{Store, WriterDropped};
pub(crate) use stored_object::StoredObject;
pub use subscription::Subscription;
pub use writer::{Writer, store, store_with};
