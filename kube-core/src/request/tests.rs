//! Tests of the method, URL, headers and body of each verb's request.

use super::*;
use crate::{
    DeleteParams, EvictParams, GetParams, ListParams, LogParams, LogStream, Patch, PatchParams, PostParams,
    Resource, VersionMatch, WatchParams,
};
use k8s_openapi::api::core::v1::Pod;
use std::time::Duration;

/// A builder of requests for the pods in the namespace `ns`.
fn pods() -> Request {
    Request::new(Pod::url_path(&(), Some("ns")))
}

#[track_caller]
fn check_method_and_url(
    built: Result<http::Request<Vec<u8>>, Error>,
    expected: &str,
) -> http::Request<Vec<u8>> {
    let request = built.unwrap();
    assert_eq!(format!("{} {}", request.method(), request.uri()), expected);
    request
}

#[track_caller]
fn check_error_contains(built: Result<http::Request<Vec<u8>>, Error>, part: &str) {
    let message = built.unwrap_err().to_string();
    assert!(message.contains(part), "{message}");
}

#[test]
fn list_omits_unset_parameters_and_sends_a_continue_token_instead_of_the_resource_version() {
    check_method_and_url(pods().list(&ListParams::default()), "GET /api/v1/namespaces/ns/pods");
    let without_token = ListParams::default().continue_token("").at("7");
    check_method_and_url(pods().list(&without_token), "GET /api/v1/namespaces/ns/pods?resourceVersion=7");
    let lp = ListParams::default().labels("app in (a,b)").fields("spec.nodeName=n").limit(5).at("7");
    check_method_and_url(
        pods().list(&lp),
        "GET /api/v1/namespaces/ns/pods?labelSelector=app+in+%28a%2Cb%29&fieldSelector=spec.nodeName%3Dn&limit=5&resourceVersion=7",
    );
    let paged = lp.matching(VersionMatch::Exact).continue_token("t");
    check_method_and_url(
        pods().list(&paged),
        "GET /api/v1/namespaces/ns/pods?labelSelector=app+in+%28a%2Cb%29&fieldSelector=spec.nodeName%3Dn&limit=5&continue=t",
    );
}

#[test]
fn namespaces_that_change_the_path_are_rejected() {
    for namespace in ["", ".", "..", "a/secrets", "a%2fb", "a?watch=true", "a#", "a b"] {
        let pods = Request::new(Pod::url_path(&(), Some(namespace)));
        check_error_contains(pods.list(&ListParams::default()), "/api/v1/namespaces/");
        check_error_contains(pods.get("web", &GetParams::default()), "part of the path");
        check_error_contains(pods.create(&PostParams::default(), Vec::new()), "part of the path");
        check_error_contains(pods.watch(&WatchParams::default(), ""), "part of the path");
    }
}

#[test]
fn list_rejects_a_version_match_that_servers_reject() {
    check_error_contains(
        pods().list(&ListParams::default().matching(VersionMatch::Exact)),
        "needs a resource version",
    );
    check_error_contains(
        pods().list(&ListParams::default().at("0").matching(VersionMatch::Exact)),
        "\"0\" exactly",
    );
}

#[test]
fn watch_sends_its_parameters_and_rejects_invalid_parameters() {
    check_method_and_url(
        pods().watch(&WatchParams::default(), "9"),
        "GET /api/v1/namespaces/ns/pods?watch=true&timeoutSeconds=290&allowWatchBookmarks=true&resourceVersion=9",
    );
    let wp = WatchParams::default().initial_events().timeout(Duration::from_millis(1200));
    check_method_and_url(
        pods().watch(&wp, ""),
        "GET /api/v1/namespaces/ns/pods?watch=true&timeoutSeconds=2&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=",
    );
    check_error_contains(pods().watch(&wp.disable_bookmarks(), ""), "bookmarks");
    check_error_contains(pods().watch(&WatchParams::default().timeout(Duration::ZERO), ""), "above zero");
}

