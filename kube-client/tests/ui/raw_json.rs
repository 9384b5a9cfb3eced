//! Mistakes in the JSON of a column: missing, unknown and duplicate members, a wrong type, and text that is not JSON.

#[derive(kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Foo", printcolumn = r#"{"name":"A"}"#)]
#[kube(printcolumn = r#"{"name":"A","type":"string","path":".spec.a"}"#)]
#[kube(printcolumn = "name")]
#[kube(printcolumn = r#"{"name":"A","type":"string","jsonPath":7}"#)]
#[kube(printcolumn = r#"{"name":"A","type":"string","jsonPath":".spec.a","priority":1,"priority":2}"#)]
struct FooSpec {}

fn main() {}
