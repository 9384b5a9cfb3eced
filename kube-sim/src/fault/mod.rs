//! Fault injection: rules that make selected requests fail.
//!
//! A [`Rule`] selects requests and applies an [`Action`] to them. [`Faults`] adds and removes rules while the
//! simulation runs. Rules are data: a [`Plan`] is a list of rules that can be read from JSON. The
//! [journal](crate::Journal) records the faults of each request.
//!
//! ```
//! use kube_sim::Sim;
//! use kube_sim::fault::{Action, Plan, Rule};
//!
//! let sim = Sim::new();
//! // The second request that lists pods fails with 503.
//! sim.faults().add(Rule::new(Action::status(503)).verb("list").resource("pods").nth(2));
//! // Each watch ends with an error after three events.
//! sim.faults().add(Rule::new(Action::CutAfterEvents(3)).verb("watch"));
//!
//! // The same rules as data. They replace all existing rules.
//! let plan: Plan = serde_json::from_str(r#"{"rules": [
//!     {"verb": "list", "resource": "pods", "skip": 1, "times": 1, "action": {"status": {"code": 503}}},
//!     {"verb": "watch", "action": {"cutAfterEvents": 3}}
//! ]}"#)?;
//! sim.faults().load(plan);
//! # Ok::<(), serde_json::Error>(())
//! ```

mod action;
pub(crate) mod body;
mod rule;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Random};

pub use action::Action;
pub(crate) use body::BodyFaults;
pub(crate) use rule::RequestAttributes;
pub use rule::Rule;

/// Identifies a rule in [`Faults`]. Ids begin with 0, and no two rules of a simulation have the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleId(u64);

impl RuleId {
    /// The id with this number.
    pub fn new(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A list of rules, and the seed of their random choices.
///
/// See [`Faults::load`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "users build it by literal")]
pub struct Plan {
    /// The seed of the random choices that [`Rule::probability`] requires. With the same seed and the same
    /// index in `rules`, a rule makes the same choices.
    #[serde(default)]
    pub seed: u64,
    /// The rules. The faults of a request are applied in the order of the rules.
    pub rules: Vec<Rule>,
}

/// A fault that was applied to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AppliedFault {
    /// The id of the rule.
    pub rule: RuleId,
    /// The action of the rule.
    pub action: Action,
}

/// A rule of a simulation and its counters.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RuleState {
    /// The id of the rule.
    pub id: RuleId,
    /// The rule: its conditions and its action.
    pub rule: Rule,
    /// The number of requests that matched the conditions of the rule.
    pub matched: u64,
    /// The number of requests to which the rule was applied.
    pub hits: u64,
}

#[derive(Debug)]
struct RuleEntry {
    state: RuleState,
    random: Random,
    added: Timestamp,
}

/// The rules in the order of their addition. `next` is the id of the next rule.
#[derive(Debug)]
struct Rules {
    seed: u64,
    clock: Clock,
    next: u64,
    entries: Vec<RuleEntry>,
}

impl Rules {
    /// Appends a rule. The random choices of the rule depend on the seed and on `stream`. `stream` identifies a
    /// stream of random numbers; see [`Random::for_stream`].
    fn add(&mut self, rule: Rule, stream: u64) -> RuleId {
        let id = RuleId(self.next);
        self.next += 1;
        self.entries.push(RuleEntry {
            state: RuleState { id, rule, matched: 0, hits: 0 },
            random: Random::for_stream(self.seed, stream),
            added: self.clock.now(),
        });
        id
    }
}

/// The fault rules of a simulation. Clones are handles to the same rules.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Mutex<Rules>>);

impl Faults {
    pub(crate) fn new(seed: u64, clock: Clock) -> Self {
        Self(Arc::new(Mutex::new(Rules { seed, clock, next: 0, entries: Vec::new() })))
    }

    fn lock(&self) -> MutexGuard<'_, Rules> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a rule after the existing rules. The rule makes its random choices with the seed of the last loaded plan,
    /// or, if no plan was loaded, with the seed of the simulation.
    pub fn add(&self, rule: Rule) -> RuleId {
        let mut rules = self.lock();
        let stream = rules.next;
        rules.add(rule, stream)
    }

    /// Replaces all rules with those of a plan. Returns the ids of the new rules.
    pub fn load(&self, plan: Plan) -> Vec<RuleId> {
        let mut rules = self.lock();
        rules.seed = plan.seed;
        rules.entries.clear();
        plan.rules.into_iter().zip(0..).map(|(rule, at)| rules.add(rule, at)).collect()
    }

    /// Removes a rule. Returns whether it existed. A response that has begun, such as an open watch, keeps its faults.
    pub fn remove(&self, id: RuleId) -> bool {
        let mut rules = self.lock();
        let before = rules.entries.len();
        rules.entries.retain(|e| e.state.id != id);
        rules.entries.len() < before
    }

    /// Removes all rules. A response that has begun, such as an open watch, keeps its faults;
    /// [`Sim::end_watches`](crate::Sim::end_watches) ends the watches.
    pub fn clear(&self) {
        self.lock().entries.clear();
    }

    /// The rules in the order of their addition, with their counters.
    pub fn rules(&self) -> Vec<RuleState> {
        self.lock().entries.iter().map(|e| e.state.clone()).collect()
    }

    /// The number of requests that a rule has applied to; zero for a removed rule.
    pub fn hits(&self, id: RuleId) -> u64 {
        self.lock().entries.iter().find(|e| e.state.id == id).map_or(0, |e| e.state.hits)
    }

    /// Selects the faults to apply to a request, in the order of their rules. Counts the request in each rule that the
    /// request matches.
    pub(crate) fn select_for_request(&self, attributes: &RequestAttributes<'_>) -> Vec<AppliedFault> {
        let mut rules = self.lock();
        if rules.entries.is_empty() {
            return Vec::new();
        }
        let now = rules.clock.now();
        let mut faults = Vec::new();
        for RuleEntry { state, random, added } in &mut rules.entries {
            let age = Duration::try_from(now.duration_since(*added)).unwrap_or_default();
            if !state.rule.matches(attributes, age) {
                continue;
            }
            state.matched += 1;
            let applies = state.matched > state.rule.skip
                && state.rule.times.is_none_or(|times| state.hits < times)
                && state.rule.probability.is_none_or(|probability| random.chance(probability));
            if applies {
                state.hits += 1;
                faults.push(AppliedFault { rule: state.id, action: state.rule.action.clone() });
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests;
