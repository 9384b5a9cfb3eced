//! Prints the CRDs of two derived kinds with schemas that are written by hand: for one field of `Listener`, and for the
//! whole object of `Document`.
//!
//! ```sh
//! cargo run -p examples --example crd_derive_custom_schema
//! ```

use kube_client::CustomResourceExt;
use kube_derive::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    io::{self, Write},
    process::ExitCode,
};

/// The schema of the field `port` comes from a function.
#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[kube(group = "examples.dev", version = "v1", kind = "Listener", namespaced)]
struct ListenerSpec {
    #[schemars(schema_with = "port_schema")]
    port: i32,
}

fn port_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int32", "minimum": 1, "maximum": 65535 })
}

/// With `schema = "manual"`, the program implements `JsonSchema` for the generated struct.
#[derive(CustomResource, Clone, Debug, Deserialize, Serialize)]
#[kube(group = "examples.dev", version = "v1", kind = "Document", namespaced, schema = "manual")]
struct DocumentSpec {
    content: serde_json::Value,
}

impl JsonSchema for Document {
    fn schema_name() -> Cow<'static, str> {
        "Document".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "required": ["spec"],
            "properties": {
                "spec": {
                    "type": "object",
                    "required": ["content"],
                    "properties": { "content": { "x-kubernetes-preserve-unknown-fields": true } },
                },
            },
        })
    }
}

fn main() -> ExitCode {
    examples::run(async { print_crds() })
}

fn print_crds() -> anyhow::Result<()> {
    for crd in [Listener::try_crd()?, Document::crd()] {
        writeln!(io::stdout(), "{}", serde_json::to_string(&crd)?)?;
    }
    Ok(())
}
