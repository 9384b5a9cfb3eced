//! `Driver`: sends the requests that `step` returns, reads the responses, and waits after failures.
//!
//! It makes no decisions: every response becomes an input of `step`. All backoff waits happen here.

use super::config::{Config, InitialListStrategy, ListSemantic};
use super::filter::{EarlyFilter, EarlyFilters};
use super::open_watch::{OpenWatch, STALL_LIMIT};
use super::silence_probe::{self, SilenceProbe};
use super::step::{
    Capabilities, DriverAction, Failure, Input, Output, PageRequest, Phase, Previous, Request, State, step,
};
use super::{Backoff, Error, Event, ExponentialBackoff, Result};
use futures::{Stream, StreamExt, future::BoxFuture};
use kube_client::api::{EventStream, ListStream};
use kube_client::core::WatchEvent;
use kube_client::{Api, Error as ClientError, Resource};
use serde::de::DeserializeOwned;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep};

/// The minimum `timeoutSeconds` of a streaming list, because its initial events may take long to arrive.
const MIN_STREAMING_TIMEOUT: Duration = Duration::from_secs(60);
/// The driver opens no further watch if less time than this remains until the pause.
const MIN_WATCH_DURATION: Duration = Duration::from_millis(500);

/// A relist waits first if less time than this has passed since the previous list. Otherwise the driver would list in
/// a loop if a server sends one event and a 410 after each list.
const MIN_RELIST_INTERVAL: Duration = Duration::from_secs(1);

/// A running watcher.
pub(crate) struct Driver<K> {
    api: Api<K>,
    config: Config,
    backoff: ExponentialBackoff,
    /// The kinds of lists that the driver may request.
    capabilities: Capabilities,
    /// When the server last rejected a streaming list or did not complete its initial events.
    refused_at: Option<Instant>,
    state: State,
    io: Io<K>,
    /// Detects a watch without events and bookmarks.
    silence: SilenceProbe,
    /// When the last snapshot was complete.
    synced_at: Option<Instant>,
    /// The time at which the stream pauses; see [`pause_at`](Driver::pause_at).
    pause_time: Option<Instant>,
    /// Whether the last input was the end of a watch.
    watch_ended: bool,
    /// The prefetched next page of a list.
    prefetch: Option<Prefetch<K>>,
    /// Filters that run before objects are decoded.
    filters: EarlyFilters<K>,
}

/// A prefetched page of a list. The server prepares it while the client decodes the previous page.
struct Prefetch<K> {
    /// The continue token of the page.
    token: String,
    response: PrefetchState<K>,
}

/// The state of the request for a prefetched page.
enum PrefetchState<K> {
    Awaited(Opening<K>),
    Arrived(Box<Result<Body<K>, ClientError>>),
}

/// A request whose response headers have not arrived.
type Opening<K> = BoxFuture<'static, Result<Body<K>, ClientError>>;

/// The request, response or wait that the driver polls.
enum Io<K> {
    Idle,
    Waiting(Pin<Box<Sleep>>),
    Opening(Opening<K>),
    Open(Body<K>),
}

/// A response body.
enum Body<K> {
    List(Box<ListStream<K>>),
    Watch(Box<OpenWatch<K>>),
}

impl<K> Driver<K> {
    pub(crate) fn new(api: Api<K>, config: Config) -> Self {
        let wanted = config.initial_list_strategy == InitialListStrategy::StreamingList;
        Self {
            api: api.skip_fields(config.skip_fields.clone()),
            backoff: config.backoff.clone(),
            capabilities: Capabilities {
                streaming_lists: wanted && config.bookmarks,
                cached_lists: config.list_semantic == ListSemantic::Any,
                refused: None,
            },
            refused_at: None,
            silence: SilenceProbe::new(config.probe_after),
            config,
            state: State::Start { previous: Previous::NONE },
            io: Io::Idle,
            synced_at: None,
            pause_time: None,
            watch_ended: false,
            prefetch: None,
            filters: EarlyFilters::default(),
        }
    }

