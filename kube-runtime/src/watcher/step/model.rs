//! A model test of the transitions: passes random inputs to `step`, and checks the invariants after each
//! input. The inputs are those that the driver may report in the current state.

use super::*;
use crate::random;
use kube_client::TransportKind;
use kube_client::core::{Bookmark, BookmarkMeta, TypeMeta, reason};

/// The kind of the open response. `Stream` is a streaming list whose initial events are not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OpenResponse {
    Nothing,
    List,
    Stream,
    Watch,
}

/// A second implementation of the watcher's rules, independent of `step`. It models the behaviour that the
/// driver and the consumer of the watcher can see.
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a test model")]
struct Model {
    open: OpenResponse,
    /// Whether a snapshot is in progress.
    in_snapshot: bool,
    /// Whether at least one snapshot is complete.
    synced: bool,
    /// The last received resource version, as a number.
    version: Option<u64>,
    /// The newest resource version on the server.
    server_version: u64,
    /// Whether the watcher has requested a list from storage, although the configuration allows cached lists.
    /// The watcher sends such a request only if it knows that the server cannot list at `version`.
    unavailable: bool,
    /// The number of watches whose connection has failed. A complete snapshot resets this number, and so does
    /// an input that shows the health of a watch.
    connection_failures: usize,
    /// The number of requests since the last wait, or since the last input that shows health.
    requests: usize,
    /// Whether the next request must be a list.
    relists: bool,
    /// Whether the open watch began as a streaming list.
    after_initial_events: bool,
}

/// An input, its text for failure messages, and its expected effect on a watch.
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a test model")]
struct TestInput {
    input: Input,
    text: String,
    /// Whether the input shows that the server works: the watch is healthy, or a page of a list is complete and another
    /// page follows.
    health: bool,
    /// Whether the input is a failure of an established connection. `false` if the server refused the
    /// connection.
    connection_failure: bool,
    /// Whether the input is a failure that never leads to a relist: the watch resumes, even after many such
    /// failures.
    resumes_always: bool,
    /// Whether the input is a failure.
    failure: bool,
}

impl TestInput {
    fn new(input: Input, text: impl Into<String>) -> Self {
        Self {
            input,
            text: text.into(),
            health: false,
            connection_failure: false,
            resumes_always: false,
            failure: false,
        }
    }

    /// Sets `health`.
    fn with_health(self) -> Self {
        Self { health: true, ..self }
    }

    /// A test input that is a failure.
    fn failure(input: Input, text: impl Into<String>) -> Self {
        Self { failure: true, ..Self::new(input, text) }
    }
}

fn status(code: u16, reason: &str) -> Box<Status> {
    Status::failure("because", reason).with_code(code).boxed()
}

impl Model {
    fn new() -> Self {
        Self {
            open: OpenResponse::Nothing,
            in_snapshot: false,
            synced: false,
            version: None,
            server_version: 10,
            unavailable: false,
            connection_failures: 0,
            requests: 0,
            relists: true,
            after_initial_events: false,
        }
    }

    /// A random input that is possible in the current state.
    fn random_input(&mut self, random: &mut crate::random::Rng) -> TestInput {
        self.server_version += 1;
        let now = Some(self.server_version.to_string());
        let fails = random.u8(0..3) == 0;
        match self.open {
            OpenResponse::Nothing => TestInput::new(Input::Ready, "ready"),
            _ if fails => self.random_failure_or_end(random),
            OpenResponse::List => match random.u8(0..4) {
                0 => TestInput::new(Input::Item, "item"),
                1 => {
                    let token = Some("t".to_owned());
                    TestInput::new(Input::PageDone { continue_token: token, version: now }, "page")
                        .with_health()
                }
                _ => TestInput::new(Input::PageDone { continue_token: None, version: now }, "end of list"),
            },
            OpenResponse::Stream | OpenResponse::Watch => {
                let health = self.open == OpenResponse::Watch;
                let test_input = match random.u8(0..6) {
                    0 => TestInput::new(Input::Deleted(now), "deleted"),
                    1 => TestInput::new(bookmark(&self.server_version.to_string(), false), "bookmark"),
                    2 | 3 if self.open == OpenResponse::Stream => {
                        return TestInput::new(
                            bookmark(&self.server_version.to_string(), true),
                            "end of initial events",
                        );
                    }
                    _ => TestInput::new(Input::Changed(now), "changed"),
                };
                TestInput { health, ..test_input }
            }
        }
    }

