//! Tests of the validation of CRDs. The expected error texts were recorded from kube-apiserver 1.37.2.

use serde_json::{Value, json};

use super::{DefinitionChecks, validate_crd};

/// Returns a CRD with one version. This version has the schema `schema`.
fn crd_with_schema(schema: &Value) -> Value {
    json!({
        "metadata": {"name": "foos.ex.com"},
        "spec": {
            "group": "ex.com",
            "scope": "Namespaced",
            "names": {"plural": "foos", "singular": "foo", "kind": "Foo", "listKind": "FooList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
        "status": {"storedVersions": ["v1"]},
    })
}

/// Returns the validation errors of a CRD. Does not check the CEL rules and the conversion webhook.
fn errors_of(old: Option<&Value>, crd: &Value) -> Vec<String> {
    let checks = DefinitionChecks { rules: &|_, _, _| Vec::new(), conversion_webhook: &|_| Vec::new() };
    validate_crd(old, crd, checks).iter().map(ToString::to_string).collect()
}

/// Returns the validation errors of a CRD that is created.
fn creation_errors(crd: &Value) -> Vec<String> {
    errors_of(None, crd)
}

/// Validates a CRD with the schema `schema`. `expected` contains the errors without the path of the schema.
#[track_caller]
fn assert_schema_errors(schema: &Value, expected: &[&str]) {
    let expected: Vec<String> =
        expected.iter().map(|text| format!("spec.validation.openAPIV3Schema{text}")).collect();
    assert_eq!(creation_errors(&crd_with_schema(schema)), expected);
}

#[test]
fn structural_schemas_are_accepted() {
    assert_schema_errors(&json!({"type": "object"}), &[]);
    assert_schema_errors(&json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}), &[]);
    assert_schema_errors(
        &json!({"type": "object", "properties": {
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "pattern": "^a"}}},
            "a": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
            "b": {"type": "object", "properties": {"x": {"type": "string"}}, "anyOf": [{"required": ["x"]}, {"properties": {"x": {"pattern": "a"}}}]},
            "c": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                  "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}}}},
            "d": {"type": "object", "default": {"x": "1"}, "properties": {"x": {"type": "string"}}},
            "e": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        }}),
        &[],
    );
}

#[test]
fn missing_or_invalid_types_and_missing_items_are_rejected() {
    assert_schema_errors(&json!({}), &[".type: Required value: must not be empty at the root"]);
    assert_schema_errors(
        &json!({"type": "array"}),
        &[
            ".items: Required value: must be specified",
            ".type: Invalid value: \"array\": must be object at the root",
        ],
    );
    assert_schema_errors(
        &json!({"type": "object", "properties": {
            "a": {}, "b": {"type": "array"}, "c": {"type": "array", "items": {}}, "d": {"type": "strin"},
        }}),
        &[
            ".properties[a].type: Required value: must not be empty for specified object fields",
            ".properties[b].items: Required value: must be specified",
            ".properties[c].items.type: Required value: must not be empty for specified array items",
            ".properties[d].type: Unsupported value: \"strin\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"",
        ],
    );
}

#[test]
fn all_of_and_any_of_must_contain_only_value_validations() {
    assert_schema_errors(
        &json!({"type": "object", "nullable": true, "properties": {
            "a": {"type": "string", "anyOf": [{"type": "string"}, {"description": "x", "default": "1"}]},
        }}),
        &[
            ".nullable: Forbidden: nullable cannot be true at the root",
            ".properties[a].anyOf[0].type: Forbidden: must be empty to be structural",
            ".properties[a].anyOf[1].default: Forbidden: must be undefined to be structural",
            ".properties[a].anyOf[1].description: Forbidden: must be empty to be structural",
        ],
    );
    assert_schema_errors(
        &json!({"type": "object", "allOf": [{"properties": {"zz": {"type": "string"}}}]}),
        &[
            ".allOf[0].properties[zz].type: Forbidden: must be empty to be structural",
            ".properties[zz]: Required value: because it is defined in spec.validation.openAPIV3Schema.allOf[0].properties[zz]",
        ],
    );
}

