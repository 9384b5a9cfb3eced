//! Label and field selectors.

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube_client::api::{ListParams, PostParams};
use kube_client::core::{Selector, SelectorExt};
use kube_client::{Api, ResourceExt};

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::{config_map, idle_pod, labelled_config_map, names};

suite!("selectors":
    server_and_client_selectors_match_the_same_labels,
    field_selectors_match_name_and_namespace,
    field_selectors_match_pod_fields,
    label_and_field_selectors_are_both_applied,
    invalid_selectors_are_rejected,
);

async fn server_and_client_selectors_match_the_same_labels(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    for (name, tier) in [("a", "web"), ("b", "db"), ("c", "cache")] {
        maps.create(&PostParams::default(), &labelled_config_map(name, "tier", tier)).await?;
    }
    maps.create(&PostParams::default(), &labelled_config_map("d", "other", "x")).await?;
    // A controller may create the config map `kube-root-ca.crt` in each namespace.
    let without_root_ca = "metadata.name!=kube-root-ca.crt";
    let all = maps.list(&ListParams::default().fields(without_root_ca)).await?.items;
    check_eq!(names::<ConfigMap>(&all), ["a", "b", "c", "d"]);
    for (text, expected) in [
        ("tier=web", &["a"][..]),
        ("tier==web", &["a"]),
        ("tier!=web", &["b", "c", "d"]),
        ("tier in (web, db)", &["a", "b"]),
        ("tier notin (web,db)", &["c", "d"]),
        ("tier", &["a", "b", "c"]),
        ("!tier", &["d"]),
        ("tier,tier!=db", &["a", "c"]),
        ("tier=web,other=x", &[]),
    ] {
        let selector: Selector = text.parse()?;
        let listed = maps.list(&ListParams::default().fields(without_root_ca).labels(text)).await?.items;
        check!(names::<ConfigMap>(&listed) == expected, "{text} matches {:?}", names::<ConfigMap>(&listed));
        let by_selector =
            maps.list(&ListParams::default().fields(without_root_ca).labels_from(&selector)).await?.items;
        check_eq!(by_selector, listed);
        let matched = all.iter().filter(|map| selector.matches(map.labels()));
        check_eq!(names::<ConfigMap>(matched), expected);
    }
    Ok(())
}

async fn field_selectors_match_name_and_namespace(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    for name in ["a", "b"] {
        maps.create(&PostParams::default(), &config_map(name, "1")).await?;
    }
    let listed = maps.list(&ListParams::default().fields("metadata.name=b")).await?.items;
    check_eq!(names::<ConfigMap>(&listed), ["b"]);
    let all_namespaces: Api<ConfigMap> = Api::all(env.client());
    let fields = format!("metadata.namespace={},metadata.name==a", env.namespace());
    check_eq!(all_namespaces.list(&ListParams::default().fields(&fields)).await?.items.len(), 1);
    Ok(())
}

async fn field_selectors_match_pod_fields(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    let pods: Api<Pod> = env.api();
    pods.create(&PostParams::default(), &idle_pod("waiting")?).await?;
    let mut assigned = idle_pod("placed")?;
    if let Some(spec) = &mut assigned.spec {
        spec.node_name = Some(env.unique_name("node"));
    }
    pods.create(&PostParams::default(), &assigned).await?;
    for (fields, expected) in [
        ("spec.nodeName=".to_owned(), &["waiting"][..]),
        (format!("spec.nodeName={}", env.unique_name("node")), &["placed"]),
        ("status.phase=Pending".to_owned(), &["placed", "waiting"]),
        ("status.phase!=Pending".to_owned(), &[]),
        ("spec.schedulerName=nobody,metadata.name=placed".to_owned(), &["placed"]),
    ] {
        let listed = pods.list(&ListParams::default().fields(&fields)).await?.items;
        check!(names::<Pod>(&listed) == expected, "{fields} matches {:?}", names::<Pod>(&listed));
    }
    let immediately = kube_client::api::DeleteParams::default().grace_period(std::time::Duration::ZERO);
    pods.delete("placed", &immediately).await?;
    Ok(())
}

async fn label_and_field_selectors_are_both_applied(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    for (name, tier) in [("a", "web"), ("b", "web")] {
        maps.create(&PostParams::default(), &labelled_config_map(name, "tier", tier)).await?;
    }
    let both = ListParams::default().labels("tier=web").fields("metadata.name=a");
    check_eq!(names::<ConfigMap>(&maps.list(&both).await?.items), ["a"]);
    let no_match = ListParams::default().labels("tier=db").fields("metadata.name=a");
    check!(maps.list(&no_match).await?.items.is_empty());
    Ok(())
}

async fn invalid_selectors_are_rejected(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    for lp in [
        ListParams::default().labels("tier in web"),
        ListParams::default().labels("a b=c"),
        ListParams::default().fields("data.v=1"),
        ListParams::default().fields("metadata.name"),
    ] {
        let error = refused!(maps.list(&lp).await);
        check!(error.status().is_some_and(kube_client::core::Status::is_bad_request), "{lp:?}: {error:?}");
    }
    Ok(())
}
