//! Sends requests to any path of the server, without an `Api`. The client still provides the connections, the
//! credentials and the error type.
//!
//! ```sh
//! cargo run -p examples --example request_raw -- '/readyz?verbose'
//! ```

use http::Request;
use k8s_openapi::api::core::v1::Namespace;
use kube_client::{
    Client, Resource,
    api::ListParams,
    core::{ObjectList, Request as ApiRequest},
};
use std::{
    io::{self, Write},
    process::ExitCode,
};

fn main() -> ExitCode {
    examples::run(send_requests())
}

async fn send_requests() -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    // Read a response as text, for example from an endpoint that is not a resource.
    let path = std::env::args().nth(1).unwrap_or_else(|| "/version".to_owned());
    let text = client.request_text(Request::get(&path).body(Vec::new())?).await?;
    writeln!(io::stdout(), "{}", text.trim_end())?;

    // Decode a response as any type that implements `Deserialize`. `kube_client::core::Request` builds the request, as it
    // does for `Api`.
    let request = ApiRequest::new(Namespace::url_path(&(), None)).list(&ListParams::default().limit(1))?;
    let page: ObjectList<Namespace> = client.request(request).await?;
    let left = page.metadata.remaining_item_count.unwrap_or(0);
    writeln!(io::stdout(), "{} namespaces", page.items.len() + usize::try_from(left)?)?;
    Ok(())
}