#[test]
fn forbidden_keywords_and_malformed_patterns_are_rejected() {
    assert_schema_errors(
        &json!({"type": "object", "properties": {"a": {"type": "string", "uniqueItems": true}, "b": {"$ref": "x"}}}),
        &[
            ".properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
            ".properties[b].$ref: Forbidden: $ref is not supported",
        ],
    );
    assert_schema_errors(
        &json!({"type": "object", "additionalProperties": true, "properties": {
            "a": {"type": "object", "properties": {"x": {"type": "string"}}, "additionalProperties": {"type": "string"}},
            "metadata": {"type": "object", "properties": {"labels": {"type": "object"}}},
        }}),
        &[
            ".additionalProperties: Forbidden: must not be used at the root",
            ".properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified",
            ".properties[a].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive",
        ],
    );
    let errors = creation_errors(&crd_with_schema(
        &json!({"type": "object", "properties": {"b": {"type": "string", "pattern": "("}}}),
    ));
    assert!(errors[0].contains(
        "properties[b].pattern: Invalid value: \"(\": must be a valid regular expression, but isn't: "
    ));
}

#[test]
fn invalid_list_and_map_types_are_rejected() {
    assert_schema_errors(
        &json!({"type": "object", "properties": {
            "l": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "object"}},
            "m": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k", "z"],
                  "items": {"type": "object", "properties": {"k": {"type": "string"}}}},
            "o": {"type": "string", "x-kubernetes-list-type": "foo"},
            "p": {"type": "object", "x-kubernetes-map-type": "x"},
        }}),
        &[
            ".properties[l].items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set",
            ".properties[m].x-kubernetes-list-map-keys: Invalid value: [\"k\",\"z\"]: entries must all be names of item properties",
            ".properties[m].items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
            ".properties[o].type: Invalid value: \"string\": must be array if x-kubernetes-list-type is specified",
            ".properties[o].x-kubernetes-list-type: Unsupported value: \"foo\": supported values: \"atomic\", \"set\", \"map\"",
            ".properties[p].x-kubernetes-map-type: Unsupported value: \"x\": supported values: \"atomic\", \"granular\"",
        ],
    );
}

#[test]
fn defaults_must_match_their_schema() {
    assert_schema_errors(
        &json!({"type": "object", "properties": {
            "a": {"type": "string", "default": 5},
            "b": {"type": "object", "default": {"x": 1, "y": 2}, "properties": {"x": {"type": "string"}}},
            "c": {"type": "integer", "default": 1, "minimum": 3},
        }}),
        &[
            ".properties[a].default: Invalid value: \"integer\":  in body must be of type string: \"integer\"",
            ".properties[b].default: Invalid value: {\"x\":1,\"y\":2}: must not have unknown fields",
            ".properties[b].default.x: Invalid value: \"integer\": x in body must be of type string: \"integer\"",
            ".properties[c].default: Invalid value: 1:  in body should be greater than or equal to 3",
        ],
    );
}

#[test]
fn error_paths_contain_the_version_if_schemas_differ() {
    let mut crd = crd_with_schema(&json!({"type": "array"}));
    crd["spec"]["versions"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "v2", "served": true, "storage": false, "schema": {"openAPIV3Schema": {}}}));
    assert_eq!(
        creation_errors(&crd),
        [
            "spec.versions[0].schema.openAPIV3Schema.items: Required value: must be specified",
            "spec.versions[0].schema.openAPIV3Schema.type: Invalid value: \"array\": must be object at the root",
            "spec.versions[1].schema.openAPIV3Schema.type: Required value: must not be empty at the root",
        ]
    );
}

#[test]
fn missing_and_malformed_fields_of_the_spec_are_rejected() {
    let empty = json!({"metadata": {"name": "foos.ex.com"}, "spec": {}});
    assert_eq!(
        creation_errors(&empty),
        [
            "metadata.name: Invalid value: \"foos.ex.com\": must be spec.names.plural+\".\"+spec.group",
            "spec.group: Required value",
            "spec.scope: Required value",
            "spec.versions: Invalid value: null: must have exactly one version marked as storage version",
            "spec.names.plural: Required value",
            "spec.names.singular: Required value",
            "spec.names.kind: Required value",
            "spec.names.listKind: Required value",
            "status.storedVersions: Invalid value: null: must have at least one stored version",
        ]
    );
    let mut bad = crd_with_schema(&json!({"type": "object"}));
    bad["spec"]["group"] = json!("ex");
    bad["spec"]["scope"] = json!("Foo");
    bad["spec"]["names"]["kind"] = json!("foo!");
    bad["spec"]["names"]["shortNames"] = json!(["F"]);
    let found = creation_errors(&bad);
    assert!(found[0].starts_with("metadata.name: Invalid value"));
    assert_eq!(found[1], "spec.group: Invalid value: \"ex\": should be a domain with at least one dot");
    assert_eq!(
        found[2],
        "spec.scope: Unsupported value: \"Foo\": supported values: \"Cluster\", \"Namespaced\""
    );
    assert!(found[3].starts_with("spec.names.kind: Invalid value: \"foo!\": may have mixed case, but should otherwise match: a DNS-1035"));
    assert!(found[4].starts_with("spec.names.shortNames[0]: Invalid value: \"F\": a DNS-1035 label must"));
    assert_eq!(found.len(), 5);
}

