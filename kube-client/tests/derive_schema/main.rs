//! Tests of the structural schemas of derived kinds, and of the problems reported for Rust types that a structural
//! schema cannot express.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]
#![cfg(feature = "schema")]

mod evaluate;
mod kinds;
mod random;
mod structural;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use kinds::Row;
use kube_client::core::schema::StructuralSchemaRewriter;
use schemars::{Schema, generate::SchemaSettings, transform::Transform};
use serde_json::Value;

/// The rows of all kinds.
fn all_rows() -> Vec<Row> {
    kinds::faithful().into_iter().chain(kinds::lossy().into_iter().map(|(row, _)| row)).collect()
}

/// The schema in the CRD of a row.
fn schema_of(row: &Row) -> Value {
    let schema = row.crd.spec.versions[0].schema.as_ref().and_then(|s| s.open_api_v3_schema.as_ref());
    serde_json::to_value(schema.expect("a derived kind has a schema")).unwrap()
}

fn kind_name(row: &Row) -> &str {
    &row.crd.spec.names.kind
}

#[test]
fn every_schema_is_structural() {
    for row in all_rows() {
        assert_eq!(structural::violations(&schema_of(&row)), [""; 0], "{}", kind_name(&row));
    }
}

#[test]
fn rewriter_supports_all_schemars_settings() {
    for row in all_rows() {
        for settings in [SchemaSettings::openapi3, SchemaSettings::draft07, SchemaSettings::draft2020_12] {
            for inline in [true, false] {
                let schema = (row.transformed)(settings().with(|s| s.inline_subschemas = inline));
                assert_eq!(
                    structural::violations(schema.as_value()),
                    [""; 0],
                    "{}: {schema:?}",
                    kind_name(&row)
                );
            }
        }
    }
}

#[test]
fn types_with_a_structural_schema_report_no_problem() {
    for row in kinds::faithful() {
        assert_eq!(row.strict.as_ref().map(|_| ()), Ok(()), "{}", kind_name(&row));
        assert_eq!(row.strict.as_ref(), Ok(&row.crd), "{}", kind_name(&row));
    }
}

#[test]
fn types_without_a_structural_schema_report_paths_and_advice() {
    for (row, expected) in kinds::lossy() {
        let error = row.strict.as_ref().expect_err(kind_name(&row));
        let paths: Vec<_> = error.problems().iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, expected, "{}", kind_name(&row));
        assert!(error.to_string().contains(expected[0]), "{error}");
        assert!(error.problems().iter().all(|problem| !problem.advice.is_empty()));
    }
}

#[test]
fn schemas_accept_good_values_and_reject_bad_values() {
    for row in all_rows() {
        let schema = &schema_of(&row)["properties"]["spec"];
        for good in &row.good {
            assert!(evaluate::accepts(schema, good), "{} should accept {good}", kind_name(&row));
        }
        for bad in &row.bad {
            assert!(!evaluate::accepts(schema, bad), "{} should refuse {bad}", kind_name(&row));
        }
    }
}

#[test]
fn schemas_contain_patterns_and_rules() {
    let rows = all_rows();
    let value = |kind: &str| {
        let row = rows.iter().find(|row| kind_name(row) == kind).expect("a row of the table");
        schema_of(row)["properties"]["spec"]["properties"]["value"].clone()
    };
    assert_eq!(value("TextsKind")["properties"]["lower"]["pattern"], "^[a-z]+$");
    let rules = serde_json::json!([{ "rule": "self.min <= self.max", "message": "min above max" }]);
    assert_eq!(value("RuledKind")["x-kubernetes-validations"], rules);
}

#[test]
fn rust_types_decode_good_values() {
    for row in all_rows() {
        for good in &row.good {
            assert_eq!((row.reads)(good), Ok(()), "{}: {good}", kind_name(&row));
        }
    }
}

#[test]
fn rewrites_random_schemas_to_structural_schemas() {
    for seed in 0..5_000 {
        let raw = random::schema(seed);
        let mut schema = Schema::try_from(raw.clone()).unwrap();
        StructuralSchemaRewriter.transform(&mut schema);
        assert_eq!(
            structural::violations(schema.as_value()),
            [""; 0],
            "seed {seed}: {raw} became {schema:?}"
        );
        let decoded = serde_json::from_value::<JSONSchemaProps>(schema.to_value());
        assert!(decoded.is_ok(), "seed {seed}: {raw}: {decoded:?}");
    }
}
