//! A spec with `no_spec` and fields that serde renames to names of fields of the root struct.

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
