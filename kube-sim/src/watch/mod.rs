//! Watches: each watch has a cursor into the history of a resource, and emits frames when it is polled.
//!
//! A watch must not queue the events that a slow client has not read. The watch reads them later from the history,
//! which all watches share. A watch ends if the history no longer contains its next event.

mod conversion;
mod event_encoder;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::time::{Instant, Sleep};

use crate::controllers;
use crate::handler::accept::Accept;
use crate::handler::convert;
use crate::handler::options::Options;
use crate::handler::read::Filter;
use crate::handler::target::Target;
use crate::registry::Resource;
use crate::shared_state::{Inner, WatchList};
use crate::status::SimError;
use crate::store::State;
use crate::store::cache::Arrival;
use crate::store::object::StoredObject;
use crate::store::table::{Change, Event};
use conversion::{Conversion, UnsentEvent};
use event_encoder::EventEncoder;

/// Maximum number of open watches; further requests get 429.
pub(crate) const MAX_WATCHES: usize = 20_000;

/// Maximum number of changes that one poll reads from the history. It is also the maximum number of initial
/// objects in one [`Conversion`].
const MAX_CHANGES_PER_POLL: usize = 64;

/// Time from the last bookmark of a watch to the timeout of the watch.
const LAST_BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);

/// An open watch.
#[expect(clippy::struct_excessive_bools, reason = "each flag is independent of the others")]
pub(crate) struct Watch {
    inner: Arc<Inner>,
    id: u64,
    /// The number of the API server that serves the watch.
    server: usize,
    resource: Arc<Resource>,
    filter: Filter,
    encoder: EventEncoder,
    /// The unsent objects of the initial list, which precede all changes.
    initial: VecDeque<Arc<StoredObject>>,
    /// Whether to send the bookmark that marks the end of the initial list.
    send_initial_end: bool,
    /// The encoded frames that the client has not read.
    ready: VecDeque<Bytes>,
    /// The version up to which the watch has processed all changes.
    cursor: u64,
    /// Whether the client requests bookmarks.
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
    last_bookmark_sent: bool,
    timer: Pin<Box<Sleep>>,
    closed: bool,
    /// Whether a webhook converts the objects.
    converts: bool,
    /// The conversion of the next objects, while it is in progress.
    conversion: Option<Conversion>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("id", &self.id).field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

/// Checks that the cache is fresh enough for the initial list of a watch with `sendInitialEvents`.
///
/// # Errors
/// 504 for a version that the cache has not reached.
fn check_cache_version(state: &mut State, arrival: Arrival, version: Option<u64>) -> Result<(), SimError> {
    let wanted = version.unwrap_or(arrival.version);
    let cached = state.cache_version(arrival.server);
    if wanted > cached { Err(SimError::too_large_resource_version(wanted, cached)) } else { Ok(()) }
}

/// Opens a watch.
///
/// # Errors
/// 400 or 422 for invalid selectors or options, 429 for too many open watches, 504 if the watch cache has not reached the
/// version of the initial list. After a 504, the caller waits, and then calls the function again. If `arrival.waits` is
/// false, or if the store has not reached the version either, the result is a watch that sends an `ERROR` event instead.
/// A watch at an expired resource version also sends an `ERROR` event.
pub(crate) fn open(
    inner: &Arc<Inner>,
    arrival: Arrival,
    target: &Target,
    options: &Options,
    accept: Accept,
) -> Result<Watch, SimError> {
    let watch_list = inner.settings.watch_list;
    let mut options = options.clone();
    if watch_list == WatchList::Ignored && options.send_initial.take().is_some() {
        options.clear_version_match();
    }
    options.check_watch(watch_list == WatchList::Offered)?;
    let filter = Filter::new(target, &options)?;
    let mut state = inner.lock();
    if state.watcher_count() >= MAX_WATCHES {
        return Err(SimError::too_many_requests("too many watches are open, please try again later", 1));
    }
    let storage = &target.resource.storage;
    let from = options.version.unwrap_or(0);
    let send_initial_list = options.send_initial.unwrap_or(from == 0);
    let mut listed = Vec::new();
    let mut ready = VecDeque::new();
    let mut closed = false;
    let encoder = EventEncoder::new(target.resource.clone(), accept, state.clock.clone());
    // A watch with `sendInitialEvents` fails if the watch cache has not reached the requested version. Any other watch
    // waits until the watch cache passes the version.
    if options.send_initial == Some(true)
        && let Err(error) = check_cache_version(&mut state, arrival, options.version)
    {
        // After this error, the caller waits for the cache, and calls this function again. Return the error only if
        // the store has already reached the version: otherwise the wait cannot help.
        if arrival.waits && options.version.is_none_or(|version| version <= state.version()) {
            return Err(error);
        }
        ready.push_back(encoder.encode_error(&error));
        closed = true;
    } else if send_initial_list {
        // The read cannot fail: the history contains all changes after the version of the cache.
        listed = state.cache_view(arrival.server).objects(storage, &target.namespace).unwrap_or_default();
    } else if from != 0
        && let Err(compacted) = state.check_watch_start(arrival.server, storage, from)
    {
        let text = format!("too old resource version: {from} ({})", compacted.oldest);
        ready.push_back(encoder.encode_error(&SimError::expired(text)));
        closed = true;
    }
    let cursor = if send_initial_list || from == 0 { state.cache_version(arrival.server) } else { from };
    let now = Instant::now();
    let timeout = options
        .timeout
        .filter(|t| !t.is_zero())
        .unwrap_or_else(|| Duration::from_secs(1800 + inner.lock_random().below(1800)));
    let interval = inner.settings.bookmark_interval;
    let id = state.allocate_watch_id();
    // Release the lock: `to_read_form` decodes custom resources, and all other requests would wait for the lock meanwhile.
    drop(state);
    let objects = listed.into_iter().map(|object| convert::to_read_form(&target.resource, object));
    let initial = objects.filter(|object| filter.matches(object)).collect();
    Ok(Watch {
        inner: inner.clone(),
        id,
        server: arrival.server,
        resource: target.resource.clone(),
        filter,
        encoder,
        initial,
        send_initial_end: options.send_initial == Some(true) && options.bookmarks,
        ready,
        cursor,
        bookmarks: options.bookmarks,
        next_bookmark: now + interval,
        end: now + timeout.min(MAX_WATCH_TIMEOUT),
        last_bookmark_sent: !options.bookmarks || timeout <= LAST_BOOKMARK_BEFORE_END,
        timer: Box::pin(tokio::time::sleep_until(now)),
        closed,
        converts: Conversion::is_needed(&target.resource),
        conversion: None,
    })
}

/// Upper limit of `timeoutSeconds`.
const MAX_WATCH_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

impl Watch {
    /// Returns the next frame; `None` at the end of the watch.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Poll::Ready(Some(frame));
            }
            if self.closed {
                return Poll::Ready(None);
            }
            if let Some(conversion) = &mut self.conversion {
                let converted = std::task::ready!(conversion.poll(cx));
                self.conversion = None;
                self.finish_conversion(converted);
                continue;
            }
            if self.converts && !self.initial.is_empty() {
                let count = self.initial.len().min(MAX_CHANGES_PER_POLL);
                let added = |object| UnsentEvent { change: Change::Added, object, version: None };
                let items = self.initial.drain(..count).map(added).collect();
                self.start_conversion(items);
                continue;
            }
            if let Some(object) = self.initial.pop_front() {
                return Poll::Ready(Some(self.encoder.encode_object(Change::Added, &object)));
            }
            if self.send_initial_end {
                self.send_initial_end = false;
                let annotations = json!({"k8s.io/initial-events-end": "true"});
                return Poll::Ready(Some(self.encoder.encode_bookmark(self.cursor, Some(annotations))));
            }
            if self.advance(cx) {
                return Poll::Pending;
            }
        }
    }

    /// Processes new changes, bookmarks and the timeout. Returns true if the watch must wait; the waker of `cx` is then
    /// registered.
    fn advance(&mut self, cx: &mut Context<'_>) -> bool {
        let now = Instant::now();
        let inner = self.inner.clone();
        let mut state = inner.lock();
        controllers::run(&mut state);
        if state.is_watch_ended(self.server, self.id) {
            self.closed = true;
            return false;
        }
        let is_redefined = self.resource.custom_properties().is_some() && self.is_resource_redefined(&state);
        let Ok(mut changes) = state.cache_view(self.server).changes_after(
            &self.resource.storage,
            self.cursor,
            MAX_CHANGES_PER_POLL,
        ) else {
            // The history no longer contains the next change. The watch ends, as the API server's watch cache ends a
            // slow watch.
            self.closed = true;
            return false;
        };
        if is_redefined {
            let last = state.restarted_at(&self.resource.storage);
            changes.retain(|event| event.version <= last);
        }
        if let Some(last) = changes.last() {
            self.cursor = last.version;
            drop(state);
            self.process_changes(changes);
            return false;
        }
        let resource = &self.resource;
        let served = state.registry.find(&resource.group, &resource.version, &resource.plural).is_some();
        if !served || is_redefined || now >= self.end {
            self.closed = true;
            return false;
        }
        // With a future version in the request, or after a restore, the cursor can be ahead of the watch cache. Then no
        // bookmark is sent.
        let version = state.cache_version(self.server);
        let reached = self.cursor <= version;
        self.cursor = self.cursor.max(version);
        let mut due = false;
        if self.bookmarks && now >= self.next_bookmark {
            self.next_bookmark = now + self.inner.settings.bookmark_interval;
            due = true;
        } else if !self.last_bookmark_sent && now >= self.end - LAST_BOOKMARK_BEFORE_END {
            self.last_bookmark_sent = true;
            due = true;
        }
        if due && reached {
            self.ready.push_back(self.encoder.encode_bookmark(self.cursor, None));
        }
        if due {
            return false;
        }
        state.wake_on_change(&self.resource.storage, self.id, cx.waker());
        let next_change = state.next_cache_change(self.server);
        let wake = self.next_wake(state.next_due().into_iter().chain(next_change).min());
        drop(state);
        self.timer.as_mut().reset(wake);
        self.timer.as_mut().poll(cx).is_pending()
    }

    /// Encodes changes, or starts their conversion.
    fn process_changes(&mut self, mut changes: Vec<Arc<Event>>) {
        if self.resource.custom_properties().is_some() {
            let read = |object: &Arc<StoredObject>| convert::to_read_form(&self.resource, object.clone());
            changes = changes.iter().map(|event| event.to_read_form(&self.resource, read)).collect();
        }
        if self.converts {
            let items: Vec<_> = changes.iter().filter_map(|event| self.unsent_event(event)).collect();
            if !items.is_empty() {
                self.start_conversion(items);
            }
            return;
        }
        for event in &changes {
            if let Some(frame) = self.encode_change(event) {
                self.ready.push_back(frame);
            }
        }
    }

    /// The time at which the timer must wake the watch: the earliest of `due`, the next bookmark and the timeout. At `due`,
    /// a controller runs or the watch cache gets a change.
    fn next_wake(&self, due: Option<Instant>) -> Instant {
        let mut wake = self.end;
        if self.bookmarks {
            wake = wake.min(self.next_bookmark);
        }
        if !self.last_bookmark_sent {
            wake = wake.min(self.end - LAST_BOOKMARK_BEFORE_END);
        }
        due.map_or(wake, |due| wake.min(due))
    }

    /// Whether the spec or the accepted names of the resource's CustomResourceDefinition have changed since the watch was
    /// opened.
    fn is_resource_redefined(&self, state: &State) -> bool {
        let resource = &self.resource;
        let now = state.registry.find(&resource.group, &resource.version, &resource.plural);
        let revision =
            |resource: &Resource| resource.custom_properties().map(|custom| Arc::as_ptr(&custom.revision));
        now.is_some_and(|now| revision(now) != revision(resource))
    }

    /// Starts the conversion of the next objects.
    fn start_conversion(&mut self, items: Vec<UnsentEvent>) {
        self.conversion = Some(Conversion::start(self.inner.clone(), self.resource.clone(), items));
    }

    /// Encodes converted objects. A failed conversion ends the watch.
    fn finish_conversion(&mut self, converted: Result<Vec<UnsentEvent>, SimError>) {
        match converted {
            Ok(items) => {
                for UnsentEvent { change, object, version } in items {
                    let version = version.unwrap_or(object.version);
                    self.ready.push_back(self.encoder.encode_object_at(change, &object, version));
                }
            }
            Err(error) => {
                self.ready.push_back(self.encoder.encode_error(&error));
                self.closed = true;
            }
        }
    }

    /// The event to send for a change; `None` if the filter selects neither the old nor the new state.
    fn unsent_event(&self, event: &Event) -> Option<UnsentEvent> {
        let selected = event.change != Change::Deleted && self.filter.matches(&event.object);
        let before = event.previous.as_ref().filter(|p| self.filter.matches(p));
        let item = |change, object: &Arc<StoredObject>, version| UnsentEvent {
            change,
            object: object.clone(),
            version,
        };
        match (selected, before) {
            (true, Some(_)) => Some(item(Change::Modified, &event.object, None)),
            (true, None) => Some(item(Change::Added, &event.object, None)),
            (false, Some(_)) if event.change == Change::Deleted => {
                Some(item(Change::Deleted, &event.object, None))
            }
            (false, Some(before)) => Some(item(Change::Deleted, before, Some(event.version))),
            (false, None) => None,
        }
    }

    /// The frame of a change; `None` if the filter selects neither the old nor the new state.
    fn encode_change(&mut self, event: &Event) -> Option<Bytes> {
        let selected = event.change != Change::Deleted && self.filter.matches(&event.object);
        let before = event.previous.as_ref().filter(|p| self.filter.matches(p));
        match (selected, before) {
            (true, Some(_)) => Some(self.encoder.encode_event(event, Change::Modified)),
            (true, None) => Some(self.encoder.encode_event(event, Change::Added)),
            (false, Some(_)) if event.change == Change::Deleted => {
                Some(self.encoder.encode_event(event, Change::Deleted))
            }
            // The filter no longer selects the object: send a DELETED event with the last state that the filter
            // selected.
            (false, Some(before)) => {
                Some(self.encoder.encode_object_at(Change::Deleted, before, event.version))
            }
            (false, None) => None,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.inner.lock().table_mut(&self.resource.storage).remove_watcher(self.id);
    }
}

#[cfg(test)]
mod tests;
