//! Types of `core`: selectors, metadata, admission, conversion, durations, versions and requests.

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{ListParams, PartialObjectMetaExt};
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, Operation};
use kube::core::conversion::{ConversionRequest, ConversionResponse, ConversionReview};
use kube::core::{
    DynamicObject, Expression, GroupVersion, GroupVersionKind, ObjectMeta, Request, Selector, SelectorExt,
    TypeMeta, Version,
};
use kube::{Resource, ResourceExt};
use serde_json::json;

#[test]
fn selectors_match_labels() {
    let selector: Selector = Expression::In("tier".into(), ["web".to_string()].into()).into();
    assert!(selector.matches(&[("tier".to_string(), "web".to_string())].into()));
    let lp = ListParams::default().labels_from(&selector);
    assert_eq!(lp.label_selector.as_deref(), Some("tier in (web)"));
}

#[test]
fn an_admission_review_gets_a_denial() -> anyhow::Result<()> {
    let review: AdmissionReview<DynamicObject> = serde_json::from_value(json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "kind": { "group": "", "version": "v1", "kind": "Pod" },
            "resource": { "group": "", "version": "v1", "resource": "pods" },
            "operation": "CREATE", "userInfo": {}, "dryRun": false, "name": "p",
            "object": { "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" } },
        },
    }))?;
    let request: AdmissionRequest<DynamicObject> = review.try_into()?;
    assert_eq!(request.operation, Operation::Create);
    let response = AdmissionResponse::from(&request);
    let denied = response.deny("no pods today").into_review();
    assert_eq!(serde_json::to_value(denied)?["response"]["status"]["message"], "no pods today");
    Ok(())
}

#[test]
fn a_conversion_review_gets_a_success_response() -> anyhow::Result<()> {
    let review: ConversionReview = serde_json::from_value(json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
        "request": { "uid": "u", "desiredAPIVersion": "example.com/v2", "objects": [{ "spec": {} }] },
    }))?;
    let request = ConversionRequest::from_review(review)?;
    let response = ConversionResponse::for_request(request.clone()).success(request.objects);
    let review = serde_json::to_value(response.into_review())?;
    assert_eq!(review["response"]["result"]["status"], "Success");
    Ok(())
}

#[test]
fn type_metadata_and_references_have_the_api_of_kube() -> anyhow::Result<()> {
    let gvk = "apps/v1".parse::<GroupVersion>()?.with_kind("Deployment");
    assert_eq!(gvk, GroupVersionKind::gvk("apps", "v1", "Deployment"));
    assert!(Version::parse("v1").priority() > Version::parse("v1beta1").priority());
    assert_eq!(TypeMeta::resource::<Pod>().kind, "Pod");
    let mut map = ConfigMap::default();
    map.meta_mut().name = Some("a".into());
    map.meta_mut().uid = Some("u".into());
    assert_eq!(map.owner_ref(&()).map(|owner| owner.kind).as_deref(), Some("ConfigMap"));
    assert_eq!(map.object_ref(&()).name.as_deref(), Some("a"));
    let partial = ObjectMeta { labels: Some([("a".into(), "b".into())].into()), ..ObjectMeta::default() };
    assert_eq!(partial.into_request_partial::<Pod>().labels().len(), 1);
    Ok(())
}

#[test]
fn requests_are_built_without_a_client() -> anyhow::Result<()> {
    let url = Pod::url_path(&(), Some("ns"));
    let request = Request::new(url).list(&ListParams::default().limit(5))?;
    assert_eq!(request.uri().to_string(), "/api/v1/namespaces/ns/pods?&limit=5".replace("?&", "?"));
    Ok(())
}

#[test]
fn durations_are_parsed_as_in_go() -> anyhow::Result<()> {
    let duration: kube::core::Duration = "1h30m".parse()?;
    assert_eq!(std::time::Duration::from(duration).as_secs(), 5400);
    Ok(())
}
