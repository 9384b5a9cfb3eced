//! The built-in resources of a Kubernetes 1.37 API server, and their schemas.
//!
//! `cargo xtask record` writes the resources, schemas, table columns, bootstrap roles and system objects of an API
//! server to `data/`; do not edit these files by hand. Schemas are parsed at first use. The module `crate::strategy`
//! contains the defaults and the validation that Kubernetes implements in Go. This module must not know about requests
//! or stores.

mod catalog;
mod columns;
mod descriptions;
mod open_api;

/// The roles and bindings that an API server creates at its start, in JSON, one in each line.
pub(crate) static BOOTSTRAP_POLICY: &str = include_str!("data/bootstrap_policy.jsonl");

/// The objects that an API server creates at its start, except roles and bindings. Each line is one object in JSON. The
/// objects are templates with placeholders: see `store::template`.
pub(crate) static SYSTEM_OBJECTS: &str = include_str!("data/system_objects.jsonl");

#[cfg(test)]
pub(crate) use self::catalog::find;
pub(crate) use self::catalog::{Resource, Scope, groups, resources};
pub(crate) use self::columns::{Column, age_column_description, columns, name_column_description};
pub(crate) use self::open_api::{
    CustomResource, open_api_2_document, open_api_document, open_api_document_names,
};
pub(crate) use crate::schema::component as schema;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_protobuf_message() {
        for resource in resources() {
            let known = crate::protobuf::has_kind(&resource.api_version(), resource.kind);
            assert!(known, "{} {}", resource.api_version(), resource.kind);
        }
    }
}
