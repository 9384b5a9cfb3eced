//! A model test of the transitions: passes random inputs to `step`, as the driver may report them, and checks the
//! invariants after each.

use super::*;
use crate::random;
use kube_client::core::{BookmarkMeta, TypeMeta, reason};

/// The kind of the open response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    List,
    Stream,
    Watch,
}

/// An independent implementation of the watcher's rules, as the driver and the consumer observe them.
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a test model")]
struct Model {
    open: Open,
    /// Whether a snapshot is in progress.
    in_snapshot: bool,
    /// Whether at least one snapshot is complete.
    synced: bool,
    /// The last received resource version, as a number.
    version: Option<u64>,
    /// The newest resource version on the server.
    clock: u64,
    /// Whether the server cannot list at `version`.
    unavailable: bool,
    /// The number of connection failures since the last healthy watch.
    cuts: usize,
    /// The number of requests since the last wait or healthy watch.
    requests: usize,
    /// Whether the next request must be a list.
    relists: bool,
    /// Whether the open request has completed a streaming list.
    after_initial_events: bool,
}

/// An input, its text for failure messages, and its expected effect on a watch.
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a test model")]
struct Scenario {
    input: Input,
    text: String,
    /// Whether the input shows that the watch is healthy.
    health: bool,
    /// Whether the input is a failed connection of a watch.
    cut: bool,
    /// Whether the input is a failure after which a watch resumes any number of times.
    resumes_always: bool,
    failure: bool,
}

impl Scenario {
    fn new(input: Input, text: impl Into<String>) -> Self {
        Self { input, text: text.into(), health: false, cut: false, resumes_always: false, failure: false }
    }

    /// Expects the input to show that the watch is healthy.
    fn healthy(self) -> Self {
        Self { health: true, ..self }
    }

    /// A scenario whose input is a failure.
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
            open: Open::Nothing,
            in_snapshot: false,
            synced: false,
            version: None,
            clock: 10,
            unavailable: false,
            cuts: 0,
            requests: 0,
            relists: true,
            after_initial_events: false,
        }
    }

    /// A random input that is possible in the current state.
    fn next(&mut self, random: &mut crate::random::Rng) -> Scenario {
        self.clock += 1;
        let now = Some(self.clock.to_string());
        let fails = random.u8(0..3) == 0;
        match self.open {
            Open::Nothing => Scenario::new(Input::Ready, "ready"),
            _ if fails => self.next_failure(random),
            Open::List => match random.u8(0..4) {
                0 => Scenario::new(Input::Item, "item"),
                1 => {
                    let token = Some("t".to_owned());
                    Scenario::new(Input::PageDone { continue_token: token, version: now }, "page").healthy()
                }
                _ => Scenario::new(Input::PageDone { continue_token: None, version: now }, "end of list"),
            },
            Open::Stream | Open::Watch => {
                let health = self.open == Open::Watch;
                let scenario = match random.u8(0..6) {
                    0 => Scenario::new(Input::Deleted(now), "deleted"),
                    1 => Scenario::new(bookmark(&self.clock.to_string(), false), "bookmark"),
                    2 | 3 if self.open == Open::Stream => {
                        return Scenario::new(
                            bookmark(&self.clock.to_string(), true),
                            "end of initial events",
                        );
                    }
                    _ => Scenario::new(Input::Changed(now), "changed"),
                };
                Scenario { health, ..scenario }
            }
        }
    }

    /// A random failure of the current request.
    fn next_failure(&self, random: &mut crate::random::Rng) -> Scenario {
        let watching = self.open == Open::Watch;
        let phase = match random.u8(0..4) {
            0 => Phase::Opening,
            1 if watching => Phase::Healthy,
            _ => Phase::Open,
        };
        let healthy = phase == Phase::Healthy;
        let text = |what: &str| format!("{what} ({phase:?})");
        let scenario = match random.u8(0..9) {
            0 if self.open != Open::List && phase != Phase::Opening => Scenario::failure(
                Input::Error(phase, status(410, reason::EXPIRED)),
                text("410 in the stream"),
            ),
            1 if self.open != Open::List && phase != Phase::Opening => Scenario::failure(
                Input::Error(phase, status(500, reason::INTERNAL_ERROR)),
                text("500 in the stream"),
            ),
            2 if self.open != Open::List => {
                let (ending, health) = match random.u8(0..2) {
                    0 if self.after_initial_events => (Ending::AfterInitialEvents, false),
                    0 => (Ending::Brief, false),
                    _ => (Ending::Worked, watching),
                };
                let failure = ending == Ending::Brief && watching;
                let scenario = Scenario::new(Input::Ended(ending), format!("{ending:?}"));
                return Scenario { health, failure, ..scenario };
            }
            3 if self.open == Open::Stream => return Scenario::failure(Input::Stalled, "stalled"),
            4 => {
                let error =
                    ClientError::Transport { kind: TransportKind::Connect, what: "a".into(), source: None };
                let scenario = Scenario::failure(Input::Failed(Phase::Opening, error), "refused connection");
                return Scenario { resumes_always: true, ..scenario };
            }
            5 => {
                let error = ClientError::Api(status(429, reason::TOO_MANY_REQUESTS));
                return Scenario {
                    resumes_always: true,
                    ..Scenario::failure(Input::Failed(Phase::Opening, error), "429")
                };
            }
            6 => {
                let code = [400, 403, 410, 422, 500][random.usize(0..5)];
                let error = ClientError::Api(status(code, ""));
                return Scenario::failure(Input::Failed(Phase::Opening, error), code.to_string());
            }
            _ => {
                let error =
                    ClientError::Transport { kind: TransportKind::Broken, what: "a".into(), source: None };
                Scenario { cut: true, ..Scenario::failure(Input::Failed(phase, error), text("cut")) }
            }
        };
        Scenario { health: healthy && watching, ..scenario }
    }

    /// Checks the invariants after an output.
    fn check(
        &mut self,
        capabilities: Capabilities,
        state: &State,
        output: &Output,
        summary: &Summary,
    ) -> Result<(), String> {
        let Summary { health, cut, resumes_always, failure, version, was } = *summary;
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
                self.cuts = 0;
                self.version = Some(self.clock);
                self.after_initial_events = was == Open::Stream;
            }
            _ => {}
        }
        if was == Open::Watch {
            if let Some(version) = version {
                self.version = Some(version);
            }
            if health {
                self.cuts = 0;
            } else if cut {
                self.cuts += 1;
            }
            // A failure leads to a relist, except for unlimited resumes and the first three connection failures.
            self.relists |= failure && !resumes_always && !(cut && self.cuts <= 3);
        }
        if health {
            self.requests = 0;
        }
        match &output.then {
            Then::Read | Then::Probe => {}
            Then::Next | Then::GiveUpStreaming => self.open = Open::Nothing,
            Then::Wait => (self.open, self.requests) = (Open::Nothing, 0),
            Then::Send(request) => self.sent(capabilities, request)?,
        }
        if output.then == Then::Read && matches!(output.event, Some(Ok(Event::InitDone))) {
            self.open = Open::Watch;
        }
        let seen = self.version.map(|version| version.to_string());
        if self.synced && state.version() != seen.as_deref() {
            return Err(format!("the version is {:?} and not {seen:?}", state.version()));
        }
        Ok(())
    }

    /// Checks a request that `step` returned.
    fn sent(&mut self, capabilities: Capabilities, request: &Request) -> Result<(), String> {
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
                Open::List
            }
            Request::StreamingList => Open::Stream,
            Request::Watch { version } => {
                if self.relists {
                    return Err("a watch where a list is required".into());
                }
                if Some(version.as_str()) != self.version.map(|version| version.to_string()).as_deref() {
                    return Err(format!("a watch from {version}, and {:?} was seen", self.version));
                }
                Open::Watch
            }
        };
        Ok(())
    }
}

