//! Fields whose types have no schema. The span of each error is the whole type.

struct NoSchema;

#[derive(kube_derive::KubeSchema)]
struct Fields {
    valid: Option<u8>,
    invalid: std::vec::Vec<NoSchema>,
}

macro_rules! define {
    ($type:ty) => {
        #[derive(kube_derive::KubeSchema)]
        struct Defined {
            field: $type,
        }
    };
}

define!(Option<NoSchema>);

fn main() {}
