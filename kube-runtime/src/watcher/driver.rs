//! `Driver`: sends the requests that `step` returns, reads the responses, and waits after failures.
//!
//! `step` makes the decisions: the driver passes each part of a response to `step` as an input. All backoff waits happen
//! here.

mod collection_size;
mod diagnosis;
mod inputs;
mod noise;
mod prefetch;
mod requests;

use super::config::{Config, InitialListStrategy, ListSemantic};
use super::open_watch::OpenWatch;
use super::silence_probe::{self, SilenceProbe};
use super::step::{Capabilities, DriverAction, Failure, Input, Output, Phase, PreviousData, State, step};
use super::{Backoff, Error, Event, ExponentialBackoff, Result, Source, Storable};
use diagnosis::{Diagnosis, Stage};
use futures::{Stream, future::BoxFuture};
use inputs::{input_for_change, input_for_item, input_for_page_end, input_from_error};
use kube_client::Error as ClientError;
use kube_client::api::{EventStream, ListStream};
use kube_client::core::WatchEvent;
use prefetch::Prefetch;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep};

/// Applies while a pause is requested. If a watch has ended and at most this time remains until
/// `Driver::pause_time`, the driver pauses before it opens the next watch.
const MIN_WATCH_DURATION: Duration = Duration::from_millis(500);

/// The implementation of a watcher. Executes the decisions of `step`, and emits the events as a stream.
pub(crate) struct Driver<K> {
    source: Box<dyn Source<K>>,
    config: Config,
    backoff: ExponentialBackoff,
    /// The kinds of lists that the configuration allows, and two durations: `refused` is the time since the
    /// last rejected or stalled streaming list, and `synced` is the time since the last complete snapshot.
    /// [`advance`](Driver::advance) updates the durations before it calls `step`.
    capabilities: Capabilities,
    /// The time at which the server last rejected a streaming list, or a streaming list last stalled.
    refused_at: Option<Instant>,
    state: State,
    io: Io<K>,
    /// Detects a watch that receives neither events nor bookmarks.
    silence: SilenceProbe,
    /// The time of the last complete snapshot.
    synced_at: Option<Instant>,
    /// The planned time of the requested pause; `None` if no pause is requested.
    /// [`pause_between_watches`](Driver::pause_between_watches) sets the time and defines the pause.
    pause_time: Option<Instant>,
    /// Whether the last input was [`Input::Ended`]; `false` after a call of [`pause_between_watches`](Driver::pause_between_watches).
    watch_ended: bool,
    /// The prefetched next page of a list.
    prefetch: Option<Prefetch<K>>,
    /// Logs warnings and updates metrics. It does not influence the driver.
    diagnosis: Diagnosis,
}

/// A request whose response headers have not arrived.
type PendingResponse<K> = BoxFuture<'static, Result<Body<K>, ClientError>>;

/// The request, response or wait that the driver polls.
enum Io<K> {
    Idle,
    Waiting(Pin<Box<Sleep>>),
    Opening(PendingResponse<K>),
    Open(Body<K>),
}

/// A response body.
enum Body<K> {
    List(Box<ListStream<K>>),
    Watch(Box<OpenWatch<K>>),
}

impl<K> Driver<K> {
    pub(crate) fn new(source: Box<dyn Source<K>>, config: Config) -> Self {
        let wanted = config.initial_list_strategy == InitialListStrategy::StreamingList;
        Self {
            diagnosis: Diagnosis::new(source.resource_url(), &config),
            source,
            backoff: config.backoff.clone(),
            capabilities: Capabilities {
                streaming_lists: wanted && config.bookmarks,
                cached_lists: config.list_semantic == ListSemantic::Any,
                refused: None,
                synced: None,
            },
            refused_at: None,
            silence: SilenceProbe::new(config.probe_after),
            config,
            state: State::Start { previous: PreviousData::NONE },
            io: Io::Idle,
            synced_at: None,
            pause_time: None,
            watch_ended: false,
            prefetch: None,
        }
    }

    /// Whether the driver has not been polled yet. The answer is reliable only if
    /// [`wait_for_backoff`](Driver::wait_for_backoff) was never called.
    pub(crate) fn is_new(&self) -> bool {
        matches!((&self.state, &self.io), (State::Start { .. }, Io::Idle))
    }

