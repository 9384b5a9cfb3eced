//! Tests of disabled plugins, and of plugins that depend on objects of the whole cluster. `xtask/conformance` compares the
//! behavior of the other plugins with a real API server.

use serde_json::{Value, json};

use super::{Write, existing_pods};
use crate::store::object::decode_count;
use crate::{AdmissionPlugin, Sim};

/// A pod with one container.
fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    })
}

#[test]
fn the_newest_default_class_is_set_unless_the_object_names_one() {
    let sim = Sim::builder().start_time(jiff::Timestamp::UNIX_EPOCH).build();
    for (api, kind, annotation, more) in [
        ("storage.k8s.io/v1", "StorageClass", "storageclass", json!({"provisioner": "a.example.com"})),
        (
            "networking.k8s.io/v1",
            "IngressClass",
            "ingressclass",
            json!({"spec": {"controller": "example.com/a"}}),
        ),
    ] {
        for (name, is_default) in [("z-older", "true"), ("b", "true"), ("a", "false"), ("c", "true")] {
            let key = format!("{annotation}.kubernetes.io/is-default-class");
            let mut class = json!({
                "apiVersion": api, "kind": kind, "metadata": {"name": name, "annotations": {key: is_default}},
            });
            class.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            sim.create(&class).unwrap();
            if name == "z-older" {
                sim.advance_clock(std::time::Duration::from_secs(1));
            }
        }
    }
    let mut claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    assert_eq!(sim.create(&claim).unwrap()["spec"]["storageClassName"], "b");
    claim["metadata"]["name"] = "named".into();
    claim["spec"]["storageClassName"] = "".into();
    assert_eq!(sim.create(&claim).unwrap()["spec"]["storageClassName"], "");
    let mut ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "default"},
        "spec": {"defaultBackend": {"service": {"name": "a", "port": {"number": 80}}}},
    });
    assert_eq!(sim.create(&ingress).unwrap()["spec"]["ingressClassName"], "b");
    ingress["metadata"] = json!({"name": "annotated", "annotations": {"kubernetes.io/ingress.class": "x"}});
    assert_eq!(sim.create(&ingress).unwrap()["spec"].get("ingressClassName"), None);
}

#[test]
fn pods_get_the_default_priority_class_and_a_second_default_is_refused() {
    let sim = Sim::new();
    let class = |name: &str| {
        json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
            "value": 7, "globalDefault": true, "preemptionPolicy": "Never",
        })
    };
    sim.create(&class("first")).unwrap();
    let refused = sim.create(&class("second")).unwrap_err().to_string();
    assert!(refused.contains("PriorityClass first is already marked as default. Only one default can exist"));
    let spec = sim.create(&pod("a")).unwrap()["spec"].take();
    assert_eq!(
        json!([spec["priorityClassName"], spec["priority"], spec["preemptionPolicy"]]),
        json!(["first", 7, "Never"])
    );
}

#[test]
fn claims_get_a_finalizer_only_if_the_plugin_is_enabled() {
    let sim = Sim::builder().admission_plugin(AdmissionPlugin::StorageObjectInUseProtection).build();
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "a"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    let finalizers = json!(["kubernetes.io/pvc-protection"]);
    assert_eq!(sim.create(&claim).unwrap()["metadata"]["finalizers"], finalizers);
    assert_eq!(Sim::new().create(&claim).unwrap()["metadata"].get("finalizers"), None);
}

#[test]
fn a_bound_pod_has_the_topology_labels_of_its_node() {
    let zone = |sim: &Sim| {
        sim.create(&pod("a")).unwrap();
        let pod = sim.get("v1", "Pod", "default", "a").unwrap();
        assert!(pod["spec"]["nodeName"].is_string(), "{pod}");
        pod["metadata"]["labels"]["topology.kubernetes.io/zone"].clone()
    };
    assert_eq!(zone(&Sim::builder().nodes(1).workloads().build()), "zone-a");
    let sim =
        Sim::builder().nodes(1).workloads().without_admission_plugin(AdmissionPlugin::PodTopologyLabels);
    assert_eq!(zone(&sim.build()), Value::Null);
}

