//! Well-formed definitions that an API server rejects.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(
    group = "apps.k8s.io",
    version = "v1",
    kind = "Foo",
    deprecated = "",
    selectable = ".spec.a",
    selectable = ".spec.a"
)]
struct FooSpec {
    a: String,
}

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(
    group = "kubernetes.io",
    version = "v1",
    kind = "Bar",
    annotation("api-approved.kubernetes.io", "yes")
)]
struct BarSpec {
    a: String,
}

fn main() {}
