//! Writes an increasing count to a config map while this process is the leader. Start two processes with
//! different names: one process counts, and the other process takes over when the leader ends or hangs.
//!
//! Each process writes to its own config map. The config map has the name of the process, so that each request shows
//! which process writes.
//!
//! ```sh
//! cargo run -p examples --example leader_election -- one
//! cargo run -p examples --example leader_election -- two
//! ```

use anyhow::Context;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::{
    Api, Client,
    api::{Patch, PatchParams},
};
use kube_runtime::leader::{Config, LeaderElector, is_fenced};
use serde_json::json;
use std::{
    io::{self, Write},
    time::Duration,
};
use tokio::signal::unix::{SignalKind, signal};
use tracing::warn;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let name = std::env::args().nth(1).context("usage: leader_election NAME")?;
    let client = Client::try_default().await?;
    let namespace = client.default_namespace().to_owned();
    let config = Config::default()
        .lease_duration(Duration::from_secs(6))
        .renew_deadline(Duration::from_secs(4))
        .retry_period(Duration::from_secs(1));
    let elector = LeaderElector::new(client, &namespace, "leader-election-example", &name);
    let leadership = elector.with_config(config).start()?;
    println(&format!("{} is a candidate", leadership.identity()));
    let work = async {
        leadership.acquired().await?;
        println(&format!("{} is the leader", leadership.identity()));
        // This client refuses writes after the leadership is lost, even if the process was suspended at that time.
        count_while_leading(&Api::default_namespaced(leadership.client()), &name).await;
        anyhow::Ok(())
    };
    tokio::select! {
        worked = work => worked?,
        () = leadership.lost() => {}
        signal = termination_signal() => {
            signal?;
            // Release the lease, so that the next leader need not wait until the lease expires.
            return Ok(leadership.release().await?);
        }
    }
    println("the leadership was lost");
    Ok(())
}

/// Waits for SIGINT or SIGTERM.
async fn termination_signal() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

/// Counts ten times a second, until the leadership is lost.
async fn count_while_leading(maps: &Api<ConfigMap>, name: &str) {
    for count in 0_u64.. {
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
            "data": {"count": count.to_string()},
        });
        match maps
            .patch(name, &PatchParams::apply("leader-election-example").force(), &Patch::Apply(map))
            .await
        {
            Ok(_) => {}
            Err(error) if is_fenced(&error) => {
                println("a write was refused: this process is not the leader");
                return;
            }
            Err(error) => warn!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn println(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
