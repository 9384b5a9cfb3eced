//! The measured code of the Rust contenders. The same files are compiled against this project and against kube; only
//! `crate::library` differs.
//!
//! A contender takes one argument, a [`Job`] as JSON, executes one row, and prints a [`Report`] as its only line. A
//! contender must not compare the digest with the expected digest: `xtask-bench` compares them.

mod control;
mod controller;
mod digest;
mod events;
mod exec;
mod get;
mod idle;
mod index;
mod job;
mod list;
mod measure;
mod queue;
mod relist;
mod shared_informer;
pub(crate) mod store;
mod stream_data;
mod watches;
mod widget;

use std::process::ExitCode;

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

pub(crate) use self::control::Control;
pub(crate) use self::digest::Digest;
pub(crate) use self::job::{Job, Outcome, Report, Transport};
pub(crate) use self::measure::Measure;
pub(crate) use self::queue::PriorityQueue;

/// Executes the job given on the command line.
pub(crate) fn main() -> ExitCode {
    match run_job() {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Executes the job, and returns the report as JSON.
fn run_job() -> anyhow::Result<String> {
    let usage = "expected one argument: the job as JSON (`cargo xtask bench` starts this program)";
    let job: Job = serde_json::from_str(&std::env::args().nth(1).context(usage)?).context(usage)?;
    raise_file_limit()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(run_row(&job)).with_context(|| format!("the row {}", job.row))?;
    Ok(serde_json::to_string(&report)?)
}

/// Raises the limit on open files to its maximum: kube opens one connection for each watch.
fn raise_file_limit() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
        .context("cannot raise the limit on files")
}

/// Executes the row that the job names.
async fn run_row(job: &Job) -> anyhow::Result<Report> {
    let (row, transport) = job.row();
    if transport == Transport::HyperUtil && !crate::library::HAS_HYPER_UTIL_ROWS {
        let reason = "the row compares two transports of this project".to_owned();
        return Ok(Report::Absent { reason });
    }
    if job.is_protobuf() && !crate::library::HAS_PROTOBUF {
        return Ok(Report::Absent { reason: "kube reads only JSON".to_owned() });
    }
    let outcome = match row {
        "list" => list::list(job).await?,
        "store-list" => store::typed_store(job, store::Strategy::List).await?,
        "store-watchlist" => store::typed_store(job, store::Strategy::WatchList).await?,
        "store-compact" | "store-compact-decoded" | "store-compact-zstd" | "store-compact-reads" => {
            match compact(job, row).await? {
                Some(outcome) => outcome,
                None => return Ok(Report::Absent { reason: crate::library::NO_COMPACT_STORE.to_owned() }),
            }
        }
        "store-incomplete" => store::store_of_partial_pods(job).await?,
        "store-kinds" => store::stores_of_three_kinds(job).await?,
        "events" => events::applied_to_store(job).await?,
        "filter-generation" => events::filtered_by_generation(job).await?,
        "filter-labels" => events::filtered_by_labels(job).await?,
        "get" => get::sequential(job).await?,
        "get-32" => get::concurrent(job).await?,
        "get-in-process" => get::in_process(job).await?,
        "relist" => relist::relist(job).await?,
        "watches" => watches::watches_and_calls(job).await?,
        "exec-stdout" => exec::output(job).await?,
        "exec-stdin" => exec::input(job).await?,
        "first-reconcile" => controller::first_reconcile(job).await?,
        "reconcile" => controller::reconcile(job).await?,
        "shared-controllers" => shared_informer::four_controllers(job).await?,
        "subscribers" => shared_informer::subscribers(job).await?,
        "priority-queue" => return queue::priority_queue_of_keys(job),
        "index-lookups" => return index::index_lookups(job).await,
        "idle-manager" => return idle::idle_manager(job).await,
        _ => anyhow::bail!("unknown row {:?}", job.row),
    };
    Ok(Report::Done(outcome))
}

/// Executes a row of a compact store.
async fn compact(job: &Job, row: &str) -> anyhow::Result<Option<Outcome>> {
    match row {
        "store-compact-decoded" => store::compact_store(job, store::CompactForm::Decoded).await,
        "store-compact-zstd" => store::compact_store(job, store::CompactForm::Zstd).await,
        "store-compact-reads" => store::reads_of_compact_store(job).await,
        _ => store::compact_store(job, store::CompactForm::Default).await,
    }
}