    /// Adds a filter that runs before objects are decoded.
    pub(crate) fn add_filter(&self, filter: Box<dyn EarlyFilter<K>>) {
        self.filters.add(filter);
    }

    /// Sets [`Config::timeout`] for the watches that the driver opens after this call.
    pub(crate) fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.config.timeout = timeout;
    }

    /// Whether at least one snapshot is complete.
    pub(crate) fn is_synced(&self) -> bool {
        self.synced_at.is_some()
    }

    /// Pauses the stream once: when the server ends a watch close to `until`, the stream returns `None` instead of
    /// opening another watch.
    pub(crate) fn pause_at(&mut self, until: Instant) {
        self.pause_time = Some(until);
        // Ignore a watch that ended in an earlier [`Cycle`](crate::cycle::Cycle): each cycle polls at least one watch,
        // however short the cycle is.
        self.watch_ended = false;
    }

    /// Closes an open watch; the next poll resumes it. Keeps a list or a wait in progress.
    ///
    /// Also keeps a watch request without a response. If each [`Cycle`](crate::cycle::Cycle) sent a new request, the
    /// client would not detect that the server never responds.
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

    /// Whether the stream pauses now, between two watches, because the next watch would end immediately.
    fn pauses_now(&self) -> bool {
        self.watch_ended
            && matches!(self.io, Io::Idle)
            && matches!(self.state, State::Watching { .. })
            && self.pause_time.is_some_and(|until| Instant::now() + MIN_WATCH_DURATION >= until)
    }

    /// The resource version of the last received change; `None` until the first snapshot is complete.
    pub(crate) fn resource_version(&self) -> Option<&str> {
        self.state.version()
    }

    /// Adds the path of the collection to a failure.
    fn error_from(&self, failure: Failure) -> Error {
        let resource = self.api.resource_url().to_owned();
        match failure {
            Failure::List(source) => Error::InitialListFailed { resource, source },
            Failure::WatchStart(source) => Error::WatchStartFailed { resource, source },
            Failure::WatchStatus(status) => Error::WatchError { resource, status },
            Failure::Watch(source) => Error::WatchFailed { resource, source },
            Failure::TooShort => Error::WatchTooShort { resource },
            Failure::NoResourceVersion => Error::NoResourceVersion { resource },
            Failure::Restored { seen, current } => {
                tracing::warn!(
                    resource,
                    seen,
                    current,
                    "the storage was restored to an earlier state: relisting"
                );
                silence_probe::count_restore();
                Error::StorageRestored { resource, seen, current }
            }
            Failure::Object(object) => Error::Object(object),
        }
    }
}

