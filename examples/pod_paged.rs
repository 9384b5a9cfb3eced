//! Lists the pods of all namespaces in pages, so that neither the server nor the program holds a large list.
//!
//! [`Api::list_all`] does the same and returns the objects of all pages as a stream. Use `list_all` unless the program
//! needs single pages. This program prints each page.
//!
//! ```sh
//! cargo run -p examples --example pod_paged -- 100
//! ```

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use kube_client::{Api, Client, Error, ResourceExt, api::ListParams};
use std::{
    io::{self, Write},
    process::ExitCode,
};

fn main() -> ExitCode {
    examples::run(list_pages())
}

async fn list_pages() -> anyhow::Result<()> {
    let size = std::env::args().nth(1).map_or(Ok(500), |size| size.parse()).context("the size of a page")?;
    let pods: Api<Pod> = Api::all(Client::try_default().await?);
    let mut params = ListParams::default().limit(size);
    let (mut pages, mut count) = (0, 0);
    loop {
        let page = match pods.list(&params).await {
            // A continue token is valid for some minutes. The error 410 for an expired token contains a new token,
            // which continues the list at a newer resource version.
            Err(Error::Api(status)) if status.is_gone() && params.continue_token.is_some() => {
                let token = status.metadata.and_then(|metadata| metadata.continue_);
                anyhow::ensure!(
                    token.is_some() && token != params.continue_token,
                    "the continue token has expired, and the server sends no new token: list with larger pages"
                );
                params.continue_token = token;
                continue;
            }
            page => page?,
        };
        pages += 1;
        count += page.items.len();
        let left = page.metadata.remaining_item_count.unwrap_or(0);
        writeln!(io::stdout(), "page {pages}: {} pods, {left} left", page.items.len())?;
        for pod in &page.items {
            writeln!(io::stdout(), "  {}/{}", pod.namespace().unwrap_or_default(), pod.name_any())?;
        }
        params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() {
            writeln!(io::stdout(), "{count} pods in {pages} pages")?;
            return Ok(());
        }
    }
}