#[test]
fn the_accept_header_of_a_metadata_request_asks_for_partial_object_metadata() {
    let partial = pods().representation(Representation::Metadata);
    let list = check_method_and_url(partial.list(&ListParams::default()), "GET /api/v1/namespaces/ns/pods");
    assert!(list.headers()["accept"].to_str().unwrap().contains("as=PartialObjectMetadataList;"));
    let get = check_method_and_url(
        partial.get("a", &GetParams::any()),
        "GET /api/v1/namespaces/ns/pods/a?resourceVersion=0",
    );
    assert!(get.headers()["accept"].to_str().unwrap().contains("as=PartialObjectMetadata;"));
}

#[test]
fn names_that_change_the_path_are_escaped_or_rejected() {
    for bad in ["", "..", "a/b", "a%2fb"] {
        check_error_contains(pods().get(bad, &GetParams::default()), "name of an object");
    }
    check_method_and_url(
        pods().get("a?b#c", &GetParams::default()),
        "GET /api/v1/namespaces/ns/pods/a%3Fb%23c",
    );
    check_method_and_url(
        pods().get_subresource("status?a#b", "a"),
        "GET /api/v1/namespaces/ns/pods/a/status%3Fa%23b",
    );
    check_method_and_url(
        pods().get("system:node", &GetParams::default()),
        "GET /api/v1/namespaces/ns/pods/system:node",
    );
}

#[test]
fn create_sends_a_post_and_replace_sends_a_put() {
    let pp = PostParams { dry_run: true, field_manager: Some("me".into()), ..PostParams::default() };
    let create = check_method_and_url(
        pods().create(&pp, vec![1]),
        "POST /api/v1/namespaces/ns/pods?dryRun=All&fieldManager=me",
    );
    assert_eq!(
        (create.headers()["content-type"].as_bytes(), create.body().as_slice()),
        (&b"application/json"[..], &[1][..])
    );
    check_method_and_url(
        pods().replace("a", &PostParams::default(), vec![]),
        "PUT /api/v1/namespaces/ns/pods/a",
    );
    let status = pods().replace_subresource("status", "a", &PostParams::default(), vec![]);
    check_method_and_url(status, "PUT /api/v1/namespaces/ns/pods/a/status");
}

