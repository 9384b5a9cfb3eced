//! With `no_spec`, a serde rename or a raw identifier cannot be `kind`, `apiVersion` or `metadata`.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Foo", no_spec)]
struct FooSpec {
    #[serde(default, rename = "kind")]
    sort: String,
    #[serde(skip_serializing_if = "Option::is_none", rename(serialize = "apiVersion", deserialize = "version"))]
    version: Option<String>,
    r#metadata: u8,
}

fn main() {}