    /// A random failure of the current request, or a random end of the current watch.
    fn random_failure_or_end(&self, random: &mut crate::random::Rng) -> TestInput {
        let watching = self.open == OpenResponse::Watch;
        let phase = match random.u8(0..4) {
            0 => Phase::Opening,
            1 if watching => Phase::Healthy,
            _ => Phase::Open,
        };
        let healthy = phase == Phase::Healthy;
        let text = |what: &str| format!("{what} ({phase:?})");
        let test_input = match random.u8(0..9) {
            0 if self.open != OpenResponse::List && phase != Phase::Opening => TestInput::failure(
                Input::Error(phase, status(410, reason::EXPIRED)),
                text("410 in the stream"),
            ),
            1 if self.open != OpenResponse::List && phase != Phase::Opening => TestInput::failure(
                Input::Error(phase, status(500, reason::INTERNAL_ERROR)),
                text("500 in the stream"),
            ),
            2 if self.open != OpenResponse::List => {
                let (ending, health) = match random.u8(0..2) {
                    0 if self.after_initial_events => (Ending::AfterInitialEvents, false),
                    0 => (Ending::Brief, false),
                    _ => (Ending::Worked, watching),
                };
                let failure = ending == Ending::Brief && watching;
                let test_input = TestInput::new(Input::Ended(ending), format!("{ending:?}"));
                return TestInput { health, failure, ..test_input };
            }
            3 if self.open == OpenResponse::Stream => return TestInput::failure(Input::Stalled, "stalled"),
            4 => {
                let error =
                    ClientError::Transport { kind: TransportKind::Connect, what: "a".into(), source: None };
                let test_input =
                    TestInput::failure(Input::Failed(Phase::Opening, error), "refused connection");
                return TestInput { resumes_always: true, ..test_input };
            }
            5 => {
                let error = ClientError::Api(status(429, reason::TOO_MANY_REQUESTS));
                return TestInput {
                    resumes_always: true,
                    ..TestInput::failure(Input::Failed(Phase::Opening, error), "429")
                };
            }
            6 => {
                let code = [400, 403, 410, 422, 500][random.usize(0..5)];
                let error = ClientError::Api(status(code, ""));
                return TestInput::failure(Input::Failed(Phase::Opening, error), code.to_string());
            }
            _ => {
                let error =
                    ClientError::Transport { kind: TransportKind::Broken, what: "a".into(), source: None };
                TestInput {
                    connection_failure: true,
                    ..TestInput::failure(Input::Failed(phase, error), text("cut"))
                }
            }
        };
        TestInput { health: healthy && watching, ..test_input }
    }

    /// Updates the model after an output, and checks the invariants.
    fn check_output(
        &mut self,
        capabilities: Capabilities,
        state: &State,
        output: &Output,
        facts: &InputFacts,
    ) -> Result<(), String> {
        let InputFacts { health, connection_failure, resumes_always, failure, version, open_before } = *facts;
        match &output.event {
            Some(Ok(Event::Init)) => self.in_snapshot = true,
            Some(Ok(Event::InitApply(()))) if !self.in_snapshot => {
                return Err("an InitApply outside of a snapshot".into());
            }
            Some(Ok(Event::Apply(()))) if self.in_snapshot => {
                return Err("an Apply inside of a snapshot".into());
            }
            Some(Ok(Event::Delete(()))) if !self.in_snapshot && !self.synced => {
                return Err("a Delete before the first snapshot".into());
            }
            Some(Ok(Event::InitDone)) if !self.in_snapshot => {
                return Err("an InitDone without an Init".into());
            }
            Some(Ok(Event::InitDone)) => {
                (self.in_snapshot, self.synced, self.unavailable, self.relists) = (false, true, false, false);
                self.connection_failures = 0;
                self.version = Some(self.server_version);
                self.after_initial_events = open_before == OpenResponse::Stream;
            }
            _ => {}
        }
        if open_before == OpenResponse::Watch {
            if let Some(version) = version {
                self.version = Some(version);
            }
            if health {
                self.connection_failures = 0;
            } else if connection_failure {
                self.connection_failures += 1;
            }
            // A failure leads to a relist, except for failures after which the watch always resumes
            // (`resumes_always`), and for the first three connection failures in a row.
            self.relists |=
                failure && !resumes_always && !(connection_failure && self.connection_failures <= 3);
        }
        if health {
            self.requests = 0;
        }
        match &output.then {
            DriverAction::Read | DriverAction::Probe => {}
            DriverAction::Next | DriverAction::GiveUpStreaming => self.open = OpenResponse::Nothing,
            DriverAction::Wait => (self.open, self.requests) = (OpenResponse::Nothing, 0),
            DriverAction::Send(request) => self.check_request(capabilities, request)?,
        }
        if output.then == DriverAction::Read && matches!(output.event, Some(Ok(Event::InitDone))) {
            self.open = OpenResponse::Watch;
        }
        let seen = self.version.map(|version| version.to_string());
        if self.synced && state.version() != seen.as_deref() {
            return Err(format!("the version is {:?} and not {seen:?}", state.version()));
        }
        Ok(())
    }

