//! A model test of the watcher's decisions: random inputs, as a driver may deliver them, and what must hold after each.

use super::*;
use crate::random;
use kube_client::core::{BookmarkMeta, TypeMeta, reason};

/// What is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    List,
    Stream,
    Watch,
}

/// What a driver and the consumer behind it know, and the rules of the watcher in other words.
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a test model")]
struct Model {
    open: Open,
    /// Whether a state is being sent, and whether one has been complete.
    initial: bool,
    synced: bool,
    /// The last version that was seen, by the server's own counter.
    version: Option<u64>,
    clock: u64,
    /// The version may not be listed from.
    unavailable: bool,
    /// Broken connections since the last sign of health.
    cuts: usize,
    /// Requests since the last wait or sign of health.
    requests: usize,
    /// Whether the next request has to fetch the state anew.
    relists: bool,
    /// Whether this very request has completed a streaming list.
    after_state: bool,
}

/// Something that happens, as short text for messages, with what it means for a watch.
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a test model")]
struct Happening {
    input: Input,
    text: String,
    health: bool,
    cut: bool,
    /// A failure after which a watch may keep its version.
    keeps: bool,
    failure: bool,
}

impl Happening {
    fn new(input: Input, text: impl Into<String>) -> Self {
        Self { input, text: text.into(), health: false, cut: false, keeps: false, failure: false }
    }

