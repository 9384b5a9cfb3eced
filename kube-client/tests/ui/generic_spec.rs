//! A spec with type parameters.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Foo")]
struct FooSpec<T> { value: T }

fn main() {}
