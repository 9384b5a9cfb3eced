//! The names of companions. A companion is the apply configuration of a type. `#[derive(ApplyConfiguration)]` and
//! `#[kube(apply)]` generate companions.

use proc_macro2::Ident;
use quote::format_ident;
use syn::{GenericArgument, PathArguments, Type};

/// The name of a type's companion, with the span of the type: the compiler reports a missing companion at the type.
pub(crate) fn companion_name(name: &Ident) -> Ident {
    format_ident!("{name}Apply", span = name.span())
}

/// The companion of a type. In a container, the companion replaces the inner type, as in `Option<SiteApply>`. Types
/// without a companion, arrays and tuples stay unchanged.
pub(crate) fn companion_type(ty: &Type) -> Type {
    let mut companion = ty.clone();
    replace_by_companions(&mut companion);
    companion
}

/// Generic types whose first argument is replaced by its companion. Further arguments, such as an allocator, stay.
const CONTAINERS: &[&str] = &["Option", "Box", "Arc", "Rc", "Vec", "VecDeque"];
/// Map types. The second argument, the type of the values, is replaced by its companion. Other arguments stay.
const MAPS: &[&str] = &["BTreeMap", "HashMap"];
/// The types without a companion: an apply sends their values whole.
const TYPES_WITHOUT_COMPANION: &[&str] = &[
    "bool",
    "char",
    "String",
    "i8",
    "i16",
    "i32",
    "i64",
    "i128",
    "isize",
    "u8",
    "u16",
    "u32",
    "u64",
    "u128",
    "usize",
    "f32",
    "f64",
    "BTreeSet",
    "HashSet",
    "IntOrString",
    "Quantity",
    "Time",
    "MicroTime",
    "Value",
];

/// Replaces a type by its companion. For a container, replaces the inner type by its companion.
pub(crate) fn replace_by_companions(ty: &mut Type) {
    match ty {
        Type::Group(group) => replace_by_companions(&mut group.elem),
        Type::Paren(paren) => replace_by_companions(&mut paren.elem),
        Type::Path(path) => {
            let Some(last) = path.path.segments.last_mut() else { return };
            let name = last.ident.to_string();
            let position = usize::from(MAPS.contains(&name.as_str()));
            if position == 1 || CONTAINERS.contains(&name.as_str()) {
                if let PathArguments::AngleBracketed(arguments) = &mut last.arguments
                    && let Some(GenericArgument::Type(ty)) = arguments.args.iter_mut().nth(position)
                {
                    replace_by_companions(ty);
                }
            } else if !TYPES_WITHOUT_COMPANION.contains(&name.as_str()) {
                last.ident = companion_name(&last.ident);
            }
        }
        // Arrays and tuples have no companion: an apply sends their values whole.
        _ => {}
    }
}
