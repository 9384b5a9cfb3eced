//! Validation, pruning, defaulting, and the stored form of values, both for kinds with a structural schema in a CRD and for
//! built-in kinds. The suite also covers the validation and the approval of CRDs.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_client::api::{ListParams, Patch, PatchParams, PostParams, ValidationDirective};
use kube_client::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube_client::{Api, Error};
use serde_json::{Value, json};

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::{MANAGED_BY_LABEL, eventually};

suite!("schemas":
    times_of_built_in_kinds_are_stored_in_utc,
    boolean_additional_properties_prune_or_reject_values,
    nulls_of_non_nullable_fields_are_dropped_except_in_an_apply,
    integers_beyond_int64_are_rejected [Latest],
    invalid_selectable_fields_are_rejected,
    an_empty_deprecation_warning_is_rejected,
    protected_groups_require_an_approval_annotation,
    a_condition_reports_the_approval_of_a_protected_group,
    formats_accept_the_same_values_as_go,
    patterns_use_go_regexp_syntax,
    duplicate_list_items_are_rejected [Latest],
);

/// The time limit of each wait.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The CRD of the kind `Thing` in the case's own group. The `spec` of a `Thing` has the properties `properties`.
fn crd_with_properties(env: &Env, properties: &Value) -> Value {
    let group = format!("{}.example.com", env.namespace());
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("things.{group}"), "labels": {MANAGED_BY_LABEL.0: MANAGED_BY_LABEL.1}},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object",
                "properties": {"spec": {"type": "object", "properties": properties}},
            }}}],
        },
    })
}

/// The API of the kind that [`crd_with_properties`] defines.
struct Things {
    api: Api<DynamicObject>,
    resource: ApiResource,
}

impl Things {
    /// Installs the CRD and waits until the server serves the kind.
    async fn install(env: &Env, properties: Value) -> Outcome<Self> {
        let crd: CustomResourceDefinition = serde_json::from_value(crd_with_properties(env, &properties))?;
        let crds: Api<CustomResourceDefinition> = Api::all(env.client());
        let resource = ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk(&crd.spec.group, "v1", "Thing"),
            "things",
        );
        env.delete_at_end(&crds, crd.metadata.name.as_deref().unwrap_or_default());
        crds.create(&PostParams::default(), &crd).await?;
        let api: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
        eventually("the kind is served", TIMEOUT, async || match api.list(&ListParams::default()).await {
            Ok(_) => Ok(Some(())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        })
        .await?;
        Ok(Self { api, resource })
    }

    /// A thing with a generated name.
    fn thing(&self, spec: &Value) -> DynamicObject {
        let mut thing = DynamicObject::new("", &self.resource).data(json!({"spec": spec}));
        thing.metadata.name = None;
        thing.metadata.generate_name = Some("thing-".to_owned());
        thing
    }

    /// Creates a thing and returns the stored `spec`.
    async fn create(&self, spec: Value) -> Result<Value, Error> {
        let created = self.api.create(&PostParams::default(), &self.thing(&spec)).await?;
        Ok(created.data["spec"].clone())
    }
}

/// Creates a CRD as a dry run. The inner result is the server's answer. An outer error means that `crd` cannot be decoded.
async fn dry_run_create(env: &Env, crd: Value) -> Outcome<Result<(), Error>> {
    let crds: Api<DynamicObject> =
        Api::all_with(env.client(), &ApiResource::erase::<CustomResourceDefinition>(&()));
    let crd: DynamicObject = serde_json::from_value(crd)?;
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    Ok(crds.create(&dry, &crd).await.map(drop))
}

