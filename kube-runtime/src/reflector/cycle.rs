//! `StoreCycle`: polls a watcher in cycles, for one store. For a compact store, the watcher packs the text of each object,
//! unless the store needs decoded objects.

use super::stored_object::StoredObject;
use super::wire_object::{self, WireObject};
use super::writer::Writer;
use crate::poll_cycle::PollCycle;
use crate::watcher::{ApiSource, Config, Event, RawSource, Result};
use kube_client::{Api, Resource};
use serde::de::DeserializeOwned;
use std::{
    task::{Context, Poll},
    time::Duration,
};

/// A watcher that is polled in cycles, for one store.
pub(crate) enum StoreCycle<K> {
    Typed(PollCycle<K>),
    /// For a compact store that does not need decoded objects: the watcher packs the text of each object.
    Packed(PollCycle<WireObject>),
}

impl<K: Resource + DeserializeOwned + Send + 'static> StoreCycle<K> {
    /// A watcher for the store of `writer`.
    pub(crate) fn new(api: Api<K>, config: Config, writer: &Writer<K>) -> Self {
        if let Some(convert) = writer.text_packer_for(&api) {
            let source = RawSource::without_filters(api, &config, convert);
            Self::Packed(PollCycle::new(Box::new(source), config))
        } else {
            let source = ApiSource::without_filters(api, &config);
            Self::Typed(PollCycle::new(Box::new(source), config))
        }
    }

    /// See [`PollCycle::set_timeout`].
    pub(crate) fn set_timeout(&mut self, timeout: Duration) {
        match self {
            Self::Typed(cycle) => cycle.set_timeout(timeout),
            Self::Packed(cycle) => cycle.set_timeout(timeout),
        }
    }

    /// See [`PollCycle::begin`].
    pub(crate) fn begin(&mut self) {
        match self {
            Self::Typed(cycle) => cycle.begin(),
            Self::Packed(cycle) => cycle.begin(),
        }
    }

    /// See [`PollCycle::next`].
    pub(crate) async fn next(&mut self, writer: &Writer<K>) -> Option<Result<Event<StoredObject<K>>>> {
        match self {
            Self::Typed(cycle) => cycle.next().await.map(|item| writer.prepare_item(item)),
            Self::Packed(cycle) => cycle.next().await.map(wire_object::into_stored_item),
        }
    }

    /// See [`PollCycle::poll_event`].
    pub(crate) fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
        writer: &Writer<K>,
    ) -> Poll<Option<Result<Event<StoredObject<K>>>>> {
        match self {
            Self::Typed(cycle) => cycle.poll_event(cx).map(|item| item.map(|item| writer.prepare_item(item))),
            Self::Packed(cycle) => cycle.poll_event(cx).map(|item| item.map(wire_object::into_stored_item)),
        }
    }

    /// See [`PollCycle::resource_version`].
    pub(crate) fn resource_version(&self) -> Option<&str> {
        match self {
            Self::Typed(cycle) => cycle.resource_version(),
            Self::Packed(cycle) => cycle.resource_version(),
        }
    }
}
