//! Which types fit each other, and the values of type variables.

use std::collections::HashMap;
use std::sync::Arc;

use super::types::{Param, Type};

/// The values of the type variables so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Substitution {
    values: HashMap<Param, Type>,
}

impl Substitution {
    pub(super) fn bind(&mut self, param: Param, value: Type) {
        self.values.insert(param, value);
    }

    /// Whether a value of type `from` fits where `to` is expected. Only then are type variables bound.
    pub(super) fn assign(&mut self, from: &Type, to: &Type) -> bool {
        self.assign_all(std::slice::from_ref(from), std::slice::from_ref(to))
    }

    /// Whether the types fit in pairs.
    pub(super) fn assign_all(&mut self, from: &[Type], to: &[Type]) -> bool {
        let mut trial = self.clone();
        let fits = from.len() == to.len() && from.iter().zip(to).all(|(from, to)| trial.fits(from, to));
        if fits {
            *self = trial;
        }
        fits
    }

    fn fits(&mut self, from: &Type, to: &Type) -> bool {
        if let Type::Param(param) = to {
            // If `to` occurs in `from`, it cannot be bound to it: try the other direction.
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
                    | Type::Duration
                    | Type::Timestamp
            ),
            (Type::Meta(_), Type::Meta(_)) => true,
            (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => self.fits(a, b),
            (Type::Map(ak, av), Type::Map(bk, bv)) => self.fits(ak, bk) && self.fits(av, bv),
            _ => from.same(to),
        }
    }

    /// Whether `param` may stand for `value`; `None` if it has no value yet and occurs in `value`.
    fn substitute_param(&mut self, value: &Type, param: &Param, whole: &Type) -> Option<bool> {
        if value.same(whole) {
            return Some(true);
        }
        if let Some(bound) = self.values.get(param).cloned() {
            if value.same(&bound) {
                return Some(true);
            }
            if !self.fits(value, &bound) {
                return Some(false);
            }
            let general = most_general(value, &bound).clone();
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

    /// Whether the variable occurs in the type.
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

    /// The type with the values of its variables.
    pub(super) fn apply(&self, of: &Type) -> Type {
        self.rewrite(of, false)
    }

    /// The type with the values of its variables; those without a value become `dyn`.
    pub(super) fn apply_or_dyn(&self, of: &Type) -> Type {
        self.rewrite(of, true)
    }

    fn rewrite(&self, of: &Type, or_dyn: bool) -> Type {
        let inner = |of: &Arc<Type>| Arc::new(self.rewrite(of, or_dyn));
        match of {
            Type::Param(param) => match self.values.get(param) {
                Some(value) => self.rewrite(value, or_dyn),
                None if or_dyn => Type::Dyn,
                None => of.clone(),
            },
            Type::List(element) => Type::List(inner(element)),
            Type::Optional(value) => Type::Optional(inner(value)),
            Type::Meta(value) => Type::Meta(inner(value)),
            Type::Map(key, value) => Type::Map(inner(key), inner(value)),
            other => other.clone(),
        }
    }
}

/// The more general of two types that fit each other.
pub(super) fn most_general<'a>(a: &'a Type, b: &'a Type) -> &'a Type {
    if is_equal_or_less_specific(a, b) { a } else { b }
}

fn is_equal_or_less_specific(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Dyn | Type::Param(_), _) | (Type::Meta(_), Type::Meta(_)) => true,
        (_, Type::Dyn | Type::Param(_)) => false,
        (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => {
            is_equal_or_less_specific(a, b)
        }
        (Type::Map(ak, av), Type::Map(bk, bv)) => {
            is_equal_or_less_specific(ak, bk) && is_equal_or_less_specific(av, bv)
        }
        _ => a.same(b),
    }
}
