//! Mistakes in `#[x_kube(..)]`, and types that `KubeSchema` does not support.

#[derive(kube_derive::KubeSchema)]
#[x_kube(validations = "self.a > 0", cels)]
struct WrongKeys {
    #[x_kube(merge_strategy = ListMerge::Set, merge_strategy = ListMerge::Atomic)]
    a: Vec<u8>,
    #[x_kube(crates(kube = "::kube"))]
    b: u8,
    #[x_kube(cel)]
    c: u8,
}

#[derive(kube_derive::KubeSchema)]
union Overlapping {
    a: u8,
}

#[derive(kube_derive::KubeSchema)]
enum AttributeOnVariant {
    #[x_kube(validation = "true")]
    A,
}

// Despite the errors, the macro implements `JsonSchema`. Therefore this function causes no further errors.
fn use_schemas(generator: &mut schemars::SchemaGenerator) {
    generator.subschema_for::<WrongKeys>();
    generator.subschema_for::<Option<AttributeOnVariant>>();
}

fn main() {}
