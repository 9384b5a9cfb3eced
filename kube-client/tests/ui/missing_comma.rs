//! A missing comma is one error: the key behind it is not missing.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example.com" version = "v1", kind = "Foo")]
struct FooSpec {}

fn uses(foo: &Foo) -> &FooSpec {
    &foo.spec
}

fn main() {}
