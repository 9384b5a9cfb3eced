//! Counts the objects of every kind that the server can list, including custom resources. The program has no Rust types
//! for these kinds.
//!
//! ```sh
//! cargo run -p examples --example dynamic_api
//! ```

use examples::format_with_causes;
use kube_client::{
    Api, Client, Discovery,
    api::{DynamicObject, ListParams},
    discovery::{ApiGroup, verbs},
};
use std::{
    io::{self, Write},
    process::ExitCode,
};
use tracing::warn;

fn main() -> ExitCode {
    examples::run(count_objects())
}

async fn count_objects() -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    let discovery = Discovery::new(client.clone()).run().await?;
    // If the extension server of a group is unavailable, discovery still returns the other groups.
    for failure in discovery.failures() {
        warn!("{failure}: {}", failure.error);
    }
    for (resource, capabilities) in discovery.groups().flat_map(ApiGroup::recommended_resources) {
        if !capabilities.supports_operation(verbs::LIST) {
            continue;
        }
        let api: Api<DynamicObject> = Api::dynamic(client.clone(), &resource, &capabilities.scope);
        // List only the metadata: it is a small part of each object.
        match api.list_metadata(&ListParams::default()).await {
            Ok(list) => {
                let count = list.items.len();
                writeln!(io::stdout(), "{}/{}: {count}", resource.api_version, resource.plural)?;
            }
            Err(error) => warn!("{}: {}", resource.plural, format_with_causes(error)),
        }
    }
    Ok(())
}