#[test]
fn patch_sends_apply_and_merge_patches_and_rejects_invalid_parameters() {
    let apply = Patch::Apply(serde_json::json!({}));
    let request = check_method_and_url(
        pods().patch("a", &PatchParams::apply("me").force(), &apply),
        "PATCH /api/v1/namespaces/ns/pods/a?force=true&fieldManager=me",
    );
    assert_eq!(request.headers()["content-type"], "application/apply-patch+yaml");
    check_error_contains(pods().patch("a", &PatchParams::default(), &apply), "field manager");
    let merge = Patch::Merge(serde_json::json!({"a": 1}));
    let request = check_method_and_url(
        pods().patch_subresource("status", "a", &PatchParams::default(), &merge),
        "PATCH /api/v1/namespaces/ns/pods/a/status",
    );
    assert_eq!(request.body(), br#"{"a":1}"#);
    check_error_contains(pods().patch("a", &PatchParams::apply("me").force(), &merge), "`force`");
}

#[test]
fn delete_omits_default_options_and_delete_collection_sends_options_in_the_body() {
    let plain = check_method_and_url(
        pods().delete("a", &DeleteParams::default()),
        "DELETE /api/v1/namespaces/ns/pods/a",
    );
    assert!(plain.body().is_empty());
    let lp = ListParams::default().labels("app=web");
    let many = check_method_and_url(
        pods().delete_collection(&DeleteParams::background(), &lp),
        "DELETE /api/v1/namespaces/ns/pods?labelSelector=app%3Dweb",
    );
    assert_eq!(many.body(), br#"{"propagationPolicy":"Background"}"#);
}

#[test]
fn a_log_request_sends_all_parameters() {
    check_method_and_url(pods().logs("web", &LogParams::default()), "GET /api/v1/namespaces/ns/pods/web/log");
    let lp = LogParams {
        container: Some("main".into()),
        follow: true,
        limit_bytes: Some(100),
        pretty: true,
        previous: true,
        since_seconds: Some(60),
        since_time: None,
        tail_lines: Some(10),
        timestamps: true,
        stream: Some(LogStream::All),
        insecure_skip_tls_verify_backend: true,
    };
    let request = check_method_and_url(
        pods().logs("web", &lp),
        "GET /api/v1/namespaces/ns/pods/web/log?container=main&follow=true&limitBytes=100&pretty=true&previous=true\
         &sinceSeconds=60&tailLines=10&timestamps=true&stream=All&insecureSkipTLSVerifyBackend=true",
    );
    assert_eq!(request.headers()["accept"], "*/*");
    let since =
        LogParams { since_time: Some("2026-01-02T03:04:05.5Z".parse().unwrap()), ..LogParams::default() };
    check_method_and_url(
        pods().logs("web", &since),
        "GET /api/v1/namespaces/ns/pods/web/log?sinceTime=2026-01-02T03%3A04%3A05.5Z",
    );
}

#[test]
fn log_parameters_that_exclude_each_other_are_rejected() {
    let time = Some("2026-01-02T03:04:05Z".parse().unwrap());
    let since = LogParams { since_seconds: Some(1), since_time: time, ..LogParams::default() };
    check_error_contains(pods().logs("web", &since), "since_time");
    let tail = LogParams { tail_lines: Some(1), stream: Some(LogStream::Stderr), ..LogParams::default() };
    check_error_contains(pods().logs("web", &tail), "tail_lines");
}

#[test]
fn an_eviction_contains_the_pod_name_and_the_delete_options() {
    let request = check_method_and_url(
        pods().evict("web", &EvictParams::default()),
        "POST /api/v1/namespaces/ns/pods/web/eviction",
    );
    let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
    let plain =
        serde_json::json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "web"}});
    assert_eq!(body, plain);
    let ep = EvictParams {
        delete_options: Some(DeleteParams::default().grace_period(3)),
        post_options: PostParams { dry_run: true, ..PostParams::default() },
    };
    let request = check_method_and_url(
        pods().evict("web", &ep),
        "POST /api/v1/namespaces/ns/pods/web/eviction?dryRun=All",
    );
    let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
    assert_eq!(body["deleteOptions"], serde_json::json!({"gracePeriodSeconds": 3}));
}

#[test]
fn restart_cordon_and_uncordon_send_merge_patches() {
    let body = |request: http::Request<Vec<u8>>| -> serde_json::Value {
        assert_eq!(request.headers()["content-type"], "application/merge-patch+json");
        serde_json::from_slice(request.body()).unwrap()
    };
    let time = "2026-01-02T03:04:05Z".parse().unwrap();
    let restart = body(check_method_and_url(
        Request::new("/apis/apps/v1/namespaces/ns/deployments").restart("web", time),
        "PATCH /apis/apps/v1/namespaces/ns/deployments/web",
    ));
    let annotations = &restart["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations["kubectl.kubernetes.io/restartedAt"], "2026-01-02T03:04:05Z");
    let nodes = Request::new("/api/v1/nodes");
    for (request, unschedulable) in [(nodes.cordon("n"), true), (nodes.uncordon("n"), false)] {
        let patch = body(check_method_and_url(request, "PATCH /api/v1/nodes/n"));
        assert_eq!(patch["spec"]["unschedulable"], unschedulable);
    }
}

#[test]
fn the_namespace_in_the_path_can_be_set_and_removed() {
    let path = |request: Request| request.url_path;
    let deployments = Request::new("/apis/apps/v1/namespaces/ns/deployments");
    assert_eq!(
        path(deployments.in_namespace(true, Some("a b"))),
        "/apis/apps/v1/namespaces/a%20b/deployments"
    );
    assert_eq!(path(deployments.in_namespace(true, None)), "/apis/apps/v1/deployments");
    assert_eq!(
        path(Request::new("/api/v1/pods").in_namespace(false, Some("ns"))),
        "/api/v1/namespaces/ns/pods"
    );
    assert_eq!(path(Request::new("/api/v1/namespaces//pods").in_namespace(true, None)), "/api/v1/pods");
}
