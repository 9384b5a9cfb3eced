//! Tests of field ownership, one for each rule. The expected results are those of kube-apiserver 1.37.2.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;

/// A simulated API server with one stored object. The tests apply and update this object.
struct TestServer {
    schema: Arc<Schema>,
    api_version: &'static str,
    kind: &'static str,
    served: Vec<String>,
    live: Option<Value>,
    /// The seconds in the timestamp of the last write.
    seconds: u32,
}

impl TestServer {
    /// A server for objects of this kind.
    fn of(schema: Arc<Schema>, api_version: &'static str, kind: &'static str) -> Self {
        Self { schema, api_version, kind, served: vec![api_version.to_owned()], live: None, seconds: 0 }
    }

    fn config_maps() -> Self {
        Self::of(crate::builtin::schema("io.k8s.api.core.v1.ConfigMap").unwrap(), "v1", "ConfigMap")
    }

    fn pods() -> Self {
        Self::of(crate::builtin::schema("io.k8s.api.core.v1.Pod").unwrap(), "v1", "Pod")
    }

    /// A server for custom resources with these properties.
    fn custom_resources(properties: &Value) -> Self {
        let schema = json!({"type": "object", "properties": properties});
        Self::of(Schema::of_custom_resource(&schema), "ex.com/v1", "Foo")
    }

