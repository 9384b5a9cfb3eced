//! Mistakes in `#[apply(..)]`, and types that `ApplyConfiguration` does not support.

use kube_derive::ApplyConfiguration;

#[derive(ApplyConfiguration)]
#[apply(whole, derives(PartialEq))]
struct WrongKeys {
    #[apply(wole)]
    a: u8,
    #[apply(derive(PartialEq))]
    b: u8,
}

#[derive(ApplyConfiguration)]
struct Generic<T> {
    value: T,
}

#[derive(ApplyConfiguration)]
enum AttributeOnVariantField {
    A {
        #[apply(whole)]
        a: u8,
    },
}

// Despite the errors, the macro generates the companions (`..Apply`) of the types without generics. Therefore this function
// causes no further errors.
fn use_companions() -> (WrongKeysApply, Option<AttributeOnVariantFieldApply>) {
    (WrongKeysApply { a: Some(1), ..WrongKeysApply::default() }, None)
}

fn main() {}
