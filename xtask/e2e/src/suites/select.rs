//! Label and field selectors.

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube_client::api::{ListParams, PostParams};
use kube_client::core::{Selector, SelectorExt};
use kube_client::{Api, ResourceExt};

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::{config_map, idle_pod, labelled, names};

suite!("select":
    labels_select_as_the_selector_type_does,
    a_name_is_selected_by_field,
    pods_are_selected_by_their_fields,
    selectors_of_both_kinds_must_both_hold,
    selectors_that_cannot_be_are_refused,
);

async fn labels_select_as_the_selector_type_does(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    for (name, tier) in [("a", "web"), ("b", "db"), ("c", "cache")] {
        maps.create(&PostParams::default(), &labelled(name, "tier", tier)).await?;
    }
    maps.create(&PostParams::default(), &labelled("d", "other", "x")).await?;
    // A namespace may get config maps of its own.
    let ours = "metadata.name!=kube-root-ca.crt";
    let all = maps.list(&ListParams::default().fields(ours)).await?.items;
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
        let listed = maps.list(&ListParams::default().fields(ours).labels(text)).await?.items;
        check!(names::<ConfigMap>(&listed) == expected, "{text} gives {:?}", names::<ConfigMap>(&listed));
        let printed = maps.list(&ListParams::default().fields(ours).labels_from(&selector)).await?.items;
        check_eq!(printed, listed);
        let matched = all.iter().filter(|map| selector.matches(map.labels()));
        check_eq!(names::<ConfigMap>(matched), expected);
    }
    Ok(())
}

async fn a_name_is_selected_by_field(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    for name in ["a", "b"] {
        maps.create(&PostParams::default(), &config_map(name, "1")).await?;
    }
    let listed = maps.list(&ListParams::default().fields("metadata.name=b")).await?.items;
    check_eq!(names::<ConfigMap>(&listed), ["b"]);
    let everywhere: Api<ConfigMap> = Api::all(env.client());
    let fields = format!("metadata.namespace={},metadata.name==a", env.namespace());
    check_eq!(everywhere.list(&ListParams::default().fields(&fields)).await?.items.len(), 1);
    Ok(())
}

async fn pods_are_selected_by_their_fields(env: Env) -> Outcome {
    env.until_pods_can_be_made().await?;
    let pods: Api<Pod> = env.api();
    pods.create(&PostParams::default(), &idle_pod("waiting")?).await?;
    let mut placed = idle_pod("placed")?;
    if let Some(spec) = &mut placed.spec {
        spec.node_name = Some(env.unique("node"));
    }
    pods.create(&PostParams::default(), &placed).await?;
    for (fields, expected) in [
        ("spec.nodeName=".to_owned(), &["waiting"][..]),
        (format!("spec.nodeName={}", env.unique("node")), &["placed"]),
        ("status.phase=Pending".to_owned(), &["placed", "waiting"]),
        ("status.phase!=Pending".to_owned(), &[]),
        ("spec.schedulerName=nobody,metadata.name=placed".to_owned(), &["placed"]),
    ] {
        let listed = pods.list(&ListParams::default().fields(&fields)).await?.items;
        check!(names::<Pod>(&listed) == expected, "{fields} gives {:?}", names::<Pod>(&listed));
    }
    let now = kube_client::api::DeleteParams::default().grace_period(std::time::Duration::ZERO);
    pods.delete("placed", &now).await?;
    Ok(())
}

async fn selectors_of_both_kinds_must_both_hold(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    for (name, tier) in [("a", "web"), ("b", "web")] {
        maps.create(&PostParams::default(), &labelled(name, "tier", tier)).await?;
    }
    let both = ListParams::default().labels("tier=web").fields("metadata.name=a");
    check_eq!(names::<ConfigMap>(&maps.list(&both).await?.items), ["a"]);
    let neither = ListParams::default().labels("tier=db").fields("metadata.name=a");
    check!(maps.list(&neither).await?.items.is_empty());
    Ok(())
}

async fn selectors_that_cannot_be_are_refused(env: Env) -> Outcome {
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