    /// Updates the model after a request that `step` returned, and checks the request.
    fn check_request(&mut self, capabilities: Capabilities, request: &Request) -> Result<(), String> {
        self.requests += 1;
        if self.requests > 8 {
            return Err("requests follow each other without a wait".into());
        }
        self.after_initial_events = false;
        self.open = match request {
            Request::List(page) => {
                if let Some(version) = &page.not_older_than {
                    let version: u64 = version.parse().map_err(|_| "a list at no number")?;
                    if version != self.version.unwrap_or_default() {
                        return Err(format!("a list from {version} after {:?} was seen", self.version));
                    }
                } else if capabilities.cached_lists
                    && page.token.is_none()
                    && !page.unpaged
                    && !self.unavailable
                {
                    self.unavailable = true;
                }
                OpenResponse::List
            }
            Request::StreamingList => OpenResponse::Stream,
            Request::Watch { version } => {
                if self.relists {
                    return Err("a watch where a list is required".into());
                }
                if Some(version.as_str()) != self.version.map(|version| version.to_string()).as_deref() {
                    return Err(format!("a watch from {version}, and {:?} was seen", self.version));
                }
                OpenResponse::Watch
            }
        };
        Ok(())
    }
}

/// The facts about a [`TestInput`] that [`Model::check_output`] needs after `step` has consumed the input.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a test model")]
struct InputFacts {
    health: bool,
    connection_failure: bool,
    resumes_always: bool,
    failure: bool,
    /// The resource version of the input.
    version: Option<u64>,
    /// The response that was open when the input arrived.
    open_before: OpenResponse,
}

/// A bookmark. If `end` is true, the bookmark ends the initial events.
fn bookmark(version: &str, end: bool) -> Input {
    let annotations = end.then(|| ("k8s.io/initial-events-end".into(), "true".into())).into_iter().collect();
    let metadata = BookmarkMeta { resource_version: version.into(), annotations };
    Input::Bookmark(Bookmark { types: TypeMeta::default(), metadata })
}

/// Passes one random sequence of inputs to `step`, and checks each output.
fn run_random_sequence(random: &mut crate::random::Rng) -> Result<(), String> {
    let mut capabilities = Capabilities {
        streaming_lists: random.bool(),
        cached_lists: random.bool(),
        refused: None,
        synced: None,
    };
    let (mut model, mut state, mut log) =
        (Model::new(), State::Start { previous: PreviousData::NONE }, Vec::new());
    for _ in 0..random.usize(1..40) {
        let open_before = model.open;
        let TestInput { input, text, health, connection_failure, resumes_always, failure } =
            model.random_input(random);
        let version = match &input {
            Input::Changed(_) | Input::Deleted(_) | Input::Bookmark(_) => Some(model.server_version),
            _ => None,
        };
        let (next, output) = step(capabilities, state, input);
        state = next;
        log.push(format!("{text} -> {:?} {:?}", output.event, output.then));
        if output.then == DriverAction::GiveUpStreaming {
            capabilities.refused = Some(Duration::ZERO);
        }
        let facts = InputFacts { health, connection_failure, resumes_always, failure, version, open_before };
        let result = model.check_output(capabilities, &state, &output, &facts);
        result.map_err(|problem| format!("{problem}, after {capabilities:?}\n{}", log.join("\n")))?;
    }
    Ok(())
}

#[test]
fn model_invariants_hold_after_each_random_input() {
    random::check_model(run_random_sequence);
}