#[test]
fn a_resize_of_containers_needs_resources_and_features_of_the_node() {
    let sim = Sim::builder().nodes(1).workloads().build();
    let mut pod = pod("a");
    let resources = json!({"requests": {"cpu": "1"}});
    pod["spec"]["containers"][0]["resources"] = resources.clone();
    pod["spec"]["initContainers"] = json!([{"name": "i", "image": "i", "resources": resources}]);
    sim.create(&pod).unwrap();
    let resize = |list: &str, cpu: &str| {
        let name = if list == "containers" { "c" } else { "i" };
        let container = json!({"name": name, "resources": {"requests": {"cpu": cpu}}});
        let url = "/api/v1/namespaces/default/pods/a/resize";
        let patch = json!({"spec": {list: [container]}});
        sim.request(&http::Method::PATCH, url, "application/strategic-merge-patch+json", &patch)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    assert_eq!(resize("containers", "2"), Ok(()));
    assert_eq!(resize("initContainers", "2"), Ok(()));
    assert_eq!(
        resize("containers", "9"),
        Err("pods \"a\" is forbidden: node didn't have enough allocatable resources: cpu, requested: 9000, allocatable: 8000".to_owned())
    );
    let mut node = sim.get("v1", "Node", "", "node-0").unwrap();
    node["status"]["declaredFeatures"] = json!([]);
    sim.update_status(&node).unwrap();
    assert_eq!(
        resize("initContainers", "3"),
        Err("pods \"a\" is forbidden: pod update requires features InPlacePodVerticalScalingInitContainers which are not available on node \"node-0\"".to_owned())
    );
    let mut node = sim.get("v1", "Node", "", "node-0").unwrap();
    node["metadata"]["labels"]["kubernetes.io/os"] = "windows".into();
    sim.update(&node).unwrap();
    assert_eq!(
        resize("containers", "1"),
        Err("pods \"a\" is forbidden: pod resize is only supported on linux nodes, node \"node-0\" is \"windows\"".to_owned())
    );
}

#[test]
fn a_resize_at_pod_level_needs_resources_and_features_of_the_node() {
    let sim = Sim::builder().nodes(1).workloads().build();
    let mut pod = pod("a");
    pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "500m"}});
    pod["spec"]["resources"] = json!({"limits": {"cpu": "2"}});
    let created = sim.create(&pod).unwrap();
    assert_eq!(created["spec"]["resources"]["requests"], json!({"cpu": "500m"}));
    assert_eq!(created["status"]["qosClass"], "Burstable");
    let resize = |resources: Value| {
        let url = "/api/v1/namespaces/default/pods/a/resize";
        let patch = json!({"spec": {"resources": resources}});
        sim.request(&http::Method::PATCH, url, "application/strategic-merge-patch+json", &patch)
            .map(|pod| pod["spec"]["resources"].clone())
            .map_err(|error| error.to_string())
    };
    let resized = json!({"requests": {"cpu": "1"}, "limits": {"cpu": "3"}});
    assert_eq!(resize(resized.clone()), Ok(resized));
    // The requests of the pod have precedence over the requests of the containers.
    assert_eq!(
        resize(json!({"requests": {"cpu": "9"}, "limits": {"cpu": "9"}})),
        Err("pods \"a\" is forbidden: node didn't have enough allocatable resources: cpu, requested: 9000, allocatable: 8000".to_owned())
    );
    assert_eq!(
        resize(json!({"requests": {"cpu": "100m"}})),
        Err("Pod \"a\" is invalid: spec.resources.requests[cpu]: Invalid value: \"100m\": must be greater than or equal to aggregate container requests of 500m".to_owned())
    );
    let all = json!({"cpu": "3", "memory": "1Gi"});
    assert_eq!(
        resize(json!({"requests": all, "limits": all})),
        Err("Pod \"a\" is invalid: spec: Invalid value: \"Burstable\": Pod QOS Class may not change as a result of resizing".to_owned())
    );
    let mut node = sim.get("v1", "Node", "", "node-0").unwrap();
    node["status"]["declaredFeatures"] = json!(["InPlacePodVerticalScalingInitContainers"]);
    sim.update_status(&node).unwrap();
    assert_eq!(
        resize(json!({"requests": {"cpu": "2"}})),
        Err("pods \"a\" is forbidden: pod update requires features InPlacePodLevelResourcesVerticalScaling which are not available on node \"node-0\"".to_owned())
    );
}

/// Creates the namespace `n` that enforces the Pod Security Standard `level`, with a quota of `pods` pods, and a
/// maximum of one CPU for each container.
fn create_namespace_with_limits(sim: &Sim, level: &str, pods: &str) {
    let labels = json!({"pod-security.kubernetes.io/enforce": level});
    sim.create(
        &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": labels}}),
    )
    .unwrap();
    for (kind, spec) in [
        ("LimitRange", json!({"limits": [{"type": "Container", "max": {"cpu": "1"}}]})),
        ("ResourceQuota", json!({"hard": {"pods": pods}})),
    ] {
        let metadata = json!({"name": "a", "namespace": "n"});
        sim.create(&json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec})).unwrap();
    }
}

