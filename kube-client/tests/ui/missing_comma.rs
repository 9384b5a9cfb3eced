//! A missing comma causes one error: the key after the missing comma is not reported as missing.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example.com" version = "v1", kind = "Foo")]
struct FooSpec {}

fn use_root_struct(foo: &Foo) -> &FooSpec {
    &foo.spec
}

fn main() {}
