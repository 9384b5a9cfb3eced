//! `Case`: one comparison of the two servers.

use crate::endpoint::Endpoint;
use crate::mutation::Mutation;
use crate::observation::Observed;
use crate::scenario::Scenario;

/// A case, which is independent of all others.
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

    /// Whether the case leaves no new objects on the server.
    pub(crate) fn stores_nothing(&self) -> bool {
        match self {
            Self::Scenario(scenario) => scenario.only_reads(),
            Self::Mutation(_) => true,
        }
    }

    /// Runs the case on one server. Returns one observation for each request that is compared.
    ///
    /// # Errors
    /// When a request fails without a response, or a step refers to a value that no response contains.
    pub(crate) async fn observe(&self, endpoint: &Endpoint, namespace: &str) -> anyhow::Result<Observed> {
        match self {
            Self::Scenario(scenario) => scenario.observe(endpoint, namespace).await,
            Self::Mutation(mutation) => {
                let observations = mutation.observe(endpoint, namespace).await?;
                Ok(Observed { observations, unexpected: Vec::new() })
            }
        }
    }
}
