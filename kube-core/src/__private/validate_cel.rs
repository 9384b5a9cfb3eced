//! The macros that generate `validate_cel` and the other validation methods. Without the Cargo feature `cel`, the macros
//! expand to a compile error that contains the name of the feature. The macros are in this crate, because `cfg` in
//! generated code would test the features of the calling crate.

/// Generates `validate_cel`, `validate_cel_update`, `validate` and `validate_update` of a kind.
#[cfg(feature = "cel")]
#[doc(hidden)]
#[macro_export]
macro_rules! __impl_validate_cel {
    ($vis:vis kind $kind:ident) => {
        impl $kind {
            /// Evaluates the validation rules for a new object, as the API server does. The rules are compiled once.
            ///
            /// # Errors
            ///
            /// The error contains each rule that the object violates and each rule that was not evaluated.
            #[inline]
            #[allow(dead_code, reason = "a program may evaluate only updates")]
            $vis fn validate_cel(&self) -> ::core::result::Result<(), $crate::cel::ValidationErrors> {
                VALIDATOR.get_or_init($crate::cel::Validator::of_kind::<Self>).validate_object(self, None)
            }

            /// Evaluates the validation rules for an update of `old` to this object.
            ///
            /// # Errors
            ///
            /// The same as for `validate_cel`.
            #[inline]
            #[allow(dead_code, reason = "a program may evaluate only new objects")]
            $vis fn validate_cel_update(
                &self,
                old: &Self,
            ) -> ::core::result::Result<(), $crate::cel::ValidationErrors> {
                VALIDATOR
                    .get_or_init($crate::cel::Validator::of_kind::<Self>)
                    .validate_object(self, ::core::option::Option::Some(old))
            }
        }

        impl $kind {
            /// Validates a new object with its schema and its validation rules, as the API server does.
            ///
            /// # Errors
            ///
            /// The error contains each violation, and each rule that was not evaluated.
            #[inline]
            #[allow(dead_code, reason = "a program may evaluate only the rules")]
            $vis fn validate(&self) -> ::core::result::Result<(), $crate::cel::ValidationErrors> {
                VALIDATOR
                    .get_or_init($crate::cel::Validator::of_kind::<Self>)
                    .validate_object_schema(self, ::core::option::Option::None)
            }

            /// Validates an update of `old` to this object with the schema and the validation rules.
            ///
            /// # Errors
            ///
            /// The same as for `validate`.
            #[inline]
            #[allow(dead_code, reason = "a program may evaluate only the rules")]
            $vis fn validate_update(
                &self,
                old: &Self,
            ) -> ::core::result::Result<(), $crate::cel::ValidationErrors> {
                VALIDATOR
                    .get_or_init($crate::cel::Validator::of_kind::<Self>)
                    .validate_object_schema(self, ::core::option::Option::Some(old))
            }
        }

        static VALIDATOR: ::std::sync::OnceLock<$crate::cel::Validator> = ::std::sync::OnceLock::new();
    };
}

/// Generates the function `validate_cel` of a type with `#[derive(KubeSchema)]`.
#[cfg(feature = "cel")]
#[doc(hidden)]
#[macro_export]
macro_rules! __validate_cel_of_type {
    ($vis:vis fn) => {
        /// Evaluates the validation rules for a serialized value of this type. `old` is the value before an update.
        ///
        /// # Errors
        ///
        /// The error contains each rule that the value violates and each rule that was not evaluated.
        #[inline]
        #[allow(dead_code, reason = "a program may use only the schema")]
        $vis fn validate_cel(
            value: &$crate::__private::serde_json::Value,
            old: ::core::option::Option<&$crate::__private::serde_json::Value>,
        ) -> ::core::result::Result<(), $crate::cel::ValidationErrors> {
            $crate::cel::validate_cel_schema::<Self>(value, old)
        }
    };
}

/// Expands to a compile error that names the missing Cargo feature.
#[cfg(not(feature = "cel"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __impl_validate_cel {
    ($($input:tt)*) => {
        ::core::compile_error!("`#[kube(cel)]` needs the Cargo feature `cel` of kube-client or kube-core");
    };
}

/// Expands to a compile error that names the missing Cargo feature.
#[cfg(not(feature = "cel"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __validate_cel_of_type {
    ($($input:tt)*) => {
        ::core::compile_error!("`#[x_kube(cel)]` needs the Cargo feature `cel` of kube-client or kube-core");
    };
}

pub use crate::{__impl_validate_cel as impl_validate_cel, __validate_cel_of_type as validate_cel_of_type};