#[test]
fn invalid_subresources_and_printer_columns_are_rejected() {
    let mut bad = crd_with_schema(&json!({"type": "object"}));
    bad["spec"]["versions"][0]["subresources"] = json!({"scale": {"specReplicasPath": ".spec[0]"}});
    bad["spec"]["versions"][0]["additionalPrinterColumns"] = json!([{"name": "", "type": "x"}]);
    assert_eq!(
        creation_errors(&bad),
        [
            "spec.subresources.scale.specReplicasPath: Invalid value: \".spec[0]\": should be a json path under .spec",
            "spec.subresources.scale.statusReplicasPath: Required value",
            "spec.additionalPrinterColumns[0].name: Required value",
            "spec.additionalPrinterColumns[0].type: Invalid value: \"x\": must be one of boolean,date,integer,number,string",
            "spec.additionalPrinterColumns[0].JSONPath: Required value",
        ]
    );
}

#[test]
fn integer_defaults_are_rejected_if_the_value_or_the_maximum_overflows_int64() {
    let of = |field: Value| json!({"type": "object", "properties": {"u": field}});
    let default = ".properties[u].default: Invalid value:";
    assert_schema_errors(
        &of(json!({"type": "integer", "default": u64::MAX})),
        &[
            &format!("{default} \"number\":  in body must be of type integer: \"number\""),
            &format!("{default} \"\": Checked value must be of type integer (default format) in "),
        ],
    );
    assert_schema_errors(&of(json!({"type": "integer", "default": i64::MAX})), &[]);
    assert_schema_errors(&of(json!({"type": "number", "default": u64::MAX})), &[]);
    assert_schema_errors(
        &of(json!({"type": "integer", "format": "int64", "default": 5, "maximum": i64::MAX})),
        &[&format!("{default} \"\": Maximum boundary value must be of type integer with format int64 in ")],
    );
    // The maximum is read as a floating-point number: `i64::MAX` becomes 2^63, which overflows int64. Such a
    // maximum rejects every value of the field, also a default. A schema without a default is valid.
    assert_schema_errors(&of(json!({"type": "integer", "format": "int64", "maximum": i64::MAX})), &[]);
}

#[test]
fn schemas_with_properties_reject_additional_properties_other_than_true() {
    let excluded = ".properties[p].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive";
    let of = |additional: Value| {
        let property = json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": additional});
        json!({"type": "object", "properties": {"p": property}})
    };
    assert_schema_errors(&of(json!(false)), &[excluded]);
    assert_schema_errors(&of(json!({"type": "string"})), &[excluded]);
    assert_schema_errors(&of(json!(true)), &[]);
    let none = |default: Value| json!({"type": "object", "properties": {"p": {"type": "object", "additionalProperties": false, "default": default}}});
    assert_schema_errors(&none(json!({})), &[]);
    assert_schema_errors(
        &none(json!({"a": 1})),
        &[".properties[p].default: Invalid value: \"a\": .a in body is a forbidden property"],
    );
}

