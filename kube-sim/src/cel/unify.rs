//! Type inference: decides whether a type is assignable to another type, and infers the values of type variables.

use std::collections::HashMap;
use std::sync::Arc;

use super::types::{Param, Type};

/// The type variables, and the values that the checker has inferred for them so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Substitution {
    values: HashMap<Param, Type>,
}

impl Substitution {
    /// Sets the value of a type variable.
    pub(super) fn bind(&mut self, param: Param, value: Type) {
        self.values.insert(param, value);
    }

    /// Returns whether a value of the type `from` is assignable to the type `to`. If the result is true, also sets the
    /// values of the type variables in `from` and `to`.
    pub(super) fn assign(&mut self, from: &Type, to: &Type) -> bool {
        self.assign_all(std::slice::from_ref(from), std::slice::from_ref(to))
    }

    /// Returns whether each type in `from` is assignable to the type at the same index of `to`. If the result is true,
    /// also sets the values of the type variables in `from` and `to`.
    pub(super) fn assign_all(&mut self, from: &[Type], to: &[Type]) -> bool {
        let mut trial = self.clone();
        let assignable =
            from.len() == to.len() && from.iter().zip(to).all(|(from, to)| trial.unify(from, to));
        if assignable {
            *self = trial;
        }
        assignable
    }

    /// Returns whether `from` is assignable to `to`. Sets values of type variables even if the result is false.
    fn unify(&mut self, from: &Type, to: &Type) -> bool {
        if let Type::Param(param) = to {
            // `None` means that the variable `to` has no value and occurs in `from`. If `from` is also a
            // variable, the next `if` unifies `to` with the value of `from`.
            if let Some(verdict) = self.substitute_param(from, param, to) {
                return verdict;
            }
        }
        if let Type::Param(param) = from {
            return self.substitute_param(to, param, from).unwrap_or(false);
        }
        if from.is_dyn_or_error() || to.is_dyn_or_error() {
            return true;
        }
        match (from, to) {
            (Type::Null, other) | (other, Type::Null) => matches!(
                other,
                Type::Null
                    | Type::Named(_)
                    | Type::Optional(_)
                    | Type::Object(_)
                    | Type::Message(_)
                    | Type::Duration
                    | Type::Timestamp
            ),
            (Type::Meta(_), Type::Meta(_)) => true,
            (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => self.unify(a, b),
            (Type::Map(ak, av), Type::Map(bk, bv)) => self.unify(ak, bk) && self.unify(av, bv),
            _ => from.is_same(to),
        }
    }

    /// Sets the value of the type variable `param`. `variable` is `param` as a type. Returns false if `value` does not
    /// fit the previous value of the variable, and `None` if the variable has no value and occurs in `value`.
    fn substitute_param(&mut self, value: &Type, param: &Param, variable: &Type) -> Option<bool> {
        if value.is_same(variable) {
            return Some(true);
        }
        if let Some(bound) = self.values.get(param).cloned() {
            if value.is_same(&bound) {
                return Some(true);
            }
            if !self.unify(value, &bound) {
                return Some(false);
            }
            let general = more_general_type(value, &bound).clone();
            if !self.occurs(param, &general) {
                self.values.insert(param.clone(), general);
            }
            return Some(true);
        }
        if self.occurs(param, value) {
            return None;
        }
        self.values.insert(param.clone(), value.clone());
        Some(true)
    }

    /// Whether the type variable `param` occurs in the type `within`.
    fn occurs(&self, param: &Param, within: &Type) -> bool {
        match within {
            Type::Param(other) => {
                other == param || self.values.get(other).is_some_and(|value| self.occurs(param, value))
            }
            Type::List(inner) | Type::Optional(inner) | Type::Meta(inner) => self.occurs(param, inner),
            Type::Map(key, value) => self.occurs(param, key) || self.occurs(param, value),
            _ => false,
        }
    }

    /// Replaces each type variable in a type with its value. A variable without a value remains.
    pub(super) fn apply(&self, ty: &Type) -> Type {
        self.rewrite(ty, false)
    }

    /// Replaces each type variable in a type with its value, or with `dyn` if the variable has no value.
    pub(super) fn apply_or_dyn(&self, ty: &Type) -> Type {
        self.rewrite(ty, true)
    }

    fn rewrite(&self, ty: &Type, or_dyn: bool) -> Type {
        let inner = |ty: &Arc<Type>| Arc::new(self.rewrite(ty, or_dyn));
        match ty {
            Type::Param(param) => match self.values.get(param) {
                Some(value) => self.rewrite(value, or_dyn),
                None if or_dyn => Type::Dyn,
                None => ty.clone(),
            },
            Type::List(element) => Type::List(inner(element)),
            Type::Optional(value) => Type::Optional(inner(value)),
            Type::Meta(value) => Type::Meta(inner(value)),
            Type::Map(key, value) => Type::Map(inner(key), inner(value)),
            other => other.clone(),
        }
    }
}

/// The more general of two types, one of which is assignable to the other.
pub(super) fn more_general_type<'a>(a: &'a Type, b: &'a Type) -> &'a Type {
    if is_equal_or_less_specific(a, b) { a } else { b }
}

fn is_equal_or_less_specific(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Dyn | Type::Any | Type::Param(_), _) | (Type::Meta(_), Type::Meta(_)) => true,
        (_, Type::Dyn | Type::Any | Type::Param(_)) => false,
        (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => {
            is_equal_or_less_specific(a, b)
        }
        (Type::Map(ak, av), Type::Map(bk, bv)) => {
            is_equal_or_less_specific(ak, bk) && is_equal_or_less_specific(av, bv)
        }
        _ => a.is_same(b),
    }
}
