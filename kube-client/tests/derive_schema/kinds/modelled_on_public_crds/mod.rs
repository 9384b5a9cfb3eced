//! Kinds with more than 60 fields. They are modelled on the CRDs of public projects: cert-manager, Flux and the
//! Prometheus operator.
//!
//! The kinds have patterns, formats, rules, lists of type `map` and types of `k8s-openapi`. The tests of kube-client
//! validate the specs of the kinds without a server, and the end-to-end suites validate these specs with a server.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::struct_field_names,
    reason = "the data of the tests is constant, and the names of the fields are those of the projects"
)]

mod certificate;
mod helm_release;
mod prometheus;

use kube_client::core::schema::StructuralSchemaRewriter;
use kube_client::{CustomResourceExt, Resource};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::DerivedKind;

/// All kinds of this module.
pub(crate) fn all_kinds() -> Vec<DerivedKind> {
    vec![certificate::kind_with_specs(), helm_release::kind_with_specs(), prometheus::kind_with_specs()]
}

/// Returns the kind `K` with its specs. The server accepts the specs `good`. Each change in `changes` makes the first
/// spec invalid: a change consists of the JSON pointer of a field, and the new value of the field. Null removes the
/// field. If the pointer names an element of a list, the value is appended to the list.
fn derived_kind<K>(good: Vec<Value>, changes: &[(&str, Value)]) -> DerivedKind
where
    K: CustomResourceExt + Resource<DynamicType = ()> + JsonSchema + Serialize + DeserializeOwned,
{
    let with_change = |(path, value): &(&str, Value)| {
        let mut spec = good[0].clone();
        let (parent, name) = path.rsplit_once('/').expect("a JSON pointer");
        let parent = spec.pointer_mut(parent).unwrap_or_else(|| panic!("{path} has no parent"));
        match (parent, value) {
            (Value::Object(fields), Value::Null) => {
                drop(fields.remove(name).expect("the removed field exists"));
            }
            (Value::Object(fields), value) => drop(fields.insert(name.to_owned(), value.clone())),
            (Value::Array(items), value) => items.push(value.clone()),
            _ => panic!("{path} is below a scalar"),
        }
        spec
    };
    let bad = changes.iter().map(with_change).collect();
    DerivedKind {
        crd: K::crd(),
        try_crd: K::try_crd(),
        good,
        bad,
        generate_schema: |settings| {
            settings.with_transform(StructuralSchemaRewriter).into_generator().into_root_schema_for::<K>()
        },
        decode: |spec| {
            let (api_version, kind) = (K::api_version(&()), K::kind(&()));
            let object =
                json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "test"}, "spec": spec});
            let object: K = serde_json::from_value(object).map_err(|error| error.to_string())?;
            serde_json::to_value(object).map(drop).map_err(|error| error.to_string())
        },
    }
}