/// Validates a CRD whose selectable fields have the JSON paths `paths`. `expected` contains the errors without the path
/// `spec.selectableFields`.
#[track_caller]
fn assert_selectable_field_errors(paths: &[&str], expected: &[&str]) {
    let fields: serde_json::Map<String, Value> =
        (0..9).map(|index| (format!("a{index}"), json!({"type": "string"}))).collect();
    let mut crd = crd_with_schema(&json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "s": {"type": "string"}, "i": {"type": "integer"}, "b": {"type": "boolean"}, "f": {"type": "number"},
            "o": {"type": "object", "properties": {"x": {"type": "string"}}},
            "m": {"type": "object", "additionalProperties": {"type": "string"}},
            "l": {"type": "array", "items": {"type": "string"}},
            "any": {"x-kubernetes-preserve-unknown-fields": true}, "ios": {"x-kubernetes-int-or-string": true},
        }},
        "n": {"type": "object", "properties": fields},
        "status": {"type": "object", "properties": {"t": {"type": "string"}}},
    }}));
    crd["spec"]["versions"][0]["selectableFields"] =
        paths.iter().map(|path| json!({"jsonPath": path})).collect();
    let expected: Vec<String> = expected.iter().map(|text| format!("spec.selectableFields{text}")).collect();
    assert_eq!(creation_errors(&crd), expected, "{paths:?}");
}

