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
enum OnVariant {
    A {
        #[apply(whole)]
        a: u8,
    },
}

// The companions exist after the errors, so that their uses cause no further errors.
fn companions() -> (WrongKeysApply, Option<OnVariantApply>) {
    (WrongKeysApply { a: Some(1), ..WrongKeysApply::default() }, None)
}

fn main() {}
