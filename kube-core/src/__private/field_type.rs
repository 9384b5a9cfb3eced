//! `FieldType`: the types of the fields of plain types, as constants.
//!
//! A generic function that creates the schema of a field is compiled again for each type, in the crate of the user. With
//! constants, the crate of the user contains only data, and for each type a short function that returns the data. The
//! schemas must equal the schemas of schemars' derive, so this module calls schemars, with [`CurrentType`] in the place of
//! the type.

use std::{cell::Cell, collections::BTreeMap, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::SchemaName;

/// The name and the ID of types without a definition in the schema of another type. Schemars does not use them.
const INLINE: SchemaName = SchemaName::Borrowed("inline");

/// The type of a field.
#[derive(Debug, Clone, Copy)]
pub enum FieldType {
    /// A Boolean, a number or a string, with the function that creates its schema.
    Scalar(SchemaFunction),
    /// `Option<T>`.
    Optional(&'static FieldType),
    /// `Vec<T>`.
    List(&'static FieldType),
    /// `BTreeMap<String, T>`.
    Map(&'static FieldType),
    /// A plain type, with its functions of [`JsonSchema`].
    Plain { name: fn() -> SchemaName, id: fn() -> SchemaName, schema: SchemaFunction },
    /// Any other type, with the function that creates the schema of `OneField` for this type.
    Other(SchemaFunction),
}

type SchemaFunction = fn(&mut SchemaGenerator) -> Schema;

/// A type whose [`FieldType`] is not [`FieldType::Other`].
pub trait KnownType: JsonSchema {
    /// Plain types have the default.
    const FIELD_TYPE: FieldType =
        FieldType::Plain { name: Self::schema_name, id: Self::schema_id, schema: Self::json_schema };
}

macro_rules! impl_known_type_for_scalars {
    ($($scalar:ty),*) => {
        $(impl KnownType for $scalar {
            const FIELD_TYPE: FieldType = FieldType::Scalar(Self::json_schema);
        })*
    };
}

impl_known_type_for_scalars!(bool, i8, i16, i32, i64, isize, u8, u16, u32, u64, usize, f32, f64, String);

impl<T: KnownType> KnownType for Option<T> {
    const FIELD_TYPE: FieldType = FieldType::Optional(&T::FIELD_TYPE);
}

impl<T: KnownType> KnownType for Vec<T> {
    const FIELD_TYPE: FieldType = FieldType::List(&T::FIELD_TYPE);
}

impl<T: KnownType> KnownType for BTreeMap<String, T> {
    const FIELD_TYPE: FieldType = FieldType::Map(&T::FIELD_TYPE);
}

impl<T: KnownType> KnownType for Box<T> {
    const FIELD_TYPE: FieldType = T::FIELD_TYPE;
}

/// `TypeOf::<T>::__kube_field_type` returns the [`FieldType`] of any type. It is the inherent function if `T` is a
/// [`KnownType`], and the function of [`OtherType`] otherwise. The name is unusual because a trait in the module of the
/// user may have a function with a usual name.
#[derive(Debug)]
pub struct TypeOf<T: ?Sized>(PhantomData<T>);

impl<T: KnownType + ?Sized> TypeOf<T> {
    #[must_use]
    pub fn __kube_field_type() -> FieldType {
        T::FIELD_TYPE
    }
}

/// The [`FieldType`] of types that are not a [`KnownType`]. The bound is on the function: if the impl had it, the compiler's
/// error for a type without a schema would be about [`KnownType`].
pub trait OtherType<T: ?Sized> {
    fn __kube_field_type() -> FieldType
    where
        T: JsonSchema,
    {
        FieldType::Other(OneField::<T>::json_schema)
    }
}

impl<T: ?Sized> OtherType<T> for TypeOf<T> {}

/// A struct with one field. Its schema contains the schema of the field, and tells whether the field is required: a field
/// is not required if its type is an `Option`, or a transparent type that contains an `Option`.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "only the schema of this type is used")]
struct OneField<T: ?Sized> {
    value: T,
}

impl FieldType {
    /// Returns the schema of a field of this type, and whether the field is required.
    pub(super) fn field_schema(self, generator: &mut SchemaGenerator) -> (Schema, bool) {
        if let Self::Other(one_field_schema) = self {
            let mut one_field = one_field_schema(generator);
            let value = one_field.pointer_mut("/properties/value").map_or(Value::Bool(true), Value::take);
            return (Schema::try_from(value).unwrap_or_default(), one_field.get("required").is_some());
        }
        let schema = self.while_current(|| generator.subschema_for::<CurrentType>());
        (schema, !matches!(self, Self::Optional(_)))
    }

    /// Calls `function`. During the call, [`CurrentType`] stands for this type.
    fn while_current<R>(self, function: impl FnOnce() -> R) -> R {
        let outer = CURRENT.replace(self);
        let result = function();
        CURRENT.set(outer);
        result
    }
}

thread_local! {
    /// The type that [`CurrentType`] stands for.
    static CURRENT: Cell<FieldType> = const { Cell::new(bool::FIELD_TYPE) };
}

/// Stands for the type of the innermost running call of [`FieldType::while_current`] on this thread. The functions of
/// [`JsonSchema`] have no parameter that could contain the type.
struct CurrentType;

impl JsonSchema for CurrentType {
    fn inline_schema() -> bool {
        !matches!(CURRENT.get(), FieldType::Plain { .. })
    }

    fn schema_name() -> SchemaName {
        if let FieldType::Plain { name, .. } = CURRENT.get() { name() } else { INLINE }
    }

    fn schema_id() -> SchemaName {
        if let FieldType::Plain { id, .. } = CURRENT.get() { id() } else { INLINE }
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        match CURRENT.get() {
            FieldType::Scalar(schema) | FieldType::Plain { schema, .. } => schema(generator),
            FieldType::Optional(value) => value.while_current(|| Option::<Self>::json_schema(generator)),
            FieldType::List(item) => item.while_current(|| Vec::<Self>::json_schema(generator)),
            FieldType::Map(value) => value.while_current(|| BTreeMap::<String, Self>::json_schema(generator)),
            other @ FieldType::Other(_) => other.field_schema(generator).0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_the_outer_call_is_current_again_after_an_inner_call() {
        let plain = FieldType::Plain { name: || INLINE, id: || INLINE, schema: bool::json_schema };
        plain.while_current(|| {
            bool::FIELD_TYPE.while_current(|| assert!(CurrentType::inline_schema()));
            assert!(!CurrentType::inline_schema());
        });
    }
}
