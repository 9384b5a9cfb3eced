//! Tests of decoding. The expected errors and decoded objects were recorded from kube-apiserver 1.37.2.

use serde_json::json;

use super::*;

fn deployment_schema() -> std::sync::Arc<Schema> {
    crate::builtin::schema("io.k8s.api.apps.v1.Deployment").unwrap()
}

/// Checks that a Deployment does not decode, and that the error is `problem`, recorded from kube-apiserver 1.37.2.
#[track_caller]
fn assert_rejected(mut object: Value, problem: &str) {
    assert_eq!(decode(&deployment_schema(), &mut object, |_, _| false).unwrap_err(), problem);
}

#[test]
fn whole_floats_become_integers_except_in_the_default_of_the_root_schema() {
    let name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
    let mut schema = json!({
        "minimum": 1.0, "maximum": 2.5, "default": 1.0, "items": {"maximum": 3.0, "default": 4.0},
    });
    decode(&crate::builtin::schema(name).unwrap(), &mut schema, |_, _| false).unwrap();
    let expected = r#"{"default":1.0,"items":{"default":4,"maximum":3},"maximum":2.5,"minimum":1}"#;
    assert_eq!(schema.to_string(), expected);
}

#[test]
fn type_errors_contain_the_field_and_its_go_type() {
    let cannot = |what: &str| format!("json: cannot unmarshal {what}");
    assert_rejected(
        json!({"spec": {"replicas": "3"}}),
        &cannot("string into Go struct field DeploymentSpec.spec.replicas of type int32"),
    );
    assert_rejected(
        json!({"spec": {"replicas": 3.5}}),
        &cannot("number 3.5 into Go struct field DeploymentSpec.spec.replicas of type int32"),
    );
    assert_rejected(
        json!({"spec": {"replicas": 99_999_999_999_i64}}),
        &cannot("number 99999999999 into Go struct field DeploymentSpec.spec.replicas of type int32"),
    );
    assert_rejected(
        json!({"spec": {"template": {"spec": {"containers": {"a": 1}}}}}),
        &cannot("object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container"),
    );
    assert_rejected(
        json!({"spec": {"template": {"spec": {"containers": [{"name": 1}]}}}}),
        &cannot("number into Go struct field Container.spec.template.spec.containers.name of type string"),
    );
    assert_rejected(
        json!({"metadata": {"labels": {"a": 1}}}),
        &cannot("number into Go struct field ObjectMeta.metadata.labels of type string"),
    );
    assert_rejected(
        json!({"metadata": {"labels": ["a"]}}),
        &cannot("array into Go struct field ObjectMeta.metadata.labels of type map[string]string"),
    );
    assert_rejected(
        json!({"spec": {"template": "x"}}),
        &cannot("string into Go struct field DeploymentSpec.spec.template of type v1.PodTemplateSpec"),
    );
    assert_rejected(
        json!({"spec": []}),
        &cannot("array into Go struct field Deployment.spec of type v1.DeploymentSpec"),
    );
    assert_rejected(
        json!({"spec": {"paused": "yes"}}),
        &cannot("string into Go struct field DeploymentSpec.spec.paused of type bool"),
    );
    assert_rejected(
        json!({"spec": {"strategy": {"rollingUpdate": {"maxSurge": true}}}}),
        &cannot(
            "bool into Go struct field RollingUpdateDeployment.spec.strategy.rollingUpdate.maxSurge of type int32",
        ),
    );
}

#[test]
fn malformed_quantities_and_times_and_base64_are_rejected() {
    let quantity =
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
    let limits = |cpu: &str| json!({"spec": {"template": {"spec": {"containers": [{"resources": {"limits": {"cpu": cpu}}}]}}}});
    assert_rejected(limits("abc"), quantity);
    assert_rejected(
        json!({"metadata": {"creationTimestamp": "xx"}}),
        "parsing time \"xx\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"xx\" as \"2006\"",
    );
    for time in ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00"] {
        decode(&deployment_schema(), &mut json!({"metadata": {"creationTimestamp": time}}), |_, _| false)
            .unwrap();
    }
    let secret = crate::builtin::schema("io.k8s.api.core.v1.Secret").unwrap();
    let error = decode(&secret, &mut json!({"data": {"a": "!!"}}), |_, _| false).unwrap_err();
    assert_eq!(error, "illegal base64 data at input byte 0");
    assert_eq!(
        undecodable_body_message("Secret", "v1", &error),
        "Secret in version \"v1\" cannot be handled as a Secret: illegal base64 data at input byte 0"
    );
    let error = decode(&secret, &mut json!({"data": {"a": 5}}), |_, _| false).unwrap_err();
    assert!(error.ends_with("number into Go struct field Secret.data of type []uint8"), "{error}");
}

