//! With `no_spec`, a field of the spec cannot be called `status`: this name is reserved for the status of the object.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Foo", no_spec)]
struct FooSpec { status: String, own: String }

fn main() {}