async fn times_of_built_in_kinds_are_stored_in_utc(env: Env) -> Outcome {
    let gvk = GroupVersionKind::gvk("coordination.k8s.io", "v1", "Lease");
    let resource = ApiResource::from_gvk_with_plural(&gvk, "leases");
    let leases: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let stored_micro_time = async |name: &str, time: &str| {
        let lease = DynamicObject::new(name, &resource).data(json!({"spec": {"renewTime": time}}));
        leases
            .create(&PostParams::default(), &lease)
            .await
            .map(|lease| lease.data["spec"]["renewTime"].clone())
    };
    check_eq!(
        stored_micro_time("a", "2024-02-03T04:05:06.123456+02:00").await?,
        json!("2024-02-03T02:05:06.123456Z")
    );
    check_eq!(
        stored_micro_time("b", "9999-12-31T23:59:59.999999Z").await?,
        json!("9999-12-31T23:59:59.999999Z")
    );
    check_eq!(stored_micro_time("c", "0001-01-01T00:00:00.000000Z").await?, Value::Null);
    for (time, problem) in [
        ("2024-02-03T04:05:06Z", "cannot parse \"Z\" as \".000000\""),
        ("2024-02-03T04:05:06.123Z", "cannot parse \".123Z\" as \".000000\""),
        ("2024-02-03T04:05:06.123456789Z", "cannot parse \"789Z\" as \"Z07:00\""),
        ("2024-02-03t04:05:06.123456z", "cannot parse \"t04:05:06.123456z\" as \"T\""),
        ("2024-02-03 04:05:06.123456Z", "cannot parse \" 04:05:06.123456Z\" as \"T\""),
    ] {
        let error = refused!(stored_micro_time("d", time).await);
        check_eq!(error.status().map(|status| status.code), Some(400));
        check!(error.to_string().contains(problem), "{time}: {error}");
    }
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Event"), "events");
    let events: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let stored_time = async |name: &str, time: &str| {
        let involved = json!({"namespace": env.namespace()});
        let event = DynamicObject::new(name, &resource)
            .data(json!({"involvedObject": involved, "firstTimestamp": time}));
        events.create(&PostParams::default(), &event).await.map(|event| event.data["firstTimestamp"].clone())
    };
    check_eq!(stored_time("a", "2024-02-03T04:05:06.9+02:00").await?, json!("2024-02-03T02:05:06Z"));
    let error = refused!(stored_time("b", "2024-02-03t04:05:06z").await);
    check_eq!(error.status().map(|status| status.code), Some(400));
    Ok(())
}

async fn boolean_additional_properties_prune_or_reject_values(env: Env) -> Outcome {
    let mut mixed =
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false});
    let error = refused!(dry_run_create(&env, crd_with_properties(&env, &json!({"p": mixed}))).await?);
    check!(error.is_invalid() && error.to_string().contains("mutual exclusive"), "{error}");
    mixed["additionalProperties"] = json!(true);
    dry_run_create(&env, crd_with_properties(&env, &json!({"p": mixed}))).await??;
    let things = Things::install(
        &env,
        json!({
            "any": {"type": "object", "additionalProperties": true},
            "none": {"type": "object", "additionalProperties": false},
        }),
    )
    .await?;
    let stored = things.create(json!({"any": {"a": 1, "b": {"c": 1}, "d": [{"e": 1}]}})).await?;
    check_eq!(stored, json!({"any": {"a": 1, "b": {}, "d": [{}]}}));
    let error = refused!(things.create(json!({"none": {"a": 1}})).await);
    check!(
        error.is_invalid() && error.to_string().contains("spec.none.a in body is a forbidden property"),
        "{error}"
    );
    Ok(())
}

