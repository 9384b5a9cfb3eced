//! Tests of discovery with groups that fail and with malformed documents.

use super::documents::mock_server;
use kube_client::Discovery;
use kube_client::Error;
use kube_client::core::GroupVersion;
use kube_client::discovery::{self, ApiGroup};
use kube_client::error::DiscoveryError;
use serde_json::{Value, json};

/// The names of the groups, and the group and version of each failure.
fn groups_and_failures(discovery: &Discovery) -> (Vec<&str>, Vec<String>) {
    let groups = discovery.groups().map(ApiGroup::name).collect();
    let failures = discovery.failures().iter();
    (groups, failures.map(|f| format!("{} {:?}", f.group, f.version)).collect())
}

/// A resource in an aggregated document.
fn resource(plural: &str) -> Value {
    json!({"resource": plural, "responseKind": {"kind": "X"}, "scope": "Cluster", "verbs": ["get"]})
}

#[tokio::test]
async fn a_stale_version_is_reported_and_the_other_versions_are_usable() {
    let version = |name: &str, freshness: &str| json!({"version": name, "freshness": freshness, "resources": [resource("xs")]});
    let (client, _) = mock_server(json!({
        "/api": {"kind": "APIGroupDiscoveryList", "items": [{"metadata": {}, "versions": [version("v1", "Current")]}]},
        "/apis": {"kind": "APIGroupDiscoveryList", "items": [
            {"metadata": {"name": "down"}, "versions": [{"version": "v1", "freshness": "Stale"}]},
            {"metadata": {"name": "half"}, "versions": [version("v2", "Stale"), version("v1", "Current")]},
            {"metadata": {"name": "empty"}, "versions": []},
        ]},
    }));
    let discovery = Discovery::new(client).run().await.unwrap();
    let (groups, failures) = groups_and_failures(&discovery);
    assert_eq!(groups, ["", "half"]);
    assert_eq!(failures, ["down Some(\"v1\")", "half Some(\"v2\")", "empty None"]);
    assert_eq!(discovery.get("half").unwrap().preferred_version(), Some("v1"));
    let errors: Vec<_> = discovery.failures().iter().map(|failure| &*failure.error).collect();
    assert!(matches!(errors[0], Error::Discovery(DiscoveryError::StaleGroupVersion(gv)) if gv == "down/v1"));
    assert!(matches!(errors[2], Error::Discovery(DiscoveryError::EmptyApiGroup(_))));
    assert_eq!(discovery.failures()[0].to_string(), "the discovery of down/v1 failed");
}

#[tokio::test]
async fn an_unavailable_document_is_reported_and_the_other_groups_are_usable() {
    let (client, _) = mock_server(json!({
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/api/v1": {"resources": [{"name": "pods", "kind": "Pod"}]},
        "/apis": {"kind": "APIGroupList", "groups": [
            {"name": "down", "versions": [{"version": "v1"}]},
            {"name": "deleted", "versions": [{"version": "v1"}]},
            {"name": "html", "versions": [{"version": "v1"}, {"version": "v2"}], "preferredVersion": {"version": "v1"}},
        ]},
        "/apis/down/v1": {"code": 503},
        "/apis/html/v1": "<html>",
        "/apis/html/v2": {"resources": [{"name": "xs", "kind": "X"}]},
    }));
    let discovery = Discovery::new(client.clone()).run().await.unwrap();
    let (groups, failures) = groups_and_failures(&discovery);
    assert_eq!(groups, ["", "html"]);
    assert_eq!(failures, ["down Some(\"v1\")", "deleted Some(\"v1\")", "html Some(\"v1\")"]);
    assert!(discovery.failures()[0].error.is_retryable() && discovery.failures()[1].error.is_not_found());
    let html = discovery.get("html").unwrap();
    assert_eq!((html.versions().count(), html.versioned_resources("v2").len()), (1, 1));
    assert!(discovery::group(&client, "down").await.is_err(), "a single group has no list of failures");
}

#[tokio::test]
async fn a_discovery_document_of_an_unexpected_kind_is_an_error() {
    let group = json!({"kind": "APIGroup", "name": "a", "versions": [{"version": "v1"}]});
    for document in [json!({}), json!("text"), json!({"kind": "Status", "resources": []}), group] {
        // If the version of a `GroupVersion` is empty, the client requests the group's path, `/apis/a/`.
        for (version, path) in [("v1", "/apis/a/v1"), ("", "/apis/a/")] {
            let (client, _) = mock_server(json!({path: document}));
            let gv = GroupVersion::gv("a", version);
            let error = discovery::pinned_group(&client, &gv).await.unwrap_err();
            assert!(matches!(error.discovery(), Some(DiscoveryError::InvalidDocument { .. })), "{error:?}");
        }
    }
}

#[tokio::test]
async fn an_unavailable_root_document_is_an_error_but_a_missing_one_is_not() {
    let apis = json!({"kind": "APIGroupList", "groups": null});
    for code in [403, 500, 503] {
        let (client, _) = mock_server(json!({"/api": {"code": code}, "/apis": apis}));
        let error = Discovery::new(client).run().await.unwrap_err();
        assert_eq!(error.status().map(|status| status.code), Some(code));
    }
    let (client, _) = mock_server(json!({"/apis": apis}));
    assert_eq!(Discovery::new(client).run().await.unwrap().groups().count(), 0);
    for document in [json!({}), json!([]), json!("html"), json!({"kind": "APIGroupList", "groups": 5})] {
        let (client, _) = mock_server(json!({"/apis": document}));
        let error = Discovery::new(client).run().await.unwrap_err();
        assert!(matches!(error.discovery(), Some(DiscoveryError::InvalidDocument { .. })), "{error:?}");
    }
}