/// A [`Scenario`] after `step` consumed its input: the expected effect on a watch, the version of the input, and the
/// response that was open before.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a test model")]
struct Summary {
    health: bool,
    cut: bool,
    resumes_always: bool,
    failure: bool,
    version: Option<u64>,
    /// The response that was open when the input arrived.
    was: Open,
}

/// A bookmark; `end` is whether it ends the initial events.
fn bookmark(version: &str, end: bool) -> Input {
    let annotations = end.then(|| ("k8s.io/initial-events-end".into(), "true".into())).into_iter().collect();
    let metadata = BookmarkMeta { resource_version: version.into(), annotations };
    Input::Bookmark(Bookmark { types: TypeMeta::default(), metadata })
}

/// Passes one random sequence of inputs to `step`.
fn run(random: &mut crate::random::Rng) -> Result<(), String> {
    let mut capabilities =
        Capabilities { streaming_lists: random.bool(), cached_lists: random.bool(), refused: None };
    let (mut model, mut state, mut log) =
        (Model::new(), State::Start { previous: Previous::NONE }, Vec::new());
    for _ in 0..random.usize(1..40) {
        let was = model.open;
        let Scenario { input, text, health, cut, resumes_always, failure } = model.next(random);
        let version = match &input {
            Input::Changed(_) | Input::Deleted(_) | Input::Bookmark(_) => Some(model.clock),
            _ => None,
        };
        let (next, output) = step(capabilities, state, input);
        state = next;
        log.push(format!("{text} -> {:?} {:?}", output.event, output.then));
        if output.then == Then::GiveUpStreaming {
            capabilities.refused = Some(Duration::ZERO);
        }
        let summary = Summary { health, cut, resumes_always, failure, version, was };
        let result = model.check(capabilities, &state, &output, &summary);
        result.map_err(|problem| format!("{problem}, after {capabilities:?}\n{}", log.join("\n")))?;
    }
    Ok(())
}

#[test]
fn model_transitions_hold_their_invariants_after_random_inputs() {
    random::check_model(run);
}
