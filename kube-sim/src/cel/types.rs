//! The types of CEL expressions, and their text in the errors of the API server.
//!
//! This module owns the type model only: `unify` decides which types are assignable to each other.

use std::fmt;
use std::sync::Arc;

use super::declared_types::DeclaredType;

/// The static type of an expression.
#[derive(Clone, Debug)]
pub(super) enum Type {
    /// The type of an expression that has an error. This type fits every type, so that one mistake causes only one error.
    Error,
    /// A type that is known only during the evaluation.
    Dyn,
    /// Like [`Self::Dyn`], but comprehensions cannot iterate over the values. The attributes of a device have this type.
    Any,
    /// The type of `null`.
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Duration,
    Timestamp,
    List(Arc<Type>),
    Map(Arc<Type>, Arc<Type>),
    /// An object whose fields the schema declares.
    Object(ObjectType),
    /// The type of a message that an expression of a mutating policy creates: `JSONPatch`, `Object`, or the type of a
    /// field, such as `Object.spec`.
    Message(Arc<str>),
    /// A type of the Kubernetes libraries, such as `kubernetes.Quantity`.
    Named(&'static str),
    /// The type `optional_type(T)`, where `T` is the contained type.
    Optional(Arc<Type>),
    /// The type of a type: the identifier `int` has the type `Meta(Int)`.
    Meta(Arc<Type>),
    /// A type variable, such as a type parameter of an overload or the unknown element type of `[]`.
    Param(Param),
}

/// A type variable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Param {
    /// A type parameter in the declaration of an overload, such as `A` in `list(A)`.
    Declared(char),
    /// A type variable that the checker has created.
    Fresh(usize),
}

/// An object type that a schema declares. The name of the type contains the path from `self` to the object.
#[derive(Clone, Debug)]
pub(super) struct ObjectType {
    pub(super) name: Arc<str>,
    pub(super) declared: Arc<DeclaredType>,
}

impl Type {
    pub(super) fn list(element: Type) -> Self {
        Self::List(Arc::new(element))
    }

    pub(super) fn map(key: Type, value: Type) -> Self {
        Self::Map(Arc::new(key), Arc::new(value))
    }

    pub(super) fn optional(value: Type) -> Self {
        Self::Optional(Arc::new(value))
    }

    /// The type `T` if `self` is `optional_type(T)`; `None` for any other type.
    pub(super) fn type_in_optional(&self) -> Option<&Type> {
        match self {
            Self::Optional(value) => Some(value),
            _ => None,
        }
    }

    pub(super) fn is_dyn(&self) -> bool {
        matches!(self, Self::Dyn | Self::Any)
    }

    pub(super) fn is_dyn_or_error(&self) -> bool {
        self.is_dyn() || matches!(self, Self::Error)
    }

    /// Whether all values of the type have the same size. Cost estimates use the size 1 for a value of a scalar type.
    pub(super) fn is_scalar(&self) -> bool {
        match self {
            Self::Bool | Self::Double | Self::Duration | Self::Int | Self::Timestamp | Self::Uint => true,
            Self::Optional(value) => value.is_scalar(),
            _ => false,
        }
    }

    /// Whether two types are the same.
    pub(super) fn is_same(&self, other: &Type) -> bool {
        match (self, other) {
            (Self::List(a), Self::List(b))
            | (Self::Optional(a), Self::Optional(b))
            | (Self::Meta(a), Self::Meta(b)) => a.is_same(b),
            (Self::Map(ak, av), Self::Map(bk, bv)) => ak.is_same(bk) && av.is_same(bv),
            (Self::Object(a), Self::Object(b)) => a.name == b.name,
            (Self::Message(a), Self::Message(b)) => a == b,
            (Self::Named(a), Self::Named(b)) => a == b,
            (Self::Param(a), Self::Param(b)) => a == b,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other) && !self.variant_has_fields(),
        }
    }

    /// Whether this variant of the enum has fields, such as another type or a name.
    fn variant_has_fields(&self) -> bool {
        matches!(
            self,
            Self::List(_)
                | Self::Map(..)
                | Self::Object(_)
                | Self::Message(_)
                | Self::Named(_)
                | Self::Optional(_)
                | Self::Meta(_)
                | Self::Param(_)
        )
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error => f.write_str("!error!"),
            Self::Dyn => f.write_str("dyn"),
            Self::Any => f.write_str("any"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Duration => f.write_str("duration"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::List(element) => write!(f, "list({element})"),
            Self::Map(key, value) => write!(f, "map({key}, {value})"),
            Self::Object(object) => f.write_str(&object.name),
            Self::Message(name) => f.write_str(name),
            Self::Named(name) => f.write_str(name),
            Self::Optional(value) => write!(f, "optional_type({value})"),
            Self::Meta(ty) => write!(f, "type({ty})"),
            Self::Param(Param::Declared(name)) => write!(f, "{name}"),
            Self::Param(Param::Fresh(number)) => write!(f, "_var{number}"),
        }
    }
}

/// Formats the runtime name of a type. The checker can use another name for the same type: the runtime name
/// of [`Type::Duration`] is `google.protobuf.Duration`, and the checker's name is `duration`. The API
/// server's errors about the type of a result contain runtime names.
pub(super) struct RuntimeName<'a>(pub(super) &'a Type);

impl fmt::Display for RuntimeName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Type::Any => f.write_str("google.protobuf.Any"),
            Type::Null => f.write_str("null_type"),
            Type::Duration => f.write_str("google.protobuf.Duration"),
            Type::Timestamp => f.write_str("google.protobuf.Timestamp"),
            Type::List(element) => write!(f, "list({})", RuntimeName(element)),
            Type::Map(key, value) => write!(f, "map({}, {})", RuntimeName(key), RuntimeName(value)),
            Type::Optional(value) => write!(f, "optional_type({})", RuntimeName(value)),
            Type::Meta(ty) => write!(f, "type({})", RuntimeName(ty)),
            other => other.fmt(f),
        }
    }
}
