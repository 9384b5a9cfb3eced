//! `PackingBatches`: encodes batches of objects on other threads, while the writer applies further events.
//!
//! Encoding takes several times as long as all other work per object, and a list has many objects. This module owns
//! the in-flight batches; it must not modify the store (see `writer`).

use super::codec::Codec;
use super::page::Packed;
use kube_client::workers::{AbortOnDrop, workers};
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};
use tokio::runtime::Handle;

/// The number of objects per batch: about 1 ms of work for pods. Until a batch is stored, its objects are in memory
/// both typed and packed.
const BATCH_SIZE: usize = 16;

/// A batch of objects, and their packed forms after a call of [`pack`](Self::pack).
pub(super) struct Batch<K> {
    objects: Vec<Arc<K>>,
    packed_forms: Vec<Option<Packed>>,
}

impl<K> Batch<K> {
    /// Packs the objects.
    pub(super) fn pack(mut self, pack: impl Fn(&K) -> Option<Packed>) -> Self {
        let Self { objects, packed_forms } = &mut self;
        packed_forms.extend(objects.iter().map(|object| pack(object)));
        self
    }

    /// Each object that could be packed, with its packed form.
    pub(super) fn packed_objects(&self) -> impl Iterator<Item = (&Arc<K>, &Packed)> {
        self.objects
            .iter()
            .zip(&self.packed_forms)
            .filter_map(|(object, packed)| Some((object, packed.as_ref()?)))
    }
}

/// The incomplete batch and the in-flight batches of a writer.
pub(super) struct PackingBatches<K> {
    /// The incomplete batch, and the runtime that will pack it.
    filling: Option<(Handle, Batch<K>)>,
    /// The tasks of the in-flight batches, in order.
    tasks: VecDeque<AbortOnDrop<Batch<K>>>,
}

impl<K> Default for PackingBatches<K> {
    fn default() -> Self {
        Self { filling: None, tasks: VecDeque::new() }
    }
}

impl<K> PackingBatches<K> {
    /// Adds an object to the incomplete batch, or to a new batch if there is none. Adds nothing and returns `false` if
    /// a new batch cannot begin: the current runtime has no other threads, or two batches per worker are in flight.
    pub(super) fn add_object(&mut self, codec: &Arc<Codec<K>>, object: &Arc<K>) -> bool {
        if self.filling.is_none() {
            let Some((runtime, workers)) = workers() else { return false };
            if self.tasks.len() >= 2 * workers {
                return false;
            }
            let (objects, packed_forms) = (Vec::with_capacity(BATCH_SIZE), Vec::with_capacity(BATCH_SIZE));
            self.filling = Some((runtime, Batch { objects, packed_forms }));
        }
        if let Some((_, batch)) = &mut self.filling {
            batch.objects.push(object.clone());
            if batch.objects.len() == BATCH_SIZE {
                self.flush(codec);
            }
        }
        true
    }

    /// Spawns a task that packs the batch in `filling`. [`add_object`](Self::add_object) calls this when the
    /// batch is full. The writer must call this when no further object is expected, because the last batch
    /// may not be full.
    pub(super) fn flush(&mut self, codec: &Arc<Codec<K>>) {
        if let Some((runtime, batch)) = self.filling.take() {
            self.tasks.push_back(AbortOnDrop::new(codec.spawn_packing(&runtime, batch)));
        }
    }

    /// Returns the first in-flight batch if its task has finished. This call replaces the waker of
    /// [`poll_next`](Self::poll_next), so call `poll_next` again afterwards.
    pub(super) fn next_finished(&mut self) -> Option<Batch<K>> {
        if !self.tasks.front()?.is_finished() {
            return None;
        }
        match self.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(batch) => batch,
            Poll::Pending => None,
        }
    }

    /// The next finished batch; `None` if no batch is in flight.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Batch<K>>> {
        loop {
            let Some(task) = self.tasks.front_mut() else { return Poll::Ready(None) };
            let done = ready!(Pin::new(task).poll(cx));
            self.tasks.pop_front();
            match done {
                Ok(batch) => return Poll::Ready(Some(batch)),
                // A panic comes from the user's type: resume it. Any other error means that the runtime is shutting
                // down: the objects stay typed.
                Err(error) => {
                    if let Ok(panic) = error.try_into_panic() {
                        std::panic::resume_unwind(panic);
                    }
                }
            }
        }
    }
}
