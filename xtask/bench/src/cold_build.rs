//! The row `build`: compares cold debug builds of two empty packages. One package depends on kube-client, kube-runtime and
//! kube-derive, the other on kube with equal features.

use std::time::{Duration, Instant};

use serde_json::json;

use super::build::{Folders, run_cargo};
use super::build_times::{self, Comparison, Outcome, median};
use super::contender::Contender;
use super::{table, user_package};
use xtask_process::Scratch;
use xtask_process::progress::Progress;

/// The largest allowed ratio of this project's build time to kube's.
const MAX_RATIO: f64 = 0.75;

/// The cost of one build.
#[derive(Debug, Clone, Copy)]
struct BuildCost {
    wall: Duration,
    packages: usize,
}

/// Builds this project's package and kube's package alternately, `rounds` times each, and compares the medians.
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
    let (ours, kube) =
        build_times::build_alternately("cold debug build", rounds, progress, async |contender| {
            build(folders, scratch, contender).await
        })
        .await?;
    let wall = |build: &BuildCost| build.wall;
    let (ours, kube) = (median(&ours, wall)?, median(&kube, wall)?);
    let comparison = Comparison::new(ours.wall, kube.wall, MAX_RATIO);
    let mut text = table::table_with_header(&[
        "row",
        "",
        "wall",
        "packages",
        &format!("target: <= {MAX_RATIO} x kube's"),
    ]);
    for (name, contender, build, word) in
        [("build", Contender::Ours, ours, comparison.cell()), ("", Contender::Kube, kube, String::new())]
    {
        let wall = table::right_aligned_cell(table::format_seconds(build.wall.as_secs_f64()));
        text.add_row([
            name.into(),
            contender.into(),
            wall,
            table::right_aligned_cell(build.packages.to_string()),
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

/// Builds an empty package that depends on the contender's crates, in an empty folder.
async fn build(folders: &Folders, scratch: &Scratch, contender: Contender) -> anyhow::Result<BuildCost> {
    let package = folders.build_folder("cold").join(contender.to_string());
    let target = package.join("target");
    let source = ("lib.rs".to_owned(), "//! An empty crate.\n".to_owned());
    user_package::write(folders, &package, contender, "", &[source])?;
    // The packages are downloaded before the measurement starts.
    run_cargo(scratch, &package, &target, &["fetch", "--quiet"]).await?;
    let started = Instant::now();
    let output = run_cargo(scratch, &package, &target, &["build", "--offline"]).await?;
    let wall = started.elapsed();
    let packages = output.stderr.lines().filter(|line| line.trim_start().starts_with("Compiling ")).count();
    user_package::remove(&package)?;
    // The count excludes the empty package.
    Ok(BuildCost { wall, packages: packages.saturating_sub(1) })
}
