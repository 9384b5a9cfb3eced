//! Faults: rules that make a simulation misbehave on chosen requests.
//!
//! A [`Rule`] says which requests it is about and what happens to them. Rules are added to and removed from
//! [`Faults`] while the simulation runs.
//!
//! ```
//! use kube_sim::Sim;
//! use kube_sim::fault::{Action, Rule};
//!
//! let sim = Sim::new();
//! // The second list of pods fails once with 503.
//! sim.faults().add(Rule::new(Action::status(503)).verb("list").resource("pods").nth(2));
//! // Every watch breaks after three events.
//! sim.faults().add(Rule::new(Action::CutAfterEvents(3)).verb("watch"));
//! ```

pub(crate) mod body;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

pub(crate) use body::BodyFaults;

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// The answer is a `Status` of this code; nothing is done.
    Status {
        /// The HTTP code, 400 to 599.
        code: u16,
        /// The text; the usual one of the code when `None`.
        message: Option<String>,
        /// Seconds of a `Retry-After` header.
        retry_after: Option<u32>,
    },
    /// The request is handled after this time, by tokio's clock.
    Delay(Duration),
    /// The request is not handled and never answered.
    Hang,
    /// The connection breaks before there is an answer; nothing is done. Over the in-process service, which has no
    /// connection, the body of an empty answer breaks at once.
    Reset,
    /// The request is handled, and the connection breaks before the answer: the client cannot know whether it was.
    ResetAfterHandling,
    /// The body breaks after this many bytes.
    CutAfterBytes(usize),
    /// A watch breaks after this many events.
    CutAfterEvents(usize),
    /// A watch ends properly after this many events.
    CloseAfterEvents(usize),
    /// A watch goes silent after this many events: it stays open and sends nothing more.
    HangAfterEvents(usize),
    /// One event of a watch is replaced by these bytes, as they are: a line feed is not added.
    ReplaceEvent {
        /// Which event, counted from 0.
        index: usize,
        /// What is sent in its place.
        bytes: Bytes,
    },
    /// Wherever an object of this name is shown (get, list, watch), these bytes take the object's place.
    ReplaceObject {
        /// `metadata.name` of the object.
        name: String,
        /// What stands where the object stood.
        bytes: Bytes,
    },
}

impl Action {
    /// A `Status` of that code with its usual text.
    pub fn status(code: u16) -> Self {
        Self::Status { code, message: None, retry_after: None }
    }

    /// A `Status` of that code that asks the client to come back in so many seconds.
    pub fn status_retry_after(code: u16, seconds: u32) -> Self {
        Self::Status { code, message: None, retry_after: Some(seconds) }
    }
}

/// Which requests an action is for. A rule without conditions is for all requests.
#[derive(Clone, Debug)]
pub struct Rule {
    action: Action,
    verb: Option<String>,
    resource: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    subresource: Option<String>,
    skip: u64,
    times: Option<u64>,
}

impl Rule {
    /// A rule for all requests, every time.
    pub fn new(action: Action) -> Self {
        Self {
            action,
            verb: None,
            resource: None,
            namespace: None,
            name: None,
            subresource: None,
            skip: 0,
            times: None,
        }
    }

    /// Only for this verb, in the words of RBAC: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`,
    /// `deletecollection`.
    pub fn verb(mut self, verb: &str) -> Self {
        self.verb = Some(verb.to_owned());
        self
    }

    /// Only for this resource, by its plural name.
    pub fn resource(mut self, plural: &str) -> Self {
        self.resource = Some(plural.to_owned());
        self
    }

    /// Only in this namespace.
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// Only for the object of this name.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Only for this subresource; the empty name stands for the object itself.
    pub fn subresource(mut self, subresource: &str) -> Self {
        self.subresource = Some(subresource.to_owned());
        self
    }

    /// Only the n-th matching request, counted from 1.
    pub fn nth(mut self, n: u64) -> Self {
        self.skip = n.saturating_sub(1);
        self.times = Some(1);
        self
    }

    /// Not the first `n` matching requests.
    pub fn skip(mut self, n: u64) -> Self {
        self.skip = n;
        self
    }

    /// So many matching requests, then no more.
    pub fn times(mut self, n: u64) -> Self {
        self.times = Some(n);
        self
    }

    fn matches(&self, about: &About<'_>) -> bool {
        let same = |wanted: &Option<String>, have: &str| wanted.as_deref().is_none_or(|w| w == have);
        same(&self.verb, about.verb)
            && same(&self.resource, about.resource)
            && same(&self.namespace, about.namespace)
            && same(&self.name, about.name)
            && same(&self.subresource, about.subresource)
    }
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct About<'a> {
    pub(crate) verb: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) subresource: &'a str,
}

/// Names a rule that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuleId(u64);

#[derive(Debug)]
struct Entry {
    id: u64,
    rule: Rule,
    seen: u64,
    hits: u64,
}

#[derive(Debug, Default)]
struct Rules {
    next: u64,
    entries: Vec<Entry>,
}

/// The rules of a simulation; clones are the same set.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Rules>>);

impl Faults {
    fn rules(&self) -> std::sync::MutexGuard<'_, Rules> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a rule, behind those that are there.
    pub fn add(&self, rule: Rule) -> RuleId {
        let mut rules = self.rules();
        let id = rules.next;
        rules.next += 1;
        rules.entries.push(Entry { id, rule, seen: 0, hits: 0 });
        RuleId(id)
    }

    /// Takes a rule out.
    pub fn remove(&self, id: RuleId) {
        self.rules().entries.retain(|e| e.id != id.0);
    }

    /// Takes all rules out.
    pub fn clear(&self) {
        self.rules().entries.clear();
    }

    /// How often a rule has acted; zero for one that was taken out.
    pub fn hits(&self, id: RuleId) -> u64 {
        self.rules().entries.iter().find(|e| e.id == id.0).map_or(0, |e| e.hits)
    }

    /// The actions for a request, in the order of their rules.
    pub(crate) fn actions_for(&self, about: &About<'_>) -> Vec<Action> {
        let mut rules = self.rules();
        let mut actions = Vec::new();
        for entry in rules.entries.iter_mut().filter(|e| e.rule.matches(about)) {
            entry.seen += 1;
            let acts = entry.seen > entry.rule.skip && entry.rule.times.is_none_or(|t| entry.hits < t);
            if acts {
                entry.hits += 1;
                actions.push(entry.rule.action.clone());
            }
        }
        actions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_count_what_they_match() {
        let faults = Faults::default();
        let id = faults.add(Rule::new(Action::Hang).verb("list").resource("pods").nth(2));
        let pods = About { verb: "list", resource: "pods", ..About::default() };
        let nodes = About { verb: "list", resource: "nodes", ..About::default() };
        assert!(faults.actions_for(&nodes).is_empty());
        assert!(faults.actions_for(&pods).is_empty());
        assert_eq!(faults.actions_for(&pods), [Action::Hang]);
        assert!(faults.actions_for(&pods).is_empty());
        assert_eq!(faults.hits(id), 1);
        faults.remove(id);
        assert_eq!(faults.hits(id), 0);
    }
}
