//! Adds layers to the client. Each layer is a [`tower::Layer`] around the client's own layers for credentials, retries
//! and time limits.
//!
//! One layer limits the number of requests in flight. Another layer counts the requests, and adds a header to each.
//!
//! ```sh
//! cargo run -p examples --example custom_client
//! ```

use http::{HeaderValue, Request};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube_client::{
    Api, Client, Config, ResourceExt,
    api::ListParams,
    client::{Body, ClientBuilder},
};
use std::{
    io::{self, Write},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tower::{limit::ConcurrencyLimitLayer, util::MapRequestLayer};

fn main() -> ExitCode {
    examples::run(use_custom_client())
}

async fn use_custom_client() -> anyhow::Result<()> {
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = sent.clone();
    let count = MapRequestLayer::new(move |mut request: Request<Body>| {
        counter.fetch_add(1, Ordering::Relaxed);
        request.headers_mut().insert("x-example", HeaderValue::from_static("custom_client"));
        request
    });
    let config = Config::infer().await?;
    let client: Client = ClientBuilder::try_from(config)?
        .with_layer(&ConcurrencyLimitLayer::new(4))
        .with_layer(&count)
        .build();

    let namespaces = Api::<Namespace>::all(client.clone()).list(&ListParams::default()).await?;
    // All list requests start concurrently. `ConcurrencyLimitLayer` allows four requests at a time.
    let counts = namespaces.items.iter().map(|namespace| {
        let name = namespace.name_any();
        let pods: Api<Pod> = Api::namespaced(client.clone(), &name);
        async move {
            let list = pods.list_metadata(&ListParams::default()).await?;
            anyhow::Ok((name, list.items.len()))
        }
    });
    for (name, count) in futures::future::try_join_all(counts).await? {
        writeln!(io::stdout(), "{name}: {count} pods")?;
    }
    writeln!(io::stdout(), "{} requests", sent.load(Ordering::Relaxed))?;
    Ok(())
}
