//! `DerivedKind`: the trait that `#[derive(CustomResource)]` implements. A blanket impl provides [`CustomResourceExt`].
//!
//! The methods of [`CustomResourceExt`] are generic over the kind, so the compiler generates code only for
//! the methods that a program calls. This code is in the codegen unit of the kind, so the compiler does not
//! recompile the code if only the calling module changes.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::{Serialize, de::DeserializeOwned};

use super::{Definition, crd};
#[cfg(feature = "schema")]
use crate::schema::{SchemaError, SchemaProblem};
use crate::{ApiResource, CustomResourceExt, Resource};

/// A kind with `#[derive(CustomResource)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no `CustomResourceDefinition`",
    note = "derive `CustomResource` for its spec"
)]
pub trait DerivedKind: Resource<DynamicType = ()> + Serialize + DeserializeOwned {
    /// The constants of the kind.
    fn definition() -> &'static Definition;

    /// Generates the `CustomResourceDefinition`, and finds the problems of its schema.
    fn generate_crd() -> GeneratedCrd;
}

/// A `CustomResourceDefinition`, and the problems of its schema.
#[derive(Debug)]
pub struct GeneratedCrd {
    pub(super) crd: CustomResourceDefinition,
    #[cfg(feature = "schema")]
    pub(super) problems: Vec<SchemaProblem>,
}

/// The `CustomResourceDefinition` of a kind with `schema = "disabled"`, without a schema. The program sets
/// the schema itself.
pub fn crd_without_schema(definition: &Definition) -> GeneratedCrd {
    GeneratedCrd {
        crd: crd(definition, None),
        #[cfg(feature = "schema")]
        problems: Vec::new(),
    }
}

impl<K: DerivedKind> CustomResourceExt for K {
    fn crd() -> CustomResourceDefinition {
        K::generate_crd().crd
    }

    #[cfg(feature = "schema")]
    fn try_crd() -> Result<CustomResourceDefinition, SchemaError> {
        super::schema::crd_without_problems::<K>(K::definition(), K::generate_crd())
    }

    fn crd_name() -> &'static str {
        K::definition().crd_name
    }

    fn api_resource() -> ApiResource {
        ApiResource::erase::<K>(&())
    }

    fn shortnames() -> &'static [&'static str] {
        K::definition().shortnames
    }
}
