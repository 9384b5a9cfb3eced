//! A field whose type has no schema.

struct NoSchema;

#[derive(kube_derive::KubeSchema)]
struct Fields {
    valid: Option<u8>,
    invalid: Vec<NoSchema>,
}

fn main() {}