    fn healthy(self) -> Self {
        Self { health: true, ..self }
    }

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
            initial: false,
            synced: false,
            version: None,
            clock: 10,
            unavailable: false,
            cuts: 0,
            requests: 0,
            relists: true,
            after_state: false,
        }
    }

    fn next(&mut self, random: &mut crate::random::Rng) -> Happening {
        self.clock += 1;
        let now = Some(self.clock.to_string());
        let failing = random.u8(0..3) == 0;
        match self.open {
            Open::Nothing => Happening::new(Input::Ready, "ready"),
            _ if failing => self.failing(random),
            Open::List => match random.u8(0..4) {
                0 => Happening::new(Input::Item, "item"),
                1 => {
                    let token = Some("t".to_owned());
                    Happening::new(Input::PageDone { continue_token: token, version: now }, "page").healthy()
                }
                _ => Happening::new(Input::PageDone { continue_token: None, version: now }, "end of list"),
            },
            Open::Stream | Open::Watch => {
                let health = self.open == Open::Watch;
                let happening = match random.u8(0..6) {
                    0 => Happening::new(Input::Gone(now), "gone"),
                    1 => Happening::new(bookmark(&self.clock.to_string(), false), "bookmark"),
                    2 | 3 if self.open == Open::Stream => {
                        return Happening::new(bookmark(&self.clock.to_string(), true), "end of state");
                    }
                    _ => Happening::new(Input::Changed(now), "changed"),
                };
                Happening { health, ..happening }
            }
        }
    }

    fn failing(&self, random: &mut crate::random::Rng) -> Happening {
        let watching = self.open == Open::Watch;
        let phase = match random.u8(0..4) {
            0 => Phase::Opening,
            1 if watching => Phase::Healthy,
            _ => Phase::Open,
        };
        let healthy = phase == Phase::Healthy;
        let text = |what: &str| format!("{what} ({phase:?})");
        let happening = match random.u8(0..9) {
            0 if self.open != Open::List && phase != Phase::Opening => Happening::failure(
                Input::Error(phase, status(410, reason::EXPIRED)),
                text("410 in the stream"),
            ),
            1 if self.open != Open::List && phase != Phase::Opening => Happening::failure(
                Input::Error(phase, status(500, reason::INTERNAL_ERROR)),
                text("500 in the stream"),
            ),
            2 if self.open != Open::List => {
                let (ending, health) = match random.u8(0..2) {
                    0 if self.after_state => (Ending::AfterState, false),
                    0 => (Ending::Brief, false),
                    _ => (Ending::Worked, watching),
                };
                let failure = ending == Ending::Brief && watching;
                let happening = Happening::new(Input::Ended(ending), format!("{ending:?}"));
                return Happening { health, failure, ..happening };
            }
            3 if self.open == Open::Stream => return Happening::failure(Input::Stalled, "stalled"),
            4 => {
                let error =
                    ClientError::Transport { kind: TransportKind::Connect, what: "a".into(), source: None };
                let happening =
                    Happening::failure(Input::Failed(Phase::Opening, error), "refused connection");
                return Happening { keeps: true, ..happening };
            }
            5 => {
                let error = ClientError::Api(status(429, reason::TOO_MANY_REQUESTS));
                return Happening {
                    keeps: true,
                    ..Happening::failure(Input::Failed(Phase::Opening, error), "429")
                };
            }
            6 => {
                let code = [400, 403, 410, 422, 500][random.usize(0..5)];
                let error = ClientError::Api(status(code, ""));
                return Happening::failure(Input::Failed(Phase::Opening, error), code.to_string());
            }
            _ => {
                let error =
                    ClientError::Transport { kind: TransportKind::Broken, what: "a".into(), source: None };
                Happening { cut: true, ..Happening::failure(Input::Failed(phase, error), text("cut")) }
            }
        };
        Happening { health: healthy && watching, ..happening }
    }

    /// What must hold of the answer to an input.
    fn check(
        &mut self,
        abilities: Abilities,
        state: &State,
        output: &Output,
        about: &About,
    ) -> Result<(), String> {
        let About { health, cut, keeps, failure, version, was } = *about;
        match &output.event {
            Some(Ok(Event::Init)) => self.initial = true,
            Some(Ok(Event::InitApply(()))) if !self.initial => {
                return Err("an InitApply outside of a state".into());
            }
            Some(Ok(Event::Apply(()))) if self.initial => return Err("an Apply inside of a state".into()),
            Some(Ok(Event::Delete(()))) if !self.initial && !self.synced => {
                return Err("a Delete at first".into());
            }
            Some(Ok(Event::InitDone)) if !self.initial => return Err("an InitDone without an Init".into()),
            Some(Ok(Event::InitDone)) => {
                (self.initial, self.synced, self.unavailable, self.relists) = (false, true, false, false);
                self.cuts = 0;
                self.version = Some(self.clock);
                self.after_state = was == Open::Stream;
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
            // The one rule of the watcher, in other words.
            self.relists |= failure && !keeps && !(cut && self.cuts <= 3);
        }
        if health {
            self.requests = 0;
        }
        match &output.then {
            Then::Read | Then::Probe => {}
            Then::Next | Then::GiveUpStreaming => self.open = Open::Nothing,
            Then::Wait => (self.open, self.requests) = (Open::Nothing, 0),
            Then::Send(request) => self.sent(abilities, request)?,
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

    fn sent(&mut self, abilities: Abilities, request: &Request) -> Result<(), String> {
        self.requests += 1;
        if self.requests > 8 {
            return Err("requests follow each other without a wait".into());
        }
        self.after_state = false;
        self.open = match request {
            Request::List(page) => {
                if let Some(version) = &page.not_older_than {
                    let version: u64 = version.parse().map_err(|_| "a list at no number")?;
                    if version != self.version.unwrap_or_default() {
                        return Err(format!("a list from {version} after {:?} was seen", self.version));
                    }
                } else if abilities.cached_lists && page.token.is_none() && !page.whole && !self.unavailable {
                    self.unavailable = true;
                }
                Open::List
            }
            Request::StreamingList => Open::Stream,
            Request::Watch { version } => {
                if self.relists {
                    return Err("a watch where the state has to be fetched".into());
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

/// What an input means, after it was consumed.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a test model")]
struct About {
    health: bool,
    cut: bool,
    keeps: bool,
    failure: bool,
    version: Option<u64>,
    was: Open,
}

fn bookmark(version: &str, end: bool) -> Input {
    let annotations = end.then(|| ("k8s.io/initial-events-end".into(), "true".into())).into_iter().collect();
    let metadata = BookmarkMeta { resource_version: version.into(), annotations };
    Input::Bookmark(Bookmark { types: TypeMeta::default(), metadata })
}

fn run(random: &mut crate::random::Rng) -> Result<(), String> {
    let mut abilities =
        Abilities { streaming_lists: random.bool(), cached_lists: random.bool(), refused: None };
    let (mut model, mut state, mut log) = (Model::new(), State::Start { past: Past::NONE }, Vec::new());
    for _ in 0..random.usize(1..40) {
        let was = model.open;
        let Happening { input, text, health, cut, keeps, failure } = model.next(random);
        let version = match &input {
            Input::Changed(_) | Input::Gone(_) | Input::Bookmark(_) => Some(model.clock),
            _ => None,
        };
        let (next, output) = step(abilities, state, input);
        state = next;
        log.push(format!("{text} -> {:?} {:?}", output.event, output.then));
        if output.then == Then::GiveUpStreaming {
            abilities.refused = Some(Duration::ZERO);
        }
        let about = About { health, cut, keeps, failure, version, was };
        let result = model.check(abilities, &state, &output, &about);
        result.map_err(|problem| format!("{problem}, after {abilities:?}\n{}", log.join("\n")))?;
    }
    Ok(())
}

#[test]
fn model_the_decisions_hold_their_invariants_after_random_inputs() {
    random::model(run);
}
