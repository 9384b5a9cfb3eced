//! Tests the structural schemas of kinds with `#[derive(CustomResource)]`. For Rust types that a structural schema cannot
//! express, tests the problems that `try_crd` reports.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]
#![cfg(feature = "schema")]

mod evaluate;
mod kinds;
mod random;
mod snapshots;
mod structural;
#[cfg(feature = "cel")]
mod validation;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use kinds::DerivedKind;
use kube_client::core::schema::StructuralSchemaRewriter;
use schemars::{Schema, generate::SchemaSettings, transform::Transform};
use serde_json::Value;

/// Returns the kinds of the module [`kinds`], without the kinds of [`kinds::modelled_on_public_crds`].
fn small_kinds() -> Vec<DerivedKind> {
    kinds::lossless_kinds()
        .into_iter()
        .chain(kinds::lossy_kinds().into_iter().map(|(derived, _)| derived))
        .collect()
}

/// Returns the kinds of the module [`kinds`], including the kinds of [`kinds::modelled_on_public_crds`].
fn all_kinds() -> Vec<DerivedKind> {
    small_kinds().into_iter().chain(kinds::modelled_on_public_crds::all_kinds()).collect()
}

/// The schema in the CRD of a kind.
fn schema_of(derived: &DerivedKind) -> Value {
    let schema = derived.crd.spec.versions[0].schema.as_ref().and_then(|s| s.open_api_v3_schema.as_ref());
    serde_json::to_value(schema.expect("a derived kind has a schema")).unwrap()
}

fn kind_name(derived: &DerivedKind) -> &str {
    &derived.crd.spec.names.kind
}

#[test]
fn every_schema_is_structural() {
    for derived in all_kinds() {
        assert_eq!(structural::violations(&schema_of(&derived)), [""; 0], "{}", kind_name(&derived));
    }
}

#[test]
fn rewriter_output_is_structural_for_several_schemars_settings() {
    for derived in small_kinds() {
        for settings in [SchemaSettings::openapi3, SchemaSettings::draft07, SchemaSettings::draft2020_12] {
            for inline in [true, false] {
                let schema = (derived.generate_schema)(settings().with(|s| s.inline_subschemas = inline));
                assert_eq!(
                    structural::violations(schema.as_value()),
                    [""; 0],
                    "{}: {schema:?}",
                    kind_name(&derived)
                );
            }
        }
    }
}

#[test]
fn lossless_kinds_report_no_problem() {
    for derived in kinds::lossless_kinds().into_iter().chain(kinds::modelled_on_public_crds::all_kinds()) {
        assert_eq!(derived.try_crd.as_ref().map(|_| ()), Ok(()), "{}", kind_name(&derived));
        assert_eq!(derived.try_crd.as_ref(), Ok(&derived.crd), "{}", kind_name(&derived));
    }
}

#[test]
fn lossy_kinds_report_problems_with_paths_and_advice() {
    for (derived, expected) in kinds::lossy_kinds() {
        let error = derived.try_crd.as_ref().expect_err(kind_name(&derived));
        let paths: Vec<_> = error.problems().iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, expected, "{}", kind_name(&derived));
        assert!(error.to_string().contains(expected[0]), "{error}");
        assert!(error.problems().iter().all(|problem| !problem.advice.is_empty()));
    }
}

#[test]
fn schemas_accept_good_values_and_reject_bad_values() {
    for derived in small_kinds() {
        let schema = &schema_of(&derived)["properties"]["spec"];
        for good in &derived.good {
            assert!(evaluate::schema_accepts(schema, good), "{} should accept {good}", kind_name(&derived));
        }
        for bad in &derived.bad {
            assert!(!evaluate::schema_accepts(schema, bad), "{} should refuse {bad}", kind_name(&derived));
        }
    }
}

#[test]
fn schemas_contain_patterns_and_rules() {
    let all = small_kinds();
    let value = |kind: &str| {
        let derived = all.iter().find(|derived| kind_name(derived) == kind).expect("a row of the table");
        schema_of(derived)["properties"]["spec"]["properties"]["value"].clone()
    };
    assert_eq!(value("TextsKind")["properties"]["lower"]["pattern"], "^[a-z]+$");
    let rules = serde_json::json!([{ "rule": "self.min <= self.max", "message": "min above max" }]);
    assert_eq!(value("RuledKind")["x-kubernetes-validations"], rules);
}

#[test]
fn rust_types_decode_good_values() {
    for derived in all_kinds() {
        for good in &derived.good {
            assert_eq!((derived.decode)(good), Ok(()), "{}: {good}", kind_name(&derived));
        }
    }
}

#[test]
fn the_rewriter_makes_random_schemas_structural() {
    for seed in 0..5_000 {
        let raw = random::schema_with_definitions(seed);
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
