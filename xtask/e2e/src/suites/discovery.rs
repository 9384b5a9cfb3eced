//! Discovery: the server's discovery documents, and the lookup of resources by the names that kubectl accepts.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context;
use futures::future::try_join_all;
use kube_client::Discovery;
use kube_client::api::{Api, DynamicObject, ListParams};
use kube_client::core::{GroupVersion, GroupVersionKind};
use kube_client::discovery::{self, ApiGroup, RestMapper, Scope, verbs};
use kube_client::error::DiscoveryError;

use super::widget::{install, resource};
use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::eventually;

suite!("discovery":
    aggregated_and_unaggregated_documents_agree,
    the_groups_are_sorted_by_priority,
    a_single_group_or_kind_can_be_discovered,
    every_name_that_kubectl_accepts_finds_its_resource,
    the_category_all_resolves_to_its_resources,
    discovered_resources_can_be_listed,
    a_new_crd_is_found_after_a_failed_lookup,
    a_subresource_has_the_kind_that_its_endpoint_serves,
);

/// The resources of a group version, as a set: two documents may list the resources in a different order.
fn resources(group: &ApiGroup, version: &str) -> BTreeSet<String> {
    group.versioned_resources(version).iter().map(|pair| format!("{pair:?}")).collect()
}

async fn aggregated_and_unaggregated_documents_agree(env: Env) -> Outcome {
    let client = env.client();
    let discovery = Discovery::new(client.clone()).run().await?;
    for (name, least) in
        [("", 15), ("apps", 5), ("batch", 2), ("autoscaling", 1), ("rbac.authorization.k8s.io", 4)]
    {
        let aggregated = discovery.get(name).with_context(|| format!("no group {name:?}"))?;
        check!(aggregated.recommended_resources().len() >= least, "{name}: {aggregated:?}");
        let versions = aggregated.versions().map(|version| GroupVersion::gv(name, version));
        let pinned = versions.map(async |gv| discovery::pinned_group(&client, &gv).await);
        for pinned in try_join_all(pinned).await? {
            let version = pinned.preferred_version_or_latest();
            check_eq!(resources(&pinned, version), resources(aggregated, version));
        }
        let single = discovery::group(&client, name).await?;
        check_eq!(single.versions().collect::<Vec<_>>(), aggregated.versions().collect::<Vec<_>>());
        check_eq!(single.preferred_version(), aggregated.preferred_version());
    }
    Ok(())
}

async fn the_groups_are_sorted_by_priority(env: Env) -> Outcome {
    let discovery = Discovery::new(env.client()).run_aggregated().await?;
    let order: Vec<&str> = discovery.groups().map(ApiGroup::name).collect();
    check_eq!(order.first(), Some(&""));
    let position = |name: &str| order.iter().position(|group| *group == name);
    check!(position("apps").is_some() && position("apps") < position("policy"), "{order:?}");
    check!(position("apps") < position("storage.k8s.io"), "{order:?}");
    let listed = env.client().list_api_groups().await?.groups;
    let listed: Vec<&str> =
        listed.iter().map(|group| group.name.as_str()).filter(|name| !name.contains("example")).collect();
    let named: Vec<&str> = order[1..].iter().copied().filter(|name| !name.contains("example")).collect();
    check_eq!(named, listed);
    let alphabetical: Vec<&str> = discovery.groups_alphabetical().iter().map(|group| group.name()).collect();
    check!(alphabetical.is_sorted(), "{alphabetical:?}");
    Ok(())
}

async fn a_single_group_or_kind_can_be_discovered(env: Env) -> Outcome {
    let client = env.client();
    let autoscaling = discovery::group(&client, "autoscaling").await?;
    check_eq!(autoscaling.versions().collect::<Vec<_>>(), ["v2", "v1"]);
    check_eq!(autoscaling.preferred_version(), Some("v2"));
    let (resource, capabilities) =
        discovery::pinned_kind(&client, &GroupVersionKind::gvk("", "v1", "Namespace")).await?;
    check_eq!((resource.plural.as_str(), capabilities.scope), ("namespaces", Scope::Cluster));
    check!(capabilities.supports_operation(verbs::WATCH) && !capabilities.supports_operation("proxy"));

    let missing = refused!(discovery::group(&client, "nothing.example.com").await);
    check!(matches!(missing.discovery(), Some(DiscoveryError::MissingApiGroup(_))), "{missing:?}");
    let missing = refused!(discovery::pinned_group(&client, &GroupVersion::gv("apps", "v9")).await);
    check!(missing.is_not_found(), "{missing:?}");
    let missing =
        refused!(discovery::pinned_kind(&client, &GroupVersionKind::gvk("apps", "v1", "Gadget")).await);
    check!(matches!(missing.discovery(), Some(DiscoveryError::MissingKind(_))), "{missing:?}");
    Ok(())
}

