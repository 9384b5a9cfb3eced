//! Prints the CRD of a derived kind as JSON. This program needs no cluster; kubectl can install the CRD, as shown below.
//!
//! The kind uses many of the attributes of `CustomResource`.
//!
//! ```sh
//! cargo run -p examples --example crd_derive | kubectl apply -f -
//! ```

use kube_client::{
    CustomResourceExt, Resource,
    core::{HasSpec, HasStatus},
};
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    io::{self, Write},
    process::ExitCode,
};
use tracing::info;

/// A group of caches with the same content.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "examples.dev",
    version = "v1",
    kind = "CachePool",
    plural = "cachepools",
    namespaced,
    status = CachePoolStatus,
    shortname = "cp",
    category = "all",
    derive = "PartialEq",
    label("app.kubernetes.io/part-of", "examples"),
    selectable = ".spec.engine",
    scale(spec_replicas_path = ".spec.replicas", status_replicas_path = ".status.readyReplicas"),
    printcolumn(name = "Engine", type_ = "string", json_path = ".spec.engine"),
    printcolumn = r#"{"name": "Ready", "type": "integer", "jsonPath": ".status.readyReplicas"}"#,
    validation = ("self.metadata.name.size() <= 40", "the name must have at most 40 characters")
)]
#[serde(rename_all = "camelCase")]
struct CachePoolSpec {
    /// The cache software, such as `redis`.
    engine: String,
    /// The number of caches.
    #[schemars(range(min = 0, max = 9))]
    replicas: i32,
    /// The eviction policy of a full cache.
    eviction: Eviction,
}

/// The reaction of a full cache to a write. A value serializes as an object whose only field has the name of the
/// variant, in camel case. A structural schema requires the same type for all variants. `None` has braces because a unit
/// variant would serialize as a string.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Eviction {
    /// Refuse writes.
    None {},
    /// Remove the least recently used entry.
    LeastRecentlyUsed {},
    /// Remove entries that are older than `seconds`.
    OlderThan { seconds: u32 },
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct CachePoolStatus {
    ready_replicas: i32,
}

fn main() -> ExitCode {
    examples::run(async { print_crd() })
}

fn print_crd() -> anyhow::Result<()> {
    let eviction = Eviction::OlderThan { seconds: 60 };
    let mut pool = CachePool::new("web", CachePoolSpec { engine: "redis".into(), replicas: 3, eviction });
    pool.spec_mut().replicas += 1;
    *pool.status_mut() = Some(CachePoolStatus { ready_replicas: 1 });
    info!("{} is at {}", CachePool::kind(&()), CachePool::url_path(&(), Some("default")));
    info!("an object: {}", serde_json::to_string(&pool)?);
    // `try_crd` fails if the schema accepts values that the Rust types refuse.
    let crd = serde_json::to_string_pretty(&CachePool::try_crd()?)?;
    writeln!(io::stdout(), "{crd}")?;
    Ok(())
}