async fn nulls_of_non_nullable_fields_are_dropped_except_in_an_apply(env: Env) -> Outcome {
    let string = json!({"type": "string"});
    let things = Things::install(
        &env,
        json!({
            "s": string,
            "d": {"type": "string", "default": "D"},
            "n": {"type": "string", "nullable": true},
            "m": {"type": "object", "additionalProperties": string},
            "l": {"type": "array", "items": string},
            "lo": {"type": "array", "items": {"type": "object", "properties": {"a": string, "b": {"type": "integer"}}}},
            "p": {"x-kubernetes-preserve-unknown-fields": true},
            "e": {"type": "string", "nullable": true, "enum": ["a"]},
        }),
    )
    .await?;
    let nulls =
        json!({"s": null, "d": null, "n": null, "m": {"a": null}, "lo": [{"a": null, "b": 1}], "p": null});
    let kept = json!({"d": "D", "n": null, "m": {}, "lo": [{"b": 1}]});
    check_eq!(things.create(nulls.clone()).await?, kept);
    for spec in [json!({"l": [null]}), json!({"lo": [null]}), json!({"e": null})] {
        check!(refused!(things.create(spec).await).is_invalid());
    }
    let strict = PostParams { field_validation: Some(ValidationDirective::Strict), ..PostParams::default() };
    let mut created = things.api.create(&strict, &things.thing(&nulls)).await?;
    check_eq!(created.data["spec"], kept);
    let name = created.metadata.name.clone().unwrap_or_default();
    created.data["spec"]["s"] = Value::Null;
    check_eq!(things.api.replace(&name, &PostParams::default(), &created).await?.data["spec"], kept);
    let patched = async |patch: Patch<Value>| {
        let patched = things.api.patch(&name, &PatchParams::default(), &patch).await;
        patched.map(|thing| thing.data["spec"]["p"].clone())
    };
    // In a list, a merge patch keeps items that are null, and removes null fields of objects.
    check_eq!(patched(Patch::Merge(json!({"spec": {"p": [null, 5]}}))).await?, json!([null, 5]));
    check_eq!(patched(Patch::Merge(json!({"spec": {"p": [{"a": null, "b": 1}]}}))).await?, json!([{"b": 1}]));
    let applied = async |spec: Value| {
        let thing = DynamicObject::new("applied", &things.resource).data(json!({"spec": spec}));
        things.api.patch("applied", &PatchParams::apply("e2e"), &Patch::Apply(thing)).await
    };
    for spec in [json!({"s": null}), json!({"lo": [{"a": null, "b": 1}]})] {
        check!(refused!(applied(spec).await).is_invalid());
    }
    check_eq!(applied(json!({"d": null, "n": null})).await?.data["spec"], json!({"d": "D", "n": null}));
    Ok(())
}

async fn integers_beyond_int64_are_rejected(env: Env) -> Outcome {
    let unsigned = crd_with_properties(&env, &json!({"u": {"type": "integer", "default": u64::MAX}}));
    let error = refused!(dry_run_create(&env, unsigned).await?);
    check!(
        error.is_invalid() && error.to_string().contains("must be of type integer: \"number\""),
        "{error}"
    );
    let things = Things::install(
        &env,
        json!({
            "i": {"type": "integer"},
            "i32": {"type": "integer", "format": "int32"},
            "n": {"type": "number"},
            "max": {"type": "integer", "format": "int64", "maximum": i64::MAX},
        }),
    )
    .await?;
    check_eq!(things.create(json!({"i": i64::MAX})).await?, json!({"i": i64::MAX}));
    check_eq!(
        things.create(json!({"i": 3.0, "i32": 1e3, "n": 2.0})).await?,
        json!({"i": 3, "i32": 1000, "n": 2})
    );
    for spec in [json!({"i": u64::MAX}), json!({"i": 1e19}), json!({"i": 3.5})] {
        let error = refused!(things.create(spec).await);
        let expected = "Checked value must be of type integer (default format) in spec.i";
        check!(error.is_invalid() && error.to_string().contains(expected), "{error}");
    }
    let error = refused!(things.create(json!({"max": 5})).await);
    let expected = "Maximum boundary value must be of type integer with format int64 in spec.max";
    check!(error.is_invalid() && error.to_string().contains(expected), "{error}");
    Ok(())
}

