//! Fault injection: rules that make selected requests fail.
//!
//! A [`Rule`] selects requests and applies an [`Action`] to them. [`Faults`] adds and removes rules while the
//! simulation runs.
//!
//! ```
//! use kube_sim::Sim;
//! use kube_sim::fault::{Action, Rule};
//!
//! let sim = Sim::new();
//! // The second request that lists pods fails with 503.
//! sim.faults().add(Rule::new(Action::status(503)).verb("list").resource("pods").nth(2));
//! // Each watch ends with an error after three events.
//! sim.faults().add(Rule::new(Action::CutAfterEvents(3)).verb("watch"));
//! ```

pub(crate) mod body;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

pub(crate) use body::BodyFaults;

/// The effect of a fault rule on a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// The response is a `Status` with this code. The request is not handled.
    Status {
        /// The HTTP code, 400 to 599.
        code: u16,
        /// The message; `None` for the default message of the code.
        message: Option<String>,
        /// The `Retry-After` header in seconds.
        retry_after: Option<u32>,
    },
    /// The request is handled after this time on tokio's clock.
    Delay(Duration),
    /// The request is not handled and never gets a response.
    Hang,
    /// The connection breaks and the request is not handled. Over HTTP/2, only the stream of the request is reset.
    /// [`SimService`](crate::SimService) has no connection: it returns a response whose body ends with an error before
    /// the first byte.
    Reset,
    /// The request is handled, but the connection, or the HTTP/2 stream, breaks before the response is sent.
    ResetAfterHandling,
    /// The body ends with an error after this many bytes.
    CutAfterBytes(usize),
    /// A watch ends with an error after this many events.
    CutAfterEvents(usize),
    /// A watch ends without an error after this many events.
    CloseAfterEvents(usize),
    /// A watch stalls after this many events: it stays open, but sends no further data.
    HangAfterEvents(usize),
    /// These bytes replace one event of a watch. No line feed is added to the bytes.
    ReplaceEvent {
        /// The index of the event, from 0.
        index: usize,
        /// The bytes to send instead.
        bytes: Bytes,
    },
    /// These bytes replace each object with this name in the responses to get, list and watch requests.
    ReplaceObject {
        /// `metadata.name` of the object.
        name: String,
        /// The bytes to send instead of the object.
        bytes: Bytes,
    },
}

impl Action {
    /// A `Status` with this code and the default message of the code.
    pub fn status(code: u16) -> Self {
        Self::Status { code, message: None, retry_after: None }
    }

    /// A `Status` with this code and a `Retry-After` header in seconds.
    pub fn status_retry_after(code: u16, seconds: u32) -> Self {
        Self::Status { code, message: None, retry_after: Some(seconds) }
    }
}

/// An action and the requests that it applies to. A rule without conditions applies to all requests.
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
    /// A rule that applies to all requests.
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

    /// Restricts the rule to this RBAC verb: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`,
    /// `deletecollection`.
    pub fn verb(mut self, verb: &str) -> Self {
        self.verb = Some(verb.to_owned());
        self
    }

    /// Restricts the rule to the resource with this plural name.
    pub fn resource(mut self, plural: &str) -> Self {
        self.resource = Some(plural.to_owned());
        self
    }

    /// Restricts the rule to requests in this namespace.
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// Restricts the rule to the object with this name.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Restricts the rule to this subresource. The empty string selects requests without a subresource.
    pub fn subresource(mut self, subresource: &str) -> Self {
        self.subresource = Some(subresource.to_owned());
        self
    }

    /// Applies the rule only to the `n`-th matching request, counted from 1.
    pub fn nth(mut self, n: u64) -> Self {
        self.skip = n.saturating_sub(1);
        self.times = Some(1);
        self
    }

    /// Does not apply the rule to the first `n` matching requests.
    pub fn skip(mut self, n: u64) -> Self {
        self.skip = n;
        self
    }

    /// Applies the rule to at most `n` requests.
    pub fn times(mut self, n: u64) -> Self {
        self.times = Some(n);
        self
    }

    /// Whether the conditions of the rule match a request.
    fn matches(&self, attributes: &RequestAttributes<'_>) -> bool {
        let same = |wanted: &Option<String>, have: &str| wanted.as_deref().is_none_or(|w| w == have);
        same(&self.verb, attributes.verb)
            && same(&self.resource, attributes.resource)
            && same(&self.namespace, attributes.namespace)
            && same(&self.name, attributes.name)
            && same(&self.subresource, attributes.subresource)
    }
}

/// The attributes of a request that the conditions of rules compare.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RequestAttributes<'a> {
    pub(crate) verb: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) subresource: &'a str,
}

/// Identifies a rule in [`Faults`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuleId(u64);

/// A rule, the number of requests that match it (`seen`), and the number of requests to which its action was applied
/// (`hits`).
#[derive(Debug)]
struct RuleEntry {
    id: u64,
    rule: Rule,
    seen: u64,
    hits: u64,
}

/// The rules in the order of their addition. `next` is the id of the next rule.
#[derive(Debug, Default)]
struct Rules {
    next: u64,
    entries: Vec<RuleEntry>,
}

/// The fault rules of a simulation. Clones are handles to the same rules.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Rules>>);

impl Faults {
    /// Locks the rules.
    fn rules(&self) -> std::sync::MutexGuard<'_, Rules> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a rule after the existing rules.
    pub fn add(&self, rule: Rule) -> RuleId {
        let mut rules = self.rules();
        let id = rules.next;
        rules.next += 1;
        rules.entries.push(RuleEntry { id, rule, seen: 0, hits: 0 });
        RuleId(id)
    }

    /// Removes a rule.
    pub fn remove(&self, id: RuleId) {
        self.rules().entries.retain(|e| e.id != id.0);
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.rules().entries.clear();
    }

    /// The number of requests that a rule has applied to; zero for a removed rule.
    pub fn hits(&self, id: RuleId) -> u64 {
        self.rules().entries.iter().find(|e| e.id == id.0).map_or(0, |e| e.hits)
    }

    /// The actions for a request, in the order of their rules.
    pub(crate) fn actions_for(&self, attributes: &RequestAttributes<'_>) -> Vec<Action> {
        let mut rules = self.rules();
        let mut actions = Vec::new();
        for entry in rules.entries.iter_mut().filter(|e| e.rule.matches(attributes)) {
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
    fn nth_applies_a_rule_to_one_matching_request() {
        let faults = Faults::default();
        let id = faults.add(Rule::new(Action::Hang).verb("list").resource("pods").nth(2));
        let pods = RequestAttributes { verb: "list", resource: "pods", ..RequestAttributes::default() };
        let nodes = RequestAttributes { verb: "list", resource: "nodes", ..RequestAttributes::default() };
        assert!(faults.actions_for(&nodes).is_empty());
        assert!(faults.actions_for(&pods).is_empty());
        assert_eq!(faults.actions_for(&pods), [Action::Hang]);
        assert!(faults.actions_for(&pods).is_empty());
        assert_eq!(faults.hits(id), 1);
        faults.remove(id);
        assert_eq!(faults.hits(id), 0);
    }
}
