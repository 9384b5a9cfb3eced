//! Finds resources by the names that kubectl accepts.
//!
//! As in kubectl (client-go's shortcut expander and `RESTMapper`), the precedence is: plural, short name, singular,
//! kind.

use super::{
    Discovery,
    apigroup::{ApiGroup, ServedResource},
};
use crate::core::{ApiResource, discovery::ApiCapabilities};

/// One interpretation of a resource argument of kubectl. Without a group, all groups are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ResourceArgument<'a> {
    pub(super) name: &'a str,
    pub(super) version: Option<&'a str>,
    pub(super) group: Option<&'a str>,
}

impl<'a> ResourceArgument<'a> {
    /// The interpretations of an argument, in the order of preference. `a.b.c` is resource `a` in version `b` of group
    /// `c`, or else resource `a` in group `b.c`.
    pub(super) fn interpretations(argument: &'a str) -> Vec<Self> {
        let Some((name, rest)) = argument.split_once('.') else {
            return vec![Self { name: argument, version: None, group: None }];
        };
        let whole = Self { name, version: None, group: Some(rest) };
        match rest.split_once('.') {
            None => vec![whole],
            Some((version, group)) => {
                // `pods.v1.` has a version and no group.
                let group = Some(group).filter(|group| !group.is_empty());
                vec![Self { name, version: Some(version), group }, whole]
            }
        }
    }

    /// Whether the argument may name a resource of a group version whose discovery failed. `version` is `None` if the
    /// discovery of all versions of the group failed.
    pub(super) fn may_be_in_group_version(&self, group: &str, version: Option<&str>) -> bool {
        self.group.is_none_or(|wanted| group.starts_with(wanted))
            && self.version.is_none_or(|wanted| version.is_none_or(|version| version == wanted))
    }
}

impl Discovery {
    /// Finds a resource by a name that kubectl accepts: the plural, singular or short name (case-insensitive), or the
    /// kind (case-sensitive).
    ///
    /// `NAME.GROUP` and `NAME.VERSION.GROUP` select a group: `deployments.apps`, `deploy.v1.apps`. The start
    /// of the group's name suffices (`hpa.auto`), except after a kind. Without a group, the groups are
    /// searched in the order of the server, and the first group that has such a resource is used. Without a
    /// version, the preferred version is used if it has the resource.
    ///
    /// ```
    /// use kube_client::Discovery;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> kube_client::Result<()> {
    /// # let client = kube_client::Client::new(kube_sim::Sim::new().service(), "default");
    /// let discovery = Discovery::new(client).run().await?;
    /// for argument in ["deployments", "deployment", "deploy", "Deployment", "deployments.apps", "deploy.v1.apps"] {
    ///     let (resource, _) = discovery.resolve(argument).unwrap();
    ///     assert_eq!((resource.api_version.as_str(), resource.plural.as_str()), ("apps/v1", "deployments"));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn resolve(&self, argument: &str) -> Option<(ApiResource, ApiCapabilities)> {
        let lower = argument.to_lowercase();
        let by_name =
            ResourceArgument::interpretations(&lower).into_iter().find_map(|name| self.find_by_name(name));
        let by_kind = || {
            ResourceArgument::interpretations(argument).into_iter().find_map(|name| self.find_by_kind(name))
        };
        by_name.or_else(by_kind).map(ServedResource::resource_and_capabilities)
    }

    /// The resources of a category, such as `all`, each in one version. Empty if there is no such category.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> kube_client::Result<()> {
    /// # let client = kube_client::Client::new(kube_sim::Sim::new().service(), "default");
    /// let discovery = kube_client::Discovery::new(client).run().await?;
    /// let all = discovery.resolve_category("all");
    /// assert!(all.iter().any(|(resource, _)| resource.plural == "pods"));
    /// assert!(!all.iter().any(|(resource, _)| resource.plural == "configmaps"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn resolve_category(&self, category: &str) -> Vec<(ApiResource, ApiCapabilities)> {
        let mut found: Vec<(ApiResource, ApiCapabilities)> = Vec::new();
        for served in self.served_resources() {
            let ApiResource { group, plural, .. } = &served.resource;
            let known = |(other, _): &(ApiResource, _)| (&other.group, &other.plural) == (group, plural);
            if served.categories.iter().any(|name| name == category) && !found.iter().any(known) {
                found.push(served.resource_and_capabilities());
            }
        }
        found
    }

    /// The resources of all groups in the order of the server; in each group, the preferred version first.
    fn served_resources(&self) -> impl Iterator<Item = &ServedResource> {
        self.groups.iter().flat_map(ApiGroup::resources_by_preference)
    }

    /// Finds a resource by its plural, short name or singular. The texts in `wanted` must be in lower case. If `wanted`
    /// has a group, searches the group with exactly this name first, and then all groups whose names begin with this text.
    fn find_by_name(&self, wanted: ResourceArgument<'_>) -> Option<&ServedResource> {
        let exact =
            |served: &&ServedResource| wanted.group.is_none_or(|group| served.resource.group == group);
        let prefix = |served: &&ServedResource| {
            wanted.group.is_some_and(|group| served.resource.group.starts_with(group))
        };
        let version = |served: &&ServedResource| {
            wanted.version.is_none_or(|version| served.resource.version == version)
        };
        let plural = |served: &ServedResource| served.resource.plural == wanted.name;
        let short = |served: &ServedResource| served.short_names.iter().any(|short| short == wanted.name);
        let singular = |served: &ServedResource| served.singular == wanted.name && !wanted.name.is_empty();
        let matchers: [&dyn Fn(&ServedResource) -> bool; 3] = [&plural, &short, &singular];
        let within = |in_group: &dyn Fn(&&ServedResource) -> bool| {
            matchers.iter().find_map(|matches| {
                self.served_resources().filter(in_group).filter(version).find(|served| matches(served))
            })
        };
        within(&exact).or_else(|| within(&prefix))
    }

    /// Finds a resource by its kind and the full name of its group.
    fn find_by_kind(&self, wanted: ResourceArgument<'_>) -> Option<&ServedResource> {
        self.served_resources().find(|ServedResource { resource, .. }| {
            resource.kind == wanted.name
                && wanted.group.is_none_or(|group| resource.group == group)
                && wanted.version.is_none_or(|version| resource.version == version)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_after_the_first_dot_is_a_version_and_a_group_or_only_a_group() {
        let name = |name, version, group| ResourceArgument { name, version, group };
        for (argument, expected) in [
            ("pods", vec![name("pods", None, None)]),
            ("deploy.apps", vec![name("deploy", None, Some("apps"))]),
            ("pods.v1.", vec![name("pods", Some("v1"), None), name("pods", None, Some("v1."))]),
            (
                "widgets.v1.example.com",
                vec![
                    name("widgets", Some("v1"), Some("example.com")),
                    name("widgets", None, Some("v1.example.com")),
                ],
            ),
            ("", vec![name("", None, None)]),
            (".", vec![name("", None, Some(""))]),
        ] {
            assert_eq!(ResourceArgument::interpretations(argument), expected, "{argument}");
        }
    }
}