    /// Sets [`Config::timeout`] for the watches that the driver opens after this call.
    pub(crate) fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.config.timeout = timeout;
    }

    /// Whether at least one snapshot is complete.
    pub(crate) fn is_synced(&self) -> bool {
        self.synced_at.is_some()
    }

    /// Requests one pause of the stream. The stream pauses when the server has ended a watch and the current
    /// time is `pause_time` minus [`MIN_WATCH_DURATION`] or later. At the pause, the stream returns `None`
    /// once. The driver opens the next watch at the next poll.
    pub(crate) fn pause_between_watches(&mut self, pause_time: Instant) {
        self.pause_time = Some(pause_time);
        // Each cycle of the [`PollCycle`](crate::poll_cycle::PollCycle) must poll at least one watch, however
        // short the cycle is. Therefore a watch that ended in an earlier cycle does not count.
        self.watch_ended = false;
    }

    /// Closes an open watch; the next poll resumes the watch. Does not interrupt a list or a wait.
    ///
    /// Keeps a watch request that has no response yet. If each cycle of a [`PollCycle`](crate::poll_cycle::PollCycle) sent
    /// another request, the client would not detect that the server never responds.
    pub(crate) fn pause(&mut self) {
        let watching = matches!(self.state, State::Watching { .. });
        if watching && matches!(self.io, Io::Open(_)) {
            self.io = Io::Idle;
        }
        self.pause_time = None;
    }

    /// Waits for the backoff after the last failure, if any.
    ///
    /// Cancel safe: the timer is kept.
    pub(crate) async fn wait_for_backoff(&mut self) {
        if let Io::Waiting(timer) = &mut self.io {
            timer.await;
            self.io = Io::Idle;
        }
    }

    /// Whether the stream must pause now: a watch has ended, and too little time remains until `pause_time` for another
    /// watch.
    fn must_pause_now(&self) -> bool {
        self.watch_ended
            && matches!(self.io, Io::Idle)
            && matches!(self.state, State::Watching { .. })
            && self.pause_time.is_some_and(|until| Instant::now() + MIN_WATCH_DURATION >= until)
    }

    /// The resource version of the last received change, bookmark or complete snapshot; `None` until the first snapshot
    /// is complete.
    pub(crate) fn resource_version(&self) -> Option<&str> {
        self.state.version()
    }

    /// Converts a failure into an error. Every error except [`Error::Object`] contains the path of the
    /// collection. Also counts each detection of restored storage.
    fn error_from(&self, failure: Failure) -> Error {
        let resource = self.source.resource_url().to_owned();
        match failure {
            Failure::List(source) => Error::InitialListFailed { resource, source },
            Failure::WatchStart(source) => Error::WatchStartFailed { resource, source },
            Failure::WatchStatus(status) => Error::WatchError { resource, status },
            Failure::Watch(source) => Error::WatchFailed { resource, source },
            Failure::TooShort => Error::WatchTooShort { resource },
            Failure::NoResourceVersion => Error::NoResourceVersion { resource },
            Failure::Restored { seen, current } => {
                silence_probe::count_restore();
                Error::StorageRestored { resource, seen, current }
            }
            Failure::Object(object) => Error::Object(object),
        }
    }
}

impl<K: Storable + Send + 'static> Driver<K> {
    /// Passes `input` to `step` and executes the output of `step`. Returns the event to emit; the caller adds the object
    /// to the event.
    fn advance(&mut self, input: Input) -> Option<Result<Event<()>>> {
        let is_item = match &input {
            Input::Item
            | Input::Changed(_)
            | Input::Deleted(_)
            | Input::Dropped(_)
            | Input::Undecodable(_) => true,
            Input::Bookmark(bookmark) => !bookmark.ends_initial_events(),
            _ => false,
        };
        if is_item {
            self.diagnosis.count_item();
        }
        if is_item || matches!(input, Input::Bookmark(_) | Input::PageDone { .. }) {
            self.silence.record_arrival();
            self.diagnosis.end_silence();
        }
        self.diagnosis.inspect_input(self.source.resource_url(), &self.state, &input);
        self.watch_ended = matches!(input, Input::Ended(_));
        // `Retry-After` overrides a shorter backoff.
        let retry_after = match &input {
            Input::Failed(_, error) => error.retry_after(),
            Input::Error(_, status) => status.retry_after(),
            _ => None,
        };
        let state = std::mem::replace(&mut self.state, State::Start { previous: PreviousData::NONE });
        self.capabilities.refused = self.refused_at.map(|at| at.elapsed());
        self.capabilities.synced = self.synced_at.map(|at| at.elapsed());
        let from = Stage::of(&state);
        let (state, output) = step(self.capabilities, state, input);
        self.state = state;
        let transition = (from, &self.state);
        self.diagnosis.record_transition(
            self.source.resource_url(),
            transition,
            &output,
            self.config.probe_after,
        );
        let Output { event, then, healthy } = output;
        if healthy {
            self.backoff.reset();
        }
        match then {
            DriverAction::Read => {}
            DriverAction::Probe => self.silence.begin(self.read_version()),
            DriverAction::Send(request) => {
                let opening = self.take_prefetched(&request);
                self.io = Io::Opening(opening.unwrap_or_else(|| self.send_request(request)));
            }
            DriverAction::Next => self.io = Io::Idle,
            DriverAction::Wait => {
                let wait = self.backoff.next().unwrap_or_default().max(retry_after.unwrap_or_default());
                tracing::debug!(resource = self.source.resource_url(), ?wait, "waiting after a failure");
                self.io = Io::Waiting(Box::pin(tokio::time::sleep(wait)));
            }
            DriverAction::GiveUpStreaming => {
                self.refused_at = Some(Instant::now());
                self.io = Io::Idle;
            }
        }
        if matches!(event, Some(Ok(Event::InitDone))) {
            self.synced_at = Some(Instant::now());
        }
        if matches!(event, Some(Ok(Event::Init))) {
            self.source.reset();
        }
        event.map(|event| event.map_err(|failure| self.error_from(failure)))
    }
}

