//! The measured code of two programs, the Rust contenders. One program measures this project, the other measures kube.
//! Both programs compile the files of this folder; their other code, such as `crate::library`, differs.
//!
//! A contender takes one argument, a [`Job`] as JSON. It executes one row (measurement) of the bench and prints one line: a
//! [`Report`] as JSON. The report may contain a digest of objects. The contender must not verify the digest: `xtask-bench`
//! verifies it.

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

/// Executes the job given on the command line, and prints the report or the error.
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

/// Raises the limit on open files to its maximum. Each connection is an open file, and kube opens one connection for each
/// watch.
fn raise_file_limit() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
        .context("cannot raise the limit on files")
}

/// Executes the row that the job names.
async fn run_row(job: &Job) -> anyhow::Result<Report> {
    let (row, transport) = job.name_and_transport();
    if transport == Transport::HyperUtil && !crate::library::HAS_HYPER_UTIL_ROWS {
        let reason = "the row compares two transports of this project".to_owned();
        return Ok(Report::Absent { reason });
    }
    if job.is_protobuf() && !crate::library::HAS_PROTOBUF_ROWS {
        return Ok(Report::Absent { reason: "kube reads only JSON".to_owned() });
    }
    let outcome = match row {
        "list" => list::list_pods(job).await?,
        "store-list" => store::measure_typed_store(job, store::ListStrategy::List).await?,
        "store-watchlist" => store::measure_typed_store(job, store::ListStrategy::WatchList).await?,
        "store-compact" | "store-compact-decoded" | "store-compact-zstd" | "store-compact-reads" => {
            match run_compact_row(job, row).await? {
                Some(outcome) => outcome,
                None => {
                    return Ok(Report::Absent {
                        reason: crate::library::COMPACT_STORE_ABSENCE_REASON.to_owned(),
                    });
                }
            }
        }
        "store-incomplete" => store::measure_store_of_partial_pods(job).await?,
        "store-kinds" => store::measure_stores_of_three_kinds(job).await?,
        "events" => events::apply_to_store(job).await?,
        "filter-generation" => events::filter_by_generation(job).await?,
        "filter-labels" => events::filter_by_labels(job).await?,
        "get" => get::get_sequentially(job).await?,
        "get-32" => get::get_concurrently(job).await?,
        "get-in-process" => get::get_in_process(job).await?,
        "relist" => relist::measure_relist(job).await?,
        "watches" => watches::measure_calls_with_watches(job).await?,
        "exec-stdout" => exec::read_output(job).await?,
        "exec-stdin" => exec::write_input(job).await?,
        "first-reconcile" => controller::measure_first_reconcile(job).await?,
        "reconcile" => controller::measure_reconciles(job).await?,
        "shared-controllers" => shared_informer::measure_four_controllers(job).await?,
        "subscribers" => shared_informer::measure_subscribers(job).await?,
        "priority-queue" => return queue::measure_priority_queue(job),
        "index-lookups" => return index::measure_index_lookups(job).await,
        "idle-manager" => return idle::measure_idle_manager(job).await,
        _ => anyhow::bail!("unknown row {:?}", job.row),
    };
    Ok(Report::Done(outcome))
}

/// Executes a row that measures a compact store. Returns `None` if the contender has no compact store.
async fn run_compact_row(job: &Job, row: &str) -> anyhow::Result<Option<Outcome>> {
    match row {
        "store-compact-decoded" => store::measure_compact_store(job, store::CompactOptions::Decoded).await,
        "store-compact-zstd" => store::measure_compact_store(job, store::CompactOptions::Zstd).await,
        "store-compact-reads" => store::measure_reads_of_compact_store(job).await,
        _ => store::measure_compact_store(job, store::CompactOptions::Default).await,
    }
}