fn pod_in(namespace: &str) -> Value {
    let mut pod = pod("a");
    pod["metadata"]["namespace"] = namespace.into();
    pod
}

#[test]
fn enabled_plugins_refuse_pods_and_set_fields() {
    let refusal = |level: &str, pods: &str, pod: &Value| {
        let sim = Sim::new();
        create_namespace_with_limits(&sim, level, pods);
        sim.create(pod).unwrap_err().to_string()
    };
    let mut large = pod_in("n");
    large["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "2"}});
    for (level, pods, pod, expected) in [
        ("restricted", "1", pod_in("n"), "violates PodSecurity \"restricted:latest\""),
        ("privileged", "1", large, "maximum cpu usage per Container is 1, but limit is 2"),
        ("privileged", "0", pod_in("n"), "exceeded quota: a"),
        ("privileged", "1", pod_in("missing"), "namespaces \"missing\" not found"),
    ] {
        let refused = refusal(level, pods, &pod);
        assert!(refused.contains(expected), "{refused}");
    }
    let sim = Sim::new();
    create_namespace_with_limits(&sim, "privileged", "1");
    let spec = sim.create(&pod_in("n")).unwrap()["spec"].take();
    for field in ["priority", "preemptionPolicy", "serviceAccountName", "tolerations"] {
        assert!(spec.get(field).is_some(), "{field}");
    }
    assert_eq!(spec["containers"][0]["resources"]["limits"], json!({"cpu": "1"}));
    sim.delete("v1", "Namespace", "", "kube-public").unwrap_err();
}

#[test]
fn disabled_plugins_have_no_effect() {
    let all = AdmissionPlugin::ALL.iter();
    let sim = all.fold(Sim::builder(), |builder, plugin| builder.without_admission_plugin(*plugin)).build();
    create_namespace_with_limits(&sim, "restricted", "0");
    for namespace in ["n", "missing"] {
        let spec = sim.create(&pod_in(namespace)).unwrap()["spec"].take();
        for field in ["priority", "preemptionPolicy", "serviceAccountName", "tolerations"] {
            assert_eq!(spec.get(field), None, "{field}");
        }
        assert_eq!(spec["containers"][0]["resources"], json!({}));
    }
    sim.delete("v1", "Namespace", "", "kube-public").unwrap();
}

#[test]
fn the_objects_that_plugins_read_are_decoded_once() {
    let sim = Sim::new();
    let decodes_of_create = || {
        let before = decode_count();
        sim.create(&pod("a")).unwrap();
        let count = decode_count() - before;
        sim.delete("v1", "Pod", "default", "a").unwrap();
        count
    };
    decodes_of_create();
    let without_objects = decodes_of_create();
    for index in 0..5 {
        let name = format!("x-{index}");
        let limits = json!([{"type": "Container", "default": {"cpu": "1"}, "max": {"cpu": "2"}}]);
        for object in [
            json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": name}, "spec": {"limits": limits}}),
            json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": index}),
        ] {
            sim.create(&object).unwrap();
        }
    }
    assert_eq!(decodes_of_create(), without_objects + 10);
    assert_eq!(decodes_of_create(), without_objects);
}

#[test]
fn existing_pods_are_decoded_only_for_their_warnings() {
    let sim = Sim::builder().namespace("n").build();
    for name in ["a", "b"] {
        let mut pod = pod_in("n");
        pod["metadata"]["name"] = name.into();
        sim.create(&pod).unwrap();
    }
    let namespace = |level: &str| json!({"metadata": {"name": "n", "labels": {"pod-security.kubernetes.io/enforce": level}}});
    let found = |old: &str, new: &str| {
        let state = sim.inner().lock();
        let resource = state.registry.find("", "v1", "namespaces").unwrap();
        let old = namespace(old);
        let write = Write { resource, subresource: "", namespace: "", old: Some(&old), user: None };
        let before = decode_count();
        let found = existing_pods(&state, &write, &namespace(new));
        assert_eq!(decode_count(), before);
        found
    };
    assert!(found("restricted", "baseline").is_none());
    assert!(found("baseline", "privileged").is_none());
    assert!(found("baseline", "baseline").is_none());
    assert_eq!(found("privileged", "baseline").unwrap().warnings(), [""; 0]);
    let expected = [
        "existing pods in namespace \"n\" violate the new PodSecurity enforce level \"restricted:latest\"",
        "a (and 1 other pod): allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile",
    ];
    assert_eq!(found("baseline", "restricted").unwrap().warnings(), expected);
}
