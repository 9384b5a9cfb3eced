//! `Driver`: sends the requests that `step` asks for, reads their answers, and waits after failures.
//!
//! It decides nothing: every answer becomes an input of `step`, and every wait on failure happens here.

use super::config::{Config, InitialListStrategy, ListSemantic};
use super::events::{Events, STALL};
use super::filter::{EarlyFilter, EarlyFilters};
use super::quiet::{self, Quiet};
use super::step::{Abilities, Failure, Input, Output, Page, Past, Phase, Request, State, Then, step};
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

/// For how long the server is asked to keep a watch open that begins with the present state, which may be large.
const STATE: Duration = Duration::from_secs(60);
/// What is left of a limited time that is not worth another watch.
const NEARLY: Duration = Duration::from_millis(500);

/// A relist that follows the list before sooner than this waits first: a server that sends one event and then 410 after each list
/// would be listed in a loop.
const RELIST_INTERVAL: Duration = Duration::from_secs(1);

/// A watcher at work.
pub(crate) struct Driver<K> {
    api: Api<K>,
    config: Config,
    backoff: ExponentialBackoff,
    abilities: Abilities,
    /// When the server last refused a streaming list or did not complete one.
    refused_at: Option<Instant>,
    state: State,
    io: Io<K>,
    /// For how long a watch has brought nothing.
    quiet: Quiet,
    /// When the state was last complete.
    synced: Option<Instant>,
    /// When the stream pauses; see [`pause_at`](Driver::pause_at).
    until: Option<Instant>,
    /// Whether the server has just ended a watch.
    ended: bool,
    /// The next page of a list, asked for while the one before is arriving.
    ahead: Option<Ahead<K>>,
    /// What is looked at before objects are decoded.
    filters: EarlyFilters<K>,
}

/// A page that is asked for before it is needed, so that the server prepares it while this side decodes.
struct Ahead<K> {
    token: String,
    answer: Answer<K>,
}

enum Answer<K> {
    Awaited(Opening<K>),
    Arrived(Box<Result<Body<K>, ClientError>>),
}

/// A request whose answer has not begun to arrive.
type Opening<K> = BoxFuture<'static, Result<Body<K>, ClientError>>;

/// What is under way.
enum Io<K> {
    Idle,
    Waiting(Pin<Box<Sleep>>),
    Opening(Opening<K>),
    Open(Body<K>),
}

/// An answer that is arriving.
enum Body<K> {
    List(Box<ListStream<K>>),
    Events(Box<Events<K>>),
}

impl<K> Driver<K> {
    pub(crate) fn new(api: Api<K>, config: Config) -> Self {
        let wanted = config.initial_list_strategy == InitialListStrategy::StreamingList;
        Self {
            api: api.skip_fields(config.skip_fields.clone()),
            backoff: config.backoff.clone(),
            abilities: Abilities {
                streaming_lists: wanted && config.bookmarks,
                cached_lists: config.list_semantic == ListSemantic::Any,
                refused: None,
            },
            refused_at: None,
            quiet: Quiet::new(config.probe_after),
            config,
            state: State::Start { past: Past::NONE },
            io: Io::Idle,
            synced: None,
            until: None,
            ended: false,
            ahead: None,
            filters: EarlyFilters::default(),
        }
    }

    /// Shows objects to a filter before they are decoded.
    pub(crate) fn add_screen(&self, filter: Box<dyn EarlyFilter<K>>) {
        self.filters.add(filter);
    }

    /// How long the server keeps one watch open, from the next one on; as in [`Config::timeout`].
    pub(crate) fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.config.timeout = timeout;
    }

    /// Whether the present state has been complete once.
    pub(crate) fn is_synced(&self) -> bool {
        self.synced.is_some()
    }

    /// Lets the stream end, once, when the server ends a watch at about that time; opening the next would not be worth it.
    pub(crate) fn pause_at(&mut self, until: Instant) {
        self.until = Some(until);
        // What has ended was the watch of an earlier time: however short this one is, there is a watch in it.
        self.ended = false;
    }

    /// Ends an open watch, to be resumed where it stands when the stream is polled again. A list goes on, as does a wait.
    ///
    /// So does a watch that the server has not answered yet: asking anew each time would hide that it never answers.
    pub(crate) fn pause(&mut self) {
        let watching = matches!(self.state, State::Watching { .. });
        if watching && matches!(self.io, Io::Open(_)) {
            self.io = Io::Idle;
        }
        self.until = None;
    }

    /// Waits for as long as the last failure asks for.
    ///
    /// Cancelling loses nothing.
    pub(crate) async fn waited(&mut self) {
        if let Io::Waiting(timer) = &mut self.io {
            timer.await;
            self.io = Io::Idle;
        }
    }

    /// Whether the stream pauses between two watches, rather than open one that would end at once.
    fn pauses_now(&self) -> bool {
        self.ended
            && matches!(self.io, Io::Idle)
            && matches!(self.state, State::Watching { .. })
            && self.until.is_some_and(|until| Instant::now() + NEARLY >= until)
    }

    /// The version up to which every change has been seen; `None` until the first state is complete.
    pub(crate) fn resource_version(&self) -> Option<&str> {
        self.state.version()
    }

    fn name(&self, failure: Failure) -> Error {
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
                    "the storage was restored to an earlier state: listing anew"
                );
                quiet::count_restore();
                Error::StorageRestored { resource, seen, current }
            }
            Failure::Object(object) => Error::Object(object),
        }
    }
}

