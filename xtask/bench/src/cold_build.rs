//! The row `build`: a cold debug build of kube-client, kube-runtime and kube-derive, compared with a build of kube with
//! its features `client`, `runtime` and `derive`. No build is incremental, because cargo does not build packages of a
//! registry incrementally.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;

use super::build::{Folders, cargo};
use super::build_times::{self, Comparison, Outcome, median};
use super::contender::Contender;
use super::table;
use xtask_process::Scratch;
use xtask_process::progress::Progress;

/// The largest allowed ratio of this project's build time to kube's.
const TARGET: f64 = 0.75;

/// The arguments of cargo for both projects.
const BUILD: [&str; 4] = ["build", "--locked", "--config", "profile.dev.incremental=false"];

/// The cost of one build.
#[derive(Debug, Clone, Copy)]
struct BuildCost {
    wall: Duration,
    packages: usize,
}

/// Builds both projects alternately, `rounds` times each.
///
/// # Errors
/// If a build fails or its folder cannot be removed.
///
/// # Cancel safety
/// Cancelling terminates the build.
pub(super) async fn run(
    folders: &Folders,
    scratch: &Scratch,
    progress: &Progress,
    rounds: usize,
) -> anyhow::Result<Outcome> {
    let (ours, kube) = build_times::alternate("cold debug build", rounds, progress, async |contender| {
        build(folders, scratch, contender).await
    })
    .await?;
    let wall = |build: &BuildCost| build.wall;
    let (ours, kube) = (median(&ours, wall)?, median(&kube, wall)?);
    let comparison = Comparison::new(ours.wall, kube.wall, TARGET);
    let mut text =
        table::with_header(&["row", "", "wall", "packages", &format!("target: <= {TARGET} x kube's")]);
    for (name, contender, build, word) in
        [("build", Contender::Ours, ours, comparison.cell()), ("", Contender::Kube, kube, String::new())]
    {
        let wall = table::right_aligned(table::format_seconds(build.wall.as_secs_f64()));
        text.add_row([
            name.into(),
            contender.into(),
            wall,
            table::right_aligned(build.packages.to_string()),
            word.into(),
        ]);
    }
    let one = |build: BuildCost| json!({"wall_s": build.wall.as_secs_f64(), "packages": build.packages});
    Ok(Outcome {
        text: text.to_string(),
        json: json!({"ours": one(ours), "kube": one(kube), "ratio": comparison.ratio}),
        met: usize::from(comparison.is_met),
    })
}

/// Builds a contender's crates in an empty folder.
async fn build(folders: &Folders, scratch: &Scratch, contender: Contender) -> anyhow::Result<BuildCost> {
    let target = folders.build_folder("cold");
    if target.exists() {
        fs::remove_dir_all(&target).with_context(|| format!("cannot remove {}", target.display()))?;
    }
    let (folder, args) = match contender {
        Contender::Kube => (folders.source_folder("kube"), ["-p", "bench-cold-kube"].as_slice()),
        _ => (
            folders.root.clone(),
            ["-p", "kube-client", "-p", "kube-runtime", "-p", "kube-derive"].as_slice(),
        ),
    };
    // The packages are downloaded before the measurement starts.
    cargo(scratch, &folder, &target, &["fetch", "--locked", "--quiet"]).await?;
    let started = Instant::now();
    let output = cargo(scratch, &folder, &target, &[&BUILD, args].concat()).await?;
    let wall = started.elapsed();
    let packages = output.stderr.lines().filter(|line| line.trim_start().starts_with("Compiling ")).count();
    fs::remove_dir_all(&target).with_context(|| format!("cannot remove {}", target.display()))?;
    // The count excludes `bench-cold-kube`, an empty package that depends on kube.
    Ok(BuildCost { wall, packages: packages - usize::from(contender == Contender::Kube && packages > 0) })
}
