//! All mistakes in one attribute are reported at once, each at its span. Most errors contain a correction.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(
    group = example,
    version = ,
    kind = "foo",
    namespaced = "yes",
    storage = 1,
    shortname,
    status = "not a type",
    shortnames = "f",
    crates(serde = "a b", kube = , tokio = "::tokio"),
    printcolumn(name = "A", type = "string", priority = "high"),
    printcolumn(name = "B"),
    printcolumn = r#"{"name": 1, "path": ".spec.a"}"#,
    scale(spec_replicas_path = 1),
    scale = r#"{}"#,
    label("a"),
    annotation,
    validation = ,
    selectable = "spec.a",
    plural = "Foos"
)]
struct FooSpec {
    a: String,
}

fn main() {}
