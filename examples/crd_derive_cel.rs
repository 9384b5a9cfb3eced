//! Evaluates the validation rules of a derived kind: first in the program, before a request, and then on the server.
//!
//! ```sh
//! cargo run -p examples --example crd_derive_cel
//! ```

use kube_client::{
    Api, Client,
    api::{DeleteParams, PostParams},
};
use kube_derive::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use std::{
    io::{self, Write},
    process::ExitCode,
};

#[derive(CustomResource, KubeSchema, Clone, Debug, Deserialize, Serialize)]
#[kube(group = "examples.dev", version = "v1", kind = "Autoscaler", namespaced, cel)]
#[x_kube(validation = ("self.min <= self.max", "min must not be above max"))]
struct AutoscalerSpec {
    min: i32,
    max: i32,
    /// Immutable: the rule compares the old and the new value.
    #[x_kube(validation = Rule::new("self == oldSelf").message("is immutable").reason(Reason::FieldValueForbidden))]
    target: String,
}

fn main() -> ExitCode {
    examples::run(evaluate_rules())
}

async fn evaluate_rules() -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    examples::install_derived_crd::<Autoscaler>(&client).await?;
    let autoscalers: Api<Autoscaler> = Api::default_namespaced(client);
    let mut out = io::stdout();

    let spec = AutoscalerSpec { min: 5, max: 3, target: "web".to_owned() };
    let mut object = Autoscaler::new("example", spec);
    if let Err(errors) = object.validate_cel() {
        writeln!(out, "here: {errors}")?;
    }
    match autoscalers.create(&PostParams::default(), &object).await {
        Err(error) if error.is_invalid() => writeln!(out, "server: {error}")?,
        other => writeln!(out, "unexpected: {other:?}")?,
    }

    object.spec.min = 1;
    let created = autoscalers.create(&PostParams::default(), &object).await?;
    let mut changed = created.clone();
    changed.spec.target = String::from("api");
    if let Err(errors) = changed.validate_cel_update(&created) {
        writeln!(out, "update here: {errors}")?;
    }
    match autoscalers.replace("example", &PostParams::default(), &changed).await {
        Err(error) if error.is_invalid() => writeln!(out, "update on the server: {error}")?,
        other => writeln!(out, "unexpected: {other:?}")?,
    }
    autoscalers.delete("example", &DeleteParams::default()).await?;
    Ok(())
}
