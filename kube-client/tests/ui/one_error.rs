//! The root struct is usable after an error, so that the compiler reports a single error.

#[derive(kube_derive::CustomResource)]
#[kube(group = "example.com", version = "v1", kind = "Foo", plural = "Foos", status = "FooStatus")]
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct FooSpec { a: String }

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct FooStatus {}

fn use_root_struct(foo: &Foo) -> &str {
    use kube_client::{CustomResourceExt, Resource};
    let _ = (Foo::crd(), Foo::kind(&()), serde_json::to_string(foo), &foo.status);
    let _: Result<Foo, _> = serde_json::from_str("");
    let _ = Foo::new("a", foo.spec.clone());
    &foo.clone().spec.a.leak().len().to_string().leak()[..]
}

fn main() {}
