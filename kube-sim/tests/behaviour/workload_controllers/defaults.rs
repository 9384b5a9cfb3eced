//! Tests of the objects that every namespace gets, and of the service accounts of pods.

use serde_json::json;

use super::sim;

#[tokio::test]
async fn a_deleted_default_service_account_is_created_again() {
    let sim = sim();
    sim.create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}})).unwrap();
    for namespace in ["default", "kube-system", "x"] {
        let first = sim.get("v1", "ServiceAccount", namespace, "default").unwrap();
        sim.delete("v1", "ServiceAccount", namespace, "default").unwrap();
        let second = sim.get("v1", "ServiceAccount", namespace, "default").unwrap();
        assert_ne!(first["metadata"]["uid"], second["metadata"]["uid"]);
    }
    sim.delete("v1", "Namespace", "", "x").unwrap();
    assert!(sim.get("v1", "Namespace", "", "x").unwrap_err().is_not_found());
}

#[tokio::test]
async fn the_certificate_authority_of_a_listener_is_published_and_restored() {
    let sim = sim();
    assert!(sim.get("v1", "ConfigMap", "default", "kube-root-ca.crt").unwrap_err().is_not_found());
    let server = sim.serve_https(([127, 0, 0, 1], 0).into()).await.unwrap();
    sim.create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}})).unwrap();
    for namespace in ["default", "x"] {
        let map = sim.get("v1", "ConfigMap", namespace, "kube-root-ca.crt").unwrap();
        assert_eq!(map["data"]["ca.crt"], server.ca_pem().unwrap());
        let mut changed = map.clone();
        changed["data"] = json!({"ca.crt": "other"});
        sim.update(&changed).unwrap();
        assert_eq!(sim.get("v1", "ConfigMap", namespace, "kube-root-ca.crt").unwrap()["data"], map["data"]);
        sim.delete("v1", "ConfigMap", namespace, "kube-root-ca.crt").unwrap();
        assert_eq!(sim.get("v1", "ConfigMap", namespace, "kube-root-ca.crt").unwrap()["data"], map["data"]);
    }
    server.shutdown().await;
}

#[tokio::test]
async fn pods_run_as_a_service_account_whose_token_is_mounted() {
    let sim = sim();
    let pod = |name: &str, account: &str| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"serviceAccountName": account, "containers": [{"name": "main", "image": "a"}]},
        })
    };
    let created = sim.create(&pod("web", "")).unwrap();
    let spec = &created["spec"];
    assert_eq!(spec["serviceAccountName"], "default");
    let mount = &spec["containers"][0]["volumeMounts"][0];
    assert_eq!(mount["mountPath"], "/var/run/secrets/kubernetes.io/serviceaccount");
    assert_eq!(spec["volumes"][0]["name"], mount["name"]);
    assert!(!created["metadata"]["managedFields"].to_string().contains("f:volumes"), "{created}");
    let error = sim.create(&pod("other", "robot")).unwrap_err();
    let expected = "pods \"other\" is forbidden: error looking up service account default/robot: serviceaccount \"robot\" not found";
    assert_eq!(error.message(), expected);
    sim.create(&json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"},
        "automountServiceAccountToken": false, "imagePullSecrets": [{"name": "registry"}],
    }))
    .unwrap();
    let created = sim.create(&pod("other", "robot")).unwrap();
    assert_eq!(created["spec"].get("volumes"), None);
    assert_eq!(created["spec"]["imagePullSecrets"], json!([{"name": "registry"}]));
}