impl<K> Body<K> {
    /// The body of a watch; see [`OpenWatch::new`].
    fn watch(stream: EventStream<K>, requested_at: Instant, stall: Option<Duration>) -> Self {
        Self::Watch(Box::new(OpenWatch::new(stream, requested_at, stall)))
    }
}

impl<K: Storable + Send + 'static> Stream for Driver<K> {
    type Item = Result<Event<K>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Io::Open(Body::Watch(watch)) = &mut this.io {
            watch.resume_stall_timer();
        }
        // Do not destructure the item: that would copy the object, which is large.
        let item = this.poll_item(cx);
        if item.is_ready()
            && let Io::Open(Body::Watch(watch)) = &mut this.io
        {
            watch.pause_stall_timer();
        }
        item
    }
}

impl<K: Storable + Send + 'static> Driver<K> {
    /// Polls for the next item, without pausing the stall timer.
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Event<K>>>> {
        let this = self;
        loop {
            if this.must_pause_now() {
                this.pause_time = None;
                return Poll::Ready(None);
            }
            this.prefetch_page(cx);
            // The objects bypass `step`: they are large, and `step` needs only their resource versions.
            let input = match &mut this.io {
                Io::Idle => Input::Ready,
                Io::Waiting(timer) => {
                    ready!(timer.as_mut().poll(cx));
                    this.io = Io::Idle;
                    continue;
                }
                Io::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Ok(body) => {
                        this.io = Io::Open(body);
                        continue;
                    }
                    Err(error) => Input::Failed(Phase::Opening, error),
                },
                Io::Open(Body::List(page)) => match ready!(Pin::new(&mut **page).poll_next(cx)) {
                    Some(Ok(object)) => {
                        this.diagnosis.count_listed_object(page.last_item_bytes());
                        let Some(item) = this.advance(input_for_item(&object)) else { continue };
                        return Poll::Ready(Some(item.map(|event| event.map(|()| object))));
                    }
                    Some(Err(error)) => input_from_error(error, Phase::Open, &*this.source),
                    None => input_for_page_end(page),
                },
                Io::Open(Body::Watch(watch)) => match Pin::new(&mut watch.stream).poll_next(cx) {
                    Poll::Ready(Some(Ok(WatchEvent::Error(status)))) => Input::Error(watch.phase(), status),
                    Poll::Ready(Some(Ok(event))) => {
                        watch.record_event(&event);
                        let bytes = watch.stream.last_event_bytes();
                        this.diagnosis.count_event(this.source.resource_url(), &event, bytes);
                        let item = input_for_change(&event).and_then(|input| this.advance(input));
                        match event {
                            WatchEvent::Added(object)
                            | WatchEvent::Modified(object)
                            | WatchEvent::Deleted(object) => {
                                let Some(item) = item else { continue };
                                return Poll::Ready(Some(item.map(|event| event.map(|()| object))));
                            }
                            // A filter replaces a dropped event by a bookmark without a kind; the server's bookmarks
                            // have a kind.
                            WatchEvent::Bookmark(bookmark)
                                if bookmark.types.kind.is_empty() && !bookmark.ends_initial_events() =>
                            {
                                Input::Dropped(bookmark.metadata.resource_version)
                            }
                            WatchEvent::Bookmark(bookmark) => Input::Bookmark(bookmark),
                            WatchEvent::Error(status) => Input::Error(Phase::Open, status),
                        }
                    }
                    Poll::Ready(Some(Err(error))) => {
                        watch.record_error(&error);
                        let phase = watch.phase_at_error(&error);
                        input_from_error(error, phase, &*this.source)
                    }
                    Poll::Ready(None) => watch.input_for_end(),
                    Poll::Pending => match watch.poll_stalled(cx) {
                        Poll::Ready(input) => input,
                        Poll::Pending => {
                            // If a part of an event has arrived, the watch is not silent.
                            if watch.stream.buffered_bytes() > 0 {
                                this.silence.record_arrival();
                            }
                            ready!(this.silence.poll(cx))
                        }
                    },
                },
            };
            match this.advance(input) {
                Some(Ok(Event::Init)) => return Poll::Ready(Some(Ok(Event::Init))),
                Some(Ok(Event::InitDone)) => return Poll::Ready(Some(Ok(Event::InitDone))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                // Events about an object are returned above, with the object.
                Some(Ok(Event::Apply(()) | Event::InitApply(()) | Event::Delete(()))) | None => {}
            }
        }
    }
}
