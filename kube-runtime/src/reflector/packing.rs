//! `Packing`: objects that become text on other threads, while the writer goes on with those behind them.
//!
//! To write an object as text takes several times as long as all else that a store does with it, and a list brings many at
//! once. Owns what is on its way; what becomes of it is the writer's to say.

use super::compact::{Codec, Scratch};
use super::page::Packed;
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::JoinHandle;

/// How many objects go together: about a millisecond's work for pods, and little beside a store while they are held twice.
const BATCH: usize = 16;
/// More threads than that wait for the one that feeds them.
const MOST: usize = 16;

/// Objects, and their texts once there are any.
pub(super) struct Batch<K> {
    objects: Vec<Arc<K>>,
    texts: Vec<Option<Packed>>,
    scratch: Scratch,
}

impl<K> Batch<K> {
    /// Puts in the texts.
    pub(super) fn pack(mut self, pack: impl Fn(&K, &mut Scratch) -> Option<Packed>) -> Self {
        let Self { objects, texts, scratch } = &mut self;
        texts.extend(objects.iter().map(|object| pack(object, scratch)));
        self
    }

    /// Every object that has a text, with it.
    pub(super) fn packed(&self) -> impl Iterator<Item = (&Arc<K>, &Packed)> {
        self.objects.iter().zip(&self.texts).filter_map(|(object, text)| Some((object, text.as_ref()?)))
    }
}

/// A task that ends with its owner.
struct Task<K>(JoinHandle<Batch<K>>);

impl<K> Drop for Task<K> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Objects on their way to becoming text.
pub(super) struct Packing<K> {
    /// The batch that is being filled, and where it will go.
    filling: Option<(Handle, Batch<K>)>,
    tasks: VecDeque<Task<K>>,
    /// Of batches that are done.
    spare: Vec<Scratch>,
    /// Whether more objects are expected.
    more: bool,
}

impl<K> Default for Packing<K> {
    fn default() -> Self {
        Self { filling: None, tasks: VecDeque::new(), spare: Vec::new(), more: false }
    }
}

impl<K> Packing<K> {
    /// Takes an object; not if there are no other threads, or if they have enough to do.
    pub(super) fn take(&mut self, codec: &Arc<Codec<K>>, object: &Arc<K>) -> bool {
        if self.filling.is_none() {
            let Some((runtime, threads)) = threads() else { return false };
            if self.tasks.len() >= 2 * threads {
                return false;
            }
            let scratch = self.spare.pop().unwrap_or_default();
            let (objects, texts) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
            self.filling = Some((runtime, Batch { objects, texts, scratch }));
            self.more = true;
        }
        if let Some((_, batch)) = &mut self.filling {
            batch.objects.push(object.clone());
            if batch.objects.len() == BATCH {
                self.send(codec);
            }
        }
        true
    }

    /// There is no further object for now.
    pub(super) fn flush(&mut self, codec: &Arc<Codec<K>>) {
        self.send(codec);
        self.more = false;
    }

    fn send(&mut self, codec: &Arc<Codec<K>>) {
        if let Some((runtime, batch)) = self.filling.take() {
            self.tasks.push_back(Task(codec.start(&runtime, batch)));
        }
    }

    /// A batch that is done, if there is one; whoever waits for one in [`poll_next`](Self::poll_next) has to do so again.
    pub(super) fn next_done(&mut self) -> Option<Batch<K>> {
        if !self.tasks.front()?.0.is_finished() {
            return None;
        }
        match self.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(batch) => batch,
            Poll::Pending => None,
        }
    }

    /// The next batch that is done; `None` if none is on its way.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Batch<K>>> {
        loop {
            let Some(task) = self.tasks.front_mut() else { return Poll::Ready(None) };
            let done = ready!(Pin::new(&mut task.0).poll(cx));
            self.tasks.pop_front();
            match done {
                Ok(batch) => return Poll::Ready(Some(batch)),
                // The type's own code panicked. Where the runtime is shutting down instead, its objects stay what they are.
                Err(error) => {
                    if let Ok(panic) = error.try_into_panic() {
                        std::panic::resume_unwind(panic);
                    }
                }
            }
        }
    }

    /// Takes back what the next batch can use of one that is done with. After the last one it is given up, since it may be
    /// large, and not before: pieces that come and go while a store is filled leave a heap in which room is hard to find.
    pub(super) fn reuse(&mut self, batch: Batch<K>) {
        if !self.more && self.tasks.is_empty() {
            self.spare.clear();
        } else {
            self.spare.push(batch.scratch);
        }
    }
}

/// Where other threads are, and how many.
fn threads() -> Option<(Handle, usize)> {
    let runtime = Handle::try_current().ok()?;
    if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
        return None;
    }
    let threads = runtime.metrics().num_workers().min(MOST);
    (threads > 1).then_some((runtime, threads))
}
