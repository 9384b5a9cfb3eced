//! A derived kind without a derived schema: with `schema = "disabled"`, the derive needs neither `JsonSchema` nor the
//! Cargo feature `schema`.
//!
//! This example installs the CRD from JSON in this file. The example does not install `Token::crd()`: this CRD has no
//! schema, and a server refuses CRDs without a schema.
//!
//! ```sh
//! cargo run -p examples --example crd_derive_no_schema
//! ```

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_client::{
    Api, Client, CustomResourceExt,
    api::{DeleteParams, PostParams},
};
use kube_derive::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    io::{self, Write},
    process::ExitCode,
};

#[derive(CustomResource, Clone, Debug, Deserialize, Serialize)]
#[kube(group = "examples.dev", version = "v1", kind = "Token", namespaced, schema = "disabled")]
struct TokenSpec {
    owner: String,
}

fn main() -> ExitCode {
    examples::run(install_and_use_crd())
}

async fn install_and_use_crd() -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    let crd: CustomResourceDefinition = serde_json::from_value(json!({
        "metadata": { "name": Token::crd_name() },
        "spec": {
            "group": "examples.dev",
            "scope": "Namespaced",
            "names": { "kind": "Token", "plural": "tokens", "singular": "token" },
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "schema": { "openAPIV3Schema": {
                    "type": "object",
                    "properties": { "spec": {
                        "type": "object",
                        "properties": { "owner": { "type": "string", "maxLength": 20 } },
                    } },
                } },
            }],
        },
    }))?;
    examples::install_crd::<Token>(&client, &crd).await?;
    let tokens: Api<Token> = Api::default_namespaced(client);
    let token = Token::new("example", TokenSpec { owner: "ada".to_owned() });
    tokens.create(&PostParams::default(), &token).await?;
    writeln!(io::stdout(), "owner: {}", tokens.get("example").await?.spec.owner)?;
    tokens.delete("example", &DeleteParams::default()).await?;
    Ok(())
}