impl<K: Resource + DeserializeOwned + Send + 'static> Driver<K> {
    /// Passes `input` to `step` and executes its output. Returns the event to emit, without its object, which the
    /// caller adds.
    fn advance(&mut self, input: Input) -> Option<Result<Event<()>>> {
        let received = matches!(
            input,
            Input::Changed(_)
                | Input::Deleted(_)
                | Input::Bookmark(_)
                | Input::Dropped(_)
                | Input::Undecodable(_)
                | Input::PageDone { .. }
        );
        if received {
            self.silence.record();
        }
        self.watch_ended = matches!(input, Input::Ended(_));
        // `Retry-After` overrides a shorter backoff.
        let retry_after = match &input {
            Input::Failed(_, error) => error.retry_after(),
            Input::Error(_, status) => status.retry_after(),
            _ => None,
        };
        let state = std::mem::replace(&mut self.state, State::Start { previous: Previous::NONE });
        self.capabilities.refused = self.refused_at.map(|at| at.elapsed());
        let (state, Output { event, then, healthy }) = step(self.capabilities, state, input);
        self.state = state;
        if healthy {
            self.backoff.reset();
        }
        let relists_too_early = matches!(self.state, State::Start { .. })
            && self.synced_at.is_some_and(|at| at.elapsed() < MIN_RELIST_INTERVAL);
        match if then == DriverAction::Next && relists_too_early { DriverAction::Wait } else { then } {
            DriverAction::Read => {}
            DriverAction::Probe => self.silence.begin(self.read_version()),
            DriverAction::Send(request) => {
                let opening = self.take_prefetched(&request);
                self.io = Io::Opening(opening.unwrap_or_else(|| self.open(request)));
            }
            DriverAction::Next => self.io = Io::Idle,
            DriverAction::Wait => {
                let wait = self.backoff.next().unwrap_or_default().max(retry_after.unwrap_or_default());
                tracing::debug!(resource = self.api.resource_url(), ?wait, "waiting after a failure");
                self.io = Io::Waiting(Box::pin(tokio::time::sleep(wait)));
            }
            DriverAction::GiveUpStreaming => {
                tracing::debug!(
                    resource = self.api.resource_url(),
                    "streaming lists are not supported: falling back to paged lists"
                );
                self.refused_at = Some(Instant::now());
                self.io = Io::Idle;
            }
        }
        if matches!(event, Some(Ok(Event::InitDone))) {
            self.synced_at = Some(Instant::now());
        }
        if matches!(event, Some(Ok(Event::Init))) {
            self.filters.reset();
        }
        event.map(|event| event.map_err(|failure| self.error_from(failure)))
    }

    /// Requests the next page as soon as its continue token arrives, so that decoding does not pause between two
    /// pages. Reads the body of the next page only after the current page is complete.
    fn prefetch_page(&mut self, cx: &mut Context<'_>) {
        let Io::Open(Body::List(stream)) = &self.io else { return };
        if self.prefetch.is_none()
            && let Some(token) = stream.continue_token()
        {
            let token = token.to_owned();
            let page = PageRequest { token: Some(token.clone()), ..PageRequest::default() };
            self.prefetch = Some(Prefetch { token, response: PrefetchState::Awaited(self.open_list(&page)) });
        }
        if let Some(Prefetch { response, .. }) = &mut self.prefetch
            && let PrefetchState::Awaited(opening) = response
            && let Poll::Ready(arrived) = opening.as_mut().poll(cx)
        {
            *response = PrefetchState::Arrived(Box::new(arrived));
        }
        if stream.metadata().is_some()
            && let Some(Prefetch { response: PrefetchState::Arrived(arrived), .. }) = &mut self.prefetch
            && let Ok(Body::List(next)) = &mut **arrived
        {
            next.read_ahead(cx);
        }
    }

    /// Returns the prefetched response if it is for `request`; otherwise drops it.
    fn take_prefetched(&mut self, request: &Request) -> Option<Opening<K>> {
        let Prefetch { token, response } = self.prefetch.take()?;
        match request {
            Request::List(PageRequest { token: Some(wanted), unpaged: false, .. }) if *wanted == token => {
                Some(match response {
                    PrefetchState::Awaited(opening) => opening,
                    PrefetchState::Arrived(response) => Box::pin(std::future::ready(*response)),
                })
            }
            _ => None,
        }
    }

    /// Sends a request. The returned future completes when the response headers have arrived.
    fn open(&self, request: Request) -> Opening<K> {
        let api = self.api.clone();
        let mut wp = self.config.watch_params();
        // Adds jitter, so that watches that start together do not reconnect together.
        if wp.timeout.is_none() {
            wp.timeout = Some(crate::random::shorten_randomly(wp.effective_timeout()));
        }
        // The age of the watch counts from the request: a paused caller may read the response long after the server
        // ended the watch.
        let requested_at = Instant::now();
        let filters = self.filters.clone();
        match request {
            Request::List(page) => self.open_list(&page),
            Request::StreamingList => Box::pin(async move {
                let timeout = wp.effective_timeout().max(MIN_STREAMING_TIMEOUT);
                let stream = api.watch(&wp.timeout(timeout).initial_events(), "").await?;
                Ok(Body::watch(filters.filter_events(stream), requested_at, Some(STALL_LIMIT)))
            }),
            Request::Watch { version } => Box::pin(async move {
                let stream = api.watch(&wp, &version).await?;
                Ok(Body::watch(filters.filter_events(stream), requested_at, None))
            }),
        }
    }

    /// Reads the storage's current resource version; `None` on failure.
    fn read_version(&self) -> BoxFuture<'static, Option<String>> {
        let (api, config) = (self.api.clone(), self.config.clone());
        Box::pin(async move {
            let mut page = api.list_stream(&config.version_params()).await.ok()?;
            while let Some(item) = page.next().await {
                if item.is_err_and(|error| !matches!(error, ClientError::Object(_))) {
                    return None;
                }
            }
            page.metadata()?.resource_version.clone()
        })
    }

    /// Requests a page of a list. The returned future completes when the response headers have arrived.
    fn open_list(&self, page: &PageRequest) -> Opening<K> {
        let api = self.api.clone();
        let lp = self.config.list_params(page);
        let filters = self.filters.clone();
        Box::pin(async move { Ok(Body::List(Box::new(filters.filter_list(api.list_stream(&lp).await?)))) })
    }
}