impl<K: Resource + DeserializeOwned + Send + 'static> Driver<K> {
    /// Hands `input` to `step` and does what it says; what there is to tell the user about the object that it is about.
    fn advance(&mut self, input: Input) -> Option<Result<Event<()>>> {
        let heard = matches!(
            input,
            Input::Changed(_)
                | Input::Gone(_)
                | Input::Bookmark(_)
                | Input::Dropped(_)
                | Input::Undecodable(_)
                | Input::PageDone { .. }
        );
        if heard {
            self.quiet.hear();
        }
        self.ended = matches!(input, Input::Ended(_));
        // A server may know better than any backoff how long it needs.
        let asked = match &input {
            Input::Failed(_, error) => error.retry_after(),
            Input::Error(_, status) => status.retry_after(),
            _ => None,
        };
        let state = std::mem::replace(&mut self.state, State::Start { past: Past::NONE });
        self.abilities.refused = self.refused_at.map(|at| at.elapsed());
        let (state, Output { event, then, healthy }) = step(self.abilities, state, input);
        self.state = state;
        if healthy {
            self.backoff.reset();
        }
        let again = matches!(self.state, State::Start { .. })
            && self.synced.is_some_and(|at| at.elapsed() < RELIST_INTERVAL);
        match if then == Then::Next && again { Then::Wait } else { then } {
            Then::Read => {}
            Then::Probe => self.quiet.begin(self.read_version()),
            Then::Send(request) => {
                let opening = self.take_ahead(&request);
                self.io = Io::Opening(opening.unwrap_or_else(|| self.open(request)));
            }
            Then::Next => self.io = Io::Idle,
            Then::Wait => {
                let wait = self.backoff.next().unwrap_or_default().max(asked.unwrap_or_default());
                tracing::debug!(resource = self.api.resource_url(), ?wait, "waiting after a failure");
                self.io = Io::Waiting(Box::pin(tokio::time::sleep(wait)));
            }
            Then::GiveUpStreaming => {
                tracing::debug!(
                    resource = self.api.resource_url(),
                    "no streaming lists here: falling back to lists"
                );
                self.refused_at = Some(Instant::now());
                self.io = Io::Idle;
            }
        }
        if matches!(event, Some(Ok(Event::InitDone))) {
            self.synced = Some(Instant::now());
        }
        if matches!(event, Some(Ok(Event::Init))) {
            self.filters.reset();
        }
        event.map(|event| event.map_err(|failure| self.name(failure)))
    }

    /// Asks for the next page as soon as its token is known, and hears whether the answer is there. It is read once the page
    /// before has been, so that decoding does not pause between two pages.
    fn look_ahead(&mut self, cx: &mut Context<'_>) {
        let Io::Open(Body::List(stream)) = &self.io else { return };
        if self.ahead.is_none()
            && let Some(token) = stream.continue_token()
        {
            let token = token.to_owned();
            let page = Page { token: Some(token.clone()), ..Page::default() };
            self.ahead = Some(Ahead { token, answer: Answer::Awaited(self.open_list(&page)) });
        }
        if let Some(Ahead { answer, .. }) = &mut self.ahead
            && let Answer::Awaited(opening) = answer
            && let Poll::Ready(arrived) = opening.as_mut().poll(cx)
        {
            *answer = Answer::Arrived(Box::new(arrived));
        }
        if stream.metadata().is_some()
            && let Some(Ahead { answer: Answer::Arrived(arrived), .. }) = &mut self.ahead
            && let Ok(Body::List(next)) = &mut **arrived
        {
            next.read_ahead(cx);
        }
    }

    /// The answer to a request that was sent ahead; one to any other page is of no use any more.
    fn take_ahead(&mut self, request: &Request) -> Option<Opening<K>> {
        let Ahead { token, answer } = self.ahead.take()?;
        match request {
            Request::List(Page { token: Some(wanted), whole: false, .. }) if *wanted == token => {
                Some(match answer {
                    Answer::Awaited(opening) => opening,
                    Answer::Arrived(answer) => Box::pin(std::future::ready(*answer)),
                })
            }
            _ => None,
        }
    }

    fn open(&self, request: Request) -> Opening<K> {
        let api = self.api.clone();
        let mut wp = self.config.watch_params();
        // Watches that began together must not all end together: their watchers would come back as one.
        if wp.timeout.is_none() {
            wp.timeout = Some(crate::random::shortened(wp.effective_timeout()));
        }
        // Counted from the request: whoever pauses may come for the answer long after the server has ended it.
        let asked_at = Instant::now();
        let filters = self.filters.clone();
        match request {
            Request::List(page) => self.open_list(&page),
            Request::StreamingList => Box::pin(async move {
                let timeout = wp.effective_timeout().max(STATE);
                let stream = api.watch(&wp.timeout(timeout).initial_events(), "").await?;
                Ok(Body::events(filters.over_events(stream), asked_at, Some(STALL)))
            }),
            Request::Watch { version } => Box::pin(async move {
                let stream = api.watch(&wp, &version).await?;
                Ok(Body::events(filters.over_events(stream), asked_at, None))
            }),
        }
    }

    /// Reads the version of the storage; `None` where that fails.
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

    fn open_list(&self, page: &Page) -> Opening<K> {
        let api = self.api.clone();
        let lp = self.config.list_params(page);
        let filters = self.filters.clone();
        Box::pin(async move { Ok(Body::List(Box::new(filters.over_list(api.list_stream(&lp).await?)))) })
    }
}