async fn every_name_that_kubectl_accepts_finds_its_resource(env: Env) -> Outcome {
    let mapper = RestMapper::new(env.client());
    for (argument, expected) in [
        ("pods", "v1 pods"),
        ("po", "v1 pods"),
        ("Pod", "v1 pods"),
        ("pods.v1.", "v1 pods"),
        ("events", "v1 events"),
        ("events.events.k8s.io", "events.k8s.io/v1 events"),
        ("deploy.v1.apps", "apps/v1 deployments"),
        ("Deployment.v1.apps", "apps/v1 deployments"),
        ("hpa", "autoscaling/v2 horizontalpodautoscalers"),
        ("hpa.v1.autoscaling", "autoscaling/v1 horizontalpodautoscalers"),
        ("netpol", "networking.k8s.io/v1 networkpolicies"),
        ("crd", "apiextensions.k8s.io/v1 customresourcedefinitions"),
        ("sts", "apps/v1 statefulsets"),
        ("sa", "v1 serviceaccounts"),
    ] {
        let (resource, _) = mapper.resolve(argument).await?;
        check_eq!(format!("{} {}", resource.api_version, resource.plural), expected);
    }
    let missing = refused!(mapper.resolve("deployments.v9.apps").await);
    check!(matches!(missing.discovery(), Some(DiscoveryError::MissingResource(_))), "{missing:?}");
    Ok(())
}

async fn the_category_all_resolves_to_its_resources(env: Env) -> Outcome {
    let all = RestMapper::new(env.client()).resolve_all("all").await?;
    let mut names: Vec<String> = all
        .iter()
        .filter(|(r, _)| !r.group.contains("example"))
        .map(|(r, _)| format!("{}.{}", r.plural, r.group))
        .collect();
    names.sort();
    check_eq!(
        names,
        [
            "cronjobs.batch",
            "daemonsets.apps",
            "deployments.apps",
            "horizontalpodautoscalers.autoscaling",
            "jobs.batch",
            "pods.",
            "replicasets.apps",
            "replicationcontrollers.",
            "services.",
            "statefulsets.apps",
        ]
    );
    Ok(())
}

async fn discovered_resources_can_be_listed(env: Env) -> Outcome {
    let discovery = Discovery::new(env.client()).filter(&["", "apps"]).run().await?;
    check_eq!(discovery.groups().count(), 2);
    for (resource, capabilities) in discovery.groups().flat_map(ApiGroup::recommended_resources) {
        if capabilities.supports_operation(verbs::LIST) && resource.plural != "componentstatuses" {
            let api: Api<DynamicObject> = match capabilities.scope {
                Scope::Namespaced => Api::namespaced_with(env.client(), env.namespace(), &resource),
                Scope::Cluster => Api::all_with(env.client(), &resource),
            };
            api.list(&ListParams::default().limit(1))
                .await
                .with_context(|| format!("cannot list {resource:?}"))?;
        }
    }
    Ok(())
}

async fn a_new_crd_is_found_after_a_failed_lookup(env: Env) -> Outcome {
    let mapper = RestMapper::new(env.client()).min_refresh_interval(Duration::from_millis(100));
    let expected = resource(&env);
    let short = format!("wg.{}", expected.group);
    let missing = refused!(mapper.resolve(&short).await);
    check!(missing.discovery().is_some(), "{missing:?}");

    install(&env).await?;
    // The aggregator of the API server adds the group to the aggregated document some time after the kind is served.
    let found = eventually("the short name is discovered", Duration::from_secs(60), async || {
        match mapper.resolve(&short).await {
            Ok((found, capabilities)) => Ok(Some((found, capabilities))),
            Err(error) if error.discovery().is_some() => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
    .await?;
    check_eq!(found.0, expected);
    check_eq!(found.1.scope, Scope::Namespaced);
    for name in ["widgets", "widget", "Widget"] {
        check_eq!(mapper.resolve(&format!("{name}.v1.{}", expected.group)).await?.0, expected);
    }
    let gvk = GroupVersionKind::gvk(&expected.group, "v1", "Widget");
    let mut subresources: Vec<String> =
        mapper.resolve_gvk(&gvk).await?.1.subresources.into_iter().map(|(sub, _)| sub.plural).collect();
    subresources.sort();
    check_eq!(subresources, ["scale", "status"]);
    Ok(())
}

async fn a_subresource_has_the_kind_that_its_endpoint_serves(env: Env) -> Outcome {
    for list in [
        env.client().list_api_groups_aggregated().await?,
        env.client().list_core_api_versions_aggregated().await?,
    ] {
        check!(!list.items.is_empty());
    }
    let discovery = Discovery::new(env.client()).filter(&["", "apps"]).run().await?;
    let kind = |argument: &str, name: &str| {
        let (_, capabilities) = discovery.resolve(argument)?;
        let (sub, _) = capabilities.subresources.into_iter().find(|(sub, _)| sub.plural == name)?;
        Some(format!("{} {}", sub.api_version, sub.kind))
    };
    check_eq!(kind("deployments", "scale").as_deref(), Some("autoscaling/v1 Scale"));
    check_eq!(kind("deployments", "status").as_deref(), Some("apps/v1 Deployment"));
    check_eq!(kind("pods", "eviction").as_deref(), Some("policy/v1 Eviction"));
    check_eq!(kind("pods", "exec").as_deref(), Some("v1 PodExecOptions"));
    check_eq!(kind("pods", "status").as_deref(), Some("v1 Pod"));
    check_eq!(kind("serviceaccounts", "token").as_deref(), Some("authentication.k8s.io/v1 TokenRequest"));
    Ok(())
}
