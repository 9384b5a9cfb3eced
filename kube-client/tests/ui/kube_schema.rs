//! Mistakes in `#[x_kube(..)]`, and types that `KubeSchema` does not support.

#[derive(kube_derive::KubeSchema)]
#[x_kube(validations = "self.a > 0", cels)]
struct Misspelt {
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
enum OnVariant {
    #[x_kube(validation = "true")]
    A,
}

// The types have a schema after the errors, so that their uses cause no further errors.
fn schemas(generator: &mut schemars::SchemaGenerator) {
    generator.subschema_for::<Misspelt>();
    generator.subschema_for::<Option<OnVariant>>();
}

fn main() {}