#[test]
fn selectable_fields_are_rejected_if_invalid_duplicate_or_more_than_eight() {
    for path in [".spec.s", ".spec.i", ".spec.b", ".spec.o.x", ".spec.m.a", ".status.t"] {
        assert_selectable_field_errors(&[path], &[]);
    }
    for path in [".spec.f", ".spec.o", ".spec.m", ".spec.l", ".spec.any", ".spec.ios"] {
        let why = format!(
            "[0].jsonPath: Invalid value: \"{path}\": must point to a field of type string, boolean or integer. \
             Enum string fields and strings with formats are allowed."
        );
        assert_selectable_field_errors(&[path], &[&why]);
    }
    let invalid = [
        (".spec.l[0]", "array notation is not allowed"),
        (".spec['s']", "array notation is not allowed"),
        (".spec.nope", "does not refer to a valid field"),
        (".spec.any.x", "does not refer to a valid field"),
        (".metadata.name", "does not refer to a valid field"),
        (".kind", "does not refer to a valid field"),
        (".spec..s", "does not refer to a valid field"),
        ("..s", "does not refer to a valid field"),
        (".spec.s ", "does not refer to a valid field"),
        ("spec.s", "expected [ or . but got: spec"),
        ("$.spec.s", "expected [ or . but got: $"),
        ("{.spec.s}", "expected [ or . but got: {"),
        (".", "unexpected end of JSON path"),
        (".spec.", "unexpected end of JSON path"),
    ];
    for (path, problem) in invalid {
        let why = format!("[0].jsonPath: Invalid value: \"{path}\": is an invalid path: {problem}");
        assert_selectable_field_errors(&[path], &[&why]);
    }
    assert_selectable_field_errors(&[""], &["[0].jsonPath: Required value"]);
    assert_selectable_field_errors(&[".spec.s", ".spec.s"], &["[1].jsonPath: Duplicate value: \".spec.s\""]);
    let many: Vec<String> = (0..9).map(|index| format!(".n.a{index}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_selectable_field_errors(&many[..8], &[]);
    assert_selectable_field_errors(&many, &[": Too many: 9: must have at most 8 items"]);
}

#[test]
fn deprecation_warnings_must_be_printable_and_need_a_deprecated_version() {
    let warn = |deprecated: bool, warning: &str| {
        let mut crd = crd_with_schema(&json!({"type": "object"}));
        crd["spec"]["versions"][0]["deprecated"] = deprecated.into();
        crd["spec"]["versions"][0]["deprecationWarning"] = warning.into();
        creation_errors(&crd)
    };
    let field = "spec.versions[0].deprecationWarning: Invalid value:";
    assert_eq!(warn(true, "a\"b\\c ü"), [""; 0]);
    assert_eq!(warn(true, ""), [format!("{field} \"\": must not be an empty string")]);
    assert_eq!(warn(false, "x"), [format!("{field} \"x\": can only be set for deprecated versions")]);
    let control = "must only contain printable UTF-8 characters; non-printable character found at index 1";
    assert_eq!(warn(true, "a\tb"), [format!("{field} \"a\\tb\": {control}")]);
    let long = "ü".repeat(129);
    assert_eq!(warn(true, &long), [format!("{field} \"{long}\": must be <= 256 characters long")]);
}

#[test]
fn protected_groups_need_an_approval_annotation() {
    let of = |group: &str, annotation: Option<&str>| {
        let mut crd = crd_with_schema(&json!({"type": "object"}));
        crd["spec"]["group"] = group.into();
        crd["metadata"]["name"] = format!("foos.{group}").into();
        if let Some(annotation) = annotation {
            crd["metadata"]["annotations"] = json!({"api-approved.kubernetes.io": annotation});
        }
        crd
    };
    let missing = "metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval \
        annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111";
    for group in ["a.k8s.io", "k8s.io", "kubernetes.io", "a.b.kubernetes.io"] {
        assert_eq!(creation_errors(&of(group, None)), [missing], "{group}");
        assert_eq!(creation_errors(&of(group, Some(""))), [missing], "{group}");
    }
    for group in ["a.x-k8s.io", "a.notk8s.io"] {
        assert_eq!(creation_errors(&of(group, None)), [""; 0], "{group}");
    }
    for annotation in
        ["https://github.com/kubernetes/kubernetes/pull/78458", "unapproved", "unapproved, because"]
    {
        assert_eq!(creation_errors(&of("a.k8s.io", Some(annotation))), [""; 0], "{annotation}");
    }
    for annotation in ["nonsense", "ftp:x", "/path", "http://"] {
        let invalid = format!(
            "metadata.annotations[api-approved.kubernetes.io]: Invalid value: \"{annotation}\": protected groups must have \
             approval annotation \"api-approved.kubernetes.io\" with either a URL or a reason starting with \
             \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111"
        );
        assert_eq!(creation_errors(&of("a.k8s.io", Some(annotation))), [invalid], "{annotation}");
    }
    // An update that leaves the annotation's state unchanged needs no approval.
    assert_eq!(errors_of(Some(&of("a.k8s.io", None)), &of("a.k8s.io", None)), [""; 0]);
    assert_eq!(errors_of(Some(&of("a.k8s.io", Some("unapproved"))), &of("a.k8s.io", None)), [missing]);
}

#[test]
fn updates_must_keep_the_immutable_fields_and_the_stored_versions() {
    let mut old = crd_with_schema(&json!({"type": "object"}));
    let mut new = old.clone();
    new["spec"]["scope"] = json!("Cluster");
    new["spec"]["names"]["kind"] = json!("Bar");
    assert_eq!(errors_of(Some(&old), &new), [""; 0]);
    old["status"]["conditions"] = json!([{"type": "Established", "status": "True"}]);
    new["spec"]["group"] = json!("other.com");
    new["spec"]["names"]["plural"] = json!("bars");
    new["spec"]["versions"][0]["name"] = json!("v2");
    assert_eq!(
        errors_of(Some(&old), &new),
        [
            "spec.scope: Invalid value: \"Cluster\": field is immutable",
            "spec.names.kind: Invalid value: \"Bar\": field is immutable",
            "spec.group: Invalid value: \"other.com\": field is immutable",
            "spec.names.plural: Invalid value: \"bars\": field is immutable",
            "status.storedVersions: Invalid value: [\"v1\"]: must have the storage version v2",
            "status.storedVersions[0]: Invalid value: \"v1\": missing from spec.versions; v1 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v1 and removes v1 from status.storedVersions",
        ]
    );
}

#[test]
fn selectable_fields_need_a_schema() {
    let mut crd = crd_with_schema(&Value::Null);
    crd["spec"]["versions"][0]["schema"] = Value::Null;
    crd["spec"]["versions"][0]["selectableFields"] = json!([{"jsonPath": ".a"}]);
    assert_eq!(
        creation_errors(&crd),
        [
            "spec.versions[0].schema.openAPIV3Schema: Required value",
            "spec.selectableFields: Invalid value: \"\": may only be set when validations.schema is included",
        ]
    );
}

#[test]
fn two_storage_versions_with_the_same_name_also_cause_an_error_in_stored_versions() {
    let mut crd = crd_with_schema(&json!({"type": "object"}));
    let twice = crd["spec"]["versions"][0].clone();
    crd["spec"]["versions"].as_array_mut().unwrap().push(twice);
    let texts = creation_errors(&crd);
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(texts[0].ends_with("must contain unique version names"), "{texts:?}");
    assert!(texts[1].ends_with("must have exactly one version marked as storage version"), "{texts:?}");
    assert_eq!(texts[2], "status.storedVersions: Invalid value: [\"v1\"]: must have the storage version v1");
}
