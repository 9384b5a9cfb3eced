//! Fault rules as data: an action, and the conditions that select the requests to which the action applies.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::Action;
use crate::encoding;

/// An action and the requests that it applies to. A rule without conditions applies to all requests.
///
/// A request *matches* a rule if it satisfies all conditions of the rule, including the times [`after`](Self::after)
/// and [`until`](Self::until). The rule skips the first [`skip`](Self::skip) matching requests. The rule applies to
/// each later matching request with its [`probability`](Self::probability), until it has applied to
/// [`times`](Self::times) requests.
///
/// # Examples
/// In JSON, all fields except `action` are optional:
/// ```
/// use kube_sim::fault::Rule;
///
/// let rule: Rule = serde_json::from_str(
///     r#"{
///         "verb": "update", "group": "apps", "resource": "deployments", "subresource": "status",
///         "namespace": "default", "name": "web", "userAgent": "manager/",
///         "after": "10s", "until": "1m", "skip": 1, "times": 3, "probability": 0.5,
///         "action": {"status": {"code": 429, "retryAfter": 5}}
///     }"#,
/// )?;
/// # let text = serde_json::to_string(&rule)?;
/// # assert_eq!(serde_json::from_str::<Rule>(&text)?, rule);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verb: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subresource: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replica: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "encoding::duration::optional")]
    after: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "encoding::duration::optional")]
    until: Option<Duration>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) skip: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) times: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "deserialize_probability")]
    pub(super) probability: Option<f64>,
    pub(super) action: Action,
}

impl Rule {
    /// A rule that applies to all requests.
    pub fn new(action: Action) -> Self {
        Self {
            verb: None,
            group: None,
            resource: None,
            subresource: None,
            namespace: None,
            name: None,
            user_agent: None,
            replica: None,
            after: None,
            until: None,
            skip: 0,
            times: None,
            probability: None,
            action,
        }
    }

    /// Restricts the rule to this RBAC verb: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`,
    /// `deletecollection`.
    pub fn verb(mut self, verb: &str) -> Self {
        self.verb = Some(verb.to_owned());
        self
    }

    /// Restricts the rule to this API group. The empty string selects the core group.
    pub fn group(mut self, group: &str) -> Self {
        self.group = Some(group.to_owned());
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

    /// Restricts the rule to clients whose `User-Agent` header begins with this text, such as `kubectl/`.
    pub fn user_agent(mut self, prefix: &str) -> Self {
        self.user_agent = Some(prefix.to_owned());
        self
    }

    /// Restricts the rule to the API server with this number: 0 for the first server, otherwise the number of a
    /// [`Replica`](crate::Replica).
    pub fn replica(mut self, number: usize) -> Self {
        self.replica = Some(number);
        self
    }

    /// Restricts the rule to requests that arrive at least this time after the rule was added, on the clock of the
    /// simulation.
    pub fn after(mut self, time: Duration) -> Self {
        self.after = Some(time);
        self
    }

    /// Restricts the rule to requests that arrive less than this time after the rule was added, on the clock of the
    /// simulation.
    pub fn until(mut self, time: Duration) -> Self {
        self.until = Some(time);
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

    /// Applies the rule to a matching request with this probability, 0 to 1. The seed of [`Faults`](super::Faults)
    /// determines the choices.
    ///
    /// # Panics
    /// When `probability` is not between 0 and 1.
    pub fn probability(mut self, probability: f64) -> Self {
        assert!((0.0..=1.0).contains(&probability), "a probability is between 0 and 1, not {probability}");
        self.probability = Some(probability);
        self
    }

    /// Whether the conditions of the rule match a request. `age` is the time since the rule was added.
    pub(super) fn matches(&self, attributes: &RequestAttributes<'_>, age: Duration) -> bool {
        let same = |wanted: &Option<String>, have: &str| wanted.as_deref().is_none_or(|w| w == have);
        same(&self.verb, attributes.verb)
            && same(&self.group, attributes.group)
            && same(&self.resource, attributes.resource)
            && same(&self.subresource, attributes.subresource)
            && same(&self.namespace, attributes.namespace)
            && same(&self.name, attributes.name)
            && self.user_agent.as_deref().is_none_or(|prefix| attributes.user_agent.starts_with(prefix))
            && self.replica.is_none_or(|number| number == attributes.replica)
            && self.after.is_none_or(|after| age >= after)
            && self.until.is_none_or(|until| age < until)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference to the field")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

fn deserialize_probability<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let value = f64::deserialize(deserializer)?;
    if (0.0..=1.0).contains(&value) {
        return Ok(Some(value));
    }
    Err(D::Error::custom(format!("a probability is between 0 and 1, not {value}")))
}

/// The attributes of a request. [`Rule::matches`] compares the conditions of a rule with these attributes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RequestAttributes<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) user_agent: &'a str,
    pub(crate) replica: usize,
}