    /// Calls `run` with the context of a write, one second after the last write.
    fn with_context<R>(
        &mut self,
        manager: &str,
        subresource: &str,
        reset: &[&str],
        run: impl FnOnce(&Context<'_>, Option<&Value>) -> R,
    ) -> R {
        self.seconds += 1;
        let now = format!("2026-01-01T00:00:{:02}Z", self.seconds);
        let cx = Context {
            schema: &self.schema,
            api_version: self.api_version,
            kind: self.kind,
            served: &self.served,
            subresource,
            manager,
            now: &now,
            reset,
        };
        run(&cx, self.live.as_ref())
    }

    /// Sets `apiVersion`, `kind` and the name of `object`.
    fn with_identity(&self, mut object: Value) -> Value {
        object["apiVersion"] = json!(self.api_version);
        object["kind"] = json!(self.kind);
        object["metadata"]["name"] = json!("x");
        object
    }

    fn try_apply(&mut self, manager: &str, config: Value, force: bool) -> Result<(), ApplyError> {
        let config = self.with_identity(config);
        let applied = self.with_context(manager, "", &[], |cx, live| apply(cx, live, &config, force))?;
        self.live = Some(applied);
        Ok(())
    }

    #[track_caller]
    fn apply(&mut self, manager: &str, config: Value) {
        self.try_apply(manager, config, false).unwrap();
    }

    fn update(&mut self, manager: &str, object: Value) {
        let mut object = self.with_identity(object);
        self.with_context(manager, "", &[], |cx, live| track_ownership(cx, live, &mut object));
        self.live = Some(object);
    }

    /// The stored object without the fields that `with_identity` and the server set.
    fn object(&self) -> Value {
        let mut object = self.live.clone().unwrap();
        let map = object.as_object_mut().unwrap();
        map.remove("apiVersion");
        map.remove("kind");
        let metadata = map["metadata"].as_object_mut().unwrap();
        metadata.remove("name");
        metadata.remove("managedFields");
        if metadata.is_empty() {
            map.remove("metadata");
        }
        object
    }

    /// The entries of `managedFields`, in the format `MANAGER OPERATION: FIELDS`.
    fn managed_fields(&self) -> Vec<String> {
        let entries = &self.live.as_ref().unwrap()["metadata"]["managedFields"];
        let line = |entry: &Value| {
            let fields = FieldSet::of_fields_v1(&entry["fieldsV1"]).unwrap().paths().join(" ");
            let text = |field: &str| entry[field].as_str().unwrap_or("-").to_owned();
            format!("{} {}: {fields}", text("manager"), text("operation"))
        };
        entries.as_array().into_iter().flatten().map(line).collect()
    }

    /// The times of the entries of `managedFields`.
    fn entry_times(&self) -> Vec<Option<String>> {
        let entries = &self.live.as_ref().unwrap()["metadata"]["managedFields"];
        entries.as_array().unwrap().iter().map(|entry| entry["time"].as_str().map(str::to_owned)).collect()
    }
}

#[test]
fn an_applier_owns_the_fields_of_its_configuration() {
    let mut server = TestServer::config_maps();
    server.apply("m1", json!({"data": {"a": "1"}, "metadata": {"labels": {"l": "v"}}}));
    assert_eq!(server.managed_fields(), ["m1 Apply: .data.a .metadata.labels.l"]);
    assert_eq!(server.entry_times(), [Some("2026-01-01T00:00:01Z".to_owned())]);
}

#[test]
fn reapplying_the_same_configuration_changes_nothing() {
    let mut server = TestServer::config_maps();
    server.apply("m1", json!({"data": {"a": "1"}}));
    let before = server.live.clone();
    server.apply("m1", json!({"data": {"a": "1"}}));
    assert_eq!(server.live, before);
}

#[test]
fn fields_dropped_from_the_configuration_are_removed() {
    let mut server = TestServer::config_maps();
    server.apply("m1", json!({"data": {"a": "1", "b": "2"}}));
    server.apply("m1", json!({"data": {"a": "1"}}));
    assert_eq!(server.object(), json!({"data": {"a": "1"}}));
    server.apply("m1", json!({}));
    assert_eq!(server.object(), json!({}));
    assert_eq!(server.managed_fields(), Vec::<String>::new());
}

#[test]
fn a_dropped_field_stays_if_another_manager_owns_it() {
    let mut server = TestServer::config_maps();
    server.apply("m1", json!({"data": {"a": "1", "b": "2"}}));
    server.apply("m2", json!({"data": {"a": "1"}}));
    // The entry of an applier that changed nothing has no time, so it sorts first.
    assert_eq!(server.managed_fields(), ["m2 Apply: .data.a", "m1 Apply: .data.a .data.b"]);
    assert_eq!(server.entry_times()[0], None);
    server.apply("m1", json!({}));
    assert_eq!(server.object(), json!({"data": {"a": "1"}}));
    assert_eq!(server.managed_fields(), ["m2 Apply: .data.a"]);
}

#[test]
fn changing_a_field_of_another_manager_conflicts_unless_forced() {
    let mut server = TestServer::config_maps();
    server.apply("m1", json!({"data": {"a": "1", "b": "1"}}));
    server.update("m3", json!({"data": {"a": "1", "b": "2", "c": "3"}}));
    let error = server.try_apply("m2", json!({"data": {"a": "9"}}), false).unwrap_err();
    let cause = |message: &str, field: &str| Conflict { message: message.into(), field: field.into() };
    assert_eq!(
        error,
        ApplyError::Conflict {
            message: "Apply failed with 1 conflict: conflict with \"m1\": .data.a".into(),
            causes: vec![cause("conflict with \"m1\"", ".data.a")],
        }
    );
    let error = server.try_apply("m2", json!({"data": {"a": "9", "b": "9", "c": "9"}}), false).unwrap_err();
    assert_eq!(error, ApplyError::Conflict {
        message: "Apply failed with 3 conflicts: conflicts with \"m1\":\n- .data.a\nconflicts with \"m3\" using v1:\n- .data.b\n- .data.c".into(),
        causes: vec![
            cause("conflict with \"m1\"", ".data.a"),
            cause("conflict with \"m3\" using v1", ".data.b"),
            cause("conflict with \"m3\" using v1", ".data.c"),
        ],
    });
    server.try_apply("m2", json!({"data": {"a": "9", "b": "9"}}), true).unwrap();
    assert_eq!(server.object(), json!({"data": {"a": "9", "b": "9", "c": "3"}}));
    assert_eq!(server.managed_fields(), ["m2 Apply: .data.a .data.b", "m3 Update: .data.c"]);
}

#[test]
fn an_updater_owns_the_fields_that_it_changes() {
    let mut server = TestServer::config_maps();
    server.update("u1", json!({"data": {"a": "1", "b": "1"}}));
    assert_eq!(server.managed_fields(), ["u1 Update: .data .data.a .data.b"]);
    server.update("u2", json!({"data": {"a": "2", "b": "1"}}));
    assert_eq!(server.managed_fields(), ["u1 Update: .data .data.b", "u2 Update: .data.a"]);
    server.update("u2", json!({"data": {"a": "2"}}));
    assert_eq!(server.managed_fields(), ["u1 Update: .data", "u2 Update: .data.a"]);
    let before = server.live.clone();
    server.update("u3", json!({"data": {"a": "2"}}));
    assert_eq!(server.live, before, "an update that changes nothing owns nothing");
}

#[test]
fn list_items_merge_by_unique_keys() {
    let mut server = TestServer::pods();
    let pod = |containers: Value| json!({"spec": {"containers": containers}});
    server.apply("m1", pod(json!([{"name": "a", "image": "1", "ports": [{"containerPort": 80}]}])));
    assert_eq!(
        server.managed_fields(),
        [concat!(
            "m1 Apply: .spec.containers[name=\"a\"] .spec.containers[name=\"a\"].image .spec.containers[name=\"a\"].name ",
            ".spec.containers[name=\"a\"].ports[containerPort=80,protocol=\"TCP\"] ",
            ".spec.containers[name=\"a\"].ports[containerPort=80,protocol=\"TCP\"].containerPort"
        )]
    );
    server.apply("m2", pod(json!([{"name": "b", "image": "2"}])));
    let names = |server: &TestServer| -> Vec<String> {
        let containers = server.object()["spec"]["containers"].as_array().unwrap().clone();
        containers.iter().map(|container| container["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&server), ["a", "b"]);
    server.apply("m2", pod(json!([])));
    assert_eq!(names(&server), ["a"]);
    let error = server.try_apply("m1", pod(json!([{"name": "a"}, {"name": "a"}])), false).unwrap_err();
    let text = "failed to create typed patch object (/x; /v1, Kind=Pod): .spec.containers: duplicate entries for key [name=\"a\"]";
    assert_eq!(error, ApplyError::Schema(text.into()));
}

#[test]
fn list_items_follow_the_order_of_the_configuration() {
    let mut server = TestServer::pods();
    let pod = |names: &[&str]| {
        let containers: Vec<Value> = names.iter().map(|name| json!({"name": name, "image": "i"})).collect();
        json!({"spec": {"containers": containers}})
    };
    let names = |server: &TestServer| -> String {
        let containers = server.object()["spec"]["containers"].as_array().unwrap().clone();
        containers.iter().map(|container| container["name"].as_str().unwrap().to_owned()).collect()
    };
    server.apply("m1", pod(&["a", "b", "c"]));
    server.apply("m2", pod(&["d"]));
    assert_eq!(names(&server), "abcd");
    server.apply("m1", pod(&["c", "b", "a"]));
    assert_eq!(names(&server), "cdba");
    server.apply("m2", pod(&["d", "a"]));
    assert_eq!(names(&server), "cdba");
}

#[test]
fn lists_in_custom_resources_are_atomic_by_default_and_sets_are_merged() {
    let list = |kind: Value| {
        let mut list = json!({"type": "array", "items": {"type": "string"}});
        list.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
        list
    };
    let cases = [
        (list(json!({})), ".l", json!(["b"])),
        (list(json!({"x-kubernetes-list-type": "atomic"})), ".l", json!(["b"])),
        (list(json!({"x-kubernetes-list-type": "set"})), ".l[=\"a\"]", json!(["a", "b"])),
    ];
    for (schema, owned, merged) in cases {
        let mut server = TestServer::custom_resources(&json!({"l": schema}));
        server.apply("m1", json!({"l": ["a"]}));
        assert_eq!(server.managed_fields(), [format!("m1 Apply: {owned}")]);
        server.try_apply("m2", json!({"l": ["b"]}), true).unwrap();
        assert_eq!(server.object(), json!({"l": merged}));
    }
}

#[test]
fn atomic_maps_are_replaced_and_granular_maps_are_merged() {
    let map = |kind: &str| json!({"m": {"type": "object", "additionalProperties": {"type": "string"}, "x-kubernetes-map-type": kind}});
    let mut server = TestServer::custom_resources(&map("atomic"));
    server.apply("m1", json!({"m": {"a": "1"}}));
    assert_eq!(server.managed_fields(), ["m1 Apply: .m"]);
    assert!(matches!(
        server.try_apply("m2", json!({"m": {"b": "1"}}), false),
        Err(ApplyError::Conflict { causes, .. }) if causes[0].field == ".m"
    ));
    server.try_apply("m2", json!({"m": {"b": "1"}}), true).unwrap();
    assert_eq!(server.object(), json!({"m": {"b": "1"}}));
    let mut server = TestServer::custom_resources(&map("granular"));
    server.apply("m1", json!({"m": {"a": "1"}}));
    server.apply("m2", json!({"m": {"b": "1"}}));
    assert_eq!(server.object(), json!({"m": {"a": "1", "b": "1"}}));
}

#[test]
fn an_atomic_struct_is_owned_as_a_whole() {
    let mut server = TestServer::of(
        crate::builtin::schema("io.k8s.api.apps.v1.Deployment").unwrap(),
        "apps/v1",
        "Deployment",
    );
    server.apply("m1", json!({"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {}}}));
    assert_eq!(server.managed_fields(), ["m1 Apply: .spec.selector .spec.template"]);
}

#[test]
fn preserved_unknown_fields_are_owned_individually() {
    let mut server = TestServer::custom_resources(
        &json!({"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}),
    );
    server.apply("m1", json!({"spec": {"a": {"b": 1}, "l": [1]}}));
    server.apply("m2", json!({"spec": {"a": {"c": 2}}}));
    assert_eq!(server.object(), json!({"spec": {"a": {"b": 1, "c": 2}, "l": [1]}}));
    server.apply("m1", json!({"spec": {"l": [1]}}));
    assert_eq!(server.object(), json!({"spec": {"a": {"c": 2}, "l": [1]}}));
}

#[test]
fn a_configuration_that_does_not_fit_the_schema_is_rejected() {
    let refused = |config: Value| {
        let mut server = TestServer::of(
            crate::builtin::schema("io.k8s.api.apps.v1.Deployment").unwrap(),
            "apps/v1",
            "Deployment",
        );
        match server.try_apply("m", config, false).unwrap_err() {
            ApplyError::Schema(text) => {
                text.replace("failed to create typed patch object (/x; apps/v1, Kind=Deployment): ", "")
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(json!({"spec": {"foo": 1}})), ".spec.foo: field not declared in schema");
    assert_eq!(
        refused(json!({"spec": {"replicas": "a"}})),
        ".spec.replicas: expected numeric (int or float), got string"
    );
    assert_eq!(
        refused(json!({"spec": {"template": {"spec": {"containers": {"a": {"image": "x"}}}}}})),
        ".spec.template.spec.containers: expected list, got &{map[a:map[image:x]]}"
    );
}

#[test]
fn a_configuration_of_a_wrong_kind_or_with_managed_fields_is_rejected() {
    let mut server = TestServer::config_maps();
    let mut apply_raw =
        |config: Value| server.with_context("m", "", &[], |cx, live| apply(cx, live, &config, false));
    let refuse = |text: &str| Err(ApplyError::BadRequest(text.into()));
    assert_eq!(apply_raw(json!({})), refuse("invalid object type: /, Kind="));
    assert_eq!(
        apply_raw(json!({"apiVersion": "v1", "kind": "Secret"})),
        refuse("invalid object type: /v1, Kind=Secret")
    );
    assert_eq!(
        apply_raw(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"managedFields": []}})),
        refuse("metadata.managedFields must be nil")
    );
}

#[test]
fn the_first_apply_to_an_object_without_managed_fields_adds_the_manager_before_first_apply() {
    let mut server = TestServer::config_maps();
    let object = json!({"data": {"a": "1", "b": "1"}});
    server.live = Some(server.with_identity(object));
    server.apply("m1", json!({"data": {"a": "1"}}));
    assert_eq!(
        server.managed_fields(),
        ["m1 Apply: .data.a", "before-first-apply Update: .data .data.a .data.b"]
    );
}

#[test]
fn an_update_adds_no_manager_to_an_object_without_managed_fields() {
    let mut server = TestServer::config_maps();
    server.update("u", json!({"data": {"a": "1"}}));
    let mut cleared = server.live.clone().unwrap();
    cleared["metadata"]["managedFields"] = json!([{}]);
    server.update("u", cleared);
    assert_eq!(server.managed_fields(), Vec::<String>::new());
    server.update("u", json!({"data": {"a": "2"}}));
    assert_eq!(server.managed_fields(), Vec::<String>::new());
}

#[test]
fn an_update_may_replace_managed_fields() {
    let mut server = TestServer::config_maps();
    server.apply("m1", json!({"data": {"a": "1"}}));
    let mut object = server.live.clone().unwrap();
    object["metadata"]["managedFields"][0]["manager"] = json!("m2");
    server.update("u", object);
    assert_eq!(server.managed_fields(), ["m2 Apply: .data.a"]);
    let mut object = server.live.clone().unwrap();
    object["metadata"]["managedFields"] = json!([{"manager": "broken"}]);
    server.update("u", object);
    assert_eq!(server.managed_fields(), ["m2 Apply: .data.a"], "entries that cannot be read are ignored");
}

#[test]
fn a_subresource_write_has_a_separate_entry_that_omits_the_reset_fields() {
    let mut server = TestServer::pods();
    server.update("u", json!({"spec": {"nodeName": "n"}}));
    let mut object = server.live.clone().unwrap();
    object["status"] = json!({"phase": "Running"});
    object["spec"]["nodeName"] = json!("m");
    server.with_context("u", "status", &["spec"], |cx, live| track_ownership(cx, live, &mut object));
    server.live = Some(object);
    assert_eq!(server.managed_fields(), ["u Update: .spec.nodeName", "u Update: .status .status.phase"]);
    let entries = server.live.as_ref().unwrap()["metadata"]["managedFields"].clone();
    assert_eq!((&entries[0]["subresource"], &entries[1]["subresource"]), (&Value::Null, &json!("status")));
}

#[test]
fn entries_of_unserved_versions_are_dropped() {
    let mut server = TestServer::config_maps();
    server.apply("m1", json!({"data": {"a": "1"}}));
    let mut object = server.live.clone().unwrap();
    object["metadata"]["managedFields"][0]["apiVersion"] = json!("v0");
    server.live = Some(object);
    server.apply("m2", json!({"data": {"a": "2"}}));
    assert_eq!(server.managed_fields(), ["m2 Apply: .data.a"]);
}

#[test]
fn kubectl_takes_ownership_of_client_side_applied_fields() {
    let annotation = "kubectl.kubernetes.io/last-applied-configuration";
    let mut server = TestServer::config_maps();
    let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "1", "b": "1"}});
    server.update(
        "kubectl-client-side-apply",
        json!({
            "metadata": {"annotations": {annotation: applied.to_string()}}, "data": {"a": "1", "b": "1"},
        }),
    );
    server.update(
        "other",
        json!({
            "metadata": {"annotations": {annotation: applied.to_string()}}, "data": {"a": "1", "b": "2"},
        }),
    );
    let conflict = server.try_apply("kubectl", json!({"data": {"a": "9", "b": "9"}}), false).unwrap_err();
    assert!(
        matches!(conflict, ApplyError::Conflict { causes, .. } if causes.len() == 1 && causes[0].field == ".data.b")
    );
    server.apply("kubectl", json!({"data": {"a": "9"}}));
    assert_eq!(server.object()["data"], json!({"a": "9", "b": "2"}));
    let text = server.object()["metadata"]["annotations"][annotation].as_str().unwrap().to_owned();
    assert!(text.ends_with("}\n") && text.contains("\"a\":\"9\""), "{text}");
}