impl<K> Body<K> {
    /// The body of a watch; see [`OpenWatch::new`].
    fn watch(stream: EventStream<K>, requested_at: Instant, stall: Option<Duration>) -> Self {
        Self::Watch(Box::new(OpenWatch::new(stream, requested_at, stall)))
    }
}

/// The input at the end of a page of a list.
fn input_for_page_end<K>(page: &ListStream<K>) -> Input {
    let metadata = page.metadata();
    Input::PageDone {
        continue_token: metadata.and_then(|m| m.continue_.clone()),
        version: metadata.and_then(|m| m.resource_version.clone()),
    }
}

/// The input for an error while a response is read. Reports undecodable objects to the filters.
fn input_from_error<K>(error: ClientError, phase: Phase, filters: &EarlyFilters<K>) -> Input {
    match error {
        ClientError::Object(object) => {
            filters.forget(&object);
            Input::Undecodable(object)
        }
        error => Input::Failed(phase, error),
    }
}

/// The input for an event about an object; `None` for other events.
fn input_for_change<K: Resource>(event: &WatchEvent<K>) -> Option<Input> {
    let version = event.object()?.meta().resource_version.clone();
    let deleted = matches!(event, WatchEvent::Deleted(_));
    Some(if deleted { Input::Deleted(version) } else { Input::Changed(version) })
}

impl<K: Resource + DeserializeOwned + Send + 'static> Stream for Driver<K> {
    type Item = Result<Event<K>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Io::Open(Body::Watch(watch)) = &mut this.io {
            watch.resume_stall();
        }
        // Do not destructure the item: that would copy the object, which is large.
        let item = this.poll_item(cx);
        if item.is_ready()
            && let Io::Open(Body::Watch(watch)) = &mut this.io
        {
            watch.pause_stall();
        }
        item
    }
}

impl<K: Resource + DeserializeOwned + Send + 'static> Driver<K> {
    /// Polls for the next item, without pausing the stall timer.
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Event<K>>>> {
        let this = self;
        loop {
            if this.pauses_now() {
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
                        let Some(item) = this.advance(Input::Item) else { continue };
                        return Poll::Ready(Some(item.map(|event| event.map(|()| object))));
                    }
                    Some(Err(error)) => input_from_error(error, Phase::Open, &this.filters),
                    None => input_for_page_end(page),
                },
                Io::Open(Body::Watch(watch)) => match Pin::new(&mut watch.stream).poll_next(cx) {
                    Poll::Ready(Some(Ok(WatchEvent::Error(status)))) => Input::Error(watch.phase(), status),
                    Poll::Ready(Some(Ok(event))) => {
                        watch.record(&event);
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
                        input_from_error(error, phase, &this.filters)
                    }
                    Poll::Ready(None) => watch.input_for_end(),
                    Poll::Pending => match watch.poll_stalled(cx) {
                        Poll::Ready(input) => input,
                        Poll::Pending => {
                            // A part of an event has arrived: the watch is not silent.
                            if watch.stream.buffered_bytes() > 0 {
                                this.silence.record();
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
