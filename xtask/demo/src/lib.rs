//! `cargo xtask demo`: a reflector, an informer and a controller on a continuously changing simulated cluster.
//!
//! A pod reflector (`pods`), a node informer (`nodes`) and a controller of the custom resource `Site` (`site`) use the
//! server over TLS. At the same time, `editor` changes the sites, and `administrator` scales deployments and drains nodes.
//! The built-in controllers of kube-sim react. `view` shows the progress, and `summary` shows the totals. Every count
//! comes from a store, from the server, or from a counter in `tally`.

mod administrator;
mod agreement;
mod editor;
mod nodes;
mod pods;
mod site;
mod snapshot;
mod summary;
mod tally;
mod view;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use kube_client::config::{KubeConfigOptions, Kubeconfig};
use kube_client::{Client, Config};
use kube_sim::{Server, Sim};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use snapshot::Snapshot;
use tally::Tally;
use view::View;
use xtask_process::Interrupts;
use xtask_sim::WorkloadOptions;

/// The number of nodes at the beginning.
const NODE_COUNT: usize = 6;
/// The number of deployments of the simulated workload.
const DEPLOYMENT_COUNT: usize = 6;
/// The interval between two steps of the simulated workload.
const STEP_INTERVAL: Duration = Duration::from_millis(250);
/// The interval between two snapshots of the stores.
const SNAPSHOT_INTERVAL: Duration = Duration::from_millis(200);
/// The capacity of the channel for the displayed messages. New messages are dropped while the channel is full.
const MESSAGE_CAPACITY: usize = 256;
/// The time limit for in-flight reconciles at shutdown.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(3);

/// Runs a reflector, an informer and a controller on a simulated cluster; needs no real cluster and no containers.
///
/// Updates the display in place on a terminal, and prints lines elsewhere. Prints a summary at the end and on Ctrl-C.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The duration in seconds; by default, the demo runs until an interrupt.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// The seed of all random changes; random by default.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// Runs the subcommand.
///
/// # Errors
/// When the server or a client cannot be started, when a store differs from the server's objects at the end, or when
/// the controller does not shut down in time.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    xtask_process::logging::init();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(main(args))
}

/// Runs the demo until its time limit or an interrupt, and prints the summary.
async fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let mut interrupts = Interrupts::listen()?;
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(0..1_000_000));
    let sim = Sim::builder().seed(seed).nodes(NODE_COUNT).build();
    let options = WorkloadOptions {
        nodes: NODE_COUNT,
        deployments: DEPLOYMENT_COUNT,
        seed,
        pace: STEP_INTERVAL,
        calm: false,
    };
    let workload = options.start(&sim).await;
    let server = sim.serve_https(([127, 0, 0, 1], 0).into()).await.context("cannot serve the cluster")?;
    let client = create_client(&server).await?;
    let (sender, messages) = mpsc::channel(MESSAGE_CAPACITY);
    let tally = Arc::new(Tally::new(sender));

    site::install_crd(&client).await?;
    let mut tasks = JoinSet::new();
    let pods = pods::start_reflector(&mut tasks, client.clone(), tally.clone());
    let nodes = nodes::start_informer(&mut tasks, client.clone(), tally.clone());
    let (sites, controller) = site::start_controller(&mut tasks, &client, tally.clone());
    let editor = tasks.spawn(editor::change_sites(client.clone(), tally.clone(), seed));
    let administrator = tasks.spawn(administrator::administer(client.clone(), tally.clone(), seed));

    let begin = Instant::now();
    let end = args.seconds.map(|seconds| begin + Duration::from_secs(seconds));
    let mut snapshot = Snapshot::new(pods, nodes, sites);
    let mut view = View::new(&format!("kube-sim at {} over TLS, seed {seed}", server.url()), begin);
    update_view(&sim, &tally, &mut snapshot, &mut view, messages, end, &mut interrupts).await;
    view.clear_rows();
    let elapsed = begin.elapsed();

    editor.abort();
    administrator.abort();
    drop(workload);
    let agreement = agreement::wait_for_agreement(&sim, &mut snapshot).await;
    let drained = controller.stop(SHUTDOWN_LIMIT).await;
    print!(
        "{}",
        summary::Summary { elapsed, sim: &sim, tally: &tally, snapshot: &snapshot, agreement: &agreement }
    );
    tasks.shutdown().await;
    server.shutdown().await;
    drained?;
    agreement?;
    Ok(ExitCode::SUCCESS)
}

/// Creates a client from the server's kubeconfig, which contains the CA certificate and a client certificate.
async fn create_client(server: &Server) -> anyhow::Result<Client> {
    let kubeconfig = Kubeconfig::from_yaml(&server.kubeconfig())?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Updates the view until the time limit is reached or an interrupt arrives.
async fn update_view(
    sim: &Sim,
    tally: &Tally,
    snapshot: &mut Snapshot,
    view: &mut View,
    mut messages: mpsc::Receiver<String>,
    end: Option<Instant>,
    interrupts: &mut Interrupts,
) {
    let mut snapshots = interval(SNAPSHOT_INTERVAL);
    snapshots.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let deadline = async {
        match end {
            Some(end) => sleep_until(end).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(deadline);
    loop {
        tokio::select! {
            () = &mut deadline => return,
            _ = interrupts.next() => return,
            Some(line) = messages.recv() => view.print_message(&line),
            _ = snapshots.tick() => {
                snapshot.refresh();
                view.show(sim, tally, snapshot);
            }
        }
    }
}