async fn invalid_selectable_fields_are_rejected(env: Env) -> Outcome {
    let properties = json!({
        "s": {"type": "string"}, "f": {"type": "number"}, "m": {"type": "object", "additionalProperties": {"type": "string"}},
        "l": {"type": "array", "items": {"type": "string"}},
        "a": {"type": "object", "properties": (0..9).map(|n| (n.to_string(), json!({"type": "string"}))).collect::<Value>()},
    });
    let selecting = |paths: &[&str]| {
        let mut crd = crd_with_properties(&env, &properties);
        let fields = paths.iter().map(|path| json!({"jsonPath": path})).collect();
        crd["spec"]["versions"][0]["selectableFields"] = fields;
        crd
    };
    let many: Vec<String> = (0..9).map(|n| format!(".spec.a.{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    dry_run_create(&env, selecting(&[".spec.s", ".spec.m.key"])).await??;
    dry_run_create(&env, selecting(&many[..8])).await??;
    for (paths, problem) in [
        (&[".spec.f"][..], "must point to a field of type string, boolean or integer"),
        (&[".spec.m"], "must point to a field of type string, boolean or integer"),
        (&[".spec.l[0]"], "array notation is not allowed"),
        (&[".spec.nope"], "does not refer to a valid field"),
        (&["spec.s"], "expected [ or . but got: spec"),
        (&[".spec.s", ".spec.s"], "selectableFields[1].jsonPath: Duplicate value"),
        (&many, "selectableFields: Too many: 9: must have at most 8 items"),
    ] {
        let error = refused!(dry_run_create(&env, selecting(paths)).await?);
        check!(error.is_invalid() && error.to_string().contains(problem), "{paths:?}: {error}");
    }
    Ok(())
}

async fn an_empty_deprecation_warning_is_rejected(env: Env) -> Outcome {
    let mut empty_warning = crd_with_properties(&env, &json!({"s": {"type": "string"}}));
    empty_warning["spec"]["versions"][0]["deprecated"] = json!(true);
    empty_warning["spec"]["versions"][0]["deprecationWarning"] = json!("");
    let error = refused!(dry_run_create(&env, empty_warning).await?);
    check!(error.is_invalid() && error.to_string().contains("must not be an empty string"), "{error}");
    Ok(())
}

/// A CRD with these annotations. The API group is protected, because it ends in `.k8s.io`.
fn crd_in_protected_group(env: &Env, annotations: Value) -> Value {
    let mut crd = crd_with_properties(env, &json!({"s": {"type": "string"}}));
    let group = format!("{}.k8s.io", env.namespace());
    crd["metadata"]["name"] = json!(format!("things.{group}"));
    crd["metadata"]["annotations"] = annotations;
    crd["spec"]["group"] = json!(group);
    crd
}

async fn protected_groups_require_an_approval_annotation(env: Env) -> Outcome {
    for annotations in [json!({}), json!({"api-approved.kubernetes.io": "nonsense"})] {
        let error = refused!(dry_run_create(&env, crd_in_protected_group(&env, annotations)).await?);
        check!(error.is_invalid() && error.to_string().contains("must have approval annotation"), "{error}");
    }
    Ok(())
}

async fn a_condition_reports_the_approval_of_a_protected_group(env: Env) -> Outcome {
    let annotations = |approval: &str| json!({"api-approved.kubernetes.io": approval});
    let unapproved: CustomResourceDefinition =
        serde_json::from_value(crd_in_protected_group(&env, annotations("unapproved, a test")))?;
    let crds: Api<CustomResourceDefinition> = Api::all(env.client());
    let name = unapproved.metadata.name.as_deref().unwrap_or_default();
    env.delete_at_end(&crds, name);
    crds.create(&PostParams::default(), &unapproved).await?;
    let condition_becomes = async |expected: (&str, &str, &str)| {
        eventually(&format!("the condition is {expected:?}"), TIMEOUT, async || {
            let status = crds.get(name).await?.status.unwrap_or_default();
            let mut conditions = status.conditions.iter().flatten();
            let condition = conditions.find(|one| one.type_ == "KubernetesAPIApprovalPolicyConformant");
            let found = condition.map(|one| {
                let (reason, message) = (one.reason.as_deref(), one.message.as_deref());
                (one.status.as_str(), reason.unwrap_or_default(), message.unwrap_or_default())
            });
            Ok((found == Some(expected)).then_some(()))
        })
        .await
    };
    condition_becomes(("False", "UnapprovedAnnotation", "not approved: \"unapproved, a test\"")).await?;
    for url in ["https://example.com/1", "https://example.com/2"] {
        let patch = Patch::Merge(json!({"metadata": {"annotations": annotations(url)}}));
        crds.patch(name, &PatchParams::default(), &patch).await?;
        condition_becomes(("True", "ApprovedAnnotation", &format!("approved in {url}"))).await?;
    }
    for invalid in [json!(null), json!("nonsense")] {
        let patch =
            Patch::Merge(json!({"metadata": {"annotations": {"api-approved.kubernetes.io": invalid}}}));
        let error = refused!(crds.patch(name, &PatchParams::default(), &patch).await);
        check!(error.is_invalid(), "{error}");
    }
    Ok(())
}

async fn formats_accept_the_same_values_as_go(env: Env) -> Outcome {
    let formats =
        ["duration", "date-time", "ipv4", "email", "hostname", "byte", "mac", "uri", "cidr", "creditcard"];
    let properties = formats.iter().map(|format| {
        let items = json!({"type": "string", "format": format});
        ((*format).to_owned(), json!({"type": "array", "items": items}))
    });
    let things = Things::install(&env, properties.collect()).await?;
    things
        .create(json!({
            "duration": ["PT5M", "P1D", "P1DT2H", "-PT1M", "1h30m", "0", "3 days", "5 microfoo"],
            "date-time": ["2024-02-03T04:05:06Z", "2024-02-03t04:05:06z", "2024-02-03T04:05:06+99:99"],
            "ipv4": ["010.0.0.1", "::ffff:1.2.3.4"],
            "email": ["a@b", "A B <a@b>", "a@[1.2.3.4]"],
            "hostname": ["aGk=", "a-1.example.com", "1"],
            "byte": ["aGk="],
            "mac": ["4111111111111111", "0123.4567.89ab"],
            "uri": ["/a b", "mailto:", "http://"],
            "cidr": ["010.0.0.0/08"],
            "creditcard": ["4111-1111-1111-1111"],
        }))
        .await?;
    for (format, text) in [
        ("duration", "P1Y"),
        ("duration", "1 month"),
        ("date-time", "2024-02-03T04:05Z"),
        ("date-time", "2024-02-03 04:05:06Z"),
        ("ipv4", "::1"),
        ("email", "mailto:a@b"),
        ("email", "a@b."),
        ("hostname", "1.5h"),
        ("hostname", "2024-02-03"),
        ("hostname", "a_b"),
        ("hostname", "A.Example."),
        ("byte", ""),
        ("mac", "00000000000000"),
        ("uri", "a"),
        ("cidr", "10.0.0.0/33"),
        ("creditcard", "0000000000000000"),
    ] {
        let error = refused!(things.create(json!({format: [text]})).await);
        check!(error.is_invalid() && error.to_string().contains(format), "{format} {text:?}: {error}");
    }
    Ok(())
}

async fn patterns_use_go_regexp_syntax(env: Env) -> Outcome {
    for (pattern, problem) in [
        ("^a{1,2048}$", "invalid repeat count: `{1,2048}`"),
        ("^(a{100}){100}$", "invalid repeat count: `{100}`"),
        ("^a++$", "invalid nested repetition operator: `++`"),
        ("^(?x)a b$", "invalid or unsupported Perl syntax: `(?x`"),
        ("^(?=a)$", "invalid or unsupported Perl syntax: `(?=`"),
        ("^[a-\\d]$", "invalid escape sequence: `\\d`"),
        ("^\\u0041$", "invalid escape sequence: `\\u`"),
    ] {
        let properties = json!({"p": {"type": "string", "pattern": pattern}});
        let error = refused!(dry_run_create(&env, crd_with_properties(&env, &properties)).await?);
        check!(error.is_invalid() && error.to_string().contains(problem), "{pattern}: {error}");
    }
    let patterns = [
        (r"^\d+$", "12", "\u{661}\u{662}"),
        (r"^\w+$", "a_1", "ä"),
        (r"^[a-z&&_]+$", "a&_", "A"),
        (r"^\<a\>$", "<a>", "a"),
        (r"^[a[b]+$", "a[b", "c"),
        (r"^\p{Greek}+$", "αβ", "ab"),
        (r"^\Qa.b\E$", "a.b", "axb"),
        (r"^[[:alpha:]]+$", "ab", "ä"),
        (r"^a{,3}$", "a{,3}", "aa"),
        (r"\bä", "aä", "ä"),
    ];
    let name = |index: usize| format!("p{index}");
    let properties = patterns.iter().enumerate();
    let properties = properties
        .map(|(index, (pattern, _, _))| (name(index), json!({"type": "string", "pattern": pattern})))
        .collect();
    let things = Things::install(&env, properties).await?;
    for (index, (pattern, valid, invalid)) in patterns.iter().enumerate() {
        things.create(json!({name(index): valid})).await?;
        let error = refused!(things.create(json!({name(index): invalid})).await);
        check!(error.is_invalid() && error.to_string().contains("should match"), "{pattern}: {error}");
    }
    Ok(())
}

async fn duplicate_list_items_are_rejected(env: Env) -> Outcome {
    let string = json!({"type": "string"});
    let things = Things::install(
        &env,
        json!({
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": string},
            "lists": {"type": "array", "x-kubernetes-list-type": "set", "items": {
                "type": "array", "x-kubernetes-list-type": "atomic", "items": {"type": "number"},
            }},
            "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "b"], "items": {
                "type": "object", "required": ["a"],
                "properties": {"a": string, "b": {"type": "integer", "default": 1}, "c": string},
            }},
        }),
    )
    .await?;
    things.create(json!({"map": [{"a": "x", "b": 2}, {"a": "x"}]})).await?;
    for (spec, problem) in [
        (json!({"set": ["a", "b", "a"]}), "spec.set[2]: Duplicate value: \"a\""),
        (json!({"lists": [[1], [1.0]]}), "spec.lists[1]: Duplicate value: [1]"),
        (json!({"map": [{"a": "x", "b": 1}, {"a": "x", "c": "y"}]}), "spec.map[1]: Duplicate value"),
    ] {
        let error = refused!(things.create(spec).await);
        check!(error.is_invalid() && error.to_string().contains(problem), "{error}");
    }
    let create_built_in = async |group: &str, kind: &str, plural: &str, spec: Value| {
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural);
        let api: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
        let object = DynamicObject::new("a", &resource).data(json!({"spec": spec}));
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        api.create(&dry, &object).await.map(drop)
    };
    let template = |container: Value| {
        let mut container = container;
        container["name"] = json!("c");
        container["image"] = json!("i");
        let spec = json!({"containers": [container], "volumes": [{"name": "v", "emptyDir": {}}]});
        let labels = json!({"a": "b"});
        let template = json!({"metadata": {"labels": labels}, "spec": spec});
        json!({"selector": {"matchLabels": labels}, "template": template})
    };
    let named = |number: u16| json!({"name": "a", "containerPort": number});
    let host = |number: u16| json!({"containerPort": number, "hostPort": 8});
    let mount = json!({"name": "v", "mountPath": "/a"});
    for (container, problem) in [
        (json!({"ports": [named(80), named(81)]}), "ports[1].name: Duplicate value: \"a\""),
        (json!({"ports": [host(80), host(81)]}), "ports[1].hostPort: Duplicate value: \"TCP//8\""),
        (
            json!({"volumeMounts": [mount, mount]}),
            "volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique",
        ),
    ] {
        let error = refused!(create_built_in("apps", "Deployment", "deployments", template(container)).await);
        check!(error.is_invalid() && error.to_string().contains(problem), "{error}");
    }
    let port = |name: &str, number: u16| json!({"name": name, "port": number});
    for (ports, problem) in [
        (json!([port("a", 80), port("a", 81)]), "spec.ports[1].name: Duplicate value: \"a\""),
        (json!([port("a", 80), port("b", 80)]), "spec.ports[1]: Duplicate value"),
    ] {
        let error = refused!(create_built_in("", "Service", "services", json!({"ports": ports})).await);
        check!(error.is_invalid() && error.to_string().contains(problem), "{error}");
    }
    Ok(())
}
