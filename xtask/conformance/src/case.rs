//! `Case`: one comparison of kube-sim with the real API server.

use crate::endpoint::Endpoint;
use crate::mutation::Mutation;
use crate::observation::CaseResult;
use crate::scenario::Scenario;

/// A comparison. It does not depend on the results of other comparisons.
#[derive(Debug)]
pub(crate) enum Case {
    Scenario(Scenario),
    Mutation(Mutation),
}

impl Case {
    /// The unique name, such as `configmaps/create` or `v1 Service sample: spec.ports[0].port: absent`.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Scenario(scenario) => &scenario.name,
            Self::Mutation(mutation) => &mutation.name,
        }
    }

    /// Whether the server stores no object in this case: a mutation is a dry run, and some scenarios only read.
    pub(crate) fn stores_nothing(&self) -> bool {
        match self {
            Self::Scenario(scenario) => scenario.only_reads(),
            Self::Mutation(_) => true,
        }
    }

    /// Runs the case on one server. Returns one observation for each request that is compared, and the responses that the
    /// scenario does not expect.
    ///
    /// # Errors
    /// When a request fails without a response, a step refers to a value that no response contains, or the server rejects
    /// an unchanged sample.
    pub(crate) async fn observe(&self, endpoint: &Endpoint, namespace: &str) -> anyhow::Result<CaseResult> {
        match self {
            Self::Scenario(scenario) => scenario.observe(endpoint, namespace).await,
            Self::Mutation(mutation) => {
                let observations = mutation.observe(endpoint, namespace).await?;
                Ok(CaseResult { observations, unexpected: Vec::new() })
            }
        }
    }
}
