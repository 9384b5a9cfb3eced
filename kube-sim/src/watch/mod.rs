//! Watches: a cursor into a table's history that writes frames when it is polled.
//!
//! A watch holds no buffer of its own: it reads from the history, and one that falls behind what the history keeps is
//! cut off. Whoever reads slowly therefore costs the server nothing.

mod shape;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::time::{Instant, Sleep};

use crate::handler::accept::Accept;
use crate::handler::gc;
use crate::handler::options::Options;
use crate::handler::read::{self, Filter};
use crate::handler::target::Target;
use crate::registry::Resource;
use crate::shared::{Inner, WatchList};
use crate::status::SimError;
use crate::store::State;
use crate::store::object::Stored;
use crate::store::table::{Change, Event};
use shape::Shaper;

/// Watches that may be open at a time; one more is answered with 429.
pub(crate) const MOST_WATCHES: usize = 20_000;

/// Changes that one poll takes out of the history.
const BATCH: usize = 64;

/// How long before its end a watch sends its last bookmark.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);

/// An open watch.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a stage that is passed once, independent of the others"
)]
pub(crate) struct Watch {
    inner: Arc<Inner>,
    id: u64,
    resource: Arc<Resource>,
    filter: Filter,
    shaper: Shaper,
    /// State to send before the changes.
    initial: VecDeque<Arc<Stored>>,
    /// Whether the end of the initial state is to be told.
    tell_end: bool,
    ready: VecDeque<Bytes>,
    /// Changes up to this version were looked at.
    cursor: u64,
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
    last_bookmark_sent: bool,
    timer: Pin<Box<Sleep>>,
    closed: bool,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("id", &self.id).field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

/// Opens a watch.
///
/// # Errors
/// For selectors and options that the server refuses. A version that cannot be served is an `ERROR` event of the watch.
pub(crate) fn open(
    inner: &Arc<Inner>,
    state: &mut State,
    target: &Target,
    options: &Options,
    accept: Accept,
) -> Result<Watch, SimError> {
    let watch_list = inner.settings.watch_list;
    let mut options = options.clone();
    if watch_list == WatchList::Ignored && options.send_initial.take().is_some() {
        options.forget_version_match();
    }
    options.check_watch(watch_list == WatchList::Offered)?;
    let filter = Filter::new(target, &options)?;
    if state.watchers() >= MOST_WATCHES {
        return Err(SimError::too_many_requests("too many watches are open, please try again later", 1));
    }
    let storage = &target.resource.storage;
    let from = options.version.unwrap_or(0);
    let send_state = options.send_initial.unwrap_or(from == 0);
    let mut initial = VecDeque::new();
    let mut ready = VecDeque::new();
    let mut closed = false;
    let shaper = Shaper::new(target.resource.clone(), accept, state.clock);
    // Only the initial state needs a version that the storage has reached. A watch for changes waits until it is passed.
    if options.send_initial == Some(true)
        && let Err(error) = read::check_reached(state, options.version)
    {
        ready.push_back(Shaper::error(&error));
        closed = true;
    } else if send_state {
        let objects = state.table(storage).map(|t| t.objects(&target.namespace)).unwrap_or_default();
        initial.extend(objects.into_iter().filter(|o| filter.matches(o)));
    } else if from != 0
        && let Some(Err(compacted)) = state.table(storage).map(|t| t.check_kept(from))
    {
        let text = format!("too old resource version: {from} ({})", compacted.oldest);
        ready.push_back(Shaper::error(&SimError::expired(text)));
        closed = true;
    }
    let cursor = if send_state || from == 0 { state.version() } else { from };
    let now = Instant::now();
    let patience = options
        .timeout
        .filter(|t| !t.is_zero())
        .unwrap_or_else(|| Duration::from_secs(1800 + state.random.below(1800)));
    let interval = inner.settings.bookmark_interval;
    let id = state.new_watcher();
    Ok(Watch {
        inner: inner.clone(),
        id,
        resource: target.resource.clone(),
        filter,
        shaper,
        initial,
        tell_end: options.send_initial == Some(true) && options.bookmarks,
        ready,
        cursor,
        bookmarks: options.bookmarks,
        next_bookmark: now + interval,
        end: now + patience.min(MOST_PATIENCE),
        last_bookmark_sent: !options.bookmarks || patience <= LAST_BOOKMARK,
        timer: Box::pin(tokio::time::sleep_until(now)),
        closed,
    })
}

/// No watch lasts longer, whatever it asks for.
const MOST_PATIENCE: Duration = Duration::from_secs(24 * 3600);

impl Watch {
    /// The next frame; `None` at the end of the watch.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Poll::Ready(Some(frame));
            }
            if self.closed {
                return Poll::Ready(None);
            }
            if let Some(object) = self.initial.pop_front() {
                return Poll::Ready(Some(self.shaper.object(Change::Added, &object)));
            }
            if self.tell_end {
                self.tell_end = false;
                let annotations = json!({"k8s.io/initial-events-end": "true"});
                return Poll::Ready(Some(self.shaper.bookmark(self.cursor, Some(annotations))));
            }
            if self.advance(cx) {
                return Poll::Pending;
            }
        }
    }

    /// Looks at what is new; true when there is nothing to do but wait.
    fn advance(&mut self, cx: &mut Context<'_>) -> bool {
        let now = Instant::now();
        let inner = self.inner.clone();
        let mut state = inner.lock();
        gc::run_due(&mut state);
        if state.is_ended(self.id) {
            self.closed = true;
            return false;
        }
        let changes = match state.table(&self.resource.storage) {
            Some(table) => table.changes_after(self.cursor, BATCH),
            None => Ok(Vec::new()),
        };
        let Ok(changes) = changes else {
            // It fell behind what the history keeps: the connection ends, as for every watcher that is too slow.
            self.closed = true;
            return false;
        };
        if let Some(last) = changes.last() {
            self.cursor = last.version;
            drop(state);
            for event in &changes {
                if let Some(frame) = self.frame(event) {
                    self.ready.push_back(frame);
                }
            }
            return false;
        }
        let resource = &self.resource;
        let served = state.registry.find(&resource.group, &resource.version, &resource.plural).is_some();
        if !served || now >= self.end {
            self.closed = true;
            return false;
        }
        // A version that the storage has not reached gets no bookmark: neither before it does, nor after a restore.
        let reached = self.cursor <= state.version();
        self.cursor = self.cursor.max(state.version());
        let mut due = false;
        if self.bookmarks && now >= self.next_bookmark {
            self.next_bookmark = now + self.inner.settings.bookmark_interval;
            due = true;
        } else if !self.last_bookmark_sent && now >= self.end - LAST_BOOKMARK {
            self.last_bookmark_sent = true;
            due = true;
        }
        if due && reached {
            self.ready.push_back(self.shaper.bookmark(self.cursor, None));
        }
        if due {
            return false;
        }
        state.wake_on_change(&self.resource.storage, self.id, cx.waker());
        let wake = self.next_wake(state.next_due());
        drop(state);
        self.timer.as_mut().reset(wake);
        self.timer.as_mut().poll(cx).is_pending()
    }

    fn next_wake(&self, due: Option<Instant>) -> Instant {
        let mut wake = self.end;
        if self.bookmarks {
            wake = wake.min(self.next_bookmark);
        }
        if !self.last_bookmark_sent {
            wake = wake.min(self.end - LAST_BOOKMARK);
        }
        due.map_or(wake, |due| wake.min(due))
    }

    /// The frame of a change, as far as this watch sees it.
    fn frame(&mut self, event: &Event) -> Option<Bytes> {
        let now = event.change != Change::Deleted && self.filter.matches(&event.object);
        let before = event.previous.as_ref().filter(|p| self.filter.matches(p));
        match (now, before) {
            (true, Some(_)) => Some(self.shaper.event(event, Change::Modified)),
            (true, None) => Some(self.shaper.event(event, Change::Added)),
            (false, Some(_)) if event.change == Change::Deleted => {
                Some(self.shaper.event(event, Change::Deleted))
            }
            // It left the selection: gone for this watch, in the last state that it could see.
            (false, Some(before)) => Some(self.shaper.object_at(Change::Deleted, before, event.version)),
            (false, None) => None,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.inner.lock().table_mut(&self.resource.storage).forget_watcher(self.id);
    }
}