#[test]
fn a_null_in_a_list_or_a_map_becomes_the_zero_value() {
    let pod = crate::builtin::schema("io.k8s.api.core.v1.Pod").unwrap();
    let mut object = json!({
        "metadata": {"finalizers": [null]},
        "spec": {"containers": [null, {"resources": {"limits": {"cpu": null}}}]},
    });
    decode(&pod, &mut object, |_, _| false).unwrap();
    let expected = json!({
        "metadata": {"finalizers": [""]},
        "spec": {"containers": [{}, {"resources": {"limits": {"cpu": "0"}}}]},
    });
    assert_eq!(object, expected);
}

/// The errors were recorded from kube-apiserver 1.37.2.
#[test]
fn nested_schemas_are_decoded_according_to_the_type_of_their_json_value() {
    let name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceValidation";
    let validation = crate::builtin::schema(name).unwrap();
    let decoded = |schema: Value| {
        let mut object = json!({"openAPIV3Schema": schema});
        decode(&validation, &mut object, |_, _| false).map(|()| object["openAPIV3Schema"].take())
    };
    assert_eq!(
        decoded(json!({"items": {"unknown": 1, "items": {"more": 1, "type": "string"}}})),
        Ok(json!({"items": {"items": {"type": "string"}}}))
    );
    for absent in [json!("x"), json!(7), json!([])] {
        assert_eq!(decoded(json!({ "items": absent })), Ok(json!({})));
    }
    assert_eq!(decoded(json!({"items": null})), Ok(json!({})));
    assert_eq!(
        decoded(json!({"items": {"items": {"externalDocs": {"url": 7}}}})),
        Err("json: cannot unmarshal number into Go struct field JSONSchemaProps.openAPIV3Schema.items.items.externalDocs.url of type string".to_owned())
    );
    assert_eq!(
        decoded(json!({"additionalProperties": "x"})),
        Err("boolean or JSON schema expected".to_owned())
    );
    assert_eq!(
        decoded(json!({"dependencies": {"a": ["b"], "c": {"required": ["d"]}}})),
        Ok(json!({"dependencies": {"a": ["b"], "c": {"required": ["d"]}}}))
    );
}

#[test]
fn a_raw_extension_may_be_any_json_value() {
    let class = crate::builtin::schema("io.k8s.api.resource.v1.DeviceClass").unwrap();
    let mut object = json!({"spec": {"config": [{"opaque": {"driver": "d", "parameters": "x"}}]}});
    let before = object.clone();
    decode(&class, &mut object, |_, _| false).unwrap();
    assert_eq!(object, before);
}

#[test]
fn decoded_objects_have_the_form_that_go_serializes() {
    let mut object = json!({
        "metadata": {"name": "a", "labels": {}, "annotations": {"a": null}},
        "spec": {"selector": {}, "template": {"spec": {
            "containers": [{"name": "c", "env": [], "resources": {"limits": {"cpu": "1000m"}}}],
            "volumes": [{"name": "v", "emptyDir": {}}],
        }}},
    });
    decode(&deployment_schema(), &mut object, |_, _| false).unwrap();
    let expected = json!({
        "metadata": {"name": "a", "annotations": {"a": ""}},
        "spec": {"selector": {}, "template": {"spec": {
            "containers": [{"name": "c", "resources": {"limits": {"cpu": "1"}}}],
            "volumes": [{"name": "v", "emptyDir": {}}],
        }}},
    });
    assert_eq!(object, expected);
}