impl<K> Body<K> {
    fn events(stream: EventStream<K>, asked_at: Instant, stall: Option<Duration>) -> Self {
        Self::Events(Box::new(Events::new(stream, asked_at, stall)))
    }
}

/// What a page says at its end.
fn page_done<K>(page: &ListStream<K>) -> Input {
    let metadata = page.metadata();
    Input::PageDone {
        continue_token: metadata.and_then(|m| m.continue_.clone()),
        version: metadata.and_then(|m| m.resource_version.clone()),
    }
}

fn broken<K>(error: ClientError, phase: Phase, filters: &EarlyFilters<K>) -> Input {
    match error {
        ClientError::Object(object) => {
            filters.forget(&object);
            Input::Undecodable(object)
        }
        error => Input::Failed(phase, error),
    }
}

/// What happened to the object of an event; `None` where it is about none.
fn change<K: Resource>(event: &WatchEvent<K>) -> Option<Input> {
    let version = event.object()?.meta().resource_version.clone();
    let gone = matches!(event, WatchEvent::Deleted(_));
    Some(if gone { Input::Gone(version) } else { Input::Changed(version) })
}

impl<K: Resource + DeserializeOwned + Send + 'static> Stream for Driver<K> {
    type Item = Result<Event<K>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Io::Open(Body::Events(events)) = &mut this.io {
            events.resume();
        }
        // Objects are large: it is not taken apart.
        let said = this.poll_said(cx);
        if said.is_ready()
            && let Io::Open(Body::Events(events)) = &mut this.io
        {
            events.leave();
        }
        said
    }
}

impl<K: Resource + DeserializeOwned + Send + 'static> Driver<K> {
    /// The next item, however long nobody has asked for it.
    fn poll_said(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Event<K>>>> {
        let this = self;
        loop {
            if this.pauses_now() {
                this.until = None;
                return Poll::Ready(None);
            }
            this.look_ahead(cx);
            // Objects are large, and decisions need only their versions: they go from here to the user as they come.
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
                        let Some(said) = this.advance(Input::Item) else { continue };
                        return Poll::Ready(Some(said.map(|event| event.map(|()| object))));
                    }
                    Some(Err(error)) => broken(error, Phase::Open, &this.filters),
                    None => page_done(page),
                },
                Io::Open(Body::Events(events)) => match Pin::new(&mut events.stream).poll_next(cx) {
                    Poll::Ready(Some(Ok(WatchEvent::Error(status)))) => Input::Error(events.phase(), status),
                    Poll::Ready(Some(Ok(event))) => {
                        events.note(&event);
                        let said = change(&event).and_then(|input| this.advance(input));
                        match event {
                            WatchEvent::Added(object)
                            | WatchEvent::Modified(object)
                            | WatchEvent::Deleted(object) => {
                                let Some(said) = said else { continue };
                                return Poll::Ready(Some(said.map(|event| event.map(|()| object))));
                            }
                            // The bookmark of a filter has no kind; the server's own has one.
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
                        events.note_error(&error);
                        let phase = events.phase_until(&error);
                        broken(error, phase, &this.filters)
                    }
                    Poll::Ready(None) => events.ended(),
                    Poll::Pending => match events.poll_stalled(cx) {
                        Poll::Ready(input) => input,
                        Poll::Pending => {
                            // A part of an event has arrived: the watch is not silent.
                            if events.stream.buffered_bytes() > 0 {
                                this.quiet.hear();
                            }
                            ready!(this.quiet.poll(cx))
                        }
                    },
                },
            };
            match this.advance(input) {
                Some(Ok(Event::Init)) => return Poll::Ready(Some(Ok(Event::Init))),
                Some(Ok(Event::InitDone)) => return Poll::Ready(Some(Ok(Event::InitDone))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                // Of objects there is something to say only where one has come.
                Some(Ok(Event::Apply(()) | Event::InitApply(()) | Event::Delete(()))) | None => {}
            }
        }
    }
}
