//! Shows how the schema of a derived kind sets defaults, allows nulls, and lets server-side apply merge lists.
//!
//! ```sh
//! cargo run -p examples --example crd_derive_schema
//! ```

use kube_client::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject},
};
use kube_derive::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    io::{self, Write},
    process::ExitCode,
};

#[derive(CustomResource, KubeSchema, Clone, Debug, Deserialize, Serialize)]
#[kube(group = "examples.dev", version = "v1", kind = "Route", namespaced)]
#[serde(rename_all = "camelCase")]
struct RouteSpec {
    /// Required: the field has no default and is not an `Option`.
    host: String,
    /// The server sets the default when the field is missing.
    #[serde(default = "default_path")]
    path: String,
    /// Nullable: the server keeps a null.
    note: Option<String>,
    /// Each field manager owns the items that it has applied. The field `name` identifies an item.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    backends: Vec<Backend>,
    /// Items are unique.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Set)]
    tags: Vec<String>,
}

#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize)]
struct Backend {
    name: String,
    #[x_kube(validation = ("self > 0 && self < 65536", "must be a port"))]
    port: i32,
}

fn default_path() -> String {
    "/".to_owned()
}

fn main() -> ExitCode {
    examples::run(use_routes())
}

async fn use_routes() -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    examples::install_derived_crd::<Route>(&client).await?;
    let mut out = io::stdout();
    // A dynamic object can lack required fields, and have invalid values.
    let resource = ApiResource::erase::<Route>(&());
    let routes: Api<DynamicObject> = Api::default_namespaced_with(client.clone(), &resource);
    let create = async |spec| {
        let object = DynamicObject::new("example", &resource).data(json!({ "spec": spec }));
        routes.create(&PostParams::default(), &object).await
    };

    match create(json!({ "backends": [{ "name": "a", "port": 0 }] })).await {
        Err(error) if error.is_invalid() => writeln!(out, "refused: {error}")?,
        other => writeln!(out, "unexpected: {other:?}")?,
    }
    let created = create(json!({ "host": "example.com" })).await?;
    writeln!(out, "with defaults: {}", created.data["spec"])?;

    for (manager, name, port) in [("first", "a", 80), ("second", "b", 81)] {
        let backends = json!([{ "name": name, "port": port }]);
        let applied = DynamicObject::new("example", &resource)
            .data(json!({ "spec": { "host": "example.com", "backends": backends, "tags": [manager] } }));
        let params = PatchParams::apply(manager).force();
        routes.patch("example", &params, &Patch::Apply(&applied)).await?;
    }
    let routes: Api<Route> = Api::default_namespaced(client);
    let Route { spec, .. } = routes.get("example").await?;
    writeln!(out, "merged: {}", serde_json::to_string(&spec)?)?;
    routes.delete("example", &DeleteParams::default()).await?;
    Ok(())
}