/// Copies of `document`. Each copy has one changed or missing value, or one list whose elements are repeated.
fn changed_documents(document: &Value) -> Vec<Value> {
    let mut changed: Vec<Value> =
        [json!(null), json!(-1), json!("../x"), json!(""), json!([]), json!({}), json!([null, 7, [], {}])]
            .into();
    match document {
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                for change in changed_documents(element) {
                    let mut elements = elements.clone();
                    elements[index] = change;
                    changed.push(elements.into());
                }
            }
            changed.push([&elements[..], &elements[..]].concat().into());
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                for change in changed_documents(value) {
                    let mut fields = fields.clone();
                    fields.insert(key.clone(), change);
                    changed.push(fields.into());
                }
                let mut fields = fields.clone();
                fields.remove(key);
                changed.push(fields.into());
            }
        }
        _ => {}
    }
    changed
}

/// The document of the group `bad` is changed in many ways. The group `good` must remain complete.
#[tokio::test]
async fn a_malformed_entry_never_hides_the_entries_beside_it() {
    let good =
        json!({"metadata": {"name": "good"}, "versions": [{"version": "v1", "resources": [resource("xs")]}]});
    let bad = json!({"metadata": {"name": "bad"}, "versions": [{"version": "v1", "freshness": "Current", "resources": [{
        "resource": "ys", "responseKind": {"group": "", "version": "", "kind": "Y"}, "scope": "Namespaced",
        "singularResource": "y", "verbs": ["get"], "shortNames": ["y"], "categories": ["all"],
        "subresources": [{"subresource": "scale", "responseKind": {"group": "g", "version": "v1", "kind": "S"},
                          "acceptedTypes": [{"kind": "S"}], "verbs": ["get"]}],
    }]}]});
    let (mut failed, mut harmless) = (0, 0);
    for bad in changed_documents(&bad) {
        for items in [json!([good, bad]), json!([bad, good])] {
            let (client, _) =
                mock_server(json!({"/apis": {"kind": "APIGroupDiscoveryList", "items": items}}));
            let discovery = Discovery::new(client).run().await.unwrap();
            let group = discovery.get("good").unwrap_or_else(|| panic!("lost beside {bad}"));
            assert_eq!(group.recommended_resources().len(), 1, "{bad}");
            *(if discovery.failures().is_empty() { &mut harmless } else { &mut failed }) += 1;
        }
    }
    assert!(failed > 100 && harmless > 20, "{failed} {harmless}");
}

#[tokio::test]
async fn a_malformed_unaggregated_entry_never_hides_the_entries_beside_it() {
    let group = json!({"name": "bad", "versions": [{"groupVersion": "bad/v1", "version": "v1"}],
                       "preferredVersion": {"groupVersion": "bad/v1", "version": "v1"}});
    let list = json!({"groupVersion": "bad/v1", "resources": [
        {"name": "ys", "singularName": "y", "namespaced": true, "kind": "Y", "verbs": ["get"],
         "shortNames": ["y"], "categories": ["all"]},
        {"name": "ys/scale", "singularName": "", "namespaced": true, "group": "g", "version": "v1", "kind": "S",
         "verbs": ["get"]},
    ]});
    let groups = changed_documents(&group).into_iter().map(|group| (group, list.clone()));
    let lists = changed_documents(&list).into_iter().map(|list| (group.clone(), list));
    let mut failed = 0;
    for (group, list) in groups.chain(lists) {
        let (client, _) = mock_server(json!({
            "/apis": {"kind": "APIGroupList", "groups": [group, {"name": "good", "versions": [{"version": "v1"}]}]},
            "/apis/bad/v1": list,
            "/apis/good/v1": {"resources": [{"name": "xs", "kind": "X"}]},
        }));
        let discovery = Discovery::new(client).run().await.unwrap();
        let good = discovery.get("good").unwrap_or_else(|| panic!("lost beside {group} {list}"));
        assert_eq!(good.recommended_resources().len(), 1);
        failed += usize::from(!discovery.failures().is_empty());
    }
    assert!(failed > 20, "{failed}");
}

#[tokio::test]
async fn discovery_uses_the_first_of_duplicate_groups_and_versions_and_kinds() {
    let version = |plurals: &[&str]| json!({"version": "v1", "resources": plurals.iter().map(|plural| resource(plural)).collect::<Vec<_>>()});
    let (client, _) = mock_server(json!({"/apis": {"kind": "APIGroupDiscoveryList", "items": [
        {"metadata": {"name": "a"}, "versions": [version(&["xs", "ys"]), version(&["zs"])]},
        {"metadata": {"name": "a"}, "versions": [version(&["zs"])]},
    ]}}));
    let discovery = Discovery::new(client).run().await.unwrap();
    assert_eq!(discovery.groups().count(), 1);
    let group = discovery.get("a").unwrap();
    assert_eq!((group.versions().count(), group.recommended_resources().len()), (1, 2));
    assert_eq!(group.recommended_kind("X").unwrap().0.plural, "xs");
}
